"""The key store of one plane: its master keys, and for each agreement a key of its own that can be erased.

A folder of files outside the database and outside its backups::

    <plane>.json                  master keys of the plane
    <plane>/<agreement>.json      keys of one agreement in this plane

A data key is wrapped by a master key and the agreement's key *combined*. Deleting the wrapped data key from
the database is not enough to destroy: a backup of the database has it still, and the master key lives on
for the other agreements. Without the agreement's key neither opens anything (docs/adr).
"""

from __future__ import annotations

import re
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

    def ring(self, agreement_id: str) -> Keyring | None:
        """The keyring that wraps and unwraps the agreement's data keys; None without the agreement's keys."""
        own = self.agreement(agreement_id)
        return None if own is None else self.master().combine(own, f"{self.plane}:{agreement_id}")

    def opening(self, agreement_id: str) -> Keyring:
        """The keyring that unwraps all that can still be unwrapped, also data keys of before the
        agreement's key was made: those were wrapped by the master key alone, until the next rotation.
        """
        master, ring = self.master(), self.ring(agreement_id)
        return master if ring is None else Keyring({**master.keys, **ring.keys}, ring.current)

    def _path(self, agreement_id: str) -> Path:
        # It becomes the name of a file: whatever calls, it cannot name one elsewhere.
        if _SLUG.match(agreement_id) is None:
            raise ValueError("not the id of an agreement")
        return self._folder / f"{agreement_id}.json"
