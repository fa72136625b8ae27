"""A release: a question to an agreement's data, and the protected answer.

1. **Authorise.** ``release.requested`` is logged: the question in words that are known here. The caller's
   organization is a recipient; the agreement is in force; it permits the indicator (else
   INDICATOR_NOT_PERMITTED) and every dimension (else DIMENSION_NOT_PERMITTED).
2. **Within the plan.** The plan of an agreement is, for a cohort and indicator, the total and every table of
   up to ``max_dimensions`` permitted dimensions. A filter is one code of one dimension and counts as one of
   these; lists, ranges, a dimension that is filtered and grouped by, and a cohort that overlaps a published
   one without being the same are not in the plan (else NOT_IN_PLAN): two answers about overlapping groups
   could be subtracted from one another. So are cohorts whose persons another agreement has published.
3. **Frozen?** If the ledger holds this cohort and indicator, its cube answers, however often and by whomever
   it is asked: the same bytes. Go to 7.
4. **Tabulate** the whole plan from the newest run that succeeded, with the keys of facts and links alone.
5. **Protect** all tables of the plan together, beside what is published of the cohort's other indicators:
   where found persons of one lie within another's, the second one published hides what could be subtracted.
6. **Lock and look again.** The agreement is locked, so revocations and other releases wait. In force still?
   Has another request frozen this cohort meanwhile? Then its cube answers and ours is dropped. Or published
   another indicator of it? Then ours was not made beside that, and the question is to be asked again.
   (Tabulating under the lock would stop everybody for as long as it takes; since the ledger decides here, it
   need not be held before.) Otherwise the ledger is charged with our cube, and ``ledger.charged`` is logged.
7. **Record** the release, and **append** ``release.granted`` to the log: what was asked, the digests of cube
   and answer, and how many cells are shown: functions of the answer alone.
8. **Commit**, seal the log, and only then answer.

A refusal is recorded and logged as well (``release.refused``): its code and the known names that it
concerns, nothing else.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from app.auth import Caller, Role
from app.disclosure.errors import DisclosureError
from app.disclosure.policy import Policy
from app.errors import ConflictError, ForbiddenError, NotFoundError, RefusedError, ServiceError
from app.flows import load_thresholds, seal_log
from app.flows.agreement_terms import Terms, parse_terms
from app.flows.cube_basis import Basis
from app.flows.run_linkage import SOFTWARE
from app.flows.service import Service
from app.flows.sign_agreement import Standing, in_force, standing, unknown, visible
from app.outcomes.cohort import Cohort
from app.outcomes.dimensions import DIMENSIONS
from app.outcomes.errors import OutcomesError
from app.outcomes.indicators import INDICATORS
from app.store import Plane, Tx, agreements, batches, holds, log, releases, runs
from app.store.models import Batch, BatchState, LedgerEntry, Release, Run
from crypto.canonical import digest_of
from crypto.wire import parse_manifest

GRANTED: Final = "GRANTED"
REFUSED: Final = "REFUSED"
IN_REVIEW: Final = "IN_REVIEW"
OBJECTED: Final = "OBJECTED"

#: Characters of a code in a filter.
MAX_CODE: Final = 80

#: Facts that indicators are made of, and the pairs of known truth by which errors of linkage are measured.
FACTS: Final = ("completion", "wage", "participation", "truth")


@dataclass(frozen=True)
class Question:
    """An indicator of a cohort, by some dimensions; ``where`` holds one code of each of others."""

    indicator: str
    cohort: str
    by: tuple[str, ...] = ()
    where: Mapping[str, Any] | None = None

    def to_document(self) -> dict[str, Any]:
        """The question in words that are known here; anything else of it stays out of tables and log."""
        return {
            "indicator": self.indicator if self.indicator in INDICATORS else None,
            "cohort": _known_cohort(self.cohort),
            "by": [dimension for dimension in self.by if dimension in DIMENSIONS],
        }


@dataclass(frozen=True)
class _Made:
    """A cube that nobody has decided on yet, by which run, and what it was made by."""

    run_id: str
    min_cell: int
    cube: dict[str, Any]
    basis: Basis


def request_release(
    service: Service, caller: Caller, agreement_id: str, question: Question
) -> dict[str, Any]:
    """Answer a question, or refuse it; either is on record before the caller knows.

    Raises
    ------
    NotFoundError
        ``AGREEMENT_UNKNOWN``.
    ForbiddenError
        ``RECIPIENT_NOT_PERMITTED``, ``INDICATOR_NOT_PERMITTED``, ``DIMENSION_NOT_PERMITTED``.
    ConflictError
        The agreement is not in force; ``RUN_MISSING``, ``RUN_OUTDATED``, ``AGREEMENT_CHANGED``.
    RefusedError
        ``NOT_IN_PLAN``, ``BAD_COHORT``.
    """
    caller.require(Role.PARTNERSHIP)
    release_id = f"rel-{secrets.token_hex(12)}"
    with service.store.transaction("request release") as tx:
        version = visible(tx, caller, agreement_id).version
        body = {"release": release_id, "question": question.to_document()}
        seal_log.append(tx, "release.requested", agreement_id, caller.organization, body, service.now())
    try:
        release = _answer(service, caller, agreement_id, release_id, question)
    except ServiceError as refusal:
        _record_refusal(service, caller, agreement_id, version, release_id, question, refusal.code)
        raise
    finally:
        seal_log.seal(service)
    return release


def _answer(
    service: Service, caller: Caller, agreement_id: str, release_id: str, question: Question
) -> dict[str, Any]:
    with service.store.reading("authorise release") as tx:
        found = in_force(tx, agreement_id, service.now(), lock=False)
        _authorise(found, caller, question)
        decided = releases.ledger_of_agreement(tx, agreement_id)
        cohort = _within_plan(question, found, decided)
        _require_period(found, cohort)
        frozen = releases.ledger(tx, agreement_id, question.indicator, cohort)
        run = runs.latest_succeeded(tx, agreement_id)
    made = None
    if frozen is None:
        if run is None:
            raise ConflictError("RUN_MISSING", "No linkage run of this agreement has succeeded yet.")
        facts, links = service.plane("facts"), service.plane("links")
        published = beside(decided, cohort)
        basis = basis_of(found, question.indicator, published)
        cube = make_cube(service, facts, links, run, question.indicator, cohort, basis, published)
        made = _Made(run.id, found.terms.min_cell, cube, basis)
    return _decide(service, caller, agreement_id, release_id, question, cohort, made)


# ------------------------------------------------------------------ 1 and 2


def _authorise(found: Standing, caller: Caller, question: Question) -> None:
    terms = found.terms
    if caller.organization not in terms.recipients:
        raise ForbiddenError(
            "Your organization receives nothing by this agreement.", "RECIPIENT_NOT_PERMITTED"
        )
    if question.indicator not in terms.indicators or question.indicator not in INDICATORS:
        raise ForbiddenError("The agreement does not permit this indicator.", "INDICATOR_NOT_PERMITTED")
    permitted = _dimensions(found, question.indicator)
    if any(dimension not in permitted for dimension in (*question.by, *(question.where or {}))):
        raise ForbiddenError("The agreement does not permit this dimension.", "DIMENSION_NOT_PERMITTED")


def _dimensions(found: Standing, indicator: str) -> tuple[str, ...]:
    """Dimensions that the agreement permits and the indicator has, in the agreement's order."""
    if found.terms.document.max_dimensions < 1:
        return ()
    known = INDICATORS[indicator].dimensions
    return tuple(dict.fromkeys(d for d in found.terms.dimensions if d in known))


