"""Bulk data of one plane: encrypted with a data key per owner and plane, wrapped by the plane's keyring.

A `Plane` holds one keyring. Whoever is given the facts plane cannot open an encoding: the linker gets
encodings and links, the tabulator gets facts and links, and nobody gets all three.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Literal

from app.store import datakeys
from app.store.base import Store, Tx
from crypto.envelope import Keyring, WrappedKey, decrypt, encrypt, new_data_key

PlaneName = Literal["encodings", "facts", "links"]


class Plane:
    """Reads and writes the blobs of one plane.

    Parameters
    ----------
    name : {"encodings", "facts", "links"}
    store : Store
    keyring : Keyring
        Of this plane only.
    """

    def __init__(self, name: PlaneName, store: Store, keyring: Keyring) -> None:
        self.name: PlaneName = name
        self._store = store
        self._keyring = keyring

    def create_key(self, tx: Tx, owner: str, now: datetime) -> None:
        """Make the data key of a batch or run in this plane, unless it has one.

        Commit before writing: a blob whose key was rolled back is noise.
        """
        if datakeys.find(tx, owner, self.name) is None:
            wrapped = self._keyring.wrap(new_data_key(), self._context(owner))
            datakeys.add(tx, owner, self.name, wrapped.key_id, wrapped.blob, now)

    def write(self, owner: str, name: str, chunks: Iterable[bytes]) -> str:
        """Encrypt and store a new object, durably, and return its path.

        The path is fresh each time: what a row points to never changes under a reader. An object that
        a crash left without a row is noise that `orphans` of the store's sweep finds.
        """
        path = f"{self.name}/{owner}/{name}-{secrets.token_hex(8)}"
        self._store.blobs.put(path, encrypt(chunks, self._key(owner), path))
        return path

    def read(self, owner: str, path: str) -> Iterator[bytes]:
        """Decrypt an object; whole only when the iterator has ended without an error."""
        return decrypt(self._store.blobs.get(path), self._key(owner), path)

    def read_all(self, owner: str, paths: Iterable[str], *, sha256: str | None = None) -> bytes:
        """Several objects, one after the other, as one run of bytes.

        Raises
        ------
        ValueError
            If `sha256` is given and is not the digest of the whole.
        """
        data = b"".join(piece for path in paths for piece in self.read(owner, path))
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise ValueError("stored data does not have the digest that was accepted")
        return data

    def _key(self, owner: str) -> bytes:
        with self._store.reading("data key") as tx:
            row = datakeys.find(tx, owner, self.name)
        if row is None:
            raise KeyError("the data key is destroyed or was never made")
        return self._keyring.unwrap(WrappedKey(row.key_id, row.wrapped), self._context(owner))

    def _context(self, owner: str) -> str:
        return f"{owner}:{self.name}"
