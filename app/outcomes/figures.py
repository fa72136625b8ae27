"""Figures that are no shares of persons, with the counts that decide whether they may be shown.

Like tables they are guarded: the one way out is :mod:`app.disclosure.protect_figures`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa

from app.disclosure.figures import Bands, Contribution, FlowCell, Flows, QuantileCell, Quantiles
from app.disclosure.table import Cell
from app.outcomes.coverage import CoverageTerms
from app.outcomes.dimensions import DIMENSIONS
from app.outcomes.errors import OutcomesError
from app.outcomes.facts import Facts, Frame
from app.outcomes.measures import Earnings, percentile
from app.outcomes.outcome_sql import FIRST_AWARD
from app.outcomes.question import Question
from app.outcomes.tabulate import codes_of, group_columns, open_frame, own_columns, source_of
from app.outcomes.thresholds import Thresholds
from app.outcomes.workplaces import MAIN_JOBS, sectors_by_prefix
from crypto.facts import code_list

#: Within what participants and the comparison group are compared.
STRATA = ("pathway", "cip_family", "county", "age_band", "sex")


@dataclass(frozen=True)
class Source:
    """What every figure is a function of; as the parameters of :func:`tabulate`."""

    persons: pa.Table
    facts: Facts
    as_of: date
    owners: Mapping[str, str] | None = None
    coverage: CoverageTerms | None = None
    code_lists: Mapping[str, Sequence[str]] | None = None
    thresholds: Thresholds | None = None

    @contextmanager
    def frame(self, question: Question) -> Iterator[Frame]:
        """Awards of the question's cohort with their outcome; gone when the block ends."""
        frame = open_frame(
            question, persons=self.persons, facts=self.facts, owners=self.owners, thresholds=self.thresholds
        )
        try:
            yield frame
        finally:
            frame.connection.close()


def quantiles(indicator: str, cohort: str, by: tuple[str, ...], source: Source) -> Quantiles:
    """Percentiles of the values of a cohort and of its groups, over the full grid.

    Raises
    ------
    OutcomesError
        As :func:`tabulate`; ``OTHER_TREATMENT`` for an indicator that has no values.
    """
    question = Question.of(indicator, cohort, [by], source.as_of, frozenset({"quantiles"}))
    yearly = question.measure.years is not None
    quarters = {"p25": 1, "p50": 2, "p75": 3} if yearly else {"p50": 2}
    with source.frame(question) as frame:
        grids = {
            name: DIMENSIONS[name].grid(codes_of(frame, question.cohort, name, source.code_lists or {}))
            for name in by
        }
        found = _values(frame, question, by, grids, quarters)
        total = _values(frame, question, (), {}, quarters).get((), QuantileCell.empty())
        keys = tuple(product(*([code for code, _ in grids[name]] for name in by))) if by else ()
        labels = tuple(" / ".join(w) for w in product(*([text for _, text in grids[name]] for name in by)))
        return Quantiles(
            question.describe(frame, source.coverage),
            by,
            names=tuple(quarters),
            keys=keys,
            labels=labels if by else (),
            cells=tuple(found.get(key, QuantileCell.empty()) for key in keys),
            total=total,
        )


def _values(
    frame: Frame,
    question: Question,
    by: tuple[str, ...],
    grids: Mapping[str, tuple[tuple[str, str], ...]],
    quarters: Mapping[str, int],
) -> dict[tuple[str, ...], QuantileCell]:
    groups, parameters = group_columns(by, question.cohort, grids)
    keys = [f"key_{at}" for at in range(len(groups))]
    named = "".join(f"{group} as {key}, " for group, key in zip(groups, keys, strict=True))
    by_key = ", ".join(keys) or "()"
    # Only constants of these modules are put into the text; codes travel as parameters.
    frame.connection.execute(
        # Tables are made one by one: an award is known again in each by who reported it, under which number.
        f"create or replace temp table valued as select {named} *,"  # noqa: S608
        "  cast(hash(owner, completion_id) >> 1 as bigint) as award"
        f" from {source_of(by)}"
        f" qualify row_number() over ("
        f"   partition by {', '.join(['person', *own_columns(by, groups)])} {FIRST_AWARD}) = 1",
        parameters,
    )
    answer = frame.connection.execute(
        f"select {', '.join([*keys, ''])} list(award order by award) filter (not counted),"  # noqa: S608
        "  list(value order by value) filter (counted), list(award order by award) filter (counted)"
        f" from valued where not excluded group by {by_key}",
    ).fetchall()
    paid: dict[tuple[str, ...], dict[str, Decimal]] = {}
    for *key, token, wages in frame.connection.execute(
        f"select {', '.join([*keys, ''])} employer_token, sum(wages)"  # noqa: S608
        " from valued join earned using (award_no) where not excluded and counted"
        " group by all having sum(wages) > 0"
    ).fetchall():
        paid.setdefault(tuple(key), {})[token] = wages
    return {
        tuple(key): _quantile_cell(
            without or [], ordered or [], quarters, members or [], paid.get(tuple(key), {})
        )
        for *key, without, ordered, members in answer
    }


def _quantile_cell(
    without: list[int],
    ordered: list[Decimal],
    quarters: Mapping[str, int],
    members: list[int],
    paid: Mapping[str, Decimal],
) -> QuantileCell:
    values = {}
    for name, quarter in quarters.items():
        if ordered:
            value = percentile(ordered, quarter)
            below, above = sum(each < value for each in ordered), sum(each > value for each in ordered)
            values[name] = (value, below, above)
    return QuantileCell(len(ordered), np.array(without, np.int64), values, np.array(members, np.int64), paid)


