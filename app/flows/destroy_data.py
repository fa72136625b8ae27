"""Destruction: due, then done by somebody else, then certified.

Destroying is deleting wrapped data keys: from the commit on nothing of the agreement can be decrypted,
wherever copies of its blobs lie (as long as no old copy of the database meets the master keys again).
Blobs are removed afterwards; a crash before that leaves noise.
"""

from __future__ import annotations

from typing import Any

from app.auth import Caller, Role
from app.errors import ConflictError, NotFoundError
from app.flows.seal_log import append, rfc3339, seal
from app.flows.service import Service
from app.flows.sign_agreement import Action, State, describe, standing, step, visible
from app.store import Tx, agreements, batches, datakeys, releases, runs
from app.store.models import Batch, BatchState, RunState

HOLDING = (BatchState.UPLOADING, BatchState.ACCEPTED, BatchState.SUPERSEDED)
METHOD = "deletion of the wrapped data keys (AES-256-GCM, one per batch and plane), then of the blobs"


def request_or_execute(service: Service, caller: Caller, agreement_id: str) -> dict[str, Any]:
    """The first call makes destruction due; the second, by another organization, executes it.

    So whoever executes has a witness, and both are on the certificate.

    1. Authorise: data owner or operator, of an agreement that is revoked or expired.
    2. First call: DESTRUCTION_DUE and who asked for it.
    3. Second call: in one transaction all wrapped keys are deleted, batches are DESTROYED, open runs are
       cancelled, the certificate is signed and logged.
    4. Blobs are removed.
    """
    caller.require(Role.AGENCY, Role.OPERATOR)
    now = service.now()
    paths: list[str] = []
    with service.store.transaction("destroy data") as tx:
        agreement = visible(tx, caller, agreement_id, lock=True)
        found = standing(tx, agreement, now)
        certificate = agreements.certificate(tx, agreement_id)
        if found.state is State.DESTROYED:
            return describe(tx, agreement, now)
        if certificate is None:
            agreement.state = step(tx, found, Action.REQUEST_DESTRUCTION, caller)
            agreements.add_certificate_request(tx, agreement_id, caller.organization, now)
            append(tx, "destruction.due", agreement_id, caller.organization, {}, now)
        else:
            after = step(tx, found, Action.DESTROY, caller)
            if certificate.requested_by == caller.organization:
                raise ConflictError("WITNESS_NEEDED", "Another organization must execute the destruction.")
            agreement.state = after
            document, paths = _destroy(tx, agreement_id)
            document |= {
                "requested_by": certificate.requested_by,
                "executed_by": caller.organization,
                "executed_at": rfc3339(now),
            }
            certificate.document, certificate.issued_at = document, now
            certificate.signature = service.log_key.sign("certificate", document)
            append(tx, "destruction.done", agreement_id, caller.organization, document, now)
        agreement.changed_at = now
        result = describe(tx, agreement, now)
    service.store.blobs.delete(paths)
    seal(service)
    return result


def _destroy(tx: Tx, agreement_id: str) -> tuple[dict[str, Any], list[str]]:
    held = batches.of_agreement(tx, agreement_id, HOLDING)
    linked = runs.of_agreement(tx, agreement_id)
    paths = [run.links_path for run in linked if run.links_path]
    keys = datakeys.destroy(tx, [batch.id for batch in held] + [run.id for run in linked])
    datasets = [_dataset(batch) for batch in held]
    for batch in held:
        batch.state = BatchState.DESTROYED
        paths += batches.forget_parts(tx, batch.id)
    for run in linked:
        run.links_path = None
        if run.state in (RunState.QUEUED, RunState.RUNNING):
            run.state = RunState.CANCELLED
    document = {
        "type": "cohortlink-certificate/1",
        "agreement": agreement_id,
        "method": METHOD,
        "datasets": datasets,
        "runs": [run.id for run in linked],
        "keys": [{"owner": owner, "plane": plane, "key_id": key_id} for owner, plane, key_id in keys],
        "remains": {
            "releases": len(releases.of_agreement(tx, agreement_id)),
            "log": "entries with digests and counts",
        },
    }
    return document, paths


def _dataset(batch: Batch) -> dict[str, Any]:
    return {
        "batch": batch.id,
        "organization": batch.organization_id,
        "manifest_sha256": batch.manifest_sha256,
        "files": [
            {"name": file["name"], "sha256": file["sha256"], "rows": file["rows"]}
            for file in batch.manifest["files"]
        ],
    }


def get_certificate(service: Service, caller: Caller, agreement_id: str) -> dict[str, Any]:
    """The signed certificate, for all who may see the agreement."""
    with service.store.reading("certificate") as tx:
        visible(tx, caller, agreement_id)
        row = agreements.certificate(tx, agreement_id)
    if row is None or row.document is None:
        raise NotFoundError("CERTIFICATE_UNKNOWN", "Nothing is destroyed under this agreement.")
    return {"document": row.document, "signature": row.signature}