def _within_plan(question: Question, found: Standing, decided: Sequence[LedgerEntry]) -> str:
    """The cohort in its one spelling, if the question is in the plan."""
    where = question.where or {}
    if any(not isinstance(code, str) or len(code) > MAX_CODE for code in where.values()):
        raise RefusedError("NOT_IN_PLAN", "A filter names one code; lists and ranges are not in the plan.")
    named = [*question.by, *where]
    if len(set(named)) < len(named):
        raise RefusedError("NOT_IN_PLAN", "A dimension is named twice.")
    if len(named) > found.terms.document.max_dimensions:
        raise RefusedError("NOT_IN_PLAN", "The plan of this agreement does not cross so many dimensions.")
    try:
        cohort = Cohort.parse(question.cohort)
    except OutcomesError as error:
        raise RefusedError(error.code, error.detail) from None
    # Over all indicators: they share their denominators, or nearly.
    for text in sorted({entry.cohort for entry in decided}):
        other = Cohort.parse(text)
        if cohort != other and not (
            cohort.last_month < other.first_month or other.last_month < cohort.first_month
        ):
            raise RefusedError(
                "NOT_IN_PLAN",
                f"The cohort {other} is published, and this one holds some of the same persons: the two "
                f"could be subtracted. Ask for {other}; single years are in its table by cohort_year.",
            )
    return str(cohort)


