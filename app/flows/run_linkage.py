"""A linkage run, in the order in which it happens.

1. `start_run`: freeze the accepted batches at their digests; the run is QUEUED. Of one agreement a few may
   wait, and one runs at a time: no agreement keeps the workers from the others.
2. `begin`: a worker takes the run; log entry ``run.started`` with inputs and parameters.
3. `link_inputs` (a module of its own): read the encodings, check them against the frozen digests, link unit
   by unit, store persons and links as encrypted blobs. Every unit is a step whose result is kept until the
   end (`run_units`); all can be repeated at will, since nothing points to their blobs yet.
4. `finish`: in one transaction, if the run is still this worker's, nobody cancelled it, no owner revoked and
   no batch was withdrawn: the run points to its blobs; log entry ``run.finished``.

A crash before 4 leaves blobs that no row names, and a run that the next worker takes up at the first unit
that is not done; a crash after 4 leaves a finished run. The same inputs give the same bytes, whoever
finishes.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

from app.auth import Caller, Role
from app.errors import ConflictError, RefusedError, ServiceError
from app.flows import link_options, past_run, seal_log
from app.flows.agreement_terms import Terms
from app.flows.forget_runs import shut
from app.flows.run_report import logged_report
from app.flows.service import Service
from app.flows.show_runs import MAX_LOSSES, run_document, unknown_run
from app.flows.sign_agreement import Standing, in_force
from app.store import Tx, agreements, batches, runs
from app.store.models import Batch, BatchState, Run, RunInput, RunState

#: What may follow what; a transition that is not here is a bug.
TRANSITIONS: Final[Mapping[RunState, frozenset[RunState]]] = {
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.CANCELLED, RunState.FAILED}),
    RunState.RUNNING: frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED}),
    RunState.SUCCEEDED: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.CANCELLED: frozenset(),
}
#: Runs of one agreement that wait at most; one more may be under way.
MAX_QUEUED: Final = 3
SOFTWARE: Final = f"cohortlink/{version('cohortlink')}"

_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{2,59}\Z")


class RunStoppedError(Exception):
    """The run must not go on, for a reason that it will show."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class RunLostError(Exception):
    """The run is another worker's by now, or has ended; this one lets go without a trace."""


def code_of(error: BaseException) -> str:
    """The stable code of an error; INTERNAL_ERROR for whatever was not foreseen."""
    code = getattr(error, "code", None)
    return code if isinstance(code, str) and _CODE.match(code) else "INTERNAL_ERROR"


# ------------------------------------------------------------------ 1. asking for a run


def start_run(
    service: Service,
    caller: Caller,
    agreement_id: str,
    allow_missing: Sequence[str] = (),
    since: str | None = None,
    threshold: str | None = None,
) -> dict[str, Any]:
    """Freeze what is accepted and queue a run over it.

    Parameters
    ----------
    allow_missing : sequence of str
        Organizations that the agreement expects data of and that the run may do without.
    since : str, optional
        An earlier run to go on from: of two batches that both runs read, its links are taken over.
    threshold : str, optional
        Probability from which two records count as one person, with two places at most, as ``0.35``.

    Raises
    ------
    NotFoundError, ForbiddenError
    ConflictError
        Codes of `in_force`; ``DATASET_MISSING``, naming the organizations; ``RUN_QUEUE_FULL``; codes of
        `past_run.freeze_past`.
    RefusedError
        ``ALLOWANCE_UNKNOWN`` for an organization of which nothing is expected; ``TOO_FEW_BATCHES``;
        ``THRESHOLD_OUT_OF_RANGE``.
    """
    caller.require(Role.OPERATOR)
    chosen = link_options.freeze_threshold(threshold)
    now = service.now()
    with service.store.transaction("start run") as tx:
        found = in_force(tx, agreement_id, now)
        accepted = batches.of_agreement(tx, agreement_id, [BatchState.ACCEPTED])
        _require_complete(found.terms, accepted, allow_missing)
        if len(runs.of_agreement(tx, agreement_id, [RunState.QUEUED])) >= MAX_QUEUED:
            raise ConflictError("RUN_QUEUE_FULL", f"{MAX_QUEUED} runs of this agreement are waiting already.")
        parameters = _parameters(found, allow_missing, chosen)
        if since is not None:
            parameters["since"] = past_run.freeze_past(tx, since, agreement_id, parameters, accepted)
        run = runs.add(
            tx,
            f"run-{secrets.token_hex(12)}",
            agreement_id,
            found.agreement.version,
            caller.organization,
            accepted,
            parameters,
            now,
        )
        return run_document(run)


