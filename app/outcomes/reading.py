"""Facts out of Parquet files, in the least memory: of wages only the reports of persons with an award.

A state reports forty rows for every row of a graduate. Every row is looked at, a piece at a time: whose it
is, which state and quarter it reports. Only rows that some figure may count are kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from app.outcomes.errors import OutcomesError
from app.outcomes.loading import read_facts, typed, used
from app.outcomes.wage_rows import Records, WageReports, quarters_reported

#: Rows of a piece.
PIECE: Final = 1 << 18
#: Columns that are looked at in every row, and have few distinct values or come in runs.
_LOOKED_AT: Final = ("record_ref", "state_fips", "quarter", "source")

Words = NDArray[np.uint64]
Rows = NDArray[np.int64]


def persons_with_awards(persons: pa.Table, batches: Iterable[str]) -> pa.Array:
    """Persons who have a record in any of some batches: those of completions."""
    mine = pc.is_in(persons["batch"], value_set=pa.array(list(batches), pa.string()))
    return pc.unique(persons["person"].filter(mine))


def records_of(persons: pa.Table, batch: str, wanted: pa.Array) -> Records:
    """Records of one batch; ``wanted`` are the persons that count."""
    mine = persons.filter(pc.equal(persons["batch"], batch))
    among = pc.is_in(mine["person"], value_set=wanted).to_numpy(zero_copy_only=False).astype(np.bool_)
    refs = mine["record_ref"].combine_chunks()
    return Records(refs, mine["person"].to_numpy(), among)


def read_wages(source: str | pa.NativeFile, records: Records) -> WageReports:
    """Read a Parquet file of validated wage reports, of which only those of wanted persons are kept.

    Raises
    ------
    OutcomesError
        ``FACTS_WITHOUT_PERSON``: some report is of a record that is not among ``records``.
    """
    schema, held = used("wage"), pq.read_schema(source).names
    if isinstance(source, pa.NativeFile):
        source.seek(0)
    runs = [name for name in _LOOKED_AT if name in held]
    wanted = list(schema.names) if set(schema.names) <= set(held) else None
    known, kept = _Known(records), []
    reported: set[tuple[str, str]] = set()
    with pq.ParquetFile(source, read_dictionary=runs, pre_buffer=False, buffer_size=1 << 20) as file:
        for piece in file.iter_batches(batch_size=PIECE, columns=wanted):
            # Texts, or a file without columns that may be missing, are typed here.
            table = typed("wage", pa.Table.from_batches([piece]))
            reported |= quarters_reported(table)
            mask = known.wanted(table["record_ref"].combine_chunks())
            kept.append(table.filter(pa.array(mask)).cast(schema))
    return WageReports(pa.concat_tables([schema.empty_table(), *kept]), frozenset(reported))


class _Known:
    """Which records there are, and which of them are wanted; looked up again and again."""

    def __init__(self, records: Records) -> None:
        self._refs, self._wanted = records.refs, records.wanted
        self._last: tuple[pa.Array, Rows] | None = None
        self._words = _words(records.refs)
        begins = _begins(self._words)
        self._order = np.argsort(begins)
        self._begins = begins[self._order]

    def wanted(self, refs: pa.Array) -> NDArray[np.bool_]:
        """Of each reference whether its person is wanted; all must be known."""
        if isinstance(refs, pa.ChunkedArray):
            refs = refs.chunk(0) if refs.num_chunks else pa.array([], pa.string())
        if pa.types.is_dictionary(refs.type):
            # Pieces of one group of rows may share its dictionary.
            if self._last is None or not refs.dictionary.equals(self._last[0]):
                self._last = refs.dictionary, self._rows(refs.dictionary)
            rows = self._last[1][refs.indices.to_numpy(zero_copy_only=False)]
        else:
            rows = self._rows(refs)
        # A text that a dictionary holds and no row has may be unknown.
        if rows.size and rows.min() < 0:
            raise OutcomesError("FACTS_WITHOUT_PERSON", "Some 'wage' facts belong to no linked record.")
        return np.asarray(self._wanted[rows], np.bool_)

    def _rows(self, texts: pa.Array) -> Rows:
        """Place of each reference among the records, -1 for one that is not there."""
        if not _are_references(texts) or not len(self._begins) or not len(texts):
            return self._exactly(texts)
        words = _words(texts)
        at = np.minimum(np.searchsorted(self._begins, _begins(words)), len(self._begins) - 1)
        rows: Rows = self._order[at].astype(np.int64)
        other = np.flatnonzero((self._words[rows] != words).any(axis=1))
        if len(other):
            # Unknown, or one of two that begin alike: here texts decide.
            rows[other] = self._exactly(texts.take(pa.array(other)))
        return rows

    def _exactly(self, texts: pa.Array) -> Rows:
        found = pc.index_in(texts.cast(pa.string()), value_set=self._refs.cast(pa.string()))
        rows: Rows = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        return rows


def _are_references(texts: pa.Array) -> bool:
    lengths = pc.equal(pc.binary_length(texts), 32)
    return not texts.null_count and bool(pc.all(lengths, min_count=0).as_py())


def _words(refs: pa.Array) -> Words:
    """References, which are 32 hex digits, as four numbers each."""
    refs = refs.cast(pa.string())
    if not len(refs):
        return np.zeros((0, 4), np.uint64)
    _, ends, data = refs.buffers()
    start = np.frombuffer(ends, np.int32)[refs.offset]
    return np.frombuffer(data, np.uint64, count=4 * len(refs), offset=int(start)).reshape(-1, 4)


def _begins(words: Words) -> Words:
    """The first 64 bits of each reference, which hardly any two share; they ascend as the references do."""
    digits = np.ascontiguousarray(words[:, :2]).view(np.uint8).reshape(-1, 16)
    values = (digits & 15) + 9 * (digits >> 6)
    pairs = np.ascontiguousarray((values[:, ::2] << 4) | values[:, 1::2])
    return pairs.view(">u8").reshape(-1).astype(np.uint64)


__all__ = ["persons_with_awards", "read_facts", "read_wages", "records_of"]
