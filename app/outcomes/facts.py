"""From submitted facts to one row per award with its outcome, in an in-memory DuckDB.

The steps, in order: latest version of every completion and participation; pathway and rank of awards; who is
excluded from when; latest version of every wage report; wages by person, quarter and state; the outcome of
every award (:mod:`app.outcomes.outcome_sql`).
Nothing touches a disk: spilling and external access are off, because the facts lie decrypted in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from app.outcomes.cohort import Cohort
from app.outcomes.coverage import Covered
from app.outcomes.errors import OutcomesError
from app.outcomes.loading import Facts, Loaded, load_facts, load_wages, read_facts
from app.outcomes.measures import Attached, Earnings, Measure, SelfSufficient
from app.outcomes.outcome_sql import create_outcome
from app.outcomes.quarters import Quarter
from app.outcomes.thresholds import DEFAULT_FAMILY, Thresholds, minimum_wages, require_minimum_wages

__all__ = ["Facts", "Frame", "build_frame", "read_facts"]

#: What DuckDB may take of the machine; facts beyond it are refused by an error, never spilled to a disk.
MEMORY_LIMIT = "4GB"

_LATEST_COMPLETIONS = """
create table latest as
select c.*, p.person, p.encoded, p.strong
from completion c join person_of p on p.kind = 'completion' and p.seq = c.seq and p.record_ref = c.record_ref
qualify row_number() over (partition by c.owner, c.completion_id order by c.version desc, c.seq desc) = 1
"""

# A participation has no version: the later batch of the same program wins.
_PARTICIPATING = """
create table participating as
select p.person, f.* from participation f join person_of p
  on p.kind = 'participation' and p.seq = f.seq and p.record_ref = f.record_ref
qualify rank() over (
    partition by p.person, f.owner, f.program_type, f.provider_id, f.entry_date order by f.seq desc) = 1
"""

# Whoever is excluded by one report is excluded wherever she counts: a death is not an agency's own matter.
_EXCLUSIONS = """
create table excluded as
select person, min(exclusion_date) as since from (
    select person, exclusion_date from latest where not is_deleted and exclusion_date is not null
    union all
    select person, exclusion_date from participating where exclusion_date is not null
) group by person
"""

# Hispanic of any race first, then two or more races (DOMAIN: the CEDS roll-up).
_AWARDS = """
create table award as
select
    row_number() over () as award_no,
    l.person,
    w.pathway,
    coalesce(w.award_level, 'NOT_POSTSEC') as award_level,
    w.rank,
    l.award_date,
    l.completion_id,
    l.owner,
    l.seq,
    l.encoded,
    l.strong,
    l.award_year as year,
    exit_quarter(l.award_date) as exit,
    case when $years is null then exit_quarter(l.award_date) else 4 * (calendar_year + $years) end as origin,
    case when $years is null then exit_quarter(l.award_date) else 4 * (calendar_year + $years) end + $last
      as reference,
    l.county_fips as county,
    substr(l.county_fips, 1, 2) as state,
    l.institution_id as institution,
    substr(l.cip_code, 1, 2) as cip_family,
    coalesce(l.sex, 'NotSelected') as sex,
    l.age_band,
    case when l.hispanic = 'Yes' then 'HispanicOrLatino'
         when l.race is null then 'RaceAndEthnicityUnknown'
         when contains(l.race, ';') then 'TwoOrMoreRaces'
         else l.race end as race_ethnicity
