"""The parts of a batch's files: each is on disk before it is acknowledged."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator

from app.auth import Caller
from app.errors import NotFoundError, RefusedError, ServiceError
from app.flows.batch_states import Action, own, part_count, part_length, plane_of, step
from app.flows.service import Service
from app.store import batches

_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):\Z")


def receive_part(
    service: Service,
    caller: Caller,
    batch_id: str,
    name: str,
    number: int,
    content_digest: str | None,
    chunks: Iterable[bytes],
) -> None:
    """Take one part as it streams in; when this returns it survives a power cut.

    1. It belongs to a file of an own batch that is UPLOADING, and has a `Content-Digest`.
    2. It is encrypted while it arrives, and refused (leaving nothing) if length or digest are wrong.
    3. Only then its row points to it. A crash before leaves a blob that nothing names; a crash after is
       a part that the agency sends again, which changes nothing.
    """
    digest = _content_digest(content_digest)
    with service.store.reading("part to receive") as tx:
        batch = own(tx, caller, batch_id)
        file = batches.file(tx, batch_id, name)
        if file is None:
            raise NotFoundError("FILE_UNKNOWN", "The batch has no such file.")
        here = batches.part(tx, batch_id, name, number)
    if not 0 <= number < part_count(file, batch):
        raise NotFoundError("PART_UNKNOWN", "The file has no such part.")
    checked = _checked(chunks, part_length(file, batch, number), digest)
    if here is not None and here.sha256 == digest:
        for _ in checked:  # sent again: check it, keep what is here
            pass
        return
    step(batch, Action.UPLOAD)
    plane = service.plane(plane_of(file.kind))
    path = plane.write(batch_id, f"{name}/{number}", checked)
    try:
        with service.store.transaction("receive part") as tx:
            locked = batches.lock(tx, batch_id)
            assert locked is not None
            step(locked, Action.UPLOAD)
            length = part_length(file, batch, number)
            before = batches.put_part(tx, batch_id, name, number, length, digest, path, service.now())
    except ServiceError:
        # Refused, so rolled back for certain. After any other failure the commit may have happened all
        # the same: then the row names this blob, and noise is better than a part that is lost.
        service.store.blobs.delete([path])
        raise
    if before is not None:
        service.store.blobs.delete([before])


def _content_digest(header: str | None) -> str:
    """SHA-256 (hex) of a `Content-Digest` header (RFC 9530)."""
    match = _DIGEST.match((header or "").strip())
    if match is None:
        raise ServiceError("CONTENT_DIGEST_REQUIRED", 400, "Send 'Content-Digest: sha-256=:<base64>:'.")
    return base64.b64decode(match.group(1)).hex()


def _checked(chunks: Iterable[bytes], length: int, digest: str) -> Iterator[bytes]:
    seen, hashing = 0, hashlib.sha256()
    for chunk in chunks:
        seen += len(chunk)
        if seen > length:
            raise RefusedError("PART_SIZE", "The part is longer than it should be.")
        hashing.update(chunk)
        yield chunk
    if seen != length:
        raise RefusedError("PART_SIZE", "The part is shorter than it should be.")
    if hashing.hexdigest() != digest:
        raise RefusedError("DIGEST_MISMATCH", "The part does not have its Content-Digest.")
