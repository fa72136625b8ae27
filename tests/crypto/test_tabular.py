"""Files as agencies have them: dialects are read, defects are named by row and column, never by value."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from crypto.errors import InputError
from crypto.tabular import MAX_PROBLEMS, as_text, read_table, stream_table


def read(tmp_path: Path, raw: bytes, **options: str) -> dict[str, list[str]]:
    path = tmp_path / "people.csv"
    path.write_bytes(raw)
    return read_table(path, **options).to_pydict()


def refusal(tmp_path: Path, raw: bytes, **options: str) -> InputError:
    with pytest.raises(InputError) as caught:
        read(tmp_path, raw, **options)
    return caught.value


@pytest.mark.parametrize(
    ("raw", "options"),
    [
        (b"a,b\n001,x\n", {}),
        (b"\xef\xbb\xbfa,b\r\n001,x\r\n", {}),
        (b"\n\n a , b \n\n001,x\n\n", {}),
        (b'a,b\n"001","x"', {}),
        (b"a;b\n001;x\n", {"delimiter": ";"}),
        (b"a\tb\n001\tx\n", {"delimiter": "\t"}),
        ("a,b\n001,x\n".encode("utf-16"), {"encoding": "utf-16"}),
    ],
)
def test_csv_of_any_dialect_when_read_keeps_every_cell_as_text(
    tmp_path: Path, raw: bytes, options: dict[str, str]
) -> None:
    assert read(tmp_path, raw, **options) == {"a": ["001"], "b": ["x"]}


def test_cells_with_quotes_newlines_or_nothing_when_read_are_kept(tmp_path: Path) -> None:
    raw = b'a,b\n"x\ny","say ""hi"""\n,NA\n'
    assert read(tmp_path, raw) == {"a": ["x\ny", ""], "b": ['say "hi"', "NA"]}


def test_header_over_two_lines_when_read_is_one_header(tmp_path: Path) -> None:
    assert read(tmp_path, b'"a\nb",c\n1,2\n') == {"a\nb": ["1"], "c": ["2"]}


def test_latin_text_when_its_encoding_is_given_is_read(tmp_path: Path) -> None:
    raw = "name\nNúñez\n".encode("latin-1")
    assert read(tmp_path, raw, encoding="latin-1") == {"name": ["Núñez"]}
    error = refusal(tmp_path, b"id,name\n1,Ann\n2," + "Núñez\n".encode("latin-1"))
    assert (error.code, error.row, error.column) == ("TEXT_ENCODING", 2, "name")
    assert "ez" not in error.detail.replace("text", "")


def test_rows_with_too_few_or_many_cells_when_read_are_all_named(tmp_path: Path) -> None:
    error = refusal(tmp_path, b"a,b\n1,2\nsecret\n3,4\n5,6,secret\n")
    assert error.code == "ROW_SHAPE"
    assert [problem.row for problem in error.problems] == [2, 4]
    assert "secret" not in str(error) + str(error.problems)


def test_nul_byte_when_read_is_refused_by_row_and_column(tmp_path: Path) -> None:
    error = refusal(tmp_path, b"a,b\n1,2\n3,se\0cret\n")
    assert (error.code, error.row, error.column) == ("NUL_BYTE", 2, "b")
    assert "cret" not in str(error)


@pytest.mark.parametrize(
    ("raw", "row"),
    [
        (b'a,b,c\n1,2,3\n4,"secret,5\n6,7,8\n', None),
        (b'a,b,c\n1,2,3\n4,5,"secret\n6,7,8\n', 2),
        (b'c,b,a\n1,2,3\n"4,5,secret\n6",7,8\n9,1,2\n', 2),
        (b'a,b,c\n1,2,"3\n4,5,6\n7,8,9"\n', 1),
    ],
)
def test_quotation_mark_that_swallows_rows_when_read_is_refused(
    tmp_path: Path, raw: bytes, row: int | None
) -> None:
    error = refusal(tmp_path, raw)
    assert error.code == ("QUOTE_UNCLOSED" if row else "ROW_SHAPE")
    assert row is None or (error.row, error.column) == (row, "c")
    assert "secret" not in str(error)


def test_cell_of_several_lines_when_it_is_quoted_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, b'a,b,c\n1,"12 Elm St\nApt 4, rear",3\n')
    assert found["b"] == ["12 Elm St\nApt 4, rear"]


@pytest.mark.parametrize("length", [1_001, 10_000_000])
def test_absurdly_long_cell_when_read_is_refused_by_row_and_column(tmp_path: Path, length: int) -> None:
    error = refusal(tmp_path, b"a,b\n1,2\n3," + b"x" * length + b"\n")
    assert (error.code, error.row, error.column) == ("CELL_TOO_LONG", 2, "b")
    assert "xxx" not in str(error)


