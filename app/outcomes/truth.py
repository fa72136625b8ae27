"""Rates of linkage from the pairs whose truth agencies know, overall and by group."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from fractions import Fraction

import duckdb
import pyarrow as pa

from app.outcomes.facts import Facts
from app.outcomes.linkage_error import MIN_PAIRS, Rates
from crypto.facts import SCHEMAS

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


def truth_rates(persons: pa.Table, facts: Facts) -> tuple[Rates | None, Mapping[str, Mapping[str, Rates]]]:
    """s and f of the links between completions and wages.

    Parameters
    ----------
    persons : pa.Table
        ``person, batch, record_ref`` of a linkage run.
    facts : mapping
        By kind: batch id and validated facts; ``truth`` holds the pairs.

    Returns
    -------
    overall : Rates or None
        None where fewer than :data:`MIN_PAIRS` records are known of either kind.
    groups : mapping of str to mapping of str to Rates
        By dimension and code, where there are enough.
    """
    if not facts.get("truth"):
        return None, {}
    completions = [table.cast(SCHEMAS["completion"].arrow()) for _, table in facts.get("completion", ())]
    with closing(duckdb.connect(":memory:", config={"threads": 2, "temp_directory": ""})) as connection:
        connection.register("truth", pa.concat_tables([table for _, table in facts["truth"]]))
        connection.register("persons", persons.select(["person", "batch", "record_ref"]))
        empty = SCHEMAS["completion"].arrow().empty_table()
        connection.register("completion", pa.concat_tables([empty, *completions]))
        batches = {
            "left": [batch for batch, _ in facts.get("completion", ())],
            "right": [batch for batch, _ in facts.get("wage", ())],
        }

        def by(group: str) -> dict[str, Rates]:
            rows = connection.execute(_PAIRS.format(group=group), batches).fetchall()
            found = {row[0]: _rates(*row[1:]) for row in rows if row[0] is not None}
            return {code: rates for code, rates in found.items() if rates is not None}

        return by("'all'").get("all"), {group: by(group) for group in GROUPS}


def _rates(n_s: int, hits: int, n_f: int, false: int) -> Rates | None:
    if n_s < MIN_PAIRS or n_f < MIN_PAIRS:
        return None
    return Rates(Fraction(hits, n_s), Fraction(false, n_f), n_s, n_f, "truth pairs")