def _require_period(found: Standing, cohort: str) -> None:
    if not found.terms.permits_cohort(Cohort.parse(cohort)):
        raise ForbiddenError(
            "The agreement does not permit every month of this cohort.", "PERIOD_NOT_PERMITTED"
        )


def _known_cohort(text: str) -> str | None:
    try:
        return str(Cohort.parse(text))
    except OutcomesError:
        return None


# ------------------------------------------------------------------ 4 and 5


def beside(decided: Sequence[LedgerEntry], cohort: str) -> list[LedgerEntry]:
    """What is published of a cohort, in one order: a further indicator is protected beside it."""
    return sorted((entry for entry in decided if entry.cohort == cohort), key=lambda entry: entry.id)


def basis_of(found: Standing, indicator: str, published: Sequence[LedgerEntry]) -> Basis:
    """What a cube would be made by today."""
    return Basis(
        agreement_version=found.version.version,
        dimensions=_dimensions(found, indicator),
        depth=found.terms.document.max_dimensions,
        permitted=found.terms.dimensions,
        policy=Policy(found.terms.min_cell, bytes(16)).frozen(),
        beside=[entry.id for entry in published],
        software=SOFTWARE,
    )


def make_cube(
    service: Service,
    facts: Plane,
    links: Plane,
    run: Run,
    indicator: str,
    cohort: str,
    basis: Basis,
    published: Sequence[LedgerEntry],
) -> dict[str, Any]:
    """Tabulate and protect the whole plan; the tabulator's two planes are all that it is given.

    ``published`` is what :func:`beside` gives.

    Returns
    -------
    dict
        ``{"tables": [<ProtectedTable document>, …]}``: the total's first, then one per dimension.
    """
    # Loaded where it tabulates: a process that answers from the ledger alone stays small.
    from app.outcomes.figures import Source
    from app.outcomes.publishable import plan_documents
    from app.outcomes.question import CoverageCounts

    assert (facts.name, links.name) == ("facts", "links")
    assert run.links_path is not None
    assert run.links_sha256 is not None
    assert run.finished_at is not None
    persons = _table(links.read_all(run.id, [run.links_path], sha256=run.links_sha256))
    inputs = _inputs(service, run.id)
    manifests = {batch.id: parse_manifest(batch.manifest) for batch in inputs}
    try:
        documents = plan_documents(
            indicator,
            cohort,
            basis.dimensions,
            Source(
                persons=persons,
                facts=_read_facts(service, facts, inputs),
                # Not today: a rerun on the same run must give the same bytes.
                as_of=run.finished_at.date(),
                owners={batch.id: batch.organization_id for batch in inputs},
                coverage={
                    batch: CoverageCounts(
                        manifest.coverage.persons,
                        manifest.coverage.encodable,
                        manifest.coverage.strong_identifier,
                    )
                    for batch, manifest in manifests.items()
                },
                thresholds=load_thresholds.current(service),
            ),
            basis.thaw(service.release_secret()),
            depth=basis.depth,
            permitted=basis.permitted,
            quality=(run.report or {}).get("quality"),
            published=[entry.cube["tables"] for entry in published],
        )
    except (OutcomesError, DisclosureError) as error:
        raise RefusedError(error.code, error.detail) from None
    return {"tables": documents}


def _inputs(service: Service, run_id: str) -> list[Batch]:
    """The batches of a run, oldest first: of two versions of a fact the later one wins."""
    with service.store.reading("inputs of run") as tx:
        found = [batches.find(tx, each.batch_id) for each in runs.inputs(tx, run_id)]
    inputs = [batch for batch in found if batch is not None and batch.state == BatchState.ACCEPTED]
    if len(inputs) < len(found):
        raise ConflictError(
            "RUN_OUTDATED", "A batch of the newest run was withdrawn or replaced; a new run is needed first."
        )
    return sorted(inputs, key=lambda batch: (batch.created_at, batch.id))


