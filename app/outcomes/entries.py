"""The single entries of a cohort, to tell whose figures two cubes have in common.

An entry is an award (or an award and a spell in a program). It is known again in another run, under another
agreement and in a later vintage by who reported it and by its number there; persons are not, since every
linkage numbers them anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.disclosure.joint import Entries
from app.disclosure.paid import Paid
from app.disclosure.table import Rows
from app.outcomes.dimensions import DIMENSIONS
from app.outcomes.facts import Frame
from app.outcomes.figures import Source
from app.outcomes.finest import axes_of, firsts_of
from app.outcomes.indicators import INDICATORS, Indicator, all_within
from app.outcomes.outcome_sql import PAID_AT_FIRST, PAID_BY_EMPLOYER
from app.outcomes.question import Question
from app.outcomes.tabulate import grids_of_places, group_columns, source_of
from app.outcomes.workplaces import worked


def entries(
    indicator: Indicator,
    cohort: str,
    dimensions: Sequence[str],
    source: Source,
    *,
    found: str = "found",
    counted: str = "counted",
    by_place: Sequence[str] = (),
) -> Entries:
    """Every entry of a cohort with its codes, whether it is in the denominator, and whether it was found.

    Parameters
    ----------
    dimensions : sequence of str
        Without rows by place.
    found, counted : str
        SQL of who is found, and of who is in the denominator, from the columns of an outcome.
    by_place : sequence of str
        Dimensions of rows by place that are told: where those found work is noted.

    Raises
    ------
    OutcomesError
        As :func:`tabulate`.
    """
    names = tuple(name for name in dict.fromkeys(dimensions) if DIMENSIONS[name].rows is not Rows.PLACES)
    places = list(dict.fromkeys(by_place))
    question = Question.of(indicator, cohort, [names, *((name,) for name in places)], source.as_of)
    with source.frame(question) as frame:
        axes = axes_of(frame, question.cohort, names, source.code_lists or {})
        grids = {axis.name: tuple(zip(axis.codes, axis.labels, strict=True)) for axis in axes}
        groups, parameters = group_columns(names, question.cohort, grids)
        free = [axis.name for axis in axes if axis.overlapping]
        every = chain.from_iterable(combinations(free, n) for n in range(len(free) + 1))
        sets = [frozenset(some) for some in every]
        keys = [f"{group} as key_{at}" for at, group in enumerate(groups)]
        spells = ", ".join(["owner", "completion_id", *(f"key_{at}" for at in range(len(names)))])
        firsts = firsts_of(names, groups, sets)
        rows: Any = frame.connection.execute(
            f"select *, row_number() over (partition by owner, completion_id order by {spells}) as spell "  # noqa: S608
            f"from (select {', '.join([*keys, *firsts, ''])} award_no, owner, completion_id, "
            f"{found} as found, {counted} as counted, excluded, "
            "min(owner || chr(10) || completion_id) over (partition by person) as person_key "
            f"from {source_of(names)}) where not excluded order by owner, completion_id, spell",
            parameters,
        ).fetchnumpy()
        about = question.describe(frame, source.coverage, source.thresholds)
        counts, is_found = (np.asarray(rows[name], np.bool_) for name in ("counted", "found"))
        paid = at_first = None
        if question.by_employer:
            paid = _paid(frame, rows["award_no"], counts & is_found, PAID_BY_EMPLOYER)
        if question.by_employer and question.measure.counts_paid:
            at_first = _paid(frame, rows["award_no"], counts, PAID_AT_FIRST, first=question.measure.first)
        where = None
        if places:
            first = rows[f"first_{sets.index(frozenset())}"].astype(bool) & counts & is_found
            of_places = grids_of_places(frame, question.cohort, places, source.code_lists or {})
            where = worked(frame, of_places, np.where(first, rows["award_no"], -1).tolist())
    owners, numbers, spell = (rows[name] for name in ("owner", "completion_id", "spell"))
    codes = np.zeros((len(spell), len(names)), np.int64)
    for at, axis in enumerate(axes):
        position = {code: number for number, code in enumerate(axis.codes)}
        codes[:, at] = [position[code] for code in rows[f"key_{at}"]]
    return Entries(
        indicator.id,
        axes,
        keys=[f"{a}\n{b}\n{c}" for a, b, c in zip(owners, numbers, spell, strict=True)],
        codes=codes,
        masks={s: np.asarray(rows[f"first_{at}"], np.bool_) for at, s in enumerate(sets)},
        found=is_found,
        counted=counts,
        of=indicator.of,
        of_within=all_within(INDICATORS[indicator.of].within) if indicator.of else (),
        within=all_within(indicator.within),
        among=_all_among(indicator.among),
        persons=list(rows["person_key"]),
        about=about,
        paid=paid,
        paid_counted=at_first,
        worked=where,
    )


def _all_among(sets: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Sets of indicators, and those in which some stand for others whose found persons are among theirs."""
    every = chain.from_iterable(product(*(all_within([name]) for name in some)) for some in sets)
    return tuple(dict.fromkeys(every))


def _paid(frame: Frame, awards: Any, some: NDArray[np.bool_], amounts: str, **of: int) -> Paid:
    """By whom some of the entries are paid."""
    entry: dict[int, list[int]] = {}
    for at in np.flatnonzero(some):
        entry.setdefault(int(awards[at]), []).append(int(at))
    told = frame.connection.execute(amounts, of).fetchall()
    return Paid(
        len(some), ((at, token, cents) for award, token, cents in told for at in entry.get(award, ()))
    )
