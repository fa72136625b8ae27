"""Reading an agency's Parquet file into Arrow tables; see `crypto.tabular`, which reads CSV as well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from crypto.errors import InputError


def column_names(path: Path) -> list[str]:
    """Column names of a file; raises as :func:`read`."""
    try:
        with pq.ParquetFile(path) as file:
            names: list[str] = file.schema_arrow.names
    except (pa.ArrowException, OSError, UnicodeError):
        raise _damaged(path) from None
    check_header(names)
    return names


def read(path: Path, columns: Sequence[str] | None) -> pa.Table:
    """A whole file, or those of some columns that it has.

    Raises
    ------
    InputError
        ``FILE_UNREADABLE``, ``HEADER_INVALID``.
    """
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            check_header(names)
            return _plain_texts(
                file.read(columns=None if columns is None else [n for n in names if n in columns])
            )
    except (pa.ArrowException, OSError, UnicodeError):
        raise _damaged(path) from None


def stream(path: Path, columns: Sequence[str] | None, rows: int) -> Iterator[pa.Table]:
    """A file as :func:`read` reads it, in tables of at most ``rows`` rows; an empty one if it has none."""
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            check_header(names)
            wanted = names if columns is None else [name for name in names if name in columns]
            if not file.metadata.num_rows:
                yield _plain_texts(file.read(columns=wanted))
            for batch in file.iter_batches(batch_size=rows, columns=wanted):
                yield _plain_texts(pa.Table.from_batches([batch]))
    except (pa.ArrowException, OSError, UnicodeError):
        raise _damaged(path) from None


def check_header(header: Sequence[str]) -> None:
    """Refuse columns without a name, or two of one name (``HEADER_INVALID``)."""
    if len(set(header)) != len(header) or any(not name for name in header):
        raise InputError("HEADER_INVALID", "a column has no name, or two columns have the same")


def is_text(kind: pa.DataType) -> bool:
    """Whether a column is of plain text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def not_utf8(column: pa.ChunkedArray) -> int | None:
    """The first row (0-based) of a column of text whose bytes are no UTF-8; None if all are."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        for row, cell in enumerate(column.cast(pa.large_binary()).to_pylist()):
            try:
                (cell or b"").decode()
            except UnicodeDecodeError:
                return row
    return None


def _plain_texts(table: pa.Table) -> pa.Table:
    """Dictionaries and views of text, as some programs write them, as text: all checks are of text."""
    for place, field in enumerate(table.schema):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_string_view(kind) or (kind != field.type and is_text(kind)):
            table = table.set_column(place, field.name, table[field.name].cast(pa.string()))
    return table


def _damaged(path: Path) -> InputError:
    return InputError("FILE_UNREADABLE", f"{path.name} is a damaged Parquet file")