@pytest.mark.parametrize(
    ("raw", "options", "code"),
    [
        (b"", {}, "FILE_EMPTY"),
        (b"\n\n", {}, "HEADER_INVALID"),
        (b"a,a\n1,2\n", {}, "HEADER_INVALID"),
        (b"a,\n1,2\n", {}, "HEADER_INVALID"),
        (b"\xff\xfea\n1\n", {}, "TEXT_ENCODING"),
        (b"PAR1 but no more", {}, "FILE_UNREADABLE"),
        (b"a\n1\n", {"delimiter": "--"}, "DELIMITER_INVALID"),
        (b"a\n1\n", {"delimiter": '"'}, "DELIMITER_INVALID"),
        (b"a\n1\n", {"encoding": "klingon"}, "ENCODING_UNKNOWN"),
        (b"a\n1\n", {"encoding": "base64"}, "ENCODING_UNKNOWN"),
        (b"a\n1\n", {"encoding": "rot13"}, "ENCODING_UNKNOWN"),
    ],
)
def test_file_that_cannot_be_read_when_read_is_refused_with_its_reason(
    tmp_path: Path, raw: bytes, options: dict[str, str], code: str
) -> None:
    assert refusal(tmp_path, raw, **options).code == code


def test_file_that_does_not_exist_when_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_table(tmp_path / "none.csv")
    assert caught.value.code == "FILE_MISSING"


def test_header_without_rows_when_read_gives_an_empty_table(tmp_path: Path) -> None:
    assert read(tmp_path, b"a,b\n") == {"a": [], "b": []}


def test_parquet_under_any_name_when_read_keeps_types_and_gives_text_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    table = pa.table(
        {
            "id": [1, 2],
            "born": pa.array([date(1990, 2, 3), None]),
            "name": pa.array(["Ann", None]).dictionary_encode(),
            "weight": [1.5, 2.5],
        }
    )
    pq.write_table(table, path)
    found = read_table(path)
    assert as_text(found, "id").to_pylist() == ["1", "2"]
    assert as_text(found, "born").to_pylist() == ["1990-02-03", ""]
    assert as_text(found, "name").to_pylist() == ["Ann", ""]
    with pytest.raises(InputError) as caught:
        as_text(found, "weight")
    assert (caught.value.code, caught.value.column) == ("COLUMN_TYPE", "weight")
    assert read_table(path, columns=["id", "none"]).column_names == ["id"]


def test_parquet_times_when_they_are_midnight_without_zone_are_dates(tmp_path: Path) -> None:
    """As pandas writes dates."""
    path = tmp_path / "people.parquet"
    days = pa.array([date(1990, 2, 3), None, date(2001, 12, 31)])
    columns = {unit: days.cast(pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")}
    noon = pc.add(columns["s"], pa.scalar(timedelta(hours=12)))
    zone = columns["us"].cast(pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({**columns, "noon": noon, "zone": zone}), path)
    found = read_table(path)
    for unit in columns:
        assert as_text(found, unit).to_pylist() == ["1990-02-03", "", "2001-12-31"]
    assert as_text(found, "noon").to_pylist()[0].startswith("1990-02-03 12:00:00")
    with pytest.raises(InputError) as caught:
        as_text(found, "zone")
    assert caught.value.code == "COLUMN_TYPE"


@pytest.mark.parametrize("text", [pa.string(), pa.large_string()])
def test_parquet_text_that_is_no_utf8_is_refused_by_row_and_column(tmp_path: Path, text: pa.DataType) -> None:
    path = tmp_path / "people.parquet"
    raw = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}[text]
    names = pa.array([b"Ann", None, b"Jos\xe9", b"Bo\xff"], raw).view(text)
    pq.write_table(pa.table({"id": ["1", "2", "3", "4"], "name": names}), path)
    with pytest.raises(InputError) as caught:
        list(stream_table(path, rows=2))
    assert (caught.value.code, caught.value.row, caught.value.column) == ("TEXT_ENCODING", 3, "name")


@pytest.mark.parametrize(
    "kind", [pa.dictionary(pa.int32(), pa.string()), pa.string_view(), pa.large_string()]
)
@pytest.mark.parametrize("reader", [read_table, lambda path: next(stream_table(path))])
def test_parquet_text_of_any_kind_when_read_is_checked_as_text(
    tmp_path: Path, kind: pa.DataType, reader: Callable[[Path], pa.Table]
) -> None:
    path = tmp_path / "people.parquet"
    for cell, code in (("Ann", None), ("A\0n", "NUL_BYTE"), ("x" * 2_000, "CELL_TOO_LONG")):
        pq.write_table(pa.table({"name": pa.array(["Bo", cell, None]).cast(kind)}), path)
        if code is None:
            assert as_text(reader(path), "name").to_pylist() == ["Bo", "Ann", ""]
            continue
        with pytest.raises(InputError) as caught:
            reader(path)
        assert (caught.value.code, caught.value.row, caught.value.column) == (code, 2, "name")


def test_problems_when_there_are_very_many_are_listed_up_to_the_limit(tmp_path: Path) -> None:
    error = refusal(tmp_path, b"a,b\n" + b"1\n" * 1000)
    assert len(error.problems) == MAX_PROBLEMS
