"""A batch, from its signed manifest to its signed receipt.

1. `begin`: the manifest is signed, permitted and consistent with what is here → UPLOADING.
2. `receive_part`: parts in any order, any number of times; each is encrypted and on disk before its row
   is, and its row before the answer.
3. `complete`: all parts are here and together are what the manifest announced; then, in one transaction,
   ACCEPTED with its log entry and receipt, or REJECTED with its log entry, without keys and parts.

Nothing reads a batch that is not ACCEPTED. A crash leaves a batch UPLOADING (go on where you were) or in
its final state; blobs that no row names are noise.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.auth import Caller, Role
from app.errors import ConflictError, NotFoundError, Problem, RefusedError, ServiceError, from_crypto
from app.flows import batch_checks
from app.flows.erase_keys import erase_noted, note
from app.flows.seal_log import append, receipt_proof, rfc3339, seal
from app.flows.service import Service
from app.flows.sign_agreement import Standing, in_force, visible
from app.flows.signing import verify_manifest
from app.store import Tx, agreements, batches, datakeys
from app.store.keystore import PlaneName
from app.store.models import Batch, BatchFile, BatchPart, BatchState
from crypto.canonical import digest_of
from crypto.errors import CohortlinkError
from crypto.wire import Manifest, parse_manifest

State = BatchState


class Action(StrEnum):
    """What can happen to a batch."""

    UPLOAD = "receive parts"
    ACCEPT = "be accepted"
    REJECT = "be rejected"
    WITHDRAW = "be withdrawn"
    SUPERSEDE = "be superseded"
    DESTROY = "be destroyed"


# (state, action) → state afterwards. What is not in here is refused.
TRANSITIONS: Mapping[tuple[State, Action], State] = {
    (State.UPLOADING, Action.UPLOAD): State.UPLOADING,
    (State.UPLOADING, Action.ACCEPT): State.ACCEPTED,
    (State.UPLOADING, Action.REJECT): State.REJECTED,
    (State.UPLOADING, Action.WITHDRAW): State.WITHDRAWN,
    (State.ACCEPTED, Action.SUPERSEDE): State.SUPERSEDED,
    (State.ACCEPTED, Action.WITHDRAW): State.WITHDRAWN,
    (State.SUPERSEDED, Action.WITHDRAW): State.WITHDRAWN,
    (State.UPLOADING, Action.DESTROY): State.DESTROYED,
    (State.ACCEPTED, Action.DESTROY): State.DESTROYED,
    (State.SUPERSEDED, Action.DESTROY): State.DESTROYED,
}

_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):\Z")


def begin(
    service: Service,
    caller: Caller,
    agreement_id: str,
    document: Mapping[str, Any],
    signature: Mapping[str, Any],
    supersedes: str | None = None,
) -> tuple[dict[str, Any], bool]:
    """Begin a batch; the same manifest again is the same batch. Returns (description, whether it is new).

    What is refused here changes nothing: there is no batch yet. A batch that is to be superseded stays in
    use until this one is accepted.
    """
    caller.require(Role.AGENCY)
    now = service.now()
    with service.store.transaction("begin batch") as tx:
        visible(tx, caller, agreement_id)
        found = in_force(tx, agreement_id, now)
        manifest = _parse(document)
        family = found.terms.profile().family
        verify_manifest(tx, caller.organization, family, document, signature)
        batch_checks.check_manifest(tx, manifest, agreement_id, caller.organization, found.terms)
        digest = digest_of(document)
        # The agreement's lock makes "is it here already" and "add it" one step.
        batch = batches.live_by_manifest(tx, agreement_id, caller.organization, digest)
        created = batch is None
        if batch is None:
            if supersedes is not None:
                _check_superseded(tx, caller, agreement_id, supersedes)
            batch = _add(tx, service, caller, found, manifest, document, signature, digest, now)
            batch.supersedes = supersedes
        return describe(tx, batch), created


def _parse(document: Mapping[str, Any]) -> Manifest:
    try:
        return parse_manifest(document)
    except CohortlinkError as error:
        raise from_crypto(error) from None


def _add(
    tx: Tx,
    service: Service,
    caller: Caller,
    found: Standing,
    manifest: Manifest,
    document: Mapping[str, Any],
    signature: Mapping[str, Any],
    digest: str,
    now: datetime,
) -> Batch:
    batch = Batch(
        id="b_" + secrets.token_hex(8),
        agreement_id=found.agreement.id,
        agreement_version=found.agreement.version,
        organization_id=caller.organization,
        state=State.UPLOADING,
        epoch=manifest.epoch,
        profile_hash=manifest.profile,
        kcv=manifest.kcv,
        persons=manifest.persons,
        part_size=service.settings.part_size,
        manifest=dict(document),
        manifest_sha256=digest,
        signature=dict(signature),
        created_at=now,
    )
    batches.add(tx, batch, [dict(entry) for entry in document["files"]])
    planes: set[PlaneName] = {_plane(entry.kind) for entry in manifest.files}
    for name in sorted(planes):
        service.plane(name).create_key(tx, batch.id, batch.agreement_id, now)
    return batch


def _check_superseded(tx: Tx, caller: Caller, agreement_id: str, batch_id: str) -> Batch:
    """The batch that another takes the place of: the caller's own, under this agreement, in use.

    Raises
    ------
    NotFoundError, ConflictError
    """
    before = batches.lock(tx, batch_id)
    if before is None or not _is_own(caller, before) or before.agreement_id != agreement_id:
        raise _unknown()
    _step(before, Action.SUPERSEDE)
    return before


def _plane(kind: str) -> PlaneName:
    return "encodings" if kind == "encodings" else "facts"


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
        batch = _own(tx, caller, batch_id)
        file = batches.file(tx, batch_id, name)
        if file is None:
            raise NotFoundError("FILE_UNKNOWN", "The batch has no such file.")
        here = batches.part(tx, batch_id, name, number)
    if not 0 <= number < _part_count(file, batch):
        raise NotFoundError("PART_UNKNOWN", "The file has no such part.")
    checked = _checked(chunks, _part_length(file, batch, number), digest)
    if here is not None and here.sha256 == digest:
        for _ in checked:  # sent again: check it, keep what is here
            pass
        return
    _step(batch, Action.UPLOAD)
    plane = service.plane(_plane(file.kind))
    path = plane.write(batch_id, f"{name}/{number}", checked)
    try:
        with service.store.transaction("receive part") as tx:
            locked = batches.lock(tx, batch_id)
            assert locked is not None
            _step(locked, Action.UPLOAD)
            length = _part_length(file, batch, number)
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


def _part_count(file: BatchFile, batch: Batch) -> int:
    return -(-file.size // batch.part_size)


def _part_length(file: BatchFile, batch: Batch, number: int) -> int:
    return min(batch.part_size, file.size - number * batch.part_size)


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


def complete(service: Service, caller: Caller, batch_id: str) -> dict[str, Any]:
    """Check everything and accept, or reject, once; afterwards it repeats its answer.

    1. All parts are here, else `INCOMPLETE_UPLOAD`, and the batch stays UPLOADING.
    2. Content is checked outside of any transaction, on blobs that never change.
    3. `_accept`, or `_reject` and the refusal.
    """
    with service.store.reading("batch to complete") as tx:
        batch = _own(tx, caller, batch_id)
        accepted = describe(tx, batch) if batch.state == State.ACCEPTED else None
    if accepted is not None:
        seal(service)  # whoever asks again may do so because sealing failed
        return _proven(service, accepted)
    _raise_rejection(batch)
    _step(batch, Action.ACCEPT)
    with service.store.reading("content to check") as tx:
        found = in_force(tx, batch.agreement_id, service.now(), lock=False)
        files, parts = batches.files(tx, batch_id), batches.parts(tx, batch_id)
        others = batch_checks.batches_to_compare(tx, batch)
    _require_all(batch, files, parts)
    try:
        figures = batch_checks.check_content(
            service, batch, files, parts, others, found.terms, batch.created_at.date()
        )
    except ServiceError as refusal:
        if refusal.status != 422:
            raise
        _reject(service, batch_id, refusal)
        raise
    return _accept(service, caller, batch_id, parts, figures)


def _raise_rejection(batch: Batch) -> None:
    if batch.rejection is not None:
        problems = [Problem(**item) for item in batch.rejection["problems"]]
        raise RefusedError(batch.rejection["code"], batch.rejection["detail"], problems)


def _require_all(batch: Batch, files: Sequence[BatchFile], parts: Sequence[BatchPart]) -> None:
    problems = []
    for file in files:
        missing = _part_count(file, batch) - sum(part.name == file.name for part in parts)
        if missing:
            problems.append(Problem("PARTS_MISSING", f"{missing} parts are missing", column=file.name))
    if problems:
        raise ServiceError("INCOMPLETE_UPLOAD", 409, "Not all parts are here; send the rest.", problems)


def _accept(
    service: Service, caller: Caller, batch_id: str, parts: Sequence[BatchPart], figures: dict[str, Any]
) -> dict[str, Any]:
    """The commit: state, screening, log entry and receipt, all or nothing.

    What may have changed while the content was checked is checked again under the locks: the agreement's
    state and terms, the key check value, the batch's state, and that its parts are those that were read.
    """
    now = service.now()
    try:
        with service.store.transaction("accept batch") as tx:
            found = in_force(tx, _agreement_of(tx, batch_id), now)
            batch = batches.lock(tx, batch_id)
            assert batch is not None
            if batch.state != State.ACCEPTED:
                batch.state = _step(batch, Action.ACCEPT)
                if [part.path for part in batches.parts(tx, batch_id)] != [part.path for part in parts]:
                    raise ConflictError("UPLOAD_CHANGED", "Parts were sent meanwhile; complete again.")
                manifest = _parse(batch.manifest)
                family = found.terms.profile().family
                verify_manifest(tx, batch.organization_id, family, batch.manifest, batch.signature)
                batch_checks.check_manifest(
                    tx, manifest, batch.agreement_id, batch.organization_id, found.terms
                )
                batch.screening, batch.closed_at = figures, now
                _supersede(tx, caller, batch, now)
                _record(tx, service, caller, batch, found, now)
            result = describe(tx, batch)
    except RefusedError as refusal:
        _reject(service, batch_id, refusal)
        raise
    seal(service)
    return _proven(service, result)


def _proven(service: Service, described: dict[str, Any]) -> dict[str, Any]:
    """The description of a batch, its receipt with checkpoint and proof of inclusion once that is sealed."""
    if "receipt" in described:
        index = described["receipt"]["document"]["log_index"]
        described["receipt"] = described["receipt"] | receipt_proof(service, index)
    return described


def _supersede(tx: Tx, caller: Caller, batch: Batch, now: datetime) -> None:
    """In the transaction that accepts a batch, its predecessor goes out of use: never both, never none.

    Its data stay, so that what was published from it can be made again, until they are withdrawn or
    destroyed. A predecessor that was withdrawn meanwhile is out of use already.
    """
    if batch.supersedes is None:
        return
    before = batches.lock(tx, batch.supersedes)
    if before is not None and before.state == State.WITHDRAWN:
        return
    before = _check_superseded(tx, caller, batch.agreement_id, batch.supersedes)
    before.state = _step(before, Action.SUPERSEDE)
    body = {"batch": before.id, "manifest_sha256": before.manifest_sha256, "by": batch.id}
    append(tx, "batch.superseded", batch.agreement_id, caller.organization, body, now)


def _agreement_of(tx: Tx, batch_id: str) -> str:
    batch = batches.find(tx, batch_id)
    assert batch is not None
    return batch.agreement_id


def _record(tx: Tx, service: Service, caller: Caller, batch: Batch, found: Standing, now: datetime) -> None:
    files = [
        {"name": file["name"], "sha256": file["sha256"], "rows": file["rows"]}
        for file in batch.manifest["files"]
    ]
    body = {
        "batch": batch.id,
        "agreement_version": found.agreement.version,
        "manifest_sha256": batch.manifest_sha256,
        "key_id": batch.signature["key_id"],
        "epoch": batch.epoch,
        "profile": batch.profile_hash,
        "coverage": batch.manifest["coverage"],
        "files": files,
    }
    appended = append(tx, "batch.accepted", batch.agreement_id, caller.organization, body, now)
    receipt = {
        "type": "cohortlink-receipt/1",
        "batch": batch.id,
        "agreement": batch.agreement_id,
        "organization": batch.organization_id,
        "manifest_sha256": batch.manifest_sha256,
        "files": files,
        "accepted_at": rfc3339(now),
        "log_index": appended.index,
        "log_leaf": appended.leaf_hex,
    }
    batch.log_index = appended.index
    batch.receipt = {"document": receipt, "signature": service.log_key.sign("receipt", receipt)}


def _reject(service: Service, batch_id: str, refusal: ServiceError) -> None:
    """REJECTED, with a log entry; keys and parts are gone. Codes and places are kept, no values."""
    now = service.now()
    with service.store.transaction("reject batch") as tx:
        batch = batches.lock(tx, batch_id)
        if batch is None or batch.state != State.UPLOADING:
            return  # somebody was faster: accepted, rejected or withdrawn, and that stands
        batch.state, batch.closed_at = _step(batch, Action.REJECT), now
        batch.rejection = {
            "code": refusal.code,
            "detail": refusal.detail,
            "problems": [problem.__dict__ for problem in refusal.problems],
        }
        body = {"batch": batch_id, "manifest_sha256": batch.manifest_sha256, "code": refusal.code}
        paths = _drop_data(tx, batch, now)
        appended = append(tx, "batch.rejected", batch.agreement_id, batch.organization_id, body, now)
        batch.log_index = appended.index
    _clear_away(service, batch, paths)


def withdraw(service: Service, caller: Caller, batch_id: str) -> dict[str, Any]:
    """Take a batch back: from the commit on its data cannot be decrypted here, and when this returns not from
    an old backup of the database either. Repeating it is no error."""
    now = service.now()
    with service.store.transaction("withdraw batch") as tx:
        agreements.lock(tx, _own(tx, caller, batch_id).agreement_id)
        batch = batches.lock(tx, batch_id)
        assert batch is not None
        paths: list[str] = []
        if batch.state != State.WITHDRAWN:
            was_accepted = batch.state in (State.ACCEPTED, State.SUPERSEDED)
            batch.state, batch.closed_at = _step(batch, Action.WITHDRAW), now
            paths = _drop_data(tx, batch, now)
            if was_accepted:
                body = {"batch": batch_id, "manifest_sha256": batch.manifest_sha256}
                append(tx, "batch.withdrawn", batch.agreement_id, caller.organization, body, now)
        result = describe(tx, batch)
    _clear_away(service, batch, paths)
    return result


def get_batch(service: Service, caller: Caller, batch_id: str) -> dict[str, Any]:
    """State, what has arrived, receipt or rejection: for its agency, the operator and auditors."""
    with service.store.reading("get batch") as tx:
        batch = batches.find(tx, batch_id)
        if batch is None or not (caller.sees_everything or _is_own(caller, batch)):
            raise _unknown()
        described = describe(tx, batch)
    return _proven(service, described)


def list_batches(service: Service, caller: Caller, agreement_id: str) -> list[dict[str, Any]]:
    """The batches of an agreement: an agency sees its own, operator and auditors all."""
    with service.store.reading("list batches") as tx:
        visible(tx, caller, agreement_id)
        return [
            describe(tx, batch)
            for batch in batches.of_agreement(tx, agreement_id)
            if caller.sees_everything or _is_own(caller, batch)
        ]


def describe(tx: Tx, batch: Batch) -> dict[str, Any]:
    """What those who may see a batch are told."""
    received: dict[str, list[int]] = {}
    for part in batches.parts(tx, batch.id):
        received.setdefault(part.name, []).append(part.number)
    result: dict[str, Any] = {
        "id": batch.id,
        "agreement": batch.agreement_id,
        "organization": batch.organization_id,
        "state": str(batch.state),
        "created_at": rfc3339(batch.created_at),
        "persons": batch.persons,
        "part_size": batch.part_size,
        "files": [
            {
                "name": file.name,
                "size": file.size,
                "parts": _part_count(file, batch),
                "received": received.get(file.name, []),
            }
            for file in batches.files(tx, batch.id)
        ],
    }
    for name in ("screening", "rejection", "receipt", "supersedes"):
        if getattr(batch, name) is not None:
            result[name] = getattr(batch, name)
    return result


def _step(batch: Batch, action: Action) -> State:
    after = TRANSITIONS.get((State(batch.state), action))
    if after is None:
        raise ConflictError("BATCH_STATE", f"A batch that is {batch.state} cannot {action}.")
    return after


def _drop_data(tx: Tx, batch: Batch, now: datetime) -> list[str]:
    """Delete wrapped keys and part rows; returns the blobs to remove after the commit."""
    note(tx, batch.agreement_id, datakeys.destroy(tx, [batch.id]), now)
    return batches.forget_parts(tx, batch.id)


def _clear_away(service: Service, batch: Batch, paths: Sequence[str]) -> None:
    """After the commit: keys are dropped from the key store, so that backups end with them; blobs removed."""
    erase_noted(service, batch.agreement_id)
    service.store.blobs.delete(paths)
    seal(service)


def _own(tx: Tx, caller: Caller, batch_id: str) -> Batch:
    caller.require(Role.AGENCY)
    batch = batches.find(tx, batch_id)
    if batch is None or not _is_own(caller, batch):
        raise _unknown()
    return batch


def _is_own(caller: Caller, batch: Batch) -> bool:
    return caller.role is Role.AGENCY and batch.organization_id == caller.organization


def _unknown() -> NotFoundError:
    return NotFoundError("BATCH_UNKNOWN", "There is no such batch.")
