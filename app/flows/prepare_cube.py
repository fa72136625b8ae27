"""A protected cube, in the order in which it is made. Durable like a run, and by the same workers.

1. `queue`: a question that no cube in the ledger answers queues one (or waits for the one that is open).
2. `begin`: a worker takes it.
3. `protect`: tabulate and protect the whole plan beside everything that is out about these persons; store the
   result encrypted. The one long step: it can be repeated at will, since nothing points to its blob yet.
4. `finish`: in one transaction, under the locks of the agreement and of the log's head: if it is still this
   worker's and nobody cancelled or revoked, the ledger is charged, ``ledger.charged`` is logged,
   and every release that waited is answered. If something else came out about these persons
   meanwhile, nothing is charged and 3 is repeated beside it: of two releases at the same moment one is first.

A crash before 4 leaves a blob that no row names, and a cube that the next worker takes up. The same run,
terms and ledger give the same bytes, whoever finishes.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from app.errors import ConflictError, ServiceError
from app.flows import population, seal_log
from app.flows.answer_release import Asked, grant, refuse, shortened
from app.flows.cube_basis import Basis
from app.flows.make_cube import basis_of, make_cube
from app.flows.release_question import require_apart, require_recipient
from app.flows.service import Service
from app.flows.show_release import PREPARING
from app.flows.sign_agreement import Standing, in_force
from app.outcomes.cohort import Cohort
from app.store import Plane, Tx, agreements, cubes, log, releases, run_ownership, runs
from app.store.models import Cube, LedgerEntry, Release, RunState
from crypto.canonical import canonical_json, digest_of
from crypto.errors import CohortlinkError

#: A cube that has taken this many workers with it is given up.
MAX_ATTEMPTS: Final = 5
PROGRESS_SECONDS: Final = 0.5
#: Progress is told in hundredths: how many goals a proof has would tell how many groups there are.
PARTS: Final = 100


class CubeLostError(Exception):
    """The cube is another worker's by now, or has ended; this one lets go without a trace."""


class CubeStaleError(Exception):
    """Something came out about these persons while the cube was made: it is to be made again beside it."""


# ------------------------------------------------------------------ 1. asking for it


def queue(
    tx: Tx,
    found: Standing,
    requested_by: str,
    indicator: str,
    cohort: str,
    asked: int | None,
    service: Service,
) -> Cube:
    """The open cube of a question, queued if there is none yet.

    Raises
    ------
    ConflictError
        ``RUN_MISSING``.
    RefusedError
        ``OTHER_METHOD``, ``BUDGET_EXHAUSTED``.
    """
    agreement_id = found.agreement.id
    waiting = cubes.open_one(tx, agreement_id, indicator, cohort)
    if waiting is not None:
        # Nobody has begun: it is made at what the most cautious of those who wait asked for.
        if waiting.state == RunState.QUEUED and asked is not None:
            waiting.min_cell = max(waiting.min_cell, asked)
        return waiting
    run = runs.latest_succeeded(tx, agreement_id)
    if run is None:
        raise ConflictError("RUN_MISSING", "No linkage run of this agreement has succeeded yet.")
    entries = population.published(tx, agreement_id, found.terms, cohort)
    population.require_one_method(found.terms, entries)
    return cubes.add(
        tx,
        f"cub-{secrets.token_hex(12)}",
        agreement_id,
        found.agreement.version,
        run.id,
        requested_by,
        indicator,
        cohort,
        1 + sum(1 for each in _own(entries, agreement_id, indicator)),
        population.least_cell(found.terms, asked, entries),
        service.now(),
    )


def _own(entries: list[LedgerEntry], agreement_id: str, indicator: str) -> Iterator[LedgerEntry]:
    for entry in entries:
        if (entry.agreement_id, entry.indicator) == (agreement_id, indicator):
            yield entry


# ------------------------------------------------------------------ 2. taking it up


def begin(service: Service, cube_id: str, worker: str, *, only_queued: bool = False) -> str | None:
    """Take a cube for one attempt of a worker; None if there is nothing to do.

    Returns
    -------
    str or None
        The name of the attempt, ``<worker>#<number>``, by which every later statement proves ownership.
    """
    with service.store.transaction("begin cube") as tx:
        cube = _locked(tx, cube_id)
        states = (RunState.QUEUED,) if only_queued else cubes.OPEN
        if cube is None or cube.state not in states:
            return None
        attempt = int((cube.executor or "#0").rpartition("#")[2]) + 1
        lost = attempt > MAX_ATTEMPTS
        stop = ("WORKER_LOST", "Workers died over this cube.") if lost else _stop(service, tx, cube)
        if stop is not None:
            _end(tx, cube, *stop, service)
            owner = None
        else:
            cube.state, owner = RunState.RUNNING, f"{worker}#{attempt}"
            cube.executor, cube.heartbeat_at = owner, service.clock()
            cube.started_at = cube.started_at or service.now()
    if owner is None:
        seal_log.seal(service)
    return owner


