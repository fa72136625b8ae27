"""Tabulate and protect the whole plan of a cohort and indicator, out of the facts and links of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from app.disclosure.errors import DisclosureError
from app.errors import ConflictError, RefusedError
from app.flows import load_thresholds
from app.flows.agreement_terms import parse_terms
from app.flows.cube_basis import Basis, logged_basis
from app.flows.facts_of_run import read_run_facts
from app.flows.periods import Period
from app.flows.release_question import permitted_dimensions
from app.flows.run_linkage import SOFTWARE
from app.flows.service import Service
from app.flows.sign_agreement import Standing
from app.outcomes.cohort import Cohort
from app.outcomes.errors import OutcomesError
from app.store import Plane, agreements, batches, runs
from app.store.models import Batch, BatchState, LedgerEntry, Run

if TYPE_CHECKING:
    from app.disclosure.suppression import Progress
    from app.outcomes.coverage import CoverageTerms
    from app.outcomes.figures import Source
    from app.outcomes.plan import Out
    from app.outcomes.thresholds import Thresholds

_GONE = (
    "Data that published figures of these persons were counted from were withdrawn or destroyed: nothing "
    "more can be proven beside them, so nothing more is published."
)


def silent(step: str, done: int, total: int) -> None:
    """Tell nobody how far it is."""


def basis_of(
    service: Service, found: Standing, indicator: str, published: Sequence[LedgerEntry], min_cell: int
) -> Basis:
    """What a cube would be made by today."""
    terms, thresholds = found.terms, load_thresholds.current(service)
    disclosure = terms.document.disclosure
    return Basis(
        agreement_version=found.version.version,
        dimensions=permitted_dimensions(terms, indicator),
        depth=terms.document.max_dimensions,
        permitted=terms.dimensions,
        policy=disclosure.policy(min_cell, bytes(16)).frozen(),
        beside=[entry.id for entry in published],
        software=SOFTWARE,
        named=terms.named_tables,
        treatment=disclosure.treatment().frozen(),
        thresholds=thresholds.digest if thresholds else "",
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
    progress: Progress = silent,
    *,
    again: bool = False,
) -> dict[str, Any]:
    """Make the cube; the tabulator's two planes are all that it is given.

    Parameters
    ----------
    published : sequence of LedgerEntry
        What is out about these persons: the entries that ``basis.beside`` names.
    again : bool
        It was published and is made again: batches that were replaced since are what it was made of.

    Returns
    -------
    dict
        ``cube``: ``{"tables": [<ProtectedTable document>, …]}``, the total's first, and ``dropped`` (lists of
        dimensions) where tables were not proven; ``proof``: statistics, dropped, beside.

    Raises
    ------
    RefusedError, ConflictError
        Codes of `plan_cube`; ``RUN_OUTDATED``, ``PUBLISHED_DATA_GONE``.
    """
    # Loaded where it tabulates: a process that answers from the ledger alone stays small.
    from app.disclosure.treatment import Treatment
    from app.outcomes.plan import Plan, plan_cube

    progress("tabulate", 0, 1)
    plan = Plan(
        indicator,
        cohort,
        tuple(basis.dimensions),
        depth=basis.depth,
        named=tuple(tuple(table) for table in basis.named),
        permitted=tuple(basis.permitted),
    )
    source = source_of_run(service, facts, links, run, _thresholds(service, basis.thresholds), replaced=again)
    try:
        made = plan_cube(
            plan,
            replace(
                source,
                coverage=replace(
                    coverage_terms(cohort, run.id, basis, published),
                    submitters=_submitters(service, run.agreement_id, basis.agreement_version, cohort),
                ),
            ),
            basis.thaw(service.release_secret()),
            Treatment.thaw(basis.treatment),
            quality=(run.report or {}).get("quality"),
            published=_out(service, facts, links, run, basis, published),
            progress=progress,
        )
    except (OutcomesError, DisclosureError) as error:
        raise RefusedError(error.code, error.detail) from None
    dropped = [list(margin) for margin in made.dropped]
    proof = {"statistics": made.proof, "dropped": dropped, "beside": list(basis.beside)}
    cube: dict[str, Any] = {"tables": made.documents} | ({"dropped": dropped} if dropped else {})
    return {"cube": cube, "proof": proof}


def coverage_terms(cohort: str, run_id: str, basis: Basis, published: Sequence[LedgerEntry]) -> CoverageTerms:
    """How the shares of the coverage note are told: those that are out of the cohort are repeated.

    None are told where they would be exact beside noise, or of a cohort that shares months with one whose
    shares are out: the two could be subtracted.
    """
    from app.disclosure.table import Coverage
    from app.outcomes.coverage import CoverageTerms

    step = int(basis.policy["min_cell"])
    every = [(entry, table["coverage"]) for entry in published for table in entry.cube["tables"][:1]]
    out = [(entry, told) for entry, told in every if told["encodable"] is not None]
    if basis.treatment.get("method") == "differential_privacy":
        return CoverageTerms(step, Coverage(""))
    for entry, told in out:
        if entry.cohort == cohort:
            shares = Coverage("", told["encodable"], told["strong_identifier"])
            return CoverageTerms(step, shares, of_before=entry.run_id != run_id)
    return CoverageTerms(step, Coverage("") if out else None)


def _submitters(
    service: Service, agreement_id: str, number: int, cohort: str
) -> Mapping[int, frozenset[str]]:
    """Who submits awards by a version of an agreement, by the first year of each cohort year."""
    with service.store.reading("version of agreement") as tx:
        version = agreements.version(tx, agreement_id, number)
    assert version is not None
    terms, years = parse_terms(version.document), Cohort.parse(cohort)
    return {
        year: terms.submitters(Period.of_cohort(years.of_year(year)))
        for year in range(years.first, years.last + 1)
    }


def _thresholds(service: Service, digest: str | None) -> Thresholds | None:
    """The table that a cube is made by: the one with the digest, whatever is in use today."""
    if digest is None:
        return load_thresholds.current(service)
    found = load_thresholds.held(service, digest) if digest else None
    if digest and found is None:
        raise ConflictError("RUN_OUTDATED", "The table of thresholds that figures were made by is gone.")
    return found


def source_of_run(
    service: Service,
    facts: Plane,
    links: Plane,
    run: Run,
    thresholds: Thresholds | None,
    *,
    replaced: bool = False,
) -> Source:
    """What every figure of a run is a function of; with ``replaced``, of batches that others replaced too.

    Raises
    ------
    ConflictError
        ``RUN_OUTDATED``.
    """
    from app.outcomes.figures import Source

    assert (facts.name, links.name) == ("facts", "links")
    inputs = _inputs(service, run.id, replaced)
    if run.links_path is None or run.links_sha256 is None or run.finished_at is None:
        raise ConflictError("RUN_OUTDATED", "The data of a run that figures were made of are gone.")
    try:
        persons = _table(links.read_all(run.id, [run.links_path], sha256=run.links_sha256))
        presence = (run.report or {}).get("presence")
        if presence is not None:
            flags = _table(links.read_all(run.id, [presence["path"]], sha256=presence["sha256"]))
            for name in flags.column_names:
                persons = persons.append_column(name, flags[name])
        read = read_run_facts(service, facts, inputs, persons)
    except KeyError:
        raise ConflictError("RUN_OUTDATED", "The data of a run that figures were made of are gone.") from None
    except OutcomesError as error:
        raise RefusedError(error.code, error.detail) from None
    return Source(
        persons=persons,
        facts=read,
        # Not today: a rerun on the same run must give the same bytes.
        as_of=run.finished_at.date(),
        owners={batch.id: batch.organization_id for batch in inputs},
        thresholds=thresholds,
    )


def _out(
    service: Service, facts: Plane, links: Plane, run: Run, basis: Basis, entries: Sequence[LedgerEntry]
) -> list[Out]:
    """What is published, each with the data that it was counted from, read when it is needed."""
    from app.outcomes.plan import Out

    def source(run_id: str, thresholds: str | None) -> Source:
        with service.store.reading("run of ledger entry") as tx:
            found = runs.find(tx, run_id)
        assert found is not None
        try:
            table = _thresholds(service, thresholds)
            return source_of_run(service, facts, links, found, table, replaced=True)
        except ConflictError:
            # A new run would not bring them back.
            raise ConflictError("PUBLISHED_DATA_GONE", _GONE) from None

    def counted_from(entry: LedgerEntry) -> Callable[[], Source] | None:
        with service.store.reading("basis of ledger entry") as tx:
            its = logged_basis(tx, entry.agreement_id, entry.id)
        thresholds = its.thresholds if its is not None else None
        same = entry.run_id == run.id and thresholds in (None, basis.thresholds)
        return None if same else partial(source, entry.run_id, thresholds)

    return [
        Out(
            entry.indicator,
            entry.cohort,
            entry.cube["tables"],
            counted_from(entry),
            same_agreement=entry.agreement_id == run.agreement_id,
        )
        for entry in entries
    ]


def _inputs(service: Service, run_id: str, replaced: bool) -> list[Batch]:
    """The batches of a run, oldest first: of two versions of a fact the later one wins."""
    held = (BatchState.ACCEPTED, BatchState.SUPERSEDED) if replaced else (BatchState.ACCEPTED,)
    with service.store.reading("inputs of run") as tx:
        found = [batches.find(tx, each.batch_id) for each in runs.inputs(tx, run_id)]
    inputs = [batch for batch in found if batch is not None and batch.state in held]
    if len(inputs) < len(found):
        raise ConflictError(
            "RUN_OUTDATED", "A batch of the newest run was withdrawn or replaced; a new run is needed first."
        )
    return sorted(inputs, key=lambda batch: (batch.created_at, batch.id))


def _table(data: bytes) -> pa.Table:
    return pq.read_table(pa.BufferReader(data))