def _read_facts(
    service: Service, facts: Plane, inputs: Sequence[Batch]
) -> dict[str, list[tuple[str, pa.Table]]]:
    from app.outcomes.facts import read_facts

    by_kind: dict[str, list[tuple[str, pa.Table]]] = {}
    for batch in inputs:
        with service.store.reading("read facts") as tx:
            for file in batches.files(tx, batch.id):
                if file.facts in FACTS:
                    data = batches.read_file(tx, facts, batch.id, file.name)
                    table = read_facts(file.facts, pa.BufferReader(data))
                    by_kind.setdefault(file.facts, []).append((batch.id, table))
    return by_kind


def _table(data: bytes) -> pa.Table:
    return pq.read_table(pa.BufferReader(data))


# ------------------------------------------------------------------ 6 to 8


def _decide(
    service: Service,
    caller: Caller,
    agreement_id: str,
    release_id: str,
    question: Question,
    cohort: str,
    made: _Made | None,
) -> dict[str, Any]:
    """Lock, look again, charge the ledger, record, log: one transaction."""
    now = service.now()
    with service.store.transaction("publish release") as tx:
        found = in_force(tx, agreement_id, now)
        _authorise(found, caller, question)
        decided = releases.ledger_of_agreement(tx, agreement_id)
        _within_plan(question, found, decided)
        _require_period(found, cohort)
        entry = releases.ledger(tx, agreement_id, question.indicator, cohort)
        if entry is None:
            if made is None:
                # Frozen a moment ago and gone: the ledger only grows, so this cannot be.
                raise AssertionError("the ledger lost an entry")
            if made.basis.agreement_version != found.agreement.version:
                raise ConflictError("AGREEMENT_CHANGED", "The agreement changed meanwhile; ask again.")
            if list(made.basis.beside) != [each.id for each in beside(decided, cohort)]:
                raise ConflictError(
                    "AGREEMENT_CHANGED",
                    "Another indicator of this cohort was published meanwhile; ask again.",
                )
            _require_unpublished_elsewhere(tx, found, cohort)
            _require_no_near_twin(made.cube, decided, cohort, found.terms.min_cell)
            entry = _charge(tx, found, question.indicator, cohort, made, now)
            _log_charge(tx, entry, made.basis, caller, decided, now)
        elif entry.min_cell < found.terms.min_cell:
            raise RefusedError(
                "NOT_IN_PLAN",
                "This cohort was published under a smaller minimum cell and is not asked again.",
            )
        table = pick(entry.cube, question.by, question.where)
        asked = question.to_document()
        # As the table repeats it: a code that no list holds is not written down.
        document = asked | ({"where": table["where"]} if "where" in table else {})
        visible_at = _visible_at(tx, found, digest_of(document), now)
        row = releases.add(
            tx,
            release_id,
            agreement_id,
            found.agreement.version,
            caller.organization,
            GRANTED,
            document,
            digest_of(document),
            now,
            run_id=entry.run_id,
            ledger_id=entry.id,
            document=table,
            document_sha256=digest_of(table),
            visible_at=visible_at,
        )
        body = {
            "release": row.id,
            "ledger": entry.id,
            "run": entry.run_id,
            "question": document,
            "table_sha256": row.document_sha256,
            "cube_sha256": entry.cube_sha256,
            "min_cell": entry.min_cell,
            "cells": _cells(table),
        }
        row.log_index = seal_log.append(
            tx, "release.granted", agreement_id, caller.organization, body, now
        ).index
        return _document(row, found.state, now)


def _visible_at(tx: Tx, found: Standing, question_sha256: str, now: datetime) -> datetime:
    """When recipients may see the answer: a question is reviewed once, however often it is asked.

    Raises
    ------
    ConflictError
        ``RELEASE_OBJECTED``.
    """
    if question_sha256 in holds.objected_questions(tx, found.agreement.id):
        raise ConflictError("RELEASE_OBJECTED", "A data owner objected to the answer to this question.")
    reviewed = releases.by_query(tx, found.agreement.id, question_sha256, GRANTED)
    if reviewed is not None and reviewed.visible_at is not None:
        return reviewed.visible_at
    return now + timedelta(days=found.terms.document.review_days)