def bands(indicator: str, cohort: str, source: Source) -> Bands:
    """Persons of the cohort by band of self-sufficiency."""
    question = Question.of(indicator, cohort, [], source.as_of, frozenset({"bands"}))
    with source.frame(question) as frame:
        answer = frame.connection.execute(
            "select band, count(*) from ("  # noqa: S608 (a constant)
            f" select * from outcome qualify row_number() over (partition by person {FIRST_AWARD}) = 1"
            ") where not excluded and counted group by band"
        ).fetchall()
        counts = dict(answer)
        listed = code_list("self_sufficiency").labels
        about = question.describe(frame, source.coverage, source.thresholds)
        return Bands(about, tuple(listed), tuple(listed.values()), tuple(counts.get(c, 0) for c in listed))


# Main jobs by industry, state and employer; the last row counts whoever has none.
_JOBS = f"""
with {MAIN_JOBS}, by_employer as (
    select prefix, state_fips, employer_token, count(*) as n, sum(paid) as paid
    from chosen join main using (award_no) group by all
)
select prefix, state_fips, employer_token, n, paid from by_employer
union all
select null, null, null, count(*), null from chosen anti join main using (award_no)
"""  # noqa: S608 (constants)


def flows(indicator: str, cohort: str, source: Source) -> Flows:
    """Where the cohort works in the measure's window: main job by industry and state of work."""
    question = Question.of(indicator, cohort, [], source.as_of, frozenset({"quantiles"}))
    if not isinstance(question.measure, Earnings) or question.measure.years is None:
        raise OutcomesError("OTHER_TREATMENT", "The indicator has no flows.")
    sector_of, sectors = sectors_by_prefix(), code_list("naics_sectors").groups("sector")
    with source.frame(question) as frame:
        names = code_list("states").labels
        states = {**{code: names[code] for code in frame.states}, "OTHER": "other states"}
        found: dict[tuple[str, str], dict[str, tuple[int, Decimal]]] = {}
        none = 0
        for prefix, state, token, n, paid in frame.connection.execute(_JOBS).fetchall():
            if prefix is None:
                none = n
                continue
            key = (sector_of[prefix], state if state in states else "OTHER")
            before = found.setdefault(key, {}).get(token, (0, Decimal(0)))
            found[key][token] = (before[0] + n, before[1] + paid)
        keys = tuple(product(sectors, states))
        labels = tuple(f"{sectors[sector]}, {states[state]}" for sector, state in keys)
        cells = tuple(_flow_cell(found.get(key, {})) for key in keys)
        return Flows(question.describe(frame, source.coverage), keys, labels, cells, none)


def _flow_cell(paid: Mapping[str, tuple[int, Decimal]]) -> FlowCell:
    return FlowCell(sum(n for n, _ in paid.values()), {token: wages for token, (_, wages) in paid.items()})


def contribution(cohort: str, source: Source) -> Contribution:
    """Participants of any program against the standardised others, in ``employed_q4``."""
    question = Question.of("contribution", cohort, [], source.as_of, frozenset({"contribution"}))
    with source.frame(question) as frame:
        answer = strata_of(frame, "count(*), count(*) filter (found)")
        strata: dict[tuple[str, ...], dict[bool, Cell]] = {}
        for *key, takes_part, n, found in answer:
            strata.setdefault(tuple(key), {})[takes_part] = Cell(n, found)
        pairs = [(each.get(True, Cell(0, 0)), each.get(False, Cell(0, 0))) for each in strata.values()]
        participants, comparison, standardised = standardise(pairs)
        population = Cell(sum(row[-2] for row in answer), sum(row[-1] for row in answer))
        about = question.describe(frame, source.coverage)
        return Contribution(about, participants, comparison, population, standardised)


def strata_of(frame: Frame, selected: str) -> list[tuple[Any, ...]]:
    """Stratum, whether they take part, and what is selected (SQL, a constant) of a cohort's persons."""
    codes = ", ".join(f"coalesce({name}, '')" for name in STRATA)
    answer: list[tuple[Any, ...]] = frame.connection.execute(
        f"select {codes}, takes_part, {selected} from ("  # noqa: S608
        "  select o.*, exists (from participating p where p.person = o.person"
        "         and p.entry_date <= quarter_end(o.exit)) as takes_part"
        f"  from (select * from outcome qualify row_number() over (partition by person {FIRST_AWARD}) = 1"
        "  ) o where not o.excluded) group by all"
    ).fetchall()
    return answer


def standardise(strata: Sequence[tuple[Cell, Cell]]) -> tuple[Cell, Cell, Fraction]:
    """Direct standardisation over common support.

    Parameters
    ----------
    strata : sequence of (Cell, Cell)
        Participants and comparison group of each stratum.

    Returns
    -------
    participants, comparison : Cell
        Sums over the strata that hold both.
    rate : Fraction
        The comparison group's rate with the participants' strata as weights; 0 without common support.
    """
    shared = [(ours, theirs) for ours, theirs in strata if ours.n and theirs.n]
    participants = Cell(sum(ours.n for ours, _ in shared), sum(ours.found for ours, _ in shared))
    comparison = Cell(sum(theirs.n for _, theirs in shared), sum(theirs.found for _, theirs in shared))
    weighted = sum((Fraction(ours.n * theirs.found, theirs.n) for ours, theirs in shared), Fraction(0))
    return participants, comparison, weighted / participants.n if participants.n else Fraction(0)
