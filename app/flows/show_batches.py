"""What is told of batches to those who may see them."""

from __future__ import annotations

from typing import Any

from app.auth import Caller
from app.flows.batch_states import is_own, part_count, unknown
from app.flows.seal_log import receipt_proof, rfc3339
from app.flows.service import Service
from app.flows.sign_agreement import visible
from app.store import Tx, batches
from app.store.models import Batch


def get_batch(service: Service, caller: Caller, batch_id: str) -> dict[str, Any]:
    """State, what has arrived, receipt or rejection: for its agency, the operator and auditors."""
    with service.store.reading("get batch") as tx:
        batch = batches.find(tx, batch_id)
        if batch is None or not (caller.sees_everything or is_own(caller, batch)):
            raise unknown()
        described = describe(tx, batch)
    return proven(service, described)


def list_batches(service: Service, caller: Caller, agreement_id: str) -> list[dict[str, Any]]:
    """The batches of an agreement: an agency sees its own, operator and auditors all."""
    with service.store.reading("list batches") as tx:
        visible(tx, caller, agreement_id)
        return [
            describe(tx, batch)
            for batch in batches.of_agreement(tx, agreement_id)
            if caller.sees_everything or is_own(caller, batch)
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
                "parts": part_count(file, batch),
                "received": received.get(file.name, []),
            }
            for file in batches.files(tx, batch.id)
        ],
    }
    for name in ("screening", "rejection", "receipt", "supersedes"):
        if getattr(batch, name) is not None:
            result[name] = getattr(batch, name)
    return result


def proven(service: Service, described: dict[str, Any]) -> dict[str, Any]:
    """The description of a batch, its receipt with checkpoint and proof of inclusion once that is sealed."""
    if "receipt" in described:
        index = described["receipt"]["document"]["log_index"]
        described["receipt"] = described["receipt"] | receipt_proof(service, index)
    return described
