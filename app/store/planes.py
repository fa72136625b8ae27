"""Bulk data of one plane: encrypted with a data key per owner and plane, wrapped by the plane's key store.

A `Plane` holds one key store. Whoever is given the facts plane cannot open an encoding: the linker gets
encodings and links, the tabulator gets facts and links, and nobody gets all three.
"""

from __future__ import annotations

import hashlib
import io
import secrets
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from app.errors import ServiceError
from app.store import datakeys
from app.store.base import Store, Tx
from app.store.keystore import KeyStore, PlaneName
from app.store.models import DataKey
from crypto.envelope import Keyring, WrappedKey, decrypt, encrypt, new_data_key


class Plane:
    """Reads and writes the blobs of one plane.

    Keys are read from their files when they are needed, so a rotation reaches a running process at its
    next use of them.

    Parameters
    ----------
    name : {"encodings", "facts", "links"}
    store : Store
    keys : KeyStore
        Of this plane only.
    """

    def __init__(self, name: PlaneName, store: Store, keys: KeyStore) -> None:
        self.name: PlaneName = name
        self._store = store
        self._keys = keys

    def create_key(self, tx: Tx, owner: str, agreement_id: str, now: datetime) -> None:
        """Make the data key of a batch or run in this plane, unless it has one; a key of its own wraps it.

        Call it under the agreement's lock: the keys are read again in here, so that a rotation, which takes
        the same lock, either sees the new row or has changed the keys before. Commit before writing: a blob
        whose key was rolled back is noise.

        Raises
        ------
        ServiceError
            `KEYS_MISSING` if the agreement has data keys and the key that wraps them is not there: a new
            one beside old data would hide a loss.
        """
        if datakeys.find(tx, owner, self.name) is not None:
            return
        if self._keys.agreement(agreement_id) is None and self._was_here(tx, agreement_id):
            raise ServiceError("KEYS_MISSING", 500, f"Restore {self.name}/{agreement_id}.json.")
        wrapped = self._keys.add_key(agreement_id).wrap(new_data_key(), context(owner, self.name))
        datakeys.add(tx, owner, self.name, agreement_id, wrapped.key_id, wrapped.blob, now)

    def _was_here(self, tx: Tx, agreement_id: str) -> bool:
        """Whether some data key is wrapped by keys that the agreement has no more."""
        master = self._keys.master().keys
        rows = datakeys.of_agreement(tx, agreement_id)
        return any(row.plane == self.name and row.key_id not in master for row in rows)

    def write(self, owner: str, name: str, chunks: Iterable[bytes]) -> str:
        """Encrypt and store a new object, durably, and return its path.

        The path is fresh each time: what a row points to never changes under a reader. An object that
        a crash left without a row is noise, which `app.flows.sweep_blobs` removes.
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

    def open_parts(self, owner: str, paths: Sequence[str], part_size: int, size: int) -> Parts:
        """Several objects as one seekable file that is decrypted where it is read, and nowhere kept."""
        return Parts(self, owner, paths, part_size, size)

    def _key(self, owner: str) -> bytes:
        row = self._row(owner)
        ring = self._keys.opening(row.agreement_id)
        if row.key_id not in ring.keys:
            # Perhaps a rotation came between reading the row and reading the keys: both are read again.
            row = self._row(owner)
            ring = self._keys.opening(row.agreement_id)
        return ring.unwrap(WrappedKey(row.key_id, row.wrapped), context(owner, self.name))

    def _row(self, owner: str) -> DataKey:
        with self._store.reading("data key") as tx:
            row = datakeys.find(tx, owner, self.name)
        if row is None:
            raise KeyError("the data key is destroyed or was never made")
        return row


def rewrap(row: DataKey, old: Keyring, new: Keyring) -> bool:
    """Wrap a data key anew, with the new keyring's current key; False if it was that already."""
    if row.key_id == new.current:
        return False
    where = context(row.owner, row.plane)
    wrapped = new.wrap(old.unwrap(WrappedKey(row.key_id, row.wrapped), where), where)
    row.key_id, row.wrapped = wrapped.key_id, wrapped.blob
    return True


def context(owner: str, plane: str) -> str:
    """What a wrapped data key is bound to."""
    return f"{owner}:{plane}"


class Parts(io.RawIOBase):
    """The parts of a file as a seekable file; holds one or two decrypted parts at a time.

    Parameters
    ----------
    paths : sequence of str
        Of the parts, in order; all but the last hold `part_size` bytes.
    size : int
        Bytes of the whole.

    Attributes
    ----------
    failure : Exception or None
        What the store did wrong. Readers such as Parquet's say only that the file is not theirs; without
        this, a disk that stumbled once would look like an agency that sent rubbish.
    """

    KEPT = 2

    def __init__(self, plane: Plane, owner: str, paths: Sequence[str], part_size: int, size: int) -> None:
        self.failure: Exception | None = None
        self._plane, self._owner, self._paths = plane, owner, tuple(paths)
        self._part_size, self._size, self._at = part_size, size, 0
        self._held: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def size(self) -> int:
        """Bytes of the whole."""
        return self._size

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._size - self._at)
        wanted = left if size is None or size < 0 else min(size, left)
        pieces = []
        while wanted:
            number, offset = divmod(self._at, self._part_size)
            piece = self._part(number)[offset : offset + wanted]
            if not piece:
                raise OSError("a part is shorter than it should be")
            pieces.append(piece)
            self._at += len(piece)
            wanted -= len(piece)
        return b"".join(pieces)

    def _part(self, number: int) -> bytes:
        if number not in self._held:
            try:
                self._held[number] = b"".join(self._plane.read(self._owner, self._paths[number]))
            except Exception as error:
                self.failure = error
                raise
            while len(self._held) > self.KEPT:
                self._held.popitem(last=False)
        self._held.move_to_end(number)
        return self._held[number]
