"""Rates of linkage from the pairs whose truth agencies know, overall and by group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction

import duckdb
import pyarrow as pa

from app.outcomes.facts import Facts
from app.outcomes.linkage_error import Rates
from crypto.facts import SCHEMAS

_ABOUT = ["record_ref", "is_deleted", "sex", "age_band", "race", "hispanic"]
#: Groups by which linkage is known to differ.
GROUPS = ("race_ethnicity", "sex", "age_band")

# A record of the education data with a known partner in the wage data counts for s, once: joined with one
# of them or not. A record known only to differ from others counts for f: joined with one of these or not.
_PAIRS = """
with pair as (
    select record_ref as ours, other_record_ref as theirs, same_person from truth
    union all
    select other_record_ref, record_ref, same_person from truth
), known as (
    select p.ours, bool_or(p.same_person) as same,
           coalesce(bool_or(a.person = b.person) filter (p.same_person), false) as joined_same,
           coalesce(bool_or(a.person = b.person) filter (not p.same_person), false) as joined_other
    from pair p
    join persons a on a.record_ref = p.ours and a.batch in (select unnest($left))
    join persons b on b.record_ref = p.theirs and b.batch in (select unnest($right))
    group by p.ours
), about as (
    select record_ref, max(coalesce(sex, 'NotSelected')) as sex, max(age_band) as age_band,
           max(case when hispanic = 'Yes' then 'HispanicOrLatino'
                    when race is null then 'RaceAndEthnicityUnknown'
                    when contains(race, ';') then 'TwoOrMoreRaces' else race end) as race_ethnicity
    from completion where not is_deleted group by record_ref
)
select {group}, count(*) filter (same), count(*) filter (same and joined_same),
       count(*) filter (not same), count(*) filter (not same and joined_other)
from known left join about on about.record_ref = known.ours group by all
"""


#: Records of known truth, of either kind, without which nothing is measured.
LEAST_SAMPLE = 200


@dataclass(frozen=True)
class Known:
    """Records of the education data whose truth is known: with a partner in the wage data, or without.

    Attributes
    ----------
    same, joined_same : int
        With a known partner; joined with one.
    other, joined_other : int
        Known to differ from some; joined with one of these.
    """

    same: int
    joined_same: int
    other: int
    joined_other: int

    def s(self) -> tuple[int, int]:
        """Records joined and missed, by which s is told."""
        return self.joined_same, self.same - self.joined_same

    def f(self) -> tuple[int, int]:
        """Records wrongly joined and rightly not, by which f is told."""
        return self.joined_other, self.other - self.joined_other

    def __sub__(self, others: Known) -> Known:
        return Known(
            self.same - others.same,
            self.joined_same - others.joined_same,
            self.other - others.other,
            self.joined_other - others.joined_other,
        )


def truth_rates(
    persons: pa.Table, facts: Facts, min_cell: int
) -> tuple[Rates | None, Mapping[str, Mapping[str, Rates]]]:
    """s and f of the links between completions and wages.

    Parameters
    ----------
    persons : pa.Table
        ``person, batch, record_ref`` of a linkage run.
    facts : mapping
        By kind: batch id and validated facts; ``truth`` holds the pairs.
    min_cell : int
        Records that a group must hold on either side of a rate to have it, and those without it together.

    Returns
    -------
    overall : Rates or None
        As measured; None where fewer than :data:`LEAST_SAMPLE` records are known of either kind.
    groups : mapping of str to mapping of str to Rates
        By dimension and code, where s or f is the group's own; the other is then the overall one.
    """
    if not facts.get("truth"):
        return None, {}
    columns = pa.schema([SCHEMAS["completion"].arrow().field(name) for name in _ABOUT])
    completions = [table.select(_ABOUT).cast(columns) for _, table in facts.get("completion", ())]
    with closing(duckdb.connect(":memory:", config={"threads": 2, "temp_directory": ""})) as connection:
        connection.register("truth", pa.concat_tables([table for _, table in facts["truth"]]))
        connection.register("persons", persons.select(["person", "batch", "record_ref"]))
        connection.register("completion", pa.concat_tables([columns.empty_table(), *completions]))
        batches = {
            "left": [batch for batch, _ in facts.get("completion", ())],
            "right": [batch for batch, _ in facts.get("wage", ())],
        }

        def by(group: str) -> dict[str, Known]:
            rows = connection.execute(_PAIRS.format(group=group), batches).fetchall()
            return {row[0]: Known(*row[1:]) for row in rows if row[0] is not None}

        known = by("'all'").get("all", Known(0, 0, 0, 0))
        if known.same < LEAST_SAMPLE or known.other < LEAST_SAMPLE:
            return None, {}
        groups = {name: group_rates(known, by(name), min_cell) for name in GROUPS}
        return _rates(known, known), groups


def group_rates(known: Known, groups: Mapping[str, Known], min_cell: int) -> dict[str, Rates]:
    """Rates of the groups of one dimension, none of which tells of fewer than ``min_cell`` records.

    A group has its own s where so many were joined and so many missed, and its own f likewise. What is left
    when all that is told is subtracted from the whole must be as many again, or nobody: else the smallest
    group goes without as well.
    """
    own_s, own_f = (_told(side, known, groups, min_cell) for side in (Known.s, Known.f))
    return {
        code: _rates(groups[code] if code in own_s else known, groups[code] if code in own_f else known)
        for code in sorted(own_s | own_f)
    }


def _told(
    side: Callable[[Known], tuple[int, int]], known: Known, groups: Mapping[str, Known], min_cell: int
) -> set[str]:
    """Codes of the groups that have a rate of their own."""
    told = {code for code, group in groups.items() if min(side(group)) >= min_cell}
    while told:
        rest = known
        for code in told:
            rest -= groups[code]
        if min(side(rest)) >= min_cell or not any(side(rest)):
            return told
        told.remove(min(told, key=lambda code: (sum(side(groups[code])), code)))
    return told


def _rates(of_s: Known, of_f: Known) -> Rates:
    s, f = Fraction(of_s.joined_same, of_s.same), Fraction(of_f.joined_other, of_f.other)
    return Rates(s, f, of_s.same, of_f.other, "truth pairs")
