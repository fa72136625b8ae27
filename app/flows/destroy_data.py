"""Destruction: due, then done by somebody else, then certified.

Destroying is erasing keys. The agreement's own keys go from the key store, one file per plane, and its
wrapped data keys from the database: from then on nothing of the agreement can be decrypted, wherever copies
of its blobs or of the database lie, as long as no old copy of the key store comes back. Blobs are removed
afterwards.

The files are erased before the commit, under the agreement's lock. A crash between the two leaves an
agreement whose destruction is due (nothing else can follow that) and whose keys are gone: the second call,
repeated, certifies it. The other order could leave a certificate that says of a living key that it is erased.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.auth import Caller, Role
from app.errors import ConflictError, NotFoundError
from app.flows.seal_log import append, rfc3339, seal
from app.flows.service import Service
from app.flows.sign_agreement import Action, State, describe, standing, step, visible
from app.store import Tx, agreements, batches, datakeys, releases, runs
from app.store.keystore import PLANES
from app.store.models import Batch, BatchState, DataKey, Run, RunState

HOLDING = (BatchState.UPLOADING, BatchState.ACCEPTED, BatchState.SUPERSEDED)
METHOD = (
    "cryptographic erasure: the agreement's keys were erased from the key store and the wrapped data keys "
    "(AES-256-GCM, one per batch or run and plane) from the database; then the blobs were removed"
)


def request_or_execute(service: Service, caller: Caller, agreement_id: str) -> dict[str, Any]:
    """The first call makes destruction due; the second, by another organization, executes it.

    So whoever executes (`executed_by`) has a witness (`requested_by`), and both are on the certificate.

    1. Authorise: data owner or operator, of an agreement that is revoked or expired.
    2. First call: DESTRUCTION_DUE and who asked for it.
    3. Second call: under the agreement's lock its keys are erased from the key store; in the same
       transaction all wrapped keys are deleted, batches are DESTROYED, open runs are cancelled, the
       certificate is signed and logged.
    4. Blobs are removed, also those that no row names. A call after the end repeats this step.
    """
    caller.require(Role.AGENCY, Role.OPERATOR)
    now = service.now()
    with service.store.transaction("destroy data") as tx:
        agreement = visible(tx, caller, agreement_id, lock=True)
        found = standing(tx, agreement, now)
        certificate = agreements.certificate(tx, agreement_id)
        if found.state is not State.DESTROYED and certificate is None:
            agreement.state = step(tx, found, Action.REQUEST_DESTRUCTION, caller)
            agreements.add_certificate_request(tx, agreement_id, caller.organization, now)
            append(tx, "destruction.due", agreement_id, caller.organization, {}, now)
            agreement.changed_at = now
        elif found.state is not State.DESTROYED:
            assert certificate is not None
            after = step(tx, found, Action.DESTROY, caller)
            if certificate.requested_by == caller.organization:
                raise ConflictError("WITNESS_NEEDED", "Another organization must execute the destruction.")
            agreement.state = after
            document = _destroy(service, tx, agreement_id) | {
                "requested_by": certificate.requested_by,
                "executed_by": caller.organization,
                "executed_at": rfc3339(now),
            }
            certificate.document, certificate.issued_at = document, now
            certificate.signature = service.log_key.sign("certificate", document)
            append(tx, "destruction.done", agreement_id, caller.organization, document, now)
            agreement.changed_at = now
        result = describe(tx, agreement, now)
        owners = _owners(tx, agreement_id) if agreement.state == State.DESTROYED else []
    for owner in owners:
        for plane in PLANES:
            service.store.blobs.delete(service.store.blobs.list(f"{plane}/{owner}"))
    seal(service)
    return result


def _owners(tx: Tx, agreement_id: str) -> list[str]:
    of_batches = [batch.id for batch in batches.of_agreement(tx, agreement_id)]
    return of_batches + [run.id for run in runs.of_agreement(tx, agreement_id)]


def _destroy(service: Service, tx: Tx, agreement_id: str) -> dict[str, Any]:
    held = batches.of_agreement(tx, agreement_id, HOLDING)
    linked = runs.of_agreement(tx, agreement_id)
    _erase_keys(service, datakeys.of_agreement(tx, agreement_id), agreement_id)
    keys = datakeys.destroy(tx, _owners(tx, agreement_id))
    document = {
        "type": "cohortlink-certificate/1",
        "agreement": agreement_id,
        "method": METHOD,
        "datasets": [_dataset(batch) for batch in held],
        "runs": [run.id for run in linked],
        "derivatives": [_derivatives(run) for run in linked if run.links_sha256 is not None],
        "keys": [{"owner": owner, "plane": plane, "key_id": key_id} for owner, plane, key_id in keys],
        "remains": {
            "releases": len(releases.of_agreement(tx, agreement_id)),
            "protected_cubes": len(releases.ledger_of_agreement(tx, agreement_id)),
            "log": "entries with digests and counts",
        },
    }
    for batch in held:
        batch.state = BatchState.DESTROYED
        batches.forget_parts(tx, batch.id)
    for run in linked:
        run.links_path = None
        if run.state in (RunState.QUEUED, RunState.RUNNING):
            run.state = RunState.CANCELLED
    return document


def _erase_keys(service: Service, rows: Sequence[DataKey], agreement_id: str) -> None:
    for plane in PLANES:
        keys = service.keys(plane)
        master = keys.master().keys
        if any(row.plane == plane and row.key_id in master for row in rows):
            # Made before agreements had keys of their own: the master key alone opens it, from a backup too.
            raise ConflictError("KEYS_TOO_OLD", "Run 'cohortlink keys rotate' first; then repeat this.")
    for plane in PLANES:
        service.keys(plane).erase_agreement(agreement_id)


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


def _derivatives(run: Run) -> dict[str, Any]:
    """The tables of pairs and of clusters that a run derived from the data sets, and what it learnt."""
    report = run.report or {}
    return {
        "run": run.id,
        "clusters_sha256": run.links_sha256,
        "pairs_sha256": report["links"]["sha256"],
        # Runs of before did not keep it.
        **({"learned_sha256": report["learned"]["sha256"]} if "learned" in report else {}),
    }


def get_certificate(service: Service, caller: Caller, agreement_id: str) -> dict[str, Any]:
    """The signed certificate, for the data's owners, the operator and auditors.

    Not for recipients: rows of data sets less what is published would be whoever is not counted.
    """
    caller.require(Role.AGENCY, Role.OPERATOR, Role.AUDITOR)
    with service.store.reading("certificate") as tx:
        visible(tx, caller, agreement_id)
        row = agreements.certificate(tx, agreement_id)
    if row is None or row.document is None:
        raise NotFoundError("CERTIFICATE_UNKNOWN", "Nothing is destroyed under this agreement.")
    return {"document": row.document, "signature": row.signature}
