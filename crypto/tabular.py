"""Reading an agency's file: CSV (every cell as text) or Parquet, into an Arrow table.

What is wrong with a file is told by row and column, never by value. pyarrow's own messages quote the file,
so none of them is passed on: where pyarrow refuses, the file is read once more, slowly, to find the row.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from crypto.errors import InputError, RowProblem

#: Longest cell, in characters; nothing that we encode or count is longer.
MAX_CELL: Final = 1_000
#: Problems listed one by one; an error's detail has the total.
MAX_PROBLEMS: Final = 100

_BLOCK_BYTES: Final = 8 << 20


def read_table(
    path: Path | str,
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """Read a CSV or Parquet file; Parquet is told by its first four bytes, not by its name.

    Parameters
    ----------
    path
    delimiter
        Of a CSV file, one character.
    encoding
        Of a CSV file, any that Python knows; a byte order mark is skipped.
    columns
        Read only those of these that the file has; None: all.

    Returns
    -------
    pa.Table
        From CSV: all columns text, an empty cell an empty text. From Parquet: as stored.

    Raises
    ------
    InputError
        ``FILE_MISSING``, ``FILE_EMPTY``, ``FILE_UNREADABLE``, ``TEXT_ENCODING``, ``ROW_SHAPE``,
        ``HEADER_INVALID``, ``NUL_BYTE``, ``CELL_TOO_LONG``, ``DELIMITER_INVALID``, ``ENCODING_UNKNOWN``.
    """
    path = Path(path)
    if len(delimiter) != 1 or delimiter in '"\r\n\0' or not delimiter.isascii():
        raise InputError("DELIMITER_INVALID", "a delimiter is one ASCII character, such as , or ;")
    try:
        codec = codecs.lookup(encoding).name
    except LookupError:
        raise InputError("ENCODING_UNKNOWN", "no such text encoding is known") from None
    try:
        with path.open("rb") as stream:
            magic = stream.read(4)
    except OSError as error:
        raise InputError("FILE_MISSING", f"{path.name} cannot be read: {error.strerror}") from None
    if not magic:
        raise InputError("FILE_EMPTY", f"{path.name} is empty")
    parquet = magic == b"PAR1"
    table = _read_parquet(path, columns) if parquet else _read_csv(path, delimiter, codec, columns)
    check_cells(table)
    return table


def as_text(table: pa.Table, column: str) -> pa.ChunkedArray:
    """A column as text, null as the empty text.

    Raises
    ------
    InputError
        ``COLUMN_TYPE`` if it holds numbers with a fraction, lists or other things without one spelling.
    """
    values = table[column]
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    simple = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_date)
    if pa.types.is_null(kind) or any(test(kind) for test in simple):
        return pc.fill_null(values.cast(pa.string()), "")
    raise InputError("COLUMN_TYPE", "the column holds neither text, whole numbers nor dates", column=column)


def check_cells(table: pa.Table) -> None:
    """Refuse embedded NULs and absurdly long cells in columns of text.

    Raises
    ------
    InputError
        ``NUL_BYTE`` or ``CELL_TOO_LONG``, the first row of each column that has one.
    """
    problems = []
    for name in table.column_names:
        column = table[name]
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            continue
        for bad, code, detail in (
            (pc.match_substring(column, "\0"), "NUL_BYTE", "a cell holds a NUL byte"),
            (
                pc.greater(pc.utf8_length(column), MAX_CELL),
                "CELL_TOO_LONG",
                f"a cell is longer than {MAX_CELL} characters",
            ),
        ):
            place = pc.index(bad, True).as_py()
            if place >= 0:
                problems.append(RowProblem(place + 1, name, code, detail))
    _raise(problems)


def rows_where(mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[int]:
    """1-based rows where a mask holds, at most :data:`MAX_PROBLEMS`."""
    return [int(row) + 1 for row in np.flatnonzero(mask)[:MAX_PROBLEMS]]


def _raise(problems: Sequence[RowProblem]) -> None:
    if problems:
        first = problems[0]
        raise InputError(
            first.code, first.detail, row=first.row, column=first.column, problems=problems[:MAX_PROBLEMS]
        )


def _read_parquet(path: Path, columns: Sequence[str] | None) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            _check_header(names)
            return file.read(columns=None if columns is None else [n for n in names if n in columns])
    except (pa.ArrowException, OSError):
        raise InputError("FILE_UNREADABLE", f"{path.name} is a damaged Parquet file") from None


def _read_csv(path: Path, delimiter: str, encoding: str, columns: Sequence[str] | None) -> pa.Table:
    header, lines = _header(path, delimiter, encoding)
    wanted = header if columns is None else [name for name in header if name in columns]
    shape: list[int] = []

    def bad_row(row: pcsv.InvalidRow) -> str:
        shape.append(row.actual_columns)
        return "skip"

    try:
        table = pcsv.read_csv(
            path,
            read_options=pcsv.ReadOptions(
                column_names=header, skip_rows=lines, encoding=encoding, block_size=_BLOCK_BYTES
            ),
            parse_options=pcsv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=bad_row
            ),
            convert_options=pcsv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()),
                strings_can_be_null=False,
                include_columns=wanted,
            ),
        )
    except (pa.ArrowException, ValueError):
        table = None
    if table is not None and not shape:
        return table
    _raise(list(_diagnose(path, delimiter, encoding, header)))
    raise InputError("FILE_UNREADABLE", f"{path.name} cannot be read as CSV")


def _records(path: Path, delimiter: str, encoding: str) -> Iterator[tuple[int, list[str]]]:
    """Rows by Python's own reader, each with the lines read so far; undecodable bytes as lone surrogates."""
    csv.field_size_limit(1 << 30)
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    with path.open(encoding=codec, errors="surrogateescape", newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter)
        for record in reader:
            if record:
                yield reader.line_num, record


