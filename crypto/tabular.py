"""Reading an agency's file: CSV (every cell as text) or Parquet, into an Arrow table.

What is wrong with a file is told by row and column, never by value. pyarrow's own messages quote the file,
so none of them is passed on: where pyarrow refuses, the file is read once more, slowly, to find the row.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from crypto import parquet_files
from crypto.errors import InputError, RowProblem
from crypto.parquet_files import check_header, is_text, not_utf8

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
        ``HEADER_INVALID``, ``NUL_BYTE``, ``CELL_TOO_LONG``, ``QUOTE_UNCLOSED``, ``DELIMITER_INVALID``,
        ``ENCODING_UNKNOWN``.
    """
    path = Path(path)
    codec, parquet = _inspect(path, delimiter, encoding)
    table = parquet_files.read(path, columns) if parquet else _read_csv(path, delimiter, codec, columns)
    check_cells(table)
    if not parquet:
        _check_quotes(table, delimiter, len(_header(path, delimiter, codec)[0]))
    return table


def stream_table(
    path: Path | str,
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
    columns: Sequence[str] | None = None,
    rows: int = 1 << 16,
) -> Iterator[pa.Table]:
    """Read a file as :func:`read_table` does, in tables of at most ``rows`` rows, in bounded memory.

    A file without rows gives one empty table. What is wrong far down in a file is told when it is reached.
    """
    path = Path(path)
    codec, parquet = _inspect(path, delimiter, encoding)
    if parquet:
        read = parquet_files.stream(path, columns, rows)
    else:
        read = _stream_csv(path, delimiter, codec, columns)
    width = 0 if parquet else len(_header(path, delimiter, codec)[0])
    done = 0
    for table in read:
        for start in range(0, max(table.num_rows, 1), rows):
            piece = table.slice(start, rows)
            check_cells(piece, done)
            if width:
                _check_quotes(piece, delimiter, width, done)
            done += piece.num_rows
            yield piece


def column_names(path: Path | str, *, delimiter: str = ",", encoding: str = "utf-8") -> list[str]:
    """Column names of a CSV or Parquet file; raises as :func:`read_table`."""
    path = Path(path)
    codec, parquet = _inspect(path, delimiter, encoding)
    if not parquet:
        return _header(path, delimiter, codec)[0]
    return parquet_files.column_names(path)


def estimate_rows(path: Path | str) -> int:
    """Rows of a file, for progress: exact for Parquet; for CSV from the length of its first lines."""
    path = Path(path)
    try:
        with path.open("rb") as stream:
            start = stream.read(1 << 20)
        if start[:4] == b"PAR1":
            with pq.ParquetFile(path) as file:
                return int(file.metadata.num_rows)
        lines = start.count(b"\n")
        size = path.stat().st_size
    except (pa.ArrowException, OSError):
        return 0  # reading the file will tell what is wrong
    return max(0, round(size * lines / max(len(start), 1)) - 1)


def _inspect(path: Path, delimiter: str, encoding: str) -> tuple[str, bool]:
    """The codec's name, and whether the file is Parquet."""
    if len(delimiter) != 1 or delimiter in '"\r\n\0' or not delimiter.isascii():
        raise InputError("DELIMITER_INVALID", "a delimiter is one ASCII character, such as , or ;")
    try:
        codec = codecs.lookup(encoding).name
        b"a".decode(codec, "replace")  # base64 and the like are among Python's codecs, but none of text
    except LookupError:
        raise InputError("ENCODING_UNKNOWN", "no such text encoding is known") from None
    try:
        with path.open("rb") as stream:
            magic = stream.read(4)
    except OSError as error:
        raise InputError("FILE_MISSING", f"{path.name} cannot be read: {error.strerror}") from None
    if not magic:
        raise InputError("FILE_EMPTY", f"{path.name} is empty")
    return codec, magic == b"PAR1"


def _stream_csv(
    path: Path, delimiter: str, encoding: str, columns: Sequence[str] | None
) -> Iterator[pa.Table]:
    header, lines = _header(path, delimiter, encoding)
    shape: list[int] = []
    options = _csv_options(header, lines, delimiter, encoding, columns, shape)
    some = False
    try:
        with pcsv.open_csv(path, **options) as reader:
            while not shape:
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    break
                if shape:
                    break
                some = True
                yield pa.Table.from_batches([batch])
    except (pa.ArrowException, ValueError):
        # Not what the caller does with a table: only this reader's own failures arrive here.
        _raise(list(_diagnose(path, delimiter, encoding, header)))
        if some or next(iter(_rows(path, delimiter, encoding)), None) is not None:
            raise InputError("FILE_UNREADABLE", f"{path.name} cannot be read as CSV") from None
    if shape:
        _raise(list(_diagnose(path, delimiter, encoding, header)))
    if not some:
        wanted = header if columns is None else [name for name in header if name in columns]
        yield pa.table({name: pa.array([], pa.string()) for name in wanted})


def _rows(path: Path, delimiter: str, encoding: str) -> Iterator[list[str]]:
    """Data rows by Python's own reader, without the header."""
    records = _records(path, delimiter, encoding)
    next(records, None)
    return (record for _, record in records)


