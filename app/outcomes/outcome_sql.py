"""The measures in SQL: from ``award`` and ``earned`` to ``outcome``, one row per award.

``earned`` holds wages by award, quarter (``q``, counted from the origin), state, and where the measure asks
for it employer or industry. ``outcome`` adds to ``award``: ``excluded``; ``counted``, whether the award is in
the measure's denominator; ``found``, whether it has the outcome; ``value``, dollars or null; ``band``.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from app.outcomes.measures import (
    ERDC_HOURS,
    KYSTATS_FLOOR,
    PSEO_HOURS,
    Attached,
    ContinuedEducation,
    Earnings,
    FoundInQuarter,
    Matched,
    Measure,
    Preset,
    Retained,
    SelfSufficient,
)

#: Which of a person's awards counts where only one can.
FIRST_AWARD = "order by rank desc, award_date, owner, completion_id"

#: Cents of an award's window by employer, of those who paid something; frames keep employers if asked to.
PAID_BY_EMPLOYER = """
select award_no, employer_token, cast(100 * sum(wages) as bigint) as cents from earned group by all
having sum(wages) > 0
"""
#: The same of the first quarter of the window.
PAID_AT_FIRST = PAID_BY_EMPLOYER.replace("from earned", "from earned where q = $first")

_TOTALS = """
create table totals as
select award_no, sum(wages) as wages, count(*) filter (wages > 0) as quarters
from (select award_no, q, sum(wages) as wages from earned group by all) group by award_no
"""

# The state with the highest wages of the window, the lowest code of equals.
_MAIN_STATE = """
create table main_state as
select award_no, state_fips from (select award_no, state_fips, sum(wages) as wages from earned group by all)
qualify row_number() over (partition by award_no order by wages desc, state_fips) = 1
"""

# Only constants of this module are put into the texts below; parameters travel as parameters.
_OUTCOME = """
create table outcome as
select a.*, coalesce(e.since <= quarter_end(a.origin + $excluded_by), false) as excluded,
       coalesce({counted}, false) as counted, coalesce({found}, false) as found,
       {value} as value, {band} as band
from award a
left join excluded e using (person)
{joins}
"""

_PRESETS: Mapping[Preset, str] = {
    "pseo": f"t.quarters >= 3 and t.wages > {PSEO_HOURS} * federal.hourly",
    "kystats": f"t.quarters >= 2 and t.wages >= {KYSTATS_FLOOR}",
    "erdc": f"t.quarters = 4 and t.wages >= {ERDC_HOURS} * local.hourly",
}
_MINIMUM_WAGES = """
left join main_state s on s.award_no = a.award_no
left join minimum_wages federal on federal.state_fips = '00' and federal.year = a.reference // 4
left join minimum_wages local on local.state_fips = s.state_fips and local.year = a.reference // 4
"""
_JOIN_TOTALS = "left join totals t on t.award_no = a.award_no"

# Whoever shares a person with a record of a batch of wages.
_MATCHED = """
left join (
    select distinct person from persons where batch in (select batch from batches where kind = 'wage')
) m on m.person = a.person
"""

# An employer is the same where the token is, whatever the account or the state.
_RETAINED = """
left join (select award_no, sum(wages) as wages from earned where q = $first group by all) b
  on b.award_no = a.award_no
left join (
    select distinct award_no from (
        select award_no, employer_token, sum(wages) filter (q = $first) as before,
               sum(wages) filter (q = $last) as after
        from earned group by all
    ) where before > 0 and after > 0
) k on k.award_no = a.award_no
"""

# A month without a day is later only than an earlier month: nobody knows which of two came first in it.
_CONTINUED = """
left join (
    select distinct a.award_no from award a
    join latest l on l.person = a.person and not l.is_deleted
    join ways w on w.award_kind = l.award_kind and w.award_level is not distinct from l.award_level
    where w.rank > a.rank
      and case when length(l.award_date) = 10 and length(a.award_date) = 10 then l.award_date > a.award_date
               else substr(l.award_date, 1, 7) > substr(a.award_date, 1, 7) end
      and exit_quarter(l.award_date) between a.origin and a.origin + $last
) k on k.award_no = a.award_no
"""

# The threshold of the person's own family type where some program reported it, else of one adult.
_THRESHOLDS = """
left join totals t on t.award_no = a.award_no
left join family f on f.person = a.person
left join thresholds own on own.county_fips = a.county and own.family_type = f.family_type
  and own.year = (a.origin + $first) // 4
left join thresholds alone on alone.county_fips = a.county and alone.family_type = $default
  and alone.year = (a.origin + $first) // 4
"""
_FAMILIES = """
create table family as
select person, family_type from participating
where family_type is not null
qualify row_number() over (partition by person order by entry_date desc, seq desc, family_type) = 1
"""


def create_outcome(
    connection: duckdb.DuckDBPyConnection, measure: Measure, default_family: str = "a1i0p0s0t0"
) -> None:
    """Create ``outcome`` for a measure; ``award``, ``excluded``, ``earned``, ``latest`` … are there."""
    connection.execute(_TOTALS)
    match measure:
        case FoundInQuarter():
            _create(connection, measure, _JOIN_TOTALS, found="t.wages > 0")
        case Attached(preset=preset):
            connection.execute(_MAIN_STATE)
            _create(connection, measure, _JOIN_TOTALS + _MINIMUM_WAGES, found=_PRESETS[preset])
        case Earnings(attached=preset):
            connection.execute(_MAIN_STATE)
            counted = "t.wages > 0" if preset is None else f"t.wages > 0 and {_PRESETS[preset]}"
            joins = _JOIN_TOTALS + _MINIMUM_WAGES
            _create(connection, measure, joins, counted=counted, found=counted, value="t.wages")
        case Retained(first=first, last=last):
            ends = {"first": first, "last": last}
            _create(
                connection, measure, _RETAINED, ends, counted="b.wages > 0", found="k.award_no is not null"
            )
        case Matched():
            _create(connection, measure, _MATCHED, found="m.person is not null")
        case ContinuedEducation(last=last):
            _create(connection, measure, _CONTINUED, {"last": last}, found="k.award_no is not null")
        case SelfSufficient():
            connection.execute(_FAMILIES)
            _create_self_sufficient(connection, measure, default_family)
        case _:
            raise AssertionError("every measure has its SQL")


def _create_self_sufficient(
    connection: duckdb.DuckDBPyConnection, measure: SelfSufficient, default_family: str
) -> None:
    yearly = "t.wages" if measure.last > measure.first else "4 * t.wages"
    amount = "coalesce(own.annual_amount, alone.annual_amount)"
    band = (
        "case when t.wages is null or t.wages <= 0 then 'NOT_FOUND' "
        f"when {yearly} >= {amount} then 'SELF_SUFFICIENT' "
        f"when 2 * {yearly} >= {amount} then 'ON_PATH' else 'BELOW' end"
    )
    parameters = {"first": measure.first, "default": default_family}
    counted, found = f"{amount} is not null", f"t.wages > 0 and {yearly} >= {amount}"
    _create(connection, measure, _THRESHOLDS, parameters, counted=counted, found=found, band=band)


def _create(
    connection: duckdb.DuckDBPyConnection,
    measure: Measure,
    joins: str,
    parameters: Mapping[str, object] | None = None,
    *,
    found: str,
    counted: str = "true",
    value: str = "cast(null as decimal(18, 2))",
    band: str = "cast(null as varchar)",
) -> None:
    text = _OUTCOME.format(joins=joins, counted=counted, found=found, value=value, band=band)
    connection.execute(text, {**(parameters or {}), "excluded_by": measure.excluded_by})
