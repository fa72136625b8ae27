"""A batch, from its signed manifest to its signed receipt.

1. `begin`: the manifest is signed, permitted and consistent with what is here → UPLOADING.
2. `receive_parts`: parts in any order, any number of times; each is encrypted and on disk before its row
   is, and its row before the answer.
3. `complete`: all parts are here and together are what the manifest announced; then, in one transaction,
   ACCEPTED with its log entry and receipt, or REJECTED with its log entry, without keys and parts.

Nothing reads a batch that is not ACCEPTED. A crash leaves a batch UPLOADING (go on where you were) or in
its final state; blobs that no row names are noise.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from app.auth import Caller, Role
from app.errors import ConflictError, Problem, RefusedError, ServiceError, from_crypto
from app.flows import batch_checks
from app.flows.batch_states import Action, State, is_own, own, part_count, plane_of, step, unknown
from app.flows.erase_keys import erase_noted, note
from app.flows.forget_runs import forget_runs
from app.flows.seal_log import append, rfc3339, seal
from app.flows.service import Service
from app.flows.show_batches import describe, proven
from app.flows.sign_agreement import Standing, in_force, visible
from app.flows.signing import verify_manifest
from app.store import Tx, agreements, batches, datakeys
from app.store.keystore import PlaneName
from app.store.models import Batch, BatchFile, BatchPart
from crypto.canonical import digest_of
from crypto.errors import CohortlinkError
from crypto.wire import Manifest, parse_manifest


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
    planes: set[PlaneName] = {plane_of(entry.kind) for entry in manifest.files}
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
    if before is None or not is_own(caller, before) or before.agreement_id != agreement_id:
        raise unknown()
    step(before, Action.SUPERSEDE)
    return before


def complete(service: Service, caller: Caller, batch_id: str) -> dict[str, Any]:
    """Check everything and accept, or reject, once; afterwards it repeats its answer.

    1. All parts are here, else `INCOMPLETE_UPLOAD`, and the batch stays UPLOADING.
    2. Content is checked outside of any transaction, on blobs that never change.
    3. `_accept`, or `_reject` and the refusal.
    """
    with service.store.reading("batch to complete") as tx:
        batch = own(tx, caller, batch_id)
        accepted = describe(tx, batch) if batch.state == State.ACCEPTED else None
    if accepted is not None:
        seal(service)  # whoever asks again may do so because sealing failed
        return proven(service, accepted)
    _raise_rejection(batch)
    step(batch, Action.ACCEPT)
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
        missing = part_count(file, batch) - sum(part.name == file.name for part in parts)
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
                batch.state = step(batch, Action.ACCEPT)
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
    return proven(service, result)


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
    before.state = step(before, Action.SUPERSEDE)
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
        batch.state, batch.closed_at = step(batch, Action.REJECT), now
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
    an old backup of the database either; nor can what runs found with it. Repeating it is no error."""
    now = service.now()
    with service.store.transaction("withdraw batch") as tx:
        agreements.lock(tx, own(tx, caller, batch_id).agreement_id)
        batch = batches.lock(tx, batch_id)
        assert batch is not None
        paths: list[str] = []
        if batch.state != State.WITHDRAWN:
            was_accepted = batch.state in (State.ACCEPTED, State.SUPERSEDED)
            batch.state, batch.closed_at = step(batch, Action.WITHDRAW), now
            paths = _drop_data(tx, batch, now)
            paths += forget_runs(tx, batch, now)
            if was_accepted:
                body = {"batch": batch_id, "manifest_sha256": batch.manifest_sha256}
                append(tx, "batch.withdrawn", batch.agreement_id, caller.organization, body, now)
        result = describe(tx, batch)
    _clear_away(service, batch, paths)
    return result


def _drop_data(tx: Tx, batch: Batch, now: datetime) -> list[str]:
    """Delete wrapped keys and part rows; returns the blobs to remove after the commit."""
    note(tx, batch.agreement_id, datakeys.destroy(tx, [batch.id]), now)
    return batches.forget_parts(tx, batch.id)


def _clear_away(service: Service, batch: Batch, paths: Sequence[str]) -> None:
    """After the commit: keys are dropped from the key store, so that backups end with them; blobs removed."""
    erase_noted(service, batch.agreement_id)
    service.store.blobs.delete(paths)
    seal(service)