def _charge(tx: Tx, found: Standing, indicator: str, cohort: str, made: _Made, now: datetime) -> LedgerEntry:
    return releases.charge(
        tx,
        f"led-{secrets.token_hex(12)}",
        found.agreement.id,
        made.run_id,
        indicator,
        cohort,
        made.min_cell,
        made.cube,
        digest_of(made.cube),
        now,
    )


def _log_charge(
    tx: Tx, entry: LedgerEntry, basis: Basis, caller: Caller, decided: Sequence[LedgerEntry], now: datetime
) -> None:
    """Log what was charged, in tables, and the agreement's sum with it: an auditor adds up for herself."""
    tables = len(entry.cube["tables"])
    body = {
        "ledger": entry.id,
        "run": entry.run_id,
        "indicator": entry.indicator,
        "cohort": entry.cohort,
        "min_cell": entry.min_cell,
        "cube_sha256": entry.cube_sha256,
        "charged": tables,
        "total": tables + sum(len(each.cube["tables"]) for each in decided),
        "basis": basis.to_document(),
    }
    seal_log.append(tx, "ledger.charged", entry.agreement_id, caller.organization, body, now)


def pick(
    cube: Mapping[str, Any], by: Sequence[str], where: Mapping[str, str | None] | None = None
) -> dict[str, Any]:
    """The answer to a question, out of the cube alone.

    Parameters
    ----------
    cube : mapping
    by : sequence of str
    where : mapping, optional
        Dimension to code. None stands for a code that no list holds.

    Raises
    ------
    RefusedError
        ``NOT_IN_PLAN``: the agreement permitted the dimension only after the cohort was frozen.
    """
    if not where:
        for table in cube["tables"]:
            if list(table["by"]) == list(by):
                return dict(table)
    from app.disclosure.cube import derive

    try:
        return derive(cube["tables"], by, where or {})
    except DisclosureError:
        raise RefusedError(
            "NOT_IN_PLAN", "This cohort was published without such a table and stays as it is."
        ) from None


def _require_unpublished_elsewhere(tx: Tx, found: Standing, cohort: str) -> None:
    """Refuse a cohort of which another agreement has published persons: the ledger is per population.

    Persons are taken to be the same where an organization submits completions under both agreements and the
    cohorts share months. Nobody proves such tables together, so the second one is not made.
    """
    # Whoever appends to the log is alone: two agreements cannot both find the population unpublished.
    log.lock_head(tx)
    mine = Cohort.parse(cohort)
    owners = _education(found.terms)
    for entry in releases.ledger_of_others(tx, found.agreement.id):
        other = Cohort.parse(entry.cohort)
        if mine.last_month < other.first_month or other.last_month < mine.first_month:
            continue
        agreement = agreements.find(tx, entry.agreement_id)
        assert agreement is not None
        for number in range(1, agreement.version + 1):
            version = agreements.version(tx, entry.agreement_id, number)
            if version is not None and owners & _education(parse_terms(version.document)):
                raise RefusedError(
                    "NOT_IN_PLAN",
                    "Figures on persons of this cohort are published under another agreement; the two could "
                    "be subtracted.",
                )


def _education(terms: Terms) -> frozenset[str]:
    return frozenset(item.organization for item in terms.document.datasets if item.kind == "completion")


def _require_no_near_twin(
    cube: Mapping[str, Any], decided: Sequence[LedgerEntry], cohort: str, min_cell: int
) -> None:
    """Refuse a second indicator of a cohort whose denominators differ by a few persons from the first's.

    Indicators of one cohort count the same persons but for those excluded between their reference quarters;
    the difference of two published denominators is the number of these. Stricter than it need be, and the
    refusal tells that some such difference exists; joint protection of all indicators would do neither.
    """
    new = _denominators(cube)
    for entry in decided:
        if entry.cohort == cohort:
            old = _denominators(entry.cube)
            if any(0 < abs(new[key] - old[key]) < min_cell for key in new.keys() & old.keys()):
                raise RefusedError(
                    "NOT_IN_PLAN",
                    f"{entry.indicator} of this cohort is published, and the denominators of the two could "
                    "be subtracted.",
                )