def as_text(table: pa.Table, column: str) -> pa.ChunkedArray:
    """A column as text, null as the empty text; of a time at midnight, without zone, the date.

    Raises
    ------
    InputError
        ``COLUMN_TYPE`` if it holds numbers with a fraction, lists or other things without one spelling.
    """
    values = table[column]
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if pa.types.is_timestamp(kind) and kind.tz is None:
        texts = pc.replace_substring_regex(values.cast(pa.string()), r" 00:00:00(\.0+)?$", "")
        return pc.fill_null(texts, "")
    simple = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_date)
    if pa.types.is_null(kind) or any(test(kind) for test in simple):
        return pc.fill_null(values.cast(pa.string()), "")
    raise InputError("COLUMN_TYPE", "the column holds neither text, whole numbers nor dates", column=column)


def check_cells(table: pa.Table, first_row: int = 0) -> None:
    """Refuse embedded NULs, absurdly long cells and bytes that are no UTF-8 in columns of text.

    ``first_row`` is the 0-based row of the file with which the table begins.

    Raises
    ------
    InputError
        ``TEXT_ENCODING``, ``NUL_BYTE`` or ``CELL_TOO_LONG``, the first row of each column that has one.
    """
    problems = []
    for name in table.column_names:
        column = table[name]
        if not is_text(column.type):
            continue
        # pyarrow checks this of CSV, and takes a Parquet file's word for it.
        if (place := not_utf8(column)) is not None:
            detail = "a cell is not utf-8 text"
            problems.append(RowProblem(first_row + place + 1, name, "TEXT_ENCODING", detail))
            continue
        if all(_is_plain(chunk) for chunk in column.chunks):
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
                problems.append(RowProblem(first_row + place + 1, name, code, detail))
    _raise(problems)


def _check_quotes(table: pa.Table, delimiter: str, width: int, first_row: int = 0) -> None:
    """Refuse cells that swallowed the rows after them, because a quotation mark opened them by mistake.

    From one cell to the same column some rows on there are as many delimiters as there are in those rows.
    Other cells of several lines (addresses) are allowed; of two columns nothing can be told.

    Raises
    ------
    InputError
        ``QUOTE_UNCLOSED``.
    """
    problems = []
    for name in table.column_names if width > 2 else []:
        broken = np.flatnonzero(pc.match_substring(table[name], "\n").to_numpy(zero_copy_only=False))
        for place in broken.tolist():
            text = table[name][place].as_py().rstrip("\r\n")
            rows = text.count("\n")
            if rows and text.count(delimiter) == rows * (width - 1):
                detail = "a quotation mark opens a cell that swallows the rows after it"
                problems.append(RowProblem(first_row + place + 1, name, "QUOTE_UNCLOSED", detail))
                break
    _raise(problems)


def _is_plain(cells: pa.Array) -> bool:
    """Whether no cell can be too long or hold a NUL, told from the bytes alone; nearly always so."""
    _, ends, data = cells.buffers()
    if data is None or not len(cells):
        return True
    kind = np.int64 if pa.types.is_large_string(cells.type) else np.int32
    offsets = np.frombuffer(ends, kind)[cells.offset : cells.offset + len(cells) + 1]
    text = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    return bool(np.diff(offsets).max() <= MAX_CELL and (not len(text) or text.min() > 0))


def rows_where(mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[int]:
    """1-based rows where a mask holds, at most :data:`MAX_PROBLEMS`."""
    return [int(row) + 1 for row in np.flatnonzero(mask)[:MAX_PROBLEMS]]


def _raise(problems: Sequence[RowProblem]) -> None:
    if problems:
        first = problems[0]
        raise InputError(
            first.code, first.detail, row=first.row, column=first.column, problems=problems[:MAX_PROBLEMS]
        )


def _read_csv(path: Path, delimiter: str, encoding: str, columns: Sequence[str] | None) -> pa.Table:
    header, lines = _header(path, delimiter, encoding)
    shape: list[int] = []
    try:
        table = pcsv.read_csv(path, **_csv_options(header, lines, delimiter, encoding, columns, shape))
    except (pa.ArrowException, ValueError):
        table = None
    if table is not None and not shape:
        return table
    _raise(list(_diagnose(path, delimiter, encoding, header)))
    raise InputError("FILE_UNREADABLE", f"{path.name} cannot be read as CSV")


def _csv_options(
    header: Sequence[str],
    lines: int,
    delimiter: str,
    encoding: str,
    columns: Sequence[str] | None,
    shape: list[int],
) -> dict[str, Any]:
    """Options of pyarrow's readers; rows with too many or too few cells are noted in ``shape``."""

    def bad_row(row: pcsv.InvalidRow) -> str:
        shape.append(row.actual_columns)
        return "skip"

    return {
        "read_options": pcsv.ReadOptions(
            column_names=header, skip_rows=lines, encoding=encoding, block_size=_BLOCK_BYTES
        ),
        "parse_options": pcsv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, invalid_row_handler=bad_row
        ),
        "convert_options": pcsv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()),
            strings_can_be_null=False,
            include_columns=header if columns is None else [name for name in header if name in columns],
        ),
    }


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
    check_header(header)
    return header, lines


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
