"""The key store of one plane: its master keys, and for each agreement keys of its own that can be erased.

A folder of files outside the database and outside its backups::

    <plane>.json                  master keys of the plane
    <plane>/<agreement>.json      keys of one agreement in this plane, one for each batch or run

A data key is wrapped by a master key and one of the agreement's keys *combined*. Deleting the wrapped data
key from the database is not enough to destroy: a backup of the database has it still, and the master key
lives on for the other agreements. Without the agreement's key neither opens anything (docs/adr/0004).
"""

from __future__ import annotations

import re
from collections.abc import Set
from pathlib import Path
from typing import Literal

from crypto.envelope import Keyring
from crypto.errors import KeyMaterialError
from crypto.keyfile import erase_private

PlaneName = Literal["encodings", "facts", "links"]
PLANES: tuple[PlaneName, ...] = ("encodings", "facts", "links")

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?\Z")


class KeyStore:
    """Keys of one plane, read from their files whenever they are asked for.

    Parameters
    ----------
    folder : Path
        The key folder.
    plane : {"encodings", "facts", "links"}
    """

    def __init__(self, folder: Path, plane: PlaneName) -> None:
        self.plane: PlaneName = plane
        self._master = folder / f"{plane}.json"
        self._folder = folder / plane

    def master(self) -> Keyring:
        """The plane's master keys.

        Raises
        ------
        KeyMaterialError
            `KEY_FILE_MISSING`, `KEY_FILE_EXPOSED`, `KEY_FILE_MALFORMED`.
        """
        return Keyring.load(self._master)

    def save_master(self, keyring: Keyring) -> None:
        """Put a keyring in the place of the plane's master keys."""
        keyring.save(self._master)

    def agreement(self, agreement_id: str) -> Keyring | None:
        """The keys of an agreement in this plane; None if there are none (yet, or any more)."""
        try:
            return Keyring.load(self._path(agreement_id))
        except KeyMaterialError as error:
            if error.code == "KEY_FILE_MISSING" and not self._path(agreement_id).exists():
                return None
            raise

    def save_agreement(self, agreement_id: str, keyring: Keyring) -> None:
        """Make or replace the keys of an agreement; call it under the agreement's lock."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        keyring.save(self._path(agreement_id))

    def erase_agreement(self, agreement_id: str) -> None:
        """Erase the keys of an agreement: what they wrapped is shut for good. Repeating it is no error."""
        erase_private(self._path(agreement_id))

    def add_key(self, agreement_id: str) -> Keyring:
        """One more key of the agreement, on disk; the keyring that wraps with it. Under the agreement's lock.

        A crash, or a transaction that is rolled back, leaves a key that wraps nothing: noise.
        """
        own = self.agreement(agreement_id)
        own = Keyring.generate() if own is None else own.with_new_key()
        self.save_agreement(agreement_id, own)
        return self.rings(agreement_id)[own.current]

    def drop_keys(self, agreement_id: str, key_ids: Set[str]) -> None:
        """Drop the agreement's keys that are part of these combined keys. Under the agreement's lock.

        What they wrapped is shut for good, in backups of the database too. Repeating it is no error.
        """
        own, rings = self.agreement(agreement_id), self.rings(agreement_id)
        if own is None:
            return
        self.keep_keys(agreement_id, {name for name, ring in rings.items() if not key_ids & set(ring.keys)})

    def keep_keys(self, agreement_id: str, names: Set[str]) -> None:
        """Drop all of the agreement's keys but these, by the ids they have in its file."""
        own = self.agreement(agreement_id)
        if own is None or set(own.keys) <= set(names):
            return
        kept = {name: key for name, key in own.keys.items() if name in names}
        if kept:
            self.save_agreement(agreement_id, Keyring(kept, max(kept)))
        else:
            self.erase_agreement(agreement_id)

    def rings(self, agreement_id: str) -> dict[str, Keyring]:
        """By ids in the agreement's file: each key, combined with all master keys; current with current."""
        own, master = self.agreement(agreement_id), self.master()
        if own is None:
            return {}
        where = f"{self.plane}:{agreement_id}"
        return {name: master.combine(Keyring({name: key}, name), where) for name, key in own.keys.items()}

    def opening(self, agreement_id: str) -> Keyring:
        """The keyring that unwraps all that can still be unwrapped, also data keys of before agreements had
        keys: those were wrapped by the master key alone, until the next rotation.
        """
        master = self.master()
        combined = {
            name: key for ring in self.rings(agreement_id).values() for name, key in ring.keys.items()
        }
        return Keyring({**master.keys, **combined}, master.current)

    def _path(self, agreement_id: str) -> Path:
        # It becomes the name of a file: whatever calls, it cannot name one elsewhere.
        if _SLUG.match(agreement_id) is None:
            raise ValueError("not the id of an agreement")
        return self._folder / f"{agreement_id}.json"
