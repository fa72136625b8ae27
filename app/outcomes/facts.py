"""From submitted facts to one row per award with its outcome, in an in-memory DuckDB.

The steps, in order: latest version of every completion and participation; pathway and rank of awards; who is
excluded from when; latest version of every wage report; wages by person, quarter and state; the outcome of
every award (:mod:`app.outcomes.outcome_sql`).
Nothing touches a disk: spilling and external access are off, because the facts lie decrypted in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from app.outcomes.cohort import Cohort
from app.outcomes.errors import OutcomesError
from app.outcomes.measures import Attached, ContinuedEducation, Earnings, Measure, SelfSufficient
from app.outcomes.outcome_sql import create_outcome
from app.outcomes.quarters import Quarter
from app.outcomes.thresholds import DEFAULT_FAMILY, Thresholds, minimum_wages, require_minimum_wages
from crypto.facts import SCHEMAS, code_list, validate_facts

Facts = Mapping[str, Sequence[tuple[str, pa.Table]]]

_KINDS = ("completion", "wage", "participation")

#: What DuckDB may take of the machine; facts beyond it are refused by an error, never spilled to a disk.
MEMORY_LIMIT = "4GB"

# Columns that some measure or dimension looks at, after the reference: others are not even read.
_USED: Mapping[str, tuple[str, ...]] = {
    "completion": tuple(
        name for name in SCHEMAS["completion"].names if name not in ("credential_type", "hse_type")
    ),
    "wage": (
        "state_fips",
        "quarter",
        "employer_token",
        "account_token",
        "report_version",
        "wages",
        "naics",
        "source",
    ),
    "participation": SCHEMAS["participation"].names,
}
# Few distinct values, or long ones: as dictionaries, so that 48 million tokens fit.
_DICTIONARIES = ("record_ref", "state_fips", "quarter", "employer_token", "account_token", "naics", "source")

_LATEST_COMPLETIONS = """
create table latest as
select c.*, p.person
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
    l.award_year as year,
    exit_quarter(l.award_date) as exit,
    case when $years is null then exit_quarter(l.award_date) else 4 * (calendar_year + $years) end as origin,
    case when $years is null then exit_quarter(l.award_date) else 4 * (calendar_year + $years) end + $last
      as reference,
    l.county_fips as county,
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
    join person_of p on p.kind = 'wage' and p.seq = f.seq and p.record_ref = f.record_ref
    join (
        select distinct person, quarter, quarter_name(quarter) as name
        from (select person, unnest(range(origin + $first, reference + 1)) as quarter from award)
    ) n on n.person = p.person and n.name = f.quarter
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
    contributors : mapping of int to frozenset of str
        By the year in which a cohort year begins: organizations that report its awards, states that report
        wages in each of its reference quarters.
    """

    connection: duckdb.DuckDBPyConnection
    states: tuple[str, ...]
    institutions: tuple[str, ...]
    providers: tuple[str, ...]
    contributors: Mapping[int, frozenset[str]]


def build_frame(
    measure: Measure,
    cohort: Cohort,
    *,
    persons: pa.Table,
    facts: Facts,
    owners: Mapping[str, str],
    thresholds: Thresholds | None = None,
) -> Frame:
    """Derive the outcome of every award of ``cohort``; parameters as in :func:`tabulate`.

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
    _register(connection, persons, facts, owners)
    connection.register("thresholds", (thresholds or Thresholds.empty()).table)
    connection.register("minimum_wages", minimum_wages())
    _refuse_unlinked(connection)
    reported = connection.execute(
        "select distinct state_fips, quarter from wage where source = 'UI'"
    ).fetchall()
    states = tuple(sorted({state for state, _ in reported}))
    _require_minimum_wages(measure, cohort, states)
    _derive(connection, measure, cohort)
    schools = _column(connection, "select distinct institution_id from completion")
    providers = _column(connection, "select distinct provider_id from participation")
    contributors = {
        year: _award_owners(connection, year) | _reporting(reported, cohort.of_year(year).references(measure))
        for year in range(cohort.first, cohort.last + 1)
    }
    return Frame(connection, states, schools, providers, contributors)


def _award_owners(connection: duckdb.DuckDBPyConnection, year: int) -> frozenset[str]:
    # Fewer persons than the least minimum cell may not show, not even by an organization's presence.
    query = "select owner from award where year = $year group by owner having count(distinct person) >= 10"
    return frozenset(row[0] for row in connection.execute(query, {"year": year}).fetchall())


def _reporting(reported: Sequence[tuple[str, str]], ends: tuple[Quarter, Quarter]) -> frozenset[str]:
    """States with wage records in every quarter from the first to the last reference quarter."""
    wanted = {str(Quarter(index)) for index in range(ends[0].index, ends[1].index + 1)}
    return frozenset(
        f"wages-{state}"
        for state in {state for state, _ in reported}
        if wanted <= {quarter for each, quarter in reported if each == state}
    )


def _derive(connection: duckdb.DuckDBPyConnection, measure: Measure, cohort: Cohort) -> None:
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
    kept = ["employer_token"] if measure.by_employer or measure.by_sector else []
    kept += ["naics"] if measure.by_sector else []
    wages = _WAGES.format(
        detail="".join(f"{name}, " for name in kept), fields="".join(f"f.{name}, " for name in kept)
    )
    if isinstance(measure, ContinuedEducation):
        wages = wages.replace("from wage f", "from (select * from wage limit 0) f")
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


