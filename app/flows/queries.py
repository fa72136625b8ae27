"""Reads that change nothing: agreements for those who may see them, and the service's own health."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from app.auth import Caller
from app.errors import ServiceError
from app.flows.seal_log import rfc3339
from app.flows.service import Service
from app.flows.sign_agreement import describe, standing, visible
from app.store import agreements, log, schema
from app.store import counts as store_counts
from app.store.keystore import PLANES
from app.store.models import RunState
from crypto.errors import CohortlinkError


def get_agreement(service: Service, caller: Caller, agreement_id: str) -> dict[str, Any]:
    """An agreement at its current version, with approvals and what is missing."""
    with service.store.reading("get agreement") as tx:
        return describe(tx, visible(tx, caller, agreement_id), service.now())


def list_agreements(service: Service, caller: Caller) -> list[dict[str, Any]]:
    """The agreements that the caller may see, in short."""
    now = service.now()
    with service.store.reading("list agreements") as tx:
        rows = agreements.every(tx, None if caller.sees_everything else caller.organization)
        return [
            {
                "id": row.id,
                "state": str(standing(tx, row, now).state),
                "version": row.version,
                "changed_at": rfc3339(row.changed_at),
            }
            for row in rows
        ]


def list_versions(service: Service, caller: Caller, agreement_id: str) -> list[dict[str, Any]]:
    """Every version of an agreement, oldest first, as it was proposed."""
    with service.store.reading("list versions") as tx:
        visible(tx, caller, agreement_id)
        return [
            {
                "version": row.version,
                "hash": row.hash,
                "proposed_by": row.proposed_by,
                "created_at": rfc3339(row.created_at),
                "document": row.document,
            }
            for row in agreements.versions(tx, agreement_id)
        ]


def counts(service: Service) -> dict[str, int]:
    """How many things there are, for metrics; nothing of what is in them."""
    with service.store.reading("counts") as tx:
        return store_counts.things(tx) | {"log_entries": log.size(tx)}


def runs_by_state(service: Service) -> dict[str, int]:
    """How many runs wait, run and have ended, and how; states without a run are there with 0."""
    with service.store.reading("runs by state") as tx:
        return {str(state): 0 for state in RunState} | store_counts.runs_by_state(tx)


def checks(
    service: Service, *, probe_blobs: Callable[[], object] | None = None
) -> list[tuple[str, str | None]]:
    """Whether everything that a request needs is there: (what, what is wrong or None).

    `probe_blobs` may stand in for the probe of blobs, which writes: strangers must not have us write.
    """
    return [
        ("database", _problem(service.store.ping)),
        ("migrations", _problem(lambda: _check_schema(service))),
        ("blobs", _problem(probe_blobs or service.store.blobs.probe)),
        *((f"{name} keyring", _problem(partial(service.plane, name))) for name in PLANES),
        ("release secret", _problem(service.release_secret)),
        ("log", _problem(lambda: _check_log(service))),
    ]


def _check_schema(service: Service) -> None:
    if not schema.is_current(service.store.engine):
        raise ServiceError("MIGRATION_NEEDED", 500, "Run 'cohortlink migrate'.")


def _check_log(service: Service) -> None:
    with service.store.reading("is the log sealed") as tx:
        newest = log.latest_checkpoint(tx)
        size = log.size(tx)
    if newest is None or newest.size < size:
        behind = size - (newest.size if newest else 0)
        if behind:
            raise ServiceError(
                "LOG_UNSEALED", 500, f"{behind} entries are not sealed: 'cohortlink log seal'."
            )


def _problem(check: Callable[[], object]) -> str | None:
    try:
        check()
    except Exception as error:  # noqa: BLE001 (a check reports whatever is wrong)
        if isinstance(error, ServiceError | CohortlinkError):
            return error.detail
        return type(error).__name__
    return None