def _header(path: Path, delimiter: str, encoding: str) -> tuple[list[str], int]:
    """Column names, and the number of lines up to and with the header."""
    try:
        first = next(_records(path, delimiter, encoding), None)
    except (csv.Error, UnicodeError):
        first = None
    if first is None:
        raise InputError("HEADER_INVALID", f"{path.name} has no readable line of column names")
    lines, header = first[0], [name.strip() for name in first[1]]
    if any("\udc80" <= c <= "\udcff" for name in header for c in name):
        raise InputError("TEXT_ENCODING", "the column names are not in the text encoding that was given")
    if any("\0" in name or len(name) > MAX_CELL for name in header):
        raise InputError("HEADER_INVALID", f"{path.name} has no readable line of column names")
    _check_header(header)
    return header, lines


def _check_header(header: Sequence[str]) -> None:
    if len(set(header)) != len(header) or any(not name for name in header):
        raise InputError("HEADER_INVALID", "a column has no name, or two columns have the same")


def _diagnose(path: Path, delimiter: str, encoding: str, header: Sequence[str]) -> Iterator[RowProblem]:
    """Find what made the fast reader refuse: bytes that are no text, cells too long or too few."""
    try:
        for row, (_, record) in enumerate(_records(path, delimiter, encoding)):
            if row == 0:
                continue
            if len(record) != len(header):
                detail = f"the row has {len(record)} cells, the header {len(header)}"
                yield RowProblem(row, None, "ROW_SHAPE", detail)
                continue
            for name, cell in zip(header, record, strict=True):
                if any("\udc80" <= c <= "\udcff" for c in cell):
                    yield RowProblem(row, name, "TEXT_ENCODING", f"a cell is not {encoding} text")
                elif len(cell) > MAX_CELL:
                    detail = f"a cell is longer than {MAX_CELL} characters"
                    yield RowProblem(row, name, "CELL_TOO_LONG", detail)
    except (csv.Error, UnicodeError):
        yield RowProblem(None, None, "TEXT_ENCODING", f"the file is not {encoding} text")
