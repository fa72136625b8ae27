"""From submitted facts to one row per award with its outcome, in an in-memory DuckDB.

The steps, in order: latest version of every completion; its pathway and rank; who is excluded from when;
latest version of every wage report; wages by person, quarter and state; found or not per award.
Nothing touches a disk: spilling and external access are off, because the facts lie decrypted in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from app.outcomes.cohort import Cohort
from app.outcomes.errors import OutcomesError
from app.outcomes.indicators import FoundInQuarter
from crypto.facts import SCHEMAS, code_list

Facts = Mapping[str, Sequence[tuple[str, pa.Table]]]

_KINDS = ("completion", "wage", "participation")

_LATEST_COMPLETIONS = """
create table latest as
select c.*, p.person
from completion c join person_of p on p.kind = 'completion' and p.seq = c.seq and p.record_ref = c.record_ref
qualify row_number() over (partition by c.owner, c.completion_id order by c.version desc, c.seq desc) = 1
"""

# Whoever is excluded by one report is excluded wherever she counts: a death is not an agency's own matter.
_EXCLUSIONS = """
create table excluded as
select person, min(exclusion_date) as since from (
    select person, exclusion_date from latest where not is_deleted and exclusion_date is not null
    union all
    select p.person, f.exclusion_date
    from participation f join person_of p
      on p.kind = 'participation' and p.seq = f.seq and p.record_ref = f.record_ref
    where f.exclusion_date is not null
) group by person
"""

# Hispanic of any race first, then two or more races (DOMAIN: the CEDS roll-up).
_AWARDS = """
create table award as
select
    l.person,
    w.pathway,
    coalesce(w.award_level, 'NOT_POSTSEC') as award_level,
    w.rank,
    l.award_date,
    l.completion_id,
    l.owner,
    l.award_year as year,
    4 * calendar_year + (month - 1) // 3 + $offset as reference,
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
select person, reference, state_fips, sum(wages) as wages from (
    select n.person, n.reference, f.state_fips, f.wages
    from wage f
    join person_of p on p.kind = 'wage' and p.seq = f.seq and p.record_ref = f.record_ref
    join (select distinct person, reference, quarter_name(reference) as quarter from award) n
      on n.person = p.person and n.quarter = f.quarter
    qualify rank() over (
        partition by n.person, f.state_fips, f.quarter, f.employer_token, f.account_token
        order by f.report_version desc, f.seq desc) = 1
) group by all
"""

_OUTCOMES = """
create table outcome as
select a.*, coalesce(e.since <= quarter_end(a.reference), false) as excluded,
       coalesce(w.wages > 0, false) as found
from award a
left join excluded e using (person)
left join (select person, reference, sum(wages) as wages from worked group by all) w using (person, reference)
"""


@dataclass(frozen=True)
class Frame:
    """Awards of one cohort with their outcome, ready to be counted.

    Attributes
    ----------
    connection : duckdb.DuckDBPyConnection
        Holds ``outcome`` (one row per award) and ``worked`` (wages by person, quarter and state).
    states : tuple of str
        States whose unemployment-insurance wage records were submitted, in code order.
    institutions : tuple of str
        Every institution that any submitted completion names, whatever its cohort, in code order.
    """

    connection: duckdb.DuckDBPyConnection
    states: tuple[str, ...]
    institutions: tuple[str, ...]


def build_frame(
    measure: FoundInQuarter,
    cohort: Cohort,
    *,
    persons: pa.Table,
    facts: Facts,
    owners: Mapping[str, str],
) -> Frame:
    """Derive the outcome of every award of ``cohort``; parameters as in :func:`tabulate`.

    Raises
    ------
    OutcomesError
        ``UNKNOWN_KIND``, ``DUPLICATE_BATCH``, ``DUPLICATE_RECORD`` or ``FACTS_WITHOUT_PERSON``.
    """
    connection = duckdb.connect(":memory:", config={"threads": 2, "temp_directory": ""})
    for setting in ("python_enable_replacements = false", "enable_external_access = false"):
        connection.execute(f"set {setting}")
    _register(connection, persons, facts, owners)
    _refuse_unlinked(connection)
    connection.execute(
        "create macro quarter_name(q) as printf('%04dQ%d', q // 4, q % 4 + 1)",
    )
    connection.execute(
        "create macro quarter_end(q) as make_date((q + 1) // 4, ((q + 1) % 4) * 3 + 1, 1) - 1",
    )
    connection.execute(_LATEST_COMPLETIONS)
    connection.execute(_EXCLUSIONS)
    connection.execute(
        _AWARDS,
        {
            "offset": measure.offset,
            "academic": cohort.academic,
            "first_month": cohort.first_month,
            "last_month": cohort.last_month,
        },
    )
    connection.execute(_WAGES)
    connection.execute(_OUTCOMES)
    states = connection.execute(
        "select distinct state_fips from wage where source = 'UI' order by 1"
    ).fetchall()
    schools = connection.execute(
        "select distinct institution_id from completion where institution_id is not null order by 1"
    ).fetchall()
    return Frame(connection, tuple(row[0] for row in states), tuple(row[0] for row in schools))


def _register(
    connection: duckdb.DuckDBPyConnection, persons: pa.Table, facts: Facts, owners: Mapping[str, str]
) -> None:
    unknown = set(facts) - set(SCHEMAS)
    if unknown:
        raise OutcomesError("UNKNOWN_KIND", f"Kinds of facts are {', '.join(SCHEMAS)}.")
    batches: list[dict[str, object]] = []
    for kind in _KINDS:
        parts = [SCHEMAS[kind].arrow().empty_table()]
        numbers, names = [0], [""]
        for number, (batch, table) in enumerate(facts.get(kind, ())):
            if any(row["kind"] == kind and row["batch"] == batch for row in batches):
                raise OutcomesError("DUPLICATE_BATCH", "A batch is given twice.")
            batches.append({"kind": kind, "seq": number, "batch": batch})
            parts.append(table.cast(SCHEMAS[kind].arrow()))
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
