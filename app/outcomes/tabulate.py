"""Count a cohort: persons (N) and persons found (m) over the full grid of one or more dimensions.

Unit: the linked person. In a total and in rows that partition it, a person counts once, however many states,
awards, years or employers: with the highest award of the whole cohort, the earliest of equals. Rows by
pathway, award level and cohort year count each row's own award (a person once per row) and may overlap.
Rows by state of work and by sector keep the whole cohort as denominator and count who has wages above zero
there (`workplaces`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date
from itertools import product

import pyarrow as pa

from app.disclosure.table import Cell, Description, Rows, Table
from app.outcomes.cohort import Cohort
from app.outcomes.coverage import CoverageTerms
from app.outcomes.dimensions import DIMENSIONS, OF_PROGRAMS, Dimension, refined
from app.outcomes.facts import Facts, Frame, build_frame
from app.outcomes.indicators import Indicator
from app.outcomes.outcome_sql import FIRST_AWARD
from app.outcomes.question import Question
from app.outcomes.thresholds import Thresholds
from app.outcomes.workplaces import Workplaces, workplaces
from crypto.facts import code_list

__all__ = ["tabulate", "tabulate_plan"]


def tabulate(
    indicator: str | Indicator,
    cohort: str | Cohort,
    by: tuple[str, ...],
    *,
    persons: pa.Table,
    facts: Facts,
    as_of: date,
    owners: Mapping[str, str] | None = None,
    coverage: CoverageTerms | None = None,
    code_lists: Mapping[str, Sequence[str]] | None = None,
    thresholds: Thresholds | None = None,
) -> Table:
    """One table, a pure function of its arguments.

    Parameters
    ----------
    indicator : str or Indicator
    cohort : str or Cohort
        Such as ``"2022-23"``, ``"2022"``, ``"2020-21..2023-24"``.
    by : tuple of str
        Dimensions; empty for the total alone.
    persons : pa.Table
        ``person, batch, record_ref, …`` of a linkage run: every record of every batch, once. With
        ``encoded, strong`` the coverage note tells shares.
    facts : mapping of str to sequence of (str, pa.Table)
        By kind: batch id and validated facts, oldest batch first.
    as_of : date
        Day of the question; decides the vintage.
    owners : mapping of str to str, optional
        Batch id to organization: completions of one organization supersede each other across its batches.
        A batch that is not named stands for itself.
    coverage : CoverageTerms, optional
        How the shares of the coverage note are told.
    code_lists : mapping of str to sequence of str, optional
        By dimension: the codes of the grid, from the agreement. Without it: the whole code list; counties of
        the states whose wage records there are; these states; every institution or provider that any batch
        names.
    thresholds : Thresholds, optional
        Needed by ``self_sufficient``.

    Raises
    ------
    OutcomesError
        As :meth:`Question.of` and :func:`build_frame`.
    """
    question = Question.of(indicator, cohort, [by], as_of)
    frame = open_frame(question, persons=persons, facts=facts, owners=owners, thresholds=thresholds)
    with closing(frame.connection):
        about = question.describe(frame, coverage, thresholds)
        found = workplaces(frame, grids_of_places(frame, question.cohort, by, code_lists or {}))
        return _table(frame, question.cohort, by, about, code_lists or {}, found)


def tabulate_plan(
    indicator: str | Indicator,
    cohort: str | Cohort,
    dimensions: Sequence[str],
    *,
    persons: pa.Table,
    facts: Facts,
    as_of: date,
    owners: Mapping[str, str] | None = None,
    coverage: CoverageTerms | None = None,
    code_lists: Mapping[str, Sequence[str]] | None = None,
    thresholds: Thresholds | None = None,
) -> tuple[Table, ...]:
    """Make the total and the table of every single dimension, from one pass over the facts.

    Parameters and errors as in :func:`tabulate`.
    """
    plan: list[tuple[str, ...]] = [(), *((dimension,) for dimension in dict.fromkeys(dimensions))]
    question = Question.of(indicator, cohort, plan, as_of)
    frame = open_frame(question, persons=persons, facts=facts, owners=owners, thresholds=thresholds)
    with closing(frame.connection):
        about = question.describe(frame, coverage, thresholds)
        given = code_lists or {}
        found = workplaces(frame, grids_of_places(frame, question.cohort, dimensions, given))
        return tuple(_table(frame, question.cohort, by, about, given, found) for by in plan)


def open_frame(
    question: Question,
    *,
    persons: pa.Table,
    facts: Facts,
    owners: Mapping[str, str] | None,
    thresholds: Thresholds | None,
) -> Frame:
    """Frame of a question; whoever opens it closes its connection."""
    return build_frame(
        question.measure,
        question.cohort,
        persons=persons,
        facts=facts,
        owners=owners or {},
        thresholds=thresholds,
        by_sector=question.by_sector,
        by_employer=question.by_employer,
    )


def codes_of(
    frame: Frame, cohort: Cohort, name: str, given: Mapping[str, Sequence[str]]
) -> tuple[str, ...] | None:
    """Codes of the grid, never derived from who is in the cohort; None for the whole code list."""
    if name == "cohort_year":
        return cohort.years
    if name in given:
        return tuple(given[name])
    if name in ("state", "state_of_work"):
        return frame.states
    if name == "institution":
        return frame.institutions
    if name == "provider":
        return frame.providers
    if name == "county":
        return tuple(code for code in code_list("counties").codes if code[:2] in frame.states)
    return None


def column_of(dimension: Dimension, cohort: Cohort) -> tuple[str, str]:
    """SQL of the code of an award in ``dimension``, and the code that stands for all others."""
    if dimension.id == "cohort_year":
        return (
            "printf('%d-%02d', year, (year + 1) % 100)" if cohort.academic else "cast(year as varchar)"
        ), ""
    residual = dimension.residual[0] if dimension.residual else ""
    return dimension.id, residual


def _table(
    frame: Frame,
    cohort: Cohort,
    by: tuple[str, ...],
    about: Description,
    given: Mapping[str, Sequence[str]],
    found: Workplaces,
) -> Table:
    total = _count(frame, cohort, (), {}).get((), Cell(0, 0))
    dimensions = [DIMENSIONS[name] for name in by]
    grids = {
        dimension.id: dimension.grid(codes_of(frame, cohort, dimension.id, given)) for dimension in dimensions
    }
    keys = tuple(product(*([code for code, _ in grids[name]] for name in by))) if by else ()
    labels = tuple(
        " / ".join(words) for words in product(*([text for _, text in grids[name]] for name in by))
    )
    labels = labels if by else ()
    rows = _rows(dimensions, cohort)
    if rows is Rows.PLACES:
        return Table(
            about,
            by,
            keys=keys,
            labels=labels,
            cells=tuple(Cell(total.n, found.count(by[0], code)) for (code,) in keys),
            total=total,
            rows=rows,
            places=found.places,
            employers=found.employers if by == ("naics_sector",) else None,
        )
    counted = _count(frame, cohort, by, grids) if by else {}
    cells = tuple(counted.get(key, Cell(0, 0)) for key in keys)
    parent = dimensions[0].parent if len(dimensions) == 1 else None
    parents = refined(dimensions[0]) if parent else None
    return Table(
        about,
        by,
        keys=keys,
        labels=labels,
        cells=cells,
        total=total,
        rows=rows,
        parents=parents,
        parent_dimension=parent,
    )


def _rows(dimensions: Sequence[Dimension], cohort: Cohort) -> Rows:
    kinds = {
        dimension.rows for dimension in dimensions if dimension.id != "cohort_year" or len(cohort.years) > 1
    }
    # The name of the relation depends on definitions alone: whether anybody does stand twice is not told.
    return next((kind for kind in (Rows.PLACES, Rows.OVERLAPPING) if kind in kinds), Rows.PARTITION)


def _count(
    frame: Frame, cohort: Cohort, by: tuple[str, ...], grids: Mapping[str, tuple[tuple[str, str], ...]]
) -> dict[tuple[str, ...], Cell]:
    """N and m by the codes of ``by``; one award per person and row."""
    groups, parameters = group_columns(by, cohort, grids)
    own = own_columns(by, groups)
    # Only constants of this module are put into the text; codes travel as parameters.
    query = (
        f"select {', '.join([*groups, ''])} count(*), count(*) filter (found) from ("  # noqa: S608
        f"  select * from {source_of(by)}"
        f"  qualify row_number() over (partition by {', '.join(['person', *own])} {FIRST_AWARD}) = 1"
        f") where not excluded and counted group by {', '.join(groups) or '()'}"
    )
    answer = frame.connection.execute(query, parameters).fetchall()
    return {tuple(row[:-2]): Cell(row[-2], row[-1]) for row in answer}


def own_columns(by: Sequence[str], groups: Sequence[str]) -> list[str]:
    """Those of the columns in each of whose codes a person counts with an award of its own."""
    return [
        group for name, group in zip(by, groups, strict=True) if DIMENSIONS[name].rows is Rows.OVERLAPPING
    ]


def group_columns(
    by: Sequence[str], cohort: Cohort, grids: Mapping[str, tuple[tuple[str, str], ...]]
) -> tuple[list[str], dict[str, object]]:
    """SQL of each dimension's code, whoever is not in its grid in the residual; and the parameters."""
    groups: list[str] = []
    parameters: dict[str, object] = {}
    for position, name in enumerate(by):
        column, residual = column_of(DIMENSIONS[name], cohort)
        if residual:
            codes = [code for code, _ in grids[name]]
            column = (
                f"case when list_contains($codes{position}, {column}) then {column} else $rest{position} end"
            )
            parameters |= {f"codes{position}": codes, f"rest{position}": residual}
        groups.append(column)
    return groups, parameters


def source_of(by: Sequence[str]) -> str:
    """Where rows come from: awards with their outcome, once for each spell where programs are asked for."""
    if not OF_PROGRAMS & set(by):
        return "outcome"
    return (
        "(select o.*, p.program, p.provider from outcome o left join ("
        "  select distinct person, program_type as program, provider_id as provider, entry_date"
        "  from participating) p on p.person = o.person and p.entry_date <= quarter_end(o.exit))"
    )


def grids_of_places(
    frame: Frame, cohort: Cohort, dimensions: Sequence[str], given: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """Codes of those of the dimensions that have rows by place."""
    return {
        name: [code for code, _ in DIMENSIONS[name].grid(codes_of(frame, cohort, name, given))]
        for name in dict.fromkeys(dimensions)
        if DIMENSIONS[name].rows is Rows.PLACES
    }