from (
    select *, cast(substr(award_date, 1, 4) as integer) as calendar_year,
           cast(substr(award_date, 6, 2) as integer) as month,
           calendar_year - case when $academic and month < 7 then 1 else 0 end as award_year
    from latest
    where not is_deleted and substr(award_date, 1, 7) between $first_month and $last_month
) l
join ways w on w.award_kind = l.award_kind and w.award_level is not distinct from l.award_level
"""

# Only the quarters that some award looks at, of only the persons who have one. Two records of one file that
# linkage joined into one person are both kept (rank, not row_number): they are two reports, not two versions.
_WAGES = """
create table worked as
select person, quarter, state_fips, {detail} sum(wages) as wages from (
    select n.person, n.quarter, f.state_fips, {fields} f.wages
    from wage f
    join (
        select distinct person, quarter, quarter_name(quarter) as name
        from (select person, unnest(range(origin + $first, reference + 1)) as quarter from award)
    ) n on n.person = f.person and n.name = f.quarter
    qualify rank() over (
        partition by n.person, f.state_fips, f.quarter, f.employer_token, f.account_token
        order by f.report_version desc, f.seq desc) = 1
) group by all
"""

_EARNED = """
create table earned as
select a.award_no, w.quarter - a.origin as q, w.* exclude (person, quarter)
from award a join worked w on w.person = a.person and w.quarter between a.origin + $first and a.reference
"""


@dataclass(frozen=True)
class Frame:
    """Awards of one cohort with their outcome, ready to be counted.

    Attributes
    ----------
    connection : duckdb.DuckDBPyConnection
        Holds ``outcome`` (one row per award), ``worked`` (wages by person, quarter and state) and
        ``participating`` (one row per spell in a program).
    states : tuple of str
        States whose unemployment-insurance wage records were submitted, in code order.
    institutions, providers : tuple of str
        Every institution that any submitted completion names, whatever its cohort, in code order; every
        provider that any participation names.
    covered : Covered
        How many persons have an award in the cohort, and what was encoded of them.
    contributors : mapping of int to frozenset of str
        By the year in which a cohort year begins: organizations that submit awards, of whatever year, and
        states that report wages in each of its reference quarters.
    """

    connection: duckdb.DuckDBPyConnection
    states: tuple[str, ...]
    institutions: tuple[str, ...]
    providers: tuple[str, ...]
    covered: Covered
    contributors: Mapping[int, frozenset[str]]


def build_frame(
    measure: Measure,
    cohort: Cohort,
    *,
    persons: pa.Table,
    facts: Facts,
    owners: Mapping[str, str],
    thresholds: Thresholds | None = None,
    by_sector: bool = False,
    by_employer: bool = False,
) -> Frame:
    """Derive the outcome of every award of ``cohort``; parameters as in :func:`tabulate`.

    With ``by_employer`` the employer of wages is kept, with ``by_sector`` the industry as well.

    Raises
    ------
    OutcomesError
        ``UNKNOWN_KIND``, ``DUPLICATE_BATCH``, ``DUPLICATE_RECORD``, ``FACTS_WITHOUT_PERSON``,
        ``THRESHOLDS_MISSING``, ``THRESHOLD_GAP`` or ``MINIMUM_WAGE_MISSING``.
    """
    if isinstance(measure, SelfSufficient):
        _require_thresholds(measure, cohort, thresholds)
    connection = duckdb.connect(
        ":memory:", config={"threads": 2, "temp_directory": "", "memory_limit": MEMORY_LIMIT}
    )
    for setting in (
        "python_enable_replacements = false",
        "enable_external_access = false",
        "preserve_insertion_order = false",
    ):
        connection.execute(f"set {setting}")
    loaded = load_facts(connection, persons, facts, owners)
    connection.register("thresholds", (thresholds or Thresholds.empty()).table)
    connection.register("minimum_wages", minimum_wages())
    reported = sorted(loaded.reported)
    states = tuple(sorted({state for state, _ in reported}))
    _require_minimum_wages(measure, cohort, states)
    kept = ["employer_token"] if measure.by_employer or by_employer or by_sector else []
    _derive(connection, measure, cohort, loaded, [*kept, *(["naics"] if by_sector else [])])
    schools = _column(connection, "select distinct institution_id from completion")
    providers = _column(connection, "select distinct provider_id from participation")
    # Whoever submits awards is named, however many are of the cohort: not to be named would tell of few.
    submitters = frozenset(owners.get(batch, batch) for batch, _ in facts.get("completion", ()))
    contributors = {
        year: submitters | _reporting(reported, cohort.of_year(year).references(measure))
        for year in range(cohort.first, cohort.last + 1)
    }
    return Frame(connection, states, schools, providers, _covered(connection), contributors)


def _covered(connection: duckdb.DuckDBPyConnection) -> Covered:
    """Persons of the cohort by the records of its awards; a share is known only if it is of all of them."""
    (counts,) = connection.execute(
        "select count(*), count(*) filter (encoded), count(encoded), count(*) filter (strong), count(strong) "
        "from (select person, case when bool_or(encoded) then true when bool_and(encoded is not null) "
        "             then false end as encoded, "
        "             case when bool_or(strong) then true when bool_and(strong is not null) "
        "             then false end as strong from award group by person)"
    ).fetchall()
    persons, encoded, known, strong, telling = counts
    return Covered(persons, encoded if known == persons else None, strong if telling == persons else None)


def _reporting(reported: Sequence[tuple[str, str]], ends: tuple[Quarter, Quarter]) -> frozenset[str]:
    """States with wage records in every quarter from the first to the last reference quarter."""
    wanted = {str(Quarter(index)) for index in range(ends[0].index, ends[1].index + 1)}
    return frozenset(
        f"wages-{state}"
        for state in {state for state, _ in reported}
        if wanted <= {quarter for each, quarter in reported if each == state}
    )


def _derive(
    connection: duckdb.DuckDBPyConnection,
    measure: Measure,
    cohort: Cohort,
    loaded: Loaded,
    kept: Sequence[str],
) -> None:
    """Make the tables of a frame; ``kept`` are the columns of wage reports by which wages stay apart."""
    for macro in (
        "quarter_name(q) as printf('%04dQ%d', q // 4, q % 4 + 1)",
        "quarter_end(q) as make_date((q + 1) // 4, ((q + 1) % 4) * 3 + 1, 1) - 1",
        "exit_quarter(d) as 4 * cast(d[:4] as integer) + (cast(d[6:7] as integer) - 1) // 3",
    ):
        connection.execute(f"create macro {macro}")
    connection.execute(_LATEST_COMPLETIONS)
    connection.execute(_PARTICIPATING)
    connection.execute(_EXCLUSIONS)
    connection.execute(
        _AWARDS,
        {
            "years": measure.years,
            "last": measure.last,
            "academic": cohort.academic,
            "first_month": cohort.first_month,
            "last_month": cohort.last_month,
        },
    )
    wages = _WAGES.format(
        detail="".join(f"{name}, " for name in kept), fields="".join(f"f.{name}, " for name in kept)
    )
    load_wages(connection, loaded, needed=measure.by_wages)
    connection.execute(wages, {"first": measure.first})
    connection.execute(_EARNED, {"first": measure.first})
    create_outcome(connection, measure, DEFAULT_FAMILY)


def _column(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[str, ...]:
    return tuple(sorted(row[0] for row in connection.execute(query).fetchall() if row[0] is not None))


def _require_thresholds(measure: SelfSufficient, cohort: Cohort, thresholds: Thresholds | None) -> None:
    if thresholds is None:
        raise OutcomesError("THRESHOLDS_MISSING", "No table of self-sufficiency thresholds is loaded.")
    first, last = cohort.first_exit + measure.first, cohort.last_exit + measure.first
    thresholds.require_years(range(first.index // 4, last.index // 4 + 1))


def _require_minimum_wages(measure: Measure, cohort: Cohort, states: Sequence[str]) -> None:
    if not isinstance(measure, Attached | Earnings):
        return
    preset = measure.preset if isinstance(measure, Attached) else measure.attached
    if preset in ("pseo", "erdc"):
        ends = cohort.references(measure)
        years = range(ends[0].index // 4, ends[1].index // 4 + 1)
        require_minimum_wages(states if preset == "erdc" else (), years)
