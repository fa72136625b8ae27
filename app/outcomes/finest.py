"""The finest cells of a cohort, for the protected cube: every combination of codes that somebody has.

An entry is an award (or an award and a program). Tables that split by an overlapping dimension count a person
once per code of it, others once in all; which entries those are, the masks say, one per set of overlapping
dimensions. So each table is a plain sum of finest cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date
from itertools import chain, combinations

import numpy as np
import pyarrow as pa

from app.disclosure.finest import Axis, FinestCells
from app.disclosure.paid import Paid
from app.disclosure.table import Rows
from app.outcomes.cohort import Cohort
from app.outcomes.coverage import CoverageTerms
from app.outcomes.dimensions import DIMENSIONS
from app.outcomes.errors import OutcomesError
from app.outcomes.facts import Facts, Frame
from app.outcomes.indicators import Indicator
from app.outcomes.outcome_sql import FIRST_AWARD, PAID_AT_FIRST, PAID_BY_EMPLOYER
from app.outcomes.question import NOT_CROSSED, Question
from app.outcomes.tabulate import codes_of, group_columns, open_frame, source_of
from app.outcomes.thresholds import Thresholds


def finest_cells(
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
) -> FinestCells:
    """Count every populated combination of ``dimensions``; parameters and errors as in :func:`tabulate`.

    No dimension of wages is among them (``DEPTH_NOT_SUPPORTED``): its rows are no parts of a cohort.
    """
    names = tuple(dict.fromkeys(dimensions))
    if any(DIMENSIONS[name].rows is Rows.PLACES for name in names if name in DIMENSIONS):
        raise OutcomesError("DEPTH_NOT_SUPPORTED", NOT_CROSSED)
    question = Question.of(indicator, cohort, [names], as_of)
    frame = open_frame(question, persons=persons, facts=facts, owners=owners, thresholds=thresholds)
    with closing(frame.connection):
        axes = axes_of(frame, question.cohort, names, code_lists or {})
        about = question.describe(frame, coverage, thresholds)
        return FinestCells(about, axes, *_cells(frame, question, axes))


def axes_of(
    frame: Frame, cohort: Cohort, names: Sequence[str], given: Mapping[str, Sequence[str]]
) -> tuple[Axis, ...]:
    """Axes of a cube of these dimensions."""
    axes = []
    for name in names:
        dimension = DIMENSIONS[name]
        grid = dimension.grid(codes_of(frame, cohort, name, given))
        overlapping = dimension.rows is Rows.OVERLAPPING and (name != "cohort_year" or len(cohort.years) > 1)
        parent = dimension.parent if dimension.parent in names else None
        codes, labels = (tuple(part) for part in zip(*grid, strict=True)) if grid else ((), ())
        places = frozenset(codes) - {code for code, _ in [dimension.residual or ("", "")]}
        named = places if dimension.place else frozenset()
        axes.append(Axis(name, codes, labels, overlapping, parent, named))
    return tuple(axes)


def _cells(
    frame: Frame, question: Question, axes: tuple[Axis, ...]
) -> tuple[
    np.ndarray[tuple[int, int], np.dtype[np.int64]],
    np.ndarray[tuple[int], np.dtype[np.int64]],
    np.ndarray[tuple[int], np.dtype[np.int64]],
    dict[frozenset[str], np.ndarray[tuple[int], np.dtype[np.bool_]]],
    Paid | None,
    Paid | None,
]:
    names, measure = [axis.name for axis in axes], question.measure
    grids = {axis.name: tuple(zip(axis.codes, axis.labels, strict=True)) for axis in axes}
    groups, parameters = group_columns(names, question.cohort, grids)
    free = [axis.name for axis in axes if axis.overlapping]
    sets = [frozenset(s) for s in chain.from_iterable(combinations(free, n) for n in range(len(free) + 1))]
    firsts = firsts_of(names, groups, sets)
    keys = [f"{group} as key_{at}" for at, group in enumerate(groups)]
    chosen = [f"first_{at}" for at in range(len(sets))]
    by = ", ".join([*(f"key_{at}" for at in range(len(names))), *chosen])
    # Only constants of these modules are put into the text; codes travel as parameters.
    counted = (
        f"from (select {', '.join([*keys, *firsts])}, award_no, found, excluded, counted "  # noqa: S608
        f"from {source_of(names)}) where not excluded and counted and ({' or '.join(chosen)})"
    )
    answer = frame.connection.execute(
        f"select {by}, count(*) as n, count(*) filter (found) as found {counted} group by {by} order by {by}",
        parameters,
    ).fetchall()
    width, size = len(names), len(answer)
    codes = np.zeros((size, width), np.int64)
    for at, axis in enumerate(axes):
        position = {code: number for number, code in enumerate(axis.codes)}
        codes[:, at] = [position[row[at]] for row in answer]
    masks = {s: np.array([row[width + at] for row in answer], np.bool_) for at, s in enumerate(sets)}
    n, found = (np.array([row[at] for row in answer], np.int64) for at in (-2, -1))
    if not question.by_employer:
        return codes, n, found, masks, None, None
    cell = {row[:-2]: at for at, row in enumerate(answer)}

    def paid(amounts: str, who: str, **of: int) -> Paid:
        told = frame.connection.execute(
            f"select {by}, employer_token, sum(cents) from (select * {counted} {who}) "  # noqa: S608
            f"join ({amounts}) using (award_no) group by {by}, employer_token",
            parameters | of,
        ).fetchall()
        return Paid(size, ((cell[row[:-2]], row[-2], row[-1]) for row in told))

    at_first = paid(PAID_AT_FIRST, "", first=measure.first) if measure.counts_paid else None
    return codes, n, found, masks, paid(PAID_BY_EMPLOYER, "and found"), at_first


def firsts_of(names: Sequence[str], groups: Sequence[str], sets: Sequence[frozenset[str]]) -> list[str]:
    """SQL of the masks: which row counts in tables with exactly these overlapping dimensions."""
    column = dict(zip(names, groups, strict=True))
    # In a stable order of the set's names, so that the text is the same in every process.
    return [
        f"row_number() over (partition by {', '.join(['person', *(column[n] for n in names if n in s)])} "
        f"{FIRST_AWARD}{''.join(f', {column[n]}' for n in names)}) = 1 as first_{at}"
        for at, s in enumerate(sets)
    ]