def offered_pasts(service: Service, caller: Caller, agreement_id: str) -> list[dict[str, Any]]:
    """Earlier runs that a run started now could go on from, see `past_run.offer_pasts`."""
    caller.require(Role.OPERATOR)
    with service.store.reading("runs to go on from") as tx:
        try:
            found = in_force(tx, agreement_id, service.now(), lock=False)
        except ServiceError:
            return []
        accepted = batches.of_agreement(tx, agreement_id, [BatchState.ACCEPTED])
        return past_run.offer_pasts(
            tx, agreement_id, _parameters(found, (), link_options.freeze_threshold(None)), accepted
        )


def _parameters(found: Standing, allow_missing: Sequence[str], threshold: str) -> dict[str, Any]:
    return {
        "profile": found.version.profile_hash,
        "allow_missing": sorted(set(allow_missing)),
        "software": SOFTWARE,
        "options": {**link_options.DEFAULTS, "threshold": threshold},
    }


def _require_complete(terms: Terms, accepted: Sequence[Batch], allowed: Sequence[str]) -> None:
    """Every organization that declares a dataset has an accepted batch, or may lack one by name."""
    expected = {dataset.organization for dataset in terms.document.datasets}
    unknown = sorted(set(allowed) - expected)
    if unknown:
        raise RefusedError(
            "ALLOWANCE_UNKNOWN", f"The agreement expects no data of: {', '.join(unknown[:10])}."
        )
    missing = sorted(expected - set(allowed) - {batch.organization_id for batch in accepted})
    if missing:
        raise ConflictError(
            "DATASET_MISSING",
            f"No accepted batch yet of: {', '.join(missing)}. Name them in allow_missing to link without.",
        )
    if len(accepted) < 2:
        raise RefusedError("TOO_FEW_BATCHES", "Linking needs at least two accepted batches.")


# ------------------------------------------------------------------ 2. taking it up


def begin(service: Service, run_id: str, worker: str) -> str | None:
    """Take a run for one attempt of a worker; None if there is nothing to do.

    Returns
    -------
    str or None
        The name of the attempt, ``<worker>#<number>``, by which every later statement proves ownership.
    """
    now = service.now()
    with service.store.transaction("begin run") as tx:
        agreement_id = _agreement_of(tx, run_id)
        agreements.lock(tx, agreement_id)
        run = runs.lock(tx, run_id)
        assert run is not None
        if run.state not in (RunState.QUEUED, RunState.RUNNING):
            return None
        attempt = int((run.executor or "#0").rpartition("#")[2]) + 1
        # Whoever had it is dead; a unit that it finished has set this to zero.
        run.losses += run.state == RunState.RUNNING
        stop = "WORKER_LOST" if run.losses >= MAX_LOSSES else stop_code(service, tx, run)
        if stop is not None:
            _end(tx, run, stop, service)
        else:
            first = run.state == RunState.QUEUED
            run.executor = f"{worker}#{attempt}"
            # To the microsecond: a sign of life must differ from the one before.
            run.heartbeat_at = service.clock()
            if first:
                _move(run, RunState.RUNNING)
                run.started_at = now
                body = {**_identity(run, runs.inputs(tx, run_id)), "parameters": run.parameters}
                seal_log.append(tx, "run.started", agreement_id, run.requested_by, body, now)
        owner = run.executor if stop is None else None
    seal_log.seal(service)
    return owner


def _agreement_of(tx: Tx, run_id: str) -> str:
    run = runs.find(tx, run_id)
    if run is None:
        raise unknown_run()
    return run.agreement_id


def _identity(run: Run, inputs: Sequence[RunInput]) -> dict[str, Any]:
    return {
        "run": run.id,
        "agreement_version": run.agreement_version,
        "inputs": [
            {
                "batch": each.batch_id,
                "organization": each.organization_id,
                "manifest_sha256": each.manifest_sha256,
            }
            for each in inputs
        ],
    }


# ------------------------------------------------------------------ 3. while it runs