def _register(
    connection: duckdb.DuckDBPyConnection, persons: pa.Table, facts: Facts, owners: Mapping[str, str]
) -> None:
    unknown = set(facts) - set(SCHEMAS)
    if unknown:
        raise OutcomesError("UNKNOWN_KIND", f"Kinds of facts are {', '.join(SCHEMAS)}.")
    batches: list[dict[str, object]] = []
    for kind in _KINDS:
        given = [(batch, _typed(kind, table)) for batch, table in facts.get(kind, ())]
        schema = _schema(kind, [table for _, table in given])
        parts = [schema.empty_table()]
        numbers, names = [0], [""]
        for number, (batch, table) in enumerate(given):
            if any(row["kind"] == kind and row["batch"] == batch for row in batches):
                raise OutcomesError("DUPLICATE_BATCH", "A batch is given twice.")
            batches.append({"kind": kind, "seq": number, "batch": batch})
            parts.append(table.cast(schema))
            numbers.append(number)
            names.append(owners.get(batch, batch))
        whole = pa.concat_tables(parts)
        sizes = [part.num_rows for part in parts]
        seq = _repeat(numbers, sizes, pa.int32())
        owner = _repeat(names, sizes, pa.string())
        connection.register(kind, whole.append_column("seq", seq).append_column("owner", owner))
    schema = pa.schema([("kind", pa.string()), ("seq", pa.int32()), ("batch", pa.string())])
    connection.register("batches", pa.Table.from_pylist(batches, schema=schema))
    connection.register("persons", persons.select(["person", "batch", "record_ref"]))
    connection.execute(
        "create table person_of as select b.kind, b.seq, p.record_ref, p.person "
        "from persons p join batches b on b.batch = p.batch"
    )
    connection.register("ways", _ways())


def _typed(kind: str, table: pa.Table) -> pa.Table:
    """The typed form of a batch, which may have been submitted as texts or without optional columns.

    It was validated when it came; here nothing can be in the future any more.
    """

    def plain(field: pa.Field) -> pa.DataType:
        return field.type.value_type if pa.types.is_dictionary(field.type) else field.type

    wanted = _used(kind)
    given = {field.name: plain(field) for field in table.schema}
    if any(given.get(field.name) != field.type for field in wanted):
        table = validate_facts(kind, table, submitted_on=date.max)
    return table.select(wanted.names)


def _used(kind: str) -> pa.Schema:
    whole = SCHEMAS[kind].arrow()
    return pa.schema([whole.field(name) for name in ("record_ref", *_USED[kind])])


def read_facts(kind: str, source: str | pa.NativeFile) -> pa.Table:
    """Read a Parquet file of validated facts in the least memory, for :func:`tabulate`.

    A file that holds all the columns of its schema is read without those that no figure looks at.
    """
    file = pq.ParquetFile(source, read_dictionary=list(_DICTIONARIES) if kind == "wage" else None)
    names = list(_used(kind).names) if kind in _USED else []
    whole = set(names) <= set(file.schema_arrow.names)
    return file.read(columns=names if names and whole else None)


def _schema(kind: str, tables: Sequence[pa.Table]) -> pa.Schema:
    """The schema's types; a dictionary where all batches have one: 48 million tokens in full do not fit."""

    def given(field: pa.Field) -> pa.Field:
        types = {table.schema.field(field.name).type for table in tables}
        (only,) = types if len(types) == 1 else (field.type,)
        kept = pa.types.is_dictionary(only) and only.value_type == field.type
        return field.with_type(only) if kept else field

    return pa.schema([given(field) for field in _used(kind)])


def _repeat(values: Sequence[object], sizes: Sequence[int], kind: pa.DataType) -> pa.ChunkedArray:
    pairs = zip(values, sizes, strict=True)
    return pa.chunked_array([pa.repeat(pa.scalar(value, kind), size) for value, size in pairs])


def _ways() -> pa.Table:
    """Pathway and rank of each kind and level of award, from the code lists."""
    rows: list[dict[str, object]] = [
        {
            "award_kind": row["award_kind"],
            "award_level": None,
            "pathway": row["code"],
            "rank": int(row["rank"]),
        }
        for row in code_list("pathways").rows
        if row["award_kind"] != "POSTSEC"
    ]
    rows += [
        {
            "award_kind": "POSTSEC",
            "award_level": row["code"],
            "pathway": row["pathway"],
            "rank": int(row["rank"]),
        }
        for row in code_list("award_levels").rows
    ]
    columns = [(name, pa.string()) for name in ("award_kind", "award_level", "pathway")]
    return pa.Table.from_pylist(rows, schema=pa.schema([*columns, ("rank", pa.int32())]))


def _refuse_unlinked(connection: duckdb.DuckDBPyConnection) -> None:
    """Stop where a fact's record is in no cluster, or in two: a figure would silently miss or double it."""
    twice = connection.execute(
        "select count(*) from (select 1 from person_of group by kind, seq, record_ref having count(*) > 1)"
    ).fetchone()
    if twice != (0,):
        raise OutcomesError("DUPLICATE_RECORD", "The persons table holds a record twice.")
    for kind in _KINDS:
        lost = connection.execute(
            f"select count(*) from (select distinct seq, record_ref from {kind}) f "  # noqa: S608 (a constant)
            "anti join person_of p on p.kind = $kind and p.seq = f.seq and p.record_ref = f.record_ref",
            {"kind": kind},
        ).fetchone()
        if lost != (0,):
            raise OutcomesError("FACTS_WITHOUT_PERSON", f"Some '{kind}' facts belong to no linked record.")
