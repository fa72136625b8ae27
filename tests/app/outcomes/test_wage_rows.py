"""Wage reports before they are counted: the same rows from texts and from dictionaries."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from app.outcomes.wage_rows import Records, quarters_reported, rows_of_persons

Encode = Callable[[pa.ChunkedArray], pa.ChunkedArray]


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column


def encoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A dictionary of its own for each chunk, with a text that no row has."""
    chunks = []
    for chunk in column.chunks:
        texts = chunk.dictionary_encode()
        values = pa.concat_arrays([texts.dictionary, pa.array(["unused"])])
        chunks.append(pa.DictionaryArray.from_arrays(texts.indices, values))
    return pa.chunked_array(chunks)


def reports(encode: Encode, refs: list[list[str]]) -> pa.Table:
    sizes = [len(part) for part in refs]
    columns = {
        "record_ref": refs,
        "state_fips": [["39"] * size for size in sizes],
        "quarter": [["2023Q1", "2023Q2", "2023Q3"][:size] for size in sizes],
        "source": [["UI", "SWIS", "UI"][:size] for size in sizes],
    }
    return pa.table({name: encode(pa.chunked_array(parts, pa.string())) for name, parts in columns.items()})


RECORDS = Records(pa.array(["a", "b", "c"]), np.array([7, 8, 9]), np.array([True, False, True]))


@pytest.mark.parametrize("encode", [plain, encoded])
def test_rows_of_wanted_persons_go_on_with_their_person(encode: Encode) -> None:
    table = reports(encode, [["c", "b", "a"], ["a", "b"]])
    rows = rows_of_persons(table, RECORDS)
    assert rows is not None
    assert rows["person"].to_pylist() == [9, 7, 7]
    assert [str(ref) for ref in rows["record_ref"].to_pylist()] == ["c", "a", "a"]


@pytest.mark.parametrize("encode", [plain, encoded])
def test_row_of_an_unknown_record_gives_nothing_at_all(encode: Encode) -> None:
    assert rows_of_persons(reports(encode, [["a", "z"]]), RECORDS) is None


@pytest.mark.parametrize("encode", [plain, encoded])
def test_only_reports_of_unemployment_insurance_make_a_state_a_contributor(encode: Encode) -> None:
    assert quarters_reported(reports(encode, [["a", "b", "c"]])) == {("39", "2023Q1"), ("39", "2023Q3")}
    assert quarters_reported(reports(encode, [["a", "b", "c"]]).slice(0, 0)) == set()


def test_batch_without_rows_has_no_persons() -> None:
    rows = rows_of_persons(reports(plain, [["a"]]).slice(0, 0), RECORDS)
    assert rows is not None
    assert rows.num_rows == 0