def _denominators(cube: Mapping[str, Any]) -> dict[str, int]:
    """Published N by table and row."""
    return {
        f"{table['by']} {sorted(row['key'].items())}": row["n"]
        for table in cube["tables"]
        for row in [*table["rows"], table["total"]]
        if row["n"] is not None
    }


def _cells(table: Mapping[str, Any]) -> dict[str, int]:
    """How many rows have which status: read off the answer, hence nothing beyond it."""
    counts: dict[str, int] = {}
    for row in [*table["rows"], table["total"]]:
        counts[row["status"]] = counts.get(row["status"], 0) + 1
    return counts


def _record_refusal(
    service: Service,
    caller: Caller,
    agreement_id: str,
    version: int,
    release_id: str,
    question: Question,
    code: str,
) -> None:
    now = service.now()
    document = question.to_document()
    with service.store.transaction("refuse release") as tx:
        agreements.lock(tx, agreement_id)
        row = releases.add(
            tx,
            release_id,
            agreement_id,
            version,
            caller.organization,
            REFUSED,
            document,
            digest_of(document),
            now,
            refusal_code=code,
        )
        body = {"release": row.id, "question": document, "code": code}
        row.log_index = seal_log.append(
            tx, "release.refused", agreement_id, caller.organization, body, now
        ).index


# ------------------------------------------------------------------ looking at releases


def show_release(service: Service, caller: Caller, release_id: str) -> dict[str, Any]:
    """A release with its table, for recipients and for the owners of the data.

    What was published stays; `agreement_state` says whether the agreement still stands.
    """
    caller.require(Role.PARTNERSHIP, Role.AGENCY)
    now = service.now()
    with service.store.reading("show release") as tx:
        row = releases.find(tx, release_id)
        agreement = agreements.find(tx, row.agreement_id) if row is not None else None
        if row is None or agreement is None:
            raise _unknown_release()
        found = standing(tx, agreement, now)
        if not _may_read(found, caller):
            raise _unknown_release()
        objected = row.query_sha256 in holds.objected_questions(tx, agreement.id)
        return _document(row, found.state, now, objected=objected, owner=caller.role is Role.AGENCY)


def list_releases(service: Service, caller: Caller, agreement_id: str) -> list[dict[str, Any]]:
    """Releases of an agreement without their tables, refusals included, oldest first."""
    now = service.now()
    with service.store.reading("list releases") as tx:
        agreement = visible(tx, caller, agreement_id)
        found = standing(tx, agreement, now)
        if not (caller.sees_everything or _may_read(found, caller)):
            raise unknown()
        objected = holds.objected_questions(tx, agreement_id)
        documents = [
            _document(row, found.state, now, objected=row.query_sha256 in objected)
            for row in releases.of_agreement(tx, agreement_id)
        ]
        return [{k: v for k, v in document.items() if k != "table"} for document in documents]


def _may_read(found: Standing, caller: Caller) -> bool:
    readers = {Role.PARTNERSHIP: found.terms.recipients, Role.AGENCY: found.terms.data_owners}
    return caller.organization in readers.get(caller.role, frozenset())


def _unknown_release() -> NotFoundError:
    return NotFoundError("RELEASE_UNKNOWN", "There is no such release.")


def _document(
    row: Release, agreement_state: str, now: datetime, *, objected: bool = False, owner: bool = False
) -> dict[str, Any]:
    """What a reader is told; an owner of the data reads the table also in review and after an objection."""
    granted = row.status == GRANTED
    waiting = granted and row.visible_at is not None and now < row.visible_at
    status = OBJECTED if granted and objected else IN_REVIEW if waiting else row.status
    return {
        "id": row.id,
        "agreement": row.agreement_id,
        "agreement_state": str(agreement_state),
        "status": status,
        "question": row.query,
        "code": row.refusal_code,
        "created_at": seal_log.rfc3339(row.created_at),
        "visible_at": seal_log.rfc3339(row.visible_at) if row.visible_at else None,
        "run": row.run_id,
        "table_sha256": row.document_sha256,
        "log_index": row.log_index,
        "table": row.document if owner or status == GRANTED else None,
    }
