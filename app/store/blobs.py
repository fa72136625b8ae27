"""Blobs: whole objects by path, durable before they are acknowledged.

Through obstore, so that a directory and an S3-compatible store are the same to the callers. A local
directory needs more than obstore does: it renames without syncing, so a power cut after the acknowledgement
could lose the object. There file and directories are synced before `put` returns.

Nothing here relies on conditional writes: paths are random and never written twice. `probe` reports
whether a store honours them all the same, because stores differ and an operator may want to know.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore, S3Store

from app.errors import ServiceError

CHUNK = 1024 * 1024
#: Bytes per part of an S3 upload: the protocol refuses less than 5 MiB, except as the last.
S3_PART = 8 * 1024 * 1024
#: A store that does not answer within this time has failed; the caller repeats.
S3_OPTIONS = {"timeout": "60s", "connect_timeout": "5s"}
S3_RETRIES: Any = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}


@dataclass(frozen=True)
class Semantics:
    """What a store was seen to do.

    Attributes
    ----------
    kind : str
        `directory` or `s3`.
    conditional_put : bool
        Whether a write that asked for a new object was refused beside an existing one
        (`If-None-Match: *` on S3). Nothing here needs it.
    """

    kind: str
    conditional_put: bool

    def to_document(self) -> dict[str, Any]:
        """For reports."""
        return asdict(self)


class Blobs:
    """Objects below one root.

    Parameters
    ----------
    store
        An obstore store.
    root : Path, optional
        Of a local directory: what is written below it is synced.
    """

    def __init__(self, store: LocalStore | S3Store, root: Path | None = None) -> None:
        self._store = store
        self.root = root

    @classmethod
    def open(cls, url: str) -> Blobs:
        """Blobs at `file:///folder` or `s3://bucket/prefix`.

        Endpoint, region and credentials of S3 come from the variables that every S3 program reads
        (`AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, or a role).

        Raises
        ------
        ServiceError
            `SETTINGS_INVALID` for any other URL.
        """
        parts = urlsplit(url)
        if parts.scheme == "file" and not parts.netloc:
            root = Path(unquote(parts.path))
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            return cls(LocalStore(prefix=root), root)
        if parts.scheme == "s3" and parts.netloc and not parts.query:
            prefix = unquote(parts.path).strip("/") or None
            return cls(
                S3Store(
                    parts.netloc, prefix=prefix, client_options=_client_options(), retry_config=S3_RETRIES
                )
            )
        raise ServiceError(
            "SETTINGS_INVALID", 500, "COHORTLINK_BLOB_URL must be file:///folder or s3://bucket/prefix."
        )

    def put(self, path: str, chunks: Iterable[bytes]) -> None:
        """Write an object; when this returns it survives a power cut.

        An exception of `chunks` is passed on and leaves no object. A crash in here leaves at most an
        object that no row names (on S3 also an unfinished upload, which a lifecycle rule clears).
        `chunks` must not itself read from `Blobs`: obstore cannot nest.
        """
        size = CHUNK if self.root is not None else S3_PART
        obstore.put(self._store, path, iter(chunks), chunk_size=size, max_concurrency=1)
        if self.root is not None:
            _sync(self.root, path)

    def get(self, path: str) -> Iterator[bytes]:
        """The object's bytes, in pieces of about a mebibyte; FileNotFoundError if it is not there."""
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

    def probe(self) -> Semantics:
        """Write, write again on condition, read, list and remove a small object.

        Raises
        ------
        OSError
            If the storage does not do what is needed: read and list after write, and forget.
        """
        path = f"probe/{os.urandom(8).hex()}"
        self.put(path, [b"probe"])
        try:
            conditional = self._refuses_second(path)
            if b"".join(self.get(path)) != b"probe":
                raise OSError("the blob storage returned other bytes than were written")
            if path not in self.list("probe"):
                raise OSError("the blob storage does not list what was just written")
        finally:
            self.delete([path])
        if path in self.list("probe"):
            raise OSError("the blob storage lists what was just removed")
        return Semantics("s3" if self.root is None else "directory", conditional)

    def _refuses_second(self, path: str) -> bool:
        try:
            # The same bytes: a store that ignores the condition leaves the object as it is.
            obstore.put(self._store, path, b"probe", mode="create")
        except AlreadyExistsError:
            return True
        except NotImplementedError:
            return False
        return False


def _client_options() -> Any:
    # An http:// endpoint is somebody's deliberate choice (a store on the same host); the rest is TLS.
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    return {**S3_OPTIONS, **({"allow_http": True} if endpoint.startswith("http://") else {})}


def _sync(root: Path, path: str) -> None:
    target = root / path
    _fsync(target)
    # The new directory entries, from the object's folder up to the root.
    for folder in (target.parent, *target.parent.parents):
        _fsync(folder)
        if folder == root:
            break


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
