"""A file of a batch as it is stored: announced by a row, held in encrypted parts, opened in memory only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from app.errors import RefusedError
from app.store import Plane
from app.store.models import BatchFile


@dataclass(frozen=True)
class StoredFile:
    """A file as it was announced, and where its parts are."""

    plane: Plane
    batch_id: str
    row: BatchFile
    paths: Sequence[str]
    part_size: int

    def verify(self) -> None:
        """Read it from end to end.

        Raises
        ------
        RefusedError
            `DIGEST_MISMATCH`.
        """
        hashing = hashlib.sha256()
        for path in self.paths:
            for piece in self.plane.read(self.batch_id, path):
                hashing.update(piece)
        if hashing.hexdigest() != self.row.sha256:
            raise RefusedError(
                "DIGEST_MISMATCH", f"{self.row.name} is not the file that the manifest announced."
            )

    @contextmanager
    def open(self) -> Iterator[pa.PythonFile]:
        """The file, decrypted where it is read.

        If the store fails meanwhile, its failure is what is raised, whatever the reader made of it: a batch
        is refused for what it is and never for our disk.
        """
        parts = self.plane.open_parts(self.batch_id, self.paths, self.part_size, self.row.size)
        try:
            yield pa.PythonFile(parts, mode="r")
        except Exception:
            if parts.failure is not None:
                raise parts.failure from None
            raise
