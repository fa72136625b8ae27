"""Facts into an in-memory DuckDB: read in the least memory, typed, tied to persons or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from app.outcomes.errors import OutcomesError
from app.outcomes.wage_rows import Records, WageReports, quarters_reported, rows_of_persons
from crypto.facts import SCHEMAS, code_list, validate_facts

#: By kind: batch and its table; of wages also what `app.outcomes.reading.read_wages` left of it.
Facts = Mapping[str, Sequence[tuple[str, Any]]]

_KINDS = ("completion", "wage", "participation")

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


@dataclass(frozen=True)
class Loaded:
    """What :func:`load_facts` put into the connection, and what waits for it to be known who is wanted.

    Attributes
    ----------
    wages : tuple of (str, pa.Table, bool)
        Id and typed reports of each batch of wages; whether it was checked that all have a record.
    reported : frozenset of (str, str)
        State and quarter of the reports of unemployment insurance.
    """

    wages: tuple[tuple[str, pa.Table, bool], ...]
    reported: frozenset[tuple[str, str]]


def load_facts(
    connection: duckdb.DuckDBPyConnection, persons: pa.Table, facts: Facts, owners: Mapping[str, str]
) -> Loaded:
    """Register completions, participations, their ``person_of`` and ``ways``.

    ``person_of`` has kind, seq, record_ref, person, and whether the record was encoded and with a strong
    identifier (null where nobody knows). Records of wages, a hundred times as many, stay in ``persons``.

    Raises
    ------
    OutcomesError
        ``UNKNOWN_KIND``, ``DUPLICATE_BATCH``, ``DUPLICATE_RECORD``, ``FACTS_WITHOUT_PERSON``.
    """
    if set(facts) - set(SCHEMAS):
        raise OutcomesError("UNKNOWN_KIND", f"Kinds of facts are {', '.join(SCHEMAS)}.")
    batches: list[dict[str, object]] = []
    wages: list[tuple[str, pa.Table, bool]] = []
    reported: list[frozenset[tuple[str, str]]] = []
    for kind in _KINDS:
        found = facts.get(kind, ())
        given = [(batch, typed(kind, _table(each))) for batch, each in found]
        for number, (batch, _) in enumerate(given):
            if any(row["kind"] == kind and row["batch"] == batch for row in batches):
                raise OutcomesError("DUPLICATE_BATCH", "A batch is given twice.")
            batches.append({"kind": kind, "seq": number, "batch": batch})
        if kind == "wage":
            checked = [isinstance(each, WageReports) for _, each in found]
            wages = [(*one, done) for one, done in zip(given, checked, strict=True)]
            reported = [_reported(each, table) for (_, each), (_, table) in zip(found, given, strict=True)]
        else:
            connection.register(kind, _whole(kind, given, owners))
    schema = pa.schema([("kind", pa.string()), ("seq", pa.int32()), ("batch", pa.string())])
    connection.register("batches", pa.Table.from_pylist(batches, schema=schema))
    connection.register("persons", _with_flags(persons))
    connection.execute(
        "create table person_of as select b.kind, b.seq, p.record_ref, p.person, p.encoded, p.strong "
        "from persons p join batches b on b.batch = p.batch where b.kind <> 'wage'"
    )
    connection.register("ways", _ways())
    _refuse_records_twice(connection)
    for kind in ("completion", "participation"):
        _refuse_unlinked(connection, kind)
    return Loaded(tuple(wages), frozenset().union(*reported))


def _table(given: Any) -> pa.Table:
    return given.table if isinstance(given, WageReports) else given


def _reported(given: Any, table: pa.Table) -> frozenset[tuple[str, str]]:
    return given.reported if isinstance(given, WageReports) else frozenset(quarters_reported(table))


def _with_flags(persons: pa.Table) -> pa.Table:
    for name in ("encoded", "strong"):
        if name not in persons.column_names:
            persons = persons.append_column(name, pa.nulls(persons.num_rows, pa.bool_()))
    return persons.select(["person", "batch", "record_ref", "encoded", "strong"])


def load_wages(connection: duckdb.DuckDBPyConnection, loaded: Loaded, *, needed: bool = True) -> None:
    """Create ``wage``, with ``person`` in place of records: the reports of persons in ``award``.

    Parameters
    ----------
    needed : bool
        Whether the measure looks at wages at all; else there are none. Their records are checked the same.

    Raises
    ------
    OutcomesError
        ``FACTS_WITHOUT_PERSON``.
    """
    schema = _schema("wage", [table for _, table, _ in loaded.wages])
    schema = schema.remove(schema.get_field_index("record_ref"))
    parts, sizes = [], []
    for batch, table, checked in loaded.wages:
        rows = rows_of_persons(table, _records(connection, batch, only=checked), checked=checked)
        if rows is None:
            raise _without_person("wage")
        parts.append(rows if needed else rows.slice(0, 0))
        sizes.append(parts[-1].num_rows)
    whole = pa.concat_tables(
        [part.select(schema.names).cast(schema) for part in parts] or [schema.empty_table()]
    )
    persons = pa.chunked_array([chunk for part in parts for chunk in part["person"].chunks], pa.int64())
    seq = _repeat(range(len(parts)), sizes, pa.int32())
    connection.register("wage", whole.append_column("person", persons).append_column("seq", seq))


def _records(connection: duckdb.DuckDBPyConnection, batch: str, *, only: bool) -> Records:
    """All records of a batch, or those of wanted persons alone."""
    found = connection.sql(
        "select record_ref, person, wanted from ("
        "  select record_ref, person, person in (select person from award) as wanted "
        "  from persons where batch = $batch) where wanted or not $only",
        params={"batch": batch, "only": only},
    ).to_arrow_table()
    refs, persons, wanted = (found[name].combine_chunks() for name in ("record_ref", "person", "wanted"))
    return Records(refs, persons.to_numpy(), wanted.to_numpy(zero_copy_only=False))


def _whole(kind: str, given: Sequence[tuple[str, pa.Table]], owners: Mapping[str, str]) -> pa.Table:
    """All batches of a kind in one table, with the number of each row's batch and who owns it."""
    schema = _schema(kind, [table for _, table in given])
    sizes = [table.num_rows for _, table in given]
    seq = _repeat(range(len(given)), sizes, pa.int32())
    owner = _repeat([owners.get(batch, batch) for batch, _ in given], sizes, pa.string())
    whole = pa.concat_tables([schema.empty_table(), *(table.cast(schema) for _, table in given)])
    return whole.append_column("seq", seq).append_column("owner", owner)


