"""Small builders of facts and persons: what a test is about stands in the test, everything else here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import pyarrow as pa

from crypto.facts import SCHEMAS, validate_facts

SUBMITTED = date(2026, 11, 22)


def ref(*parts: object) -> str:
    """A record_ref made of anything."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def token(*parts: object) -> str:
    """An employer or account token made of anything."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def facts(kind: str, rows: Iterable[Mapping[str, object]]) -> pa.Table:
    """Validated facts from rows of texts; columns that no row has are absent."""
    listed = [{name: None if v is None else str(v) for name, v in row.items()} for row in rows]
    if not listed:
        return SCHEMAS[kind].arrow().empty_table()
    names = [name for name in ("record_ref", *SCHEMAS[kind].names) if any(name in row for row in listed)]
    table = pa.table({name: pa.array([row.get(name) for row in listed], pa.string()) for name in names})
    return validate_facts(kind, table, submitted_on=SUBMITTED)


def completion(person: object, **changes: object) -> dict[str, object]:
    """A bachelor's degree of 2022-06-01 unless changed."""
    row: dict[str, object] = {
        "record_ref": ref("edu", person),
        "completion_id": f"c1-{ref(person, *sorted(changes.items(), key=str))}",
        "version": 1,
        "is_deleted": "false",
        "award_kind": "POSTSEC",
        "award_level": "05",
        "award_date": "2022-06-01",
    }
    return {name: value for name, value in (row | changes).items() if value is not None}


def wage(person: object, state: str, quarter: str, amount: object, **changes: object) -> dict[str, object]:
    """One wage report; everybody has an employer of her own in a state unless that is changed."""
    row: dict[str, object] = {
        "record_ref": ref(state, person),
        "state_fips": state,
        "quarter": quarter,
        "employer_token": token("employer", state, person),
        "account_token": token("account", state),
        "report_version": 1,
        "wages": amount,
        "adjustment": "false",
        "source": "UI",
    }
    return row | changes


def persons(people: Sequence[object], batches: Mapping[str, str]) -> pa.Table:
    """Every person with one record per batch; ``batches``: batch id to the word in its record_refs."""
    rows = [
        {"person": number, "batch": batch, "record_ref": ref(word, person), "probability": 1.0}
        for number, person in enumerate(people)
        for batch, word in batches.items()
    ]
    texts = [(name, pa.string()) for name in ("batch", "record_ref")]
    schema = pa.schema([("person", pa.int64()), *texts, ("probability", pa.float64())])
    return pa.Table.from_pylist(rows, schema=schema)


def participation(person: object, **changes: object) -> dict[str, object]:
    """One spell in a program."""
    row: dict[str, object] = {
        "record_ref": ref("np", person),
        "program_type": "03",
        "provider_id": "RB-1",
        "entry_date": "2021-01-10",
    }
    return row | changes
