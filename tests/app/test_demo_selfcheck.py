"""The search for the demo's own people finds them, in any format, and finds nobody else."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.demo.selfcheck import Identifiers, collect, files_below, readable, search


@pytest.fixture
def known(tmp_path: Path) -> Identifiers:
    people = tmp_path / "people.csv"
    people.write_text(
        "client_id,first_name,last_name,date_of_birth,ssn,house_number,street\n"
        "1,Margaret,Niederkamp,1981-06-28,945409112,17,Valley Blvd\n"
        "2,Amy,Lee,1999-01-02,,4,Oak St\n"
    )
    crosswalk = tmp_path / "crosswalk.csv"
    crosswalk.write_text(f"id,record_ref\n1,{'ab' * 16}\n")
    return collect([people], [crosswalk])


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("number", "x 945409112 y"),
        ("number", "945-40-9112"),
        ("surname", "mother of NIEDERKAMP"),
        ("full name", '"Lee","Amy"'),
        ("full name", "amy lee"),
        ("birth date", '{"dob": "1999-01-02"}'),
        ("address", "lives at 17 Valley Blvd"),
    ],
)
def test_search_identifier_in_clear_is_found(
    tmp_path: Path, known: Identifiers, kind: str, text: str
) -> None:
    place = tmp_path / "log.txt"
    place.write_text(text)
    assert [hit.split(" in ")[0] for hit in search([place], known).hits] == [kind]


def test_search_inside_a_database_and_random_bytes_is_found(tmp_path: Path, known: Identifiers) -> None:
    with sqlite3.connect(tmp_path / "some.db") as base:
        base.execute("create table t (a text)")
        base.execute("insert into t values ('Niederkamp')")
    base.close()
    (tmp_path / "blob").write_bytes(os.urandom(100_000) + b"\x00945409112\xff" + os.urandom(100_000))
    hits = search(files_below([tmp_path / "some.db", tmp_path / "blob"]), known).hits
    assert len(hits) == 2


def test_search_ordinary_words_and_digests_are_not_found(tmp_path: Path, known: Identifiers) -> None:
    place = tmp_path / "answers.json"
    place.write_text('{"hash": "945409112abcdef", "label": "Lee County", "at": "2026-11-22", "n": 945409113}')
    assert search([place], known).hits == {}


def test_search_record_ref_in_an_answer_is_found_where_asked_for(tmp_path: Path, known: Identifiers) -> None:
    place = tmp_path / "answer.json"
    place.write_text(f'"{"ab" * 16}"')
    assert search([place], known).hits == {}
    assert len(search([place], known, references=True).hits) == 1


def test_search_table_that_is_not_encrypted_is_found(tmp_path: Path, known: Identifiers) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "table")
    assert [hit.split(" in ")[0] for hit in search([tmp_path / "table"], known).hits] == ["unencrypted table"]


def test_readable_keeps_runs_of_text_only() -> None:
    assert readable(b"\x00\x01abc\x02Margaret L.\xff\xfe1234567") == b"Margaret L.\x001234567"