def typed(kind: str, table: pa.Table) -> pa.Table:
    """Return the typed form of a batch, which may have been submitted as texts or without optional columns.

    It was validated when it came; here nothing can be in the future any more.
    """

    def plain(field: pa.Field) -> pa.DataType:
        return field.type.value_type if pa.types.is_dictionary(field.type) else field.type

    wanted = used(kind)
    given = {field.name: plain(field) for field in table.schema}
    if any(given.get(field.name) != field.type for field in wanted):
        table = validate_facts(kind, table, submitted_on=date.max)
    return table.select(wanted.names)


def used(kind: str) -> pa.Schema:
    """Columns that some figure looks at, the reference first."""
    whole = SCHEMAS[kind].arrow()
    return pa.schema([whole.field(name) for name in ("record_ref", *_USED[kind])])


def read_facts(kind: str, source: str | pa.NativeFile) -> pa.Table:
    """Read a Parquet file of validated facts in the least memory, for :func:`tabulate`.

    A file that holds all the columns of its schema is read without those that no figure looks at.
    """
    held = pq.read_schema(source).names
    if isinstance(source, pa.NativeFile):
        source.seek(0)
    wanted = list(used(kind).names) if kind in _USED else []
    file = pq.ParquetFile(
        source, read_dictionary=[name for name in _DICTIONARIES if kind == "wage" and name in held]
    )
    return file.read(columns=wanted if wanted and set(wanted) <= set(held) else None)


def _schema(kind: str, tables: Sequence[pa.Table]) -> pa.Schema:
    """The schema's types; a dictionary where all batches have one: 48 million tokens in full do not fit."""

    def given(field: pa.Field) -> pa.Field:
        types = {table.schema.field(field.name).type for table in tables}
        (only,) = types if len(types) == 1 else (field.type,)
        kept = pa.types.is_dictionary(only) and only.value_type == field.type
        return field.with_type(only) if kept else field

    return pa.schema([given(field) for field in used(kind)])


def _repeat(values: Sequence[object], sizes: Sequence[int], kind: pa.DataType) -> pa.ChunkedArray:
    pairs = zip(values, sizes, strict=True)
    return pa.chunked_array([pa.repeat(pa.scalar(value, kind), size) for value, size in pairs], kind)


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


def _refuse_records_twice(connection: duckdb.DuckDBPyConnection) -> None:
    """Stop where a record is in two clusters: a figure would double it."""
    # By their hashes first: numbers are grouped several times faster than texts.
    for key in ("hash(batch, record_ref)", "batch, record_ref"):
        twice = connection.execute(
            "select 1 from persons where batch in (select batch from batches) "  # noqa: S608 (constants)
            f"group by {key} having count(*) > 1 limit 1"
        ).fetchall()
        if not twice:
            return
    raise OutcomesError("DUPLICATE_RECORD", "The persons table holds a record twice.")


def _refuse_unlinked(connection: duckdb.DuckDBPyConnection, kind: str) -> None:
    """Stop where a fact's record is in no cluster: a figure would silently miss it."""
    lost = connection.execute(
        f"select 1 from {kind} f anti join person_of p "  # noqa: S608 (a constant)
        "on p.kind = $kind and p.seq = f.seq and p.record_ref = f.record_ref limit 1",
        {"kind": kind},
    ).fetchall()
    if lost:
        raise _without_person(kind)


def _without_person(kind: str) -> OutcomesError:
    return OutcomesError("FACTS_WITHOUT_PERSON", f"Some '{kind}' facts belong to no linked record.")