def _locked(tx: Tx, cube_id: str) -> Cube | None:
    cube = cubes.find(tx, cube_id)
    if cube is None:
        return None
    agreements.lock(tx, cube.agreement_id)
    return cubes.lock(tx, cube_id)


def _stop(service: Service, tx: Tx, cube: Cube) -> tuple[str, str] | None:
    """Why a cube must not be made, if it must not: cancelled, no longer agreed on, or overtaken.

    While it waited or was made, a cohort that overlaps this one may have come out under the agreement.
    """
    if cube.cancel_requested_at is not None:
        return "CANCELLED", "The release was cancelled before anything of it was kept."
    try:
        found = in_force(tx, cube.agreement_id, service.now(), lock=False)
        decided = releases.ledger_of_agreement(tx, cube.agreement_id)
        require_apart(Cohort.parse(cube.cohort), decided)
    except ServiceError as refusal:
        return refusal.code, refusal.detail
    if found.agreement.version != cube.agreement_version:
        return "AGREEMENT_CHANGED", "The agreement changed meanwhile; ask again."
    return None


# ------------------------------------------------------------------ 3. tabulating and protecting


def protect(service: Service, facts: Plane, links: Plane, cube_id: str, owner: str) -> dict[str, Any]:
    """Make the cube and store it; the tabulator's two planes are all that it is given.

    Returns
    -------
    dict
        JSON-able: where the cube lies, its digest, and by what it was made.

    Raises
    ------
    ServiceError
        Why there can be no such cube.
    CubeLostError
    """
    watch = _Watch(service, cube_id, owner)
    with service.store.reading("what a cube is made of") as tx:
        cube = cubes.find(tx, cube_id)
        assert cube is not None
        found = in_force(tx, cube.agreement_id, service.now(), lock=False)
        entries = population.published(tx, cube.agreement_id, found.terms, cube.cohort)
        population.require_one_method(found.terms, entries)
        run = runs.find(tx, cube.run_id)
        assert run is not None
    # What came out while it waited may have promised these persons more.
    min_cell = population.least_cell(found.terms, cube.min_cell, entries)
    basis = basis_of(service, found, cube.indicator, entries, min_cell)
    made = make_cube(service, facts, links, run, cube.indicator, cube.cohort, basis, entries, watch)
    watch("record", 0, 1)
    data = canonical_json(made)
    return {
        "path": links.write(run.id, "cube", [data]),
        "sha256": hashlib.sha256(data).hexdigest(),
        "basis": basis.to_document(),
    }


class _Watch:
    """Progress out, and reasons to stop in: called often, looking at the table seldom."""

    def __init__(self, service: Service, cube_id: str, owner: str) -> None:
        self._service, self._cube_id, self._owner = service, cube_id, owner
        self._stage, self._next = "", 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now < self._next and stage == self._stage:
            return
        self._stage, self._next = stage, now + PROGRESS_SECONDS
        part = PARTS * done // max(total, 1)
        with self._service.store.transaction("cube progress") as tx:
            if not run_ownership.report_progress(tx, self._cube_id, self._owner, stage, part, PARTS, Cube):
                raise CubeLostError
            cube = cubes.find(tx, self._cube_id)
            assert cube is not None
            stop = _stop(self._service, tx, cube)
        if stop is not None:
            raise ConflictError(*stop)


# ------------------------------------------------------------------ 4. the end, once


def finish(service: Service, links: Plane, cube_id: str, owner: str, produced: Mapping[str, Any]) -> None:
    """Charge the ledger with the cube and answer whoever waited.

    Raises
    ------
    CubeLostError
        The cube is not this owner's any more; nothing was changed.
    CubeStaleError
        It was not made beside everything that is out; nothing was changed.
    """
    with service.store.reading("run of cube") as tx:
        cube = cubes.find(tx, cube_id)
        assert cube is not None
        run_id = cube.run_id
    made = json.loads(links.read_all(run_id, [produced["path"]], sha256=produced["sha256"]))
    basis = Basis(**produced["basis"])
    with service.store.transaction("publish release") as tx:
        cube = _owned(tx, cube_id, owner)
        stop = _stop(service, tx, cube)
        if stop is not None:
            _end(tx, cube, *stop, service)
        else:
            found = in_force(tx, cube.agreement_id, service.now())
            # Whoever appends to the log is alone: two agreements cannot both find the population as it was.
            log.lock_head(tx)
            entries = population.published(tx, cube.agreement_id, found.terms, cube.cohort)
            if list(basis.beside) != [entry.id for entry in entries]:
                raise CubeStaleError
            population.require_one_method(found.terms, entries)
            entry = _charge(tx, found, cube, made, basis, service)
            cube.state, cube.ledger_id, cube.finished_at = RunState.SUCCEEDED, entry.id, service.now()
            cube.stage, cube.done, cube.total = "done", PARTS, PARTS
            for row in cubes.waiting(tx, cube.id, PREPARING):
                _answer(tx, found, row, entry, service)
    seal_log.seal(service)
    service.store.blobs.delete([produced["path"]])


