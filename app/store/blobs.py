"""Blobs: whole objects by path, durable before they are acknowledged.

Through obstore, so that a directory and an object store are the same to the callers. A local directory
needs more than obstore does: it renames without syncing, so a power cut after the acknowledgement could
lose the object. Here file and directories are synced before `put` returns.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import obstore
from obstore.store import LocalStore

from app.errors import ServiceError

CHUNK = 1024 * 1024


class Blobs:
    """Objects below one root."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.root = root
        self._store = LocalStore(prefix=root)

    @classmethod
    def open(cls, url: str) -> Blobs:
        """Blobs at a `file://` URL.

        Raises
        ------
        ServiceError
            `SETTINGS_INVALID` for any other scheme.
        """
        parts = urlsplit(url)
        if parts.scheme != "file":
            raise ServiceError("SETTINGS_INVALID", 500, "COHORTLINK_BLOB_URL must be a file:// URL.")
        return cls(Path(unquote(parts.path)))

    def put(self, path: str, chunks: Iterable[bytes]) -> None:
        """Write an object; when this returns it survives a power cut.

        An exception of `chunks` is passed on and leaves no object. A crash in here leaves at most an
        object that no row names. `chunks` must not itself read from `Blobs`: obstore cannot nest.
        """
        obstore.put(self._store, path, iter(chunks), chunk_size=CHUNK, max_concurrency=1)
        self._sync(path)

    def get(self, path: str) -> Iterator[bytes]:
        """The object's bytes, in pieces of about a mebibyte."""
        for piece in obstore.get(self._store, path).stream(min_chunk_size=CHUNK):
            yield bytes(piece)

    def delete(self, paths: Iterable[str]) -> None:
        """Remove objects; those that are not there are none the less gone."""
        for path in paths:
            try:
                obstore.delete(self._store, path)
            except FileNotFoundError:
                continue

    def list(self, prefix: str) -> list[str]:
        """Paths below a prefix, sorted."""
        return sorted(item["path"] for page in obstore.list(self._store, prefix) for item in page)

    def probe(self) -> None:
        """Write, read and remove a small object; raises if the storage does not do what is needed."""
        path = f"probe/{os.urandom(8).hex()}"
        self.put(path, [b"probe"])
        if b"".join(self.get(path)) != b"probe":
            raise OSError("the blob storage returned other bytes than were written")
        self.delete([path])

    def _sync(self, path: str) -> None:
        target = self.root / path
        _fsync(target)
        # The new directory entries, from the object's folder up to the root.
        for folder in (target.parent, *target.parent.parents):
            _fsync(folder)
            if folder == self.root:
                break


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
