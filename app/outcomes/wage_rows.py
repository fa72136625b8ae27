"""Wage reports before they reach DuckDB: which states reported which quarters, and whose rows are needed.

A state reports forty rows for every row of a graduate. So persons are looked up once per distinct record, by
the dictionaries in which Parquet keeps them, and only rows of persons with an award go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Records:
    """Records of one batch, and the person of each.

    Attributes
    ----------
    refs : pa.Array
        Every record_ref of the batch, once.
    persons : ndarray of int64, shape (len(refs),)
    wanted : ndarray of bool, shape (len(refs),)
        Whether the person has an award that counts.
    """

    refs: pa.Array
    persons: Codes
    wanted: NDArray[np.bool_]


@dataclass(frozen=True)
class WageReports:
    """Reports of one batch as far as figures may count them.

    Attributes
    ----------
    table : pa.Table
        Typed; of persons with an award alone.
    reported : frozenset of (str, str)
        State and quarter of all that came by unemployment insurance.
    """

    table: pa.Table
    reported: frozenset[tuple[str, str]]


def quarters_reported(table: pa.Table) -> set[tuple[str, str]]:
    """State and quarter of every report that came by unemployment insurance."""
    reported: set[tuple[str, str]] = set()
    for batch in table.select(["state_fips", "quarter", "source"]).to_batches():
        states, quarters, sources = (_encoded(column) for column in batch.columns)
        size = len(quarters.dictionary) * len(sources.dictionary)
        # One number for each combination, counted: distinct texts are few, rows are many.
        number = _codes(quarters) * np.int32(len(sources.dictionary)) + _codes(sources)
        seen = np.flatnonzero(np.bincount(_codes(states) * np.int32(size) + number)).tolist()
        for at in seen:
            quarter, source = divmod(at % size, len(sources.dictionary))
            if sources.dictionary[source].as_py() == "UI":
                reported.add((states.dictionary[at // size].as_py(), quarters.dictionary[quarter].as_py()))
    return reported


def _encoded(column: pa.Array) -> pa.DictionaryArray:
    return column if pa.types.is_dictionary(column.type) else column.dictionary_encode()


def _codes(column: pa.DictionaryArray) -> NDArray[np.int32]:
    codes: NDArray[np.int32] = column.indices.to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
    return codes


def rows_of_persons(table: pa.Table, records: Records, *, checked: bool = False) -> pa.Table | None:
    """Rows of wanted persons, with a column ``person``; None where some row's record is not in ``records``.

    With ``checked`` such rows are known to be somebody's who is not wanted.

    Parameters
    ----------
    table : pa.Table
        Wage reports of one batch, ``record_ref`` as text or as dictionary.
    records : Records
    """
    chunks = table["record_ref"].chunks
    if not chunks:
        return table.append_column("person", pa.array([], pa.int64()))
    kept, persons = [], []
    for chunk, at in zip(chunks, _positions(chunks, records.refs), strict=True):
        rows = at[chunk.indices.to_numpy(zero_copy_only=False)] if pa.types.is_dictionary(chunk.type) else at
        unknown = rows < 0
        if not checked and unknown.any():
            return None
        mask = records.wanted[rows] & ~unknown if len(records.wanted) else ~unknown
        kept.append(pa.array(mask))
        persons.append(pa.array(records.persons[rows[mask]]))
    mask_of_all = pa.chunked_array(kept, pa.bool_())
    return table.filter(mask_of_all).append_column("person", pa.chunked_array(persons, pa.int64()))


def _positions(chunks: Sequence[pa.Array], refs: pa.Array) -> list[Codes]:
    """For each chunk the position in ``refs`` of its distinct texts, or of its rows without a dictionary."""
    texts = [chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk for chunk in chunks]
    # In one call, so that the table of all records is made once. A text that no row has may be unknown.
    whole = pa.chunked_array([text.cast(refs.type) for text in texts], refs.type)
    found = pc.fill_null(pc.index_in(whole, value_set=refs), -1).to_numpy().astype(np.int64)
    return np.split(found, np.cumsum([len(text) for text in texts])[:-1])