def _answer(tx: Tx, found: Standing, row: Release, entry: LedgerEntry, service: Service) -> None:
    """Answer or refuse one release that waited."""
    try:
        require_recipient(found, row.requested_by)
        grant(tx, found, row, entry, Asked.waiting(row, entry.cube, service.release_secret()), service.now())
    except ServiceError as refusal:
        refuse(tx, row, refusal.code, service.now())


def _charge(
    tx: Tx, found: Standing, cube: Cube, made: Mapping[str, Any], basis: Basis, service: Service
) -> LedgerEntry:
    """Record the cube, and log what was charged, in tables, with the agreement's sum."""
    before = releases.ledger_of_agreement(tx, cube.agreement_id)
    now, disclosure = service.now(), found.terms.document.disclosure
    proof = _salted(made["proof"])
    entry = releases.charge(
        tx,
        f"led-{secrets.token_hex(12)}",
        cube.agreement_id,
        cube.run_id,
        cube.indicator,
        cube.cohort,
        int(basis.policy["min_cell"]),
        made["cube"],
        digest_of(made["cube"]),
        now,
        vintage=cube.vintage,
        method=disclosure.method,
        epsilon=disclosure.epsilon if disclosure.method == "differential_privacy" else None,
        proof=proof,
        proof_sha256=digest_of(proof),
    )
    tables = len(entry.cube["tables"])
    body = {
        "ledger": entry.id,
        "run": entry.run_id,
        "indicator": entry.indicator,
        "cohort": entry.cohort,
        "min_cell": entry.min_cell,
        "cube_sha256": entry.cube_sha256,
        "charged": tables,
        "total": tables + sum(len(each.cube["tables"]) for each in before),
        "basis": basis.to_document(),
        "vintage": entry.vintage,
        "epsilon": entry.epsilon,
        "dropped": proof["dropped"],
        "proof_sha256": entry.proof_sha256,
    }
    seal_log.append(tx, "ledger.charged", entry.agreement_id, cube.requested_by, body, now)
    return entry


def _salted(proof: Mapping[str, Any]) -> dict[str, Any]:
    """Statistics that nobody finds by their digest: few numbers, that tell how many groups hold somebody."""
    return {**proof, "salt": secrets.token_hex(16)}


def fail(service: Service, cube_id: str, owner: str, code: str, detail: str) -> None:
    """Record that an attempt failed; whoever waited is refused. Nothing happens if it is another's by now."""
    with service.store.transaction("fail cube") as tx:
        try:
            cube = _owned(tx, cube_id, owner)
        except CubeLostError:
            return
        _end(tx, cube, code, detail, service)
    seal_log.seal(service)


def cancel(tx: Tx, cube: Cube, service: Service) -> None:
    """Stop a cube that nobody waits for any more."""
    cube.cancel_requested_at = cube.cancel_requested_at or service.now()
    if cube.state == RunState.QUEUED:
        _end(tx, cube, "CANCELLED", "The release was cancelled.", service)


def _owned(tx: Tx, cube_id: str, owner: str) -> Cube:
    cube = _locked(tx, cube_id)
    if cube is None or cube.state != RunState.RUNNING or cube.executor != owner:
        raise CubeLostError
    return cube


def _end(tx: Tx, cube: Cube, code: str, detail: str, service: Service) -> None:
    cube.state = RunState.CANCELLED if code == "CANCELLED" else RunState.FAILED
    cube.error_code, cube.error_detail, cube.finished_at = code, shortened(detail), service.now()
    for row in cubes.waiting(tx, cube.id, PREPARING):
        refuse(tx, row, code, service.now())


def refusal_of(error: BaseException) -> tuple[str, str]:
    """Code and sentence of what stopped a cube; whatever was not foreseen says nothing."""
    if isinstance(error, ServiceError | CohortlinkError):
        return error.code, error.detail
    return "INTERNAL_ERROR", "Something went wrong here."
