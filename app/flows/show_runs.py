"""What the interface says of runs: state, progress, why one failed, figures of quality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from app.auth import Caller, Role
from app.errors import ConflictError, NotFoundError
from app.flows.seal_log import rfc3339
from app.flows.service import Service
from app.flows.sign_agreement import unknown
from app.store import Tx, agreements, runs
from app.store.models import Run, RunState

#: A run that has taken this many workers with it, and none of them finished a unit of it, is given up.
MAX_LOSSES: Final = 5

_FAILURES: Final[Mapping[str, str]] = {
    "AGREEMENT_EXPIRED": "The agreement expired before the run had ended; nothing is kept.",
    "AGREEMENT_NOT_ACTIVE": "The agreement went out of force before the run had ended; nothing is kept.",
    "AGREEMENT_REVOKED": "A data owner revoked the agreement before the run had ended; nothing is kept.",
    "AGREEMENT_SUSPENDED": "The agreement was suspended before the run had ended; nothing is kept. "
    "Start a new one when the suspension is lifted.",
    "CANCELLED": "The run was cancelled before anything of it was kept.",
    "BATCH_WITHDRAWN": "A batch that the run reads was withdrawn or replaced; start a new run.",
    "CLUSTER_CREDENTIALS": "A Dask cluster is named without its certificates; see docs/operations.md.",
    "CLUSTER_FAILED": "The Dask cluster lost a block of comparisons too often; look at its workers' memory.",
    "CLUSTER_NOT_TLS": "COHORTLINK_DASK_ADDRESS must begin with tls://; nothing was sent.",
    "CLUSTER_UNREACHABLE": "The Dask cluster did not answer, or refused our certificate.",
    "INPUT_ALTERED": "Stored encodings do not have the digest that was accepted.",
    "INPUT_DESTROYED": "The key of a batch that the run reads was destroyed.",
    "PAST_ALTERED": "What is stored of the earlier run does not have the digest that was frozen.",
    "PAST_BATCH_GONE": "A batch that the earlier run rests on was withdrawn or destroyed; link from scratch.",
    "PAST_DIFFERS": "With the new batches other filters are compared than in the earlier run; from scratch.",
    "PAST_INVALID": "What the earlier run left behind cannot be gone on from; link from scratch.",
    "WORKER_LOST": f"{MAX_LOSSES} workers in a row died over this run and finished no unit of it; look at "
    "their memory and their logs.",
}


def show_run(service: Service, caller: Caller, run_id: str) -> dict[str, Any]:
    """State and progress of a run."""
    with service.store.reading("show run") as tx:
        return run_document(_visible(tx, caller, run_id))


def list_runs(service: Service, caller: Caller, agreement_id: str) -> list[dict[str, Any]]:
    """Runs of an agreement, oldest first."""
    caller.require(Role.OPERATOR, Role.AUDITOR)
    with service.store.reading("list runs") as tx:
        if agreements.find(tx, agreement_id) is None:
            raise unknown()
        return [run_document(run) for run in runs.of_agreement(tx, agreement_id)]


def run_quality(service: Service, caller: Caller, run_id: str) -> dict[str, Any]:
    """The coarse figures of quality of a run that has succeeded.

    Raises
    ------
    ConflictError
        ``RUN_NOT_FINISHED``.
    """
    with service.store.reading("run quality") as tx:
        run = _visible(tx, caller, run_id)
        if run.state != RunState.SUCCEEDED or run.report is None:
            raise ConflictError("RUN_NOT_FINISHED", "Figures exist once a run has succeeded.")
        quality: dict[str, Any] = run.report["quality"]
        return quality


def _visible(tx: Tx, caller: Caller, run_id: str) -> Run:
    caller.require(Role.OPERATOR, Role.AUDITOR)
    run = runs.find(tx, run_id)
    if run is None:
        raise unknown_run()
    return run


def unknown_run() -> NotFoundError:
    """The refusal where there is no such run."""
    return NotFoundError("RUN_UNKNOWN", "There is no such run.")


def run_document(run: Run) -> dict[str, Any]:
    """What the interface says of a run."""
    document: dict[str, Any] = {
        "id": run.id,
        "agreement": run.agreement_id,
        "state": str(run.state),
        "stage": run.stage,
        "done": run.done,
        "total": run.total,
        "created_at": rfc3339(run.created_at),
        "started_at": rfc3339(run.started_at) if run.started_at else None,
        "finished_at": rfc3339(run.finished_at) if run.finished_at else None,
        "cancel_requested": run.cancel_requested_at is not None,
        "since": (run.parameters.get("since") or {}).get("run"),
        "persons_sha256": run.links_sha256,
        "log_index": run.log_index,
        "error": None,
    }
    if run.error_code is not None:
        detail = _FAILURES.get(run.error_code, "The worker's log says more, under the run's id.")
        document["error"] = {"code": run.error_code, "detail": detail}
    return document