def stop_code(service: Service, tx: Tx, run: Run) -> str | None:
    """Why a run must not go on, if it must not: cancelled, no longer agreed on, or an input is gone."""
    if run.cancel_requested_at is not None:
        return "CANCELLED"
    try:
        found = in_force(tx, run.agreement_id, service.now(), lock=False)
    except ServiceError as refusal:
        return refusal.code
    if found.agreement.version != run.agreement_version:
        return "AGREEMENT_CHANGED"
    accepted = {batch.id for batch in batches.of_agreement(tx, run.agreement_id, [BatchState.ACCEPTED])}
    if not {each.batch_id for each in runs.inputs(tx, run.id)} <= accepted:
        return "BATCH_WITHDRAWN"
    return "PAST_BATCH_GONE" if past_run.past_of(run) and past_run.is_gone(tx, run) else None


# ------------------------------------------------------------------ 4. the end, once


def finish(service: Service, run_id: str, owner: str, produced: Mapping[str, Any]) -> None:
    """Point the run to its result, unless it must stop or is another worker's.

    Raises
    ------
    RunLostError
        The run is not this owner's any more; nothing was changed.
    """
    with service.store.transaction("finish run") as tx:
        # The agreement first: a revocation is either before this and stops the run, or after it.
        agreements.lock(tx, _agreement_of(tx, run_id))
        run = _own(tx, run_id, owner)
        code = stop_code(service, tx, run)
        if code is not None:
            _end(tx, run, code, service)
        else:
            now = service.now()
            _move(run, RunState.SUCCEEDED)
            run.links_path = produced["persons"]["path"]
            run.links_sha256 = produced["persons"]["sha256"]
            tables = {name: produced[name] for name in ("links", "presence", "learned")}
            run.report = {"quality": produced["report"], **tables}
            run.finished_at, run.stage, run.done, run.total = now, "done", 1, 1
            body = {
                **_identity(run, runs.inputs(tx, run_id)),
                "parameters": run.parameters,
                "persons_sha256": produced["persons"]["sha256"],
                "links_sha256": produced["links"]["sha256"],
                "presence_sha256": produced["presence"]["sha256"],
                "learned_sha256": produced["learned"]["sha256"],
                "quality": logged_report(produced["report"]),
            }
            entry = seal_log.append(tx, "run.finished", run.agreement_id, seal_log.SERVICE, body, now)
            run.log_index = entry.index
    seal_log.seal(service)


def fail(service: Service, run_id: str, owner: str, code: str) -> None:
    """Record that the run did not succeed; nothing if it is not this owner's any more."""
    try:
        with service.store.transaction("fail run") as tx:
            agreements.lock(tx, _agreement_of(tx, run_id))
            _end(tx, _own(tx, run_id, owner), code, service)
    except RunLostError:
        return
    seal_log.seal(service)


def cancel_run(service: Service, caller: Caller, run_id: str) -> dict[str, Any]:
    """Stop a run: at once if it waits, at its next sign of progress if it is under way; repeatable.

    Raises
    ------
    NotFoundError, ForbiddenError
    ConflictError
        ``RUN_ENDED`` where it has succeeded or failed.
    """
    caller.require(Role.OPERATOR)
    with service.store.transaction("cancel run") as tx:
        agreements.lock(tx, _agreement_of(tx, run_id))
        run = runs.lock(tx, run_id)
        assert run is not None
        if run.state in (RunState.SUCCEEDED, RunState.FAILED):
            raise ConflictError("RUN_ENDED", "The run has ended; there is nothing to cancel.")
        if run.cancel_requested_at is None:
            run.cancel_requested_at = service.now()
        if run.state == RunState.QUEUED:
            _end(tx, run, "CANCELLED", service)
        document = run_document(run)
    seal_log.seal(service)
    return document


def _own(tx: Tx, run_id: str, owner: str) -> Run:
    run = runs.lock(tx, run_id)
    if run is None or run.state != RunState.RUNNING or run.executor != owner:
        raise RunLostError
    return run


def _end(tx: Tx, run: Run, code: str, service: Service) -> None:
    now = service.now()
    cancelled = code == "CANCELLED"
    _move(run, RunState.CANCELLED if cancelled else RunState.FAILED)
    shut(tx, run, now)
    run.error_code, run.finished_at = code, now
    body = {**_identity(run, runs.inputs(tx, run.id)), "code": code}
    kind = "run.cancelled" if cancelled else "run.failed"
    run.log_index = seal_log.append(tx, kind, run.agreement_id, seal_log.SERVICE, body, now).index


def _move(run: Run, to: RunState) -> None:
    assert to in TRANSITIONS[RunState(run.state)], f"{run.state} → {to}"
    run.state = to
