"""What a file of facts must be, a piece of its rows at a time.

Rows in the order of the encodings, as the agency's program writes them, need nothing kept between pieces but
the keys of the last person. Others need 8 bytes for each row, to find keys that come again.

Content is checked in the clear in this process's memory and nowhere else.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from app.errors import Problem, RefusedError, ServiceError, from_crypto
from app.flows.agreement_terms import Dataset
from app.flows.periods import Period, covers, month_number, read_periods
from app.flows.references import Known, OutOfOrderError
from crypto.errors import CohortlinkError
from crypto.facts import SCHEMAS, Problems, check_rows

MAX_PROBLEMS: Final = 20
#: Rows of a piece.
PIECE: Final = 8_192
#: Slices in which hashes are looked at for equal ones.
_SLICES: Final = 16
#: The column by which a row belongs to a period. (Truth pairs have no time.)
_DATED_BY: Final = {"completion": "award_date", "wage": "quarter", "participation": "entry_date"}

Hashes = NDArray[np.uint64]
Rows = NDArray[np.int64]


class Hashed:
    """64 bits for each of many things, under a random key: equal things have equal ones, others by chance.

    Of ten million rows two different ones are taken for equal once in 400,000 files; the next try is under
    another key. Nobody can prepare things that collide.

    Parameters
    ----------
    expected : int
        How many there will be; more are no error.
    """

    def __init__(self, expected: int = 0) -> None:
        self._key = secrets.token_bytes(16)
        drawn = np.frombuffer(secrets.token_bytes(64), np.uint64)
        self._factors = drawn | np.uint64(1)
        self._held: Hashes = np.empty(expected, np.uint64)
        self._count = 0

    def refs(self, refs: Sequence[str]) -> Hashes:
        """Of record references, which are 32 hex digits."""
        halves = np.frombuffer(bytes.fromhex("".join(refs)), np.uint64).reshape(-1, 2)
        return self.mixed([halves[:, 0], halves[:, 1]])

    def texts(self, column: pa.Array) -> Hashes:
        """Of texts; no value has one of its own."""
        encoded = column.cast(pa.string()).dictionary_encode(null_encoding="encode")
        distinct = [
            b"\0" if text is None else b"\1" + text.encode() for text in encoded.dictionary.to_pylist()
        ]
        hashed = b"".join(hashlib.blake2b(text, digest_size=8, key=self._key).digest() for text in distinct)
        each: Hashes = np.frombuffer(hashed, np.uint64)[encoded.indices.to_numpy(zero_copy_only=False)]
        return each

    def mixed(self, columns: Sequence[Hashes]) -> Hashes:
        """One hash for each row of several columns."""
        total = np.zeros(len(columns[0]), np.uint64)
        for at, column in enumerate(columns):
            total = (total ^ column) * self._factors[at % len(self._factors)]
            total ^= total >> np.uint64(29)
        return total

    def keep(self, hashes: Hashes) -> None:
        """Hold some more."""
        end = self._count + len(hashes)
        if end > len(self._held):
            grown = np.empty(max(end, 2 * len(self._held)), np.uint64)
            grown[: self._count] = self._held[: self._count]
            self._held = grown
        self._held[self._count : end] = hashes
        self._count = end

    def repeated(self) -> Rows:
        """Places of what was held before, in the order in which it was kept."""
        held = self._held[: self._count]
        # A slice at a time: all sorted at once would be all once more.
        slices = range(_SLICES if self._count > _SLICES else 1)
        twice = np.concatenate([_twice(held[held % np.uint64(len(slices)) == one]) for one in slices])
        if not len(twice):
            return np.empty(0, np.int64)
        suspects = np.flatnonzero(np.isin(held, twice))
        _, first = np.unique(held[suspects], return_index=True)
        return np.delete(suspects, first)


def _twice(hashes: Hashes) -> Hashes:
    """Those that are there more than once, each once."""
    ordered = np.sort(hashes)
    return np.unique(ordered[1:][ordered[1:] == ordered[:-1]])


class FactsCheck:
    """One file of facts against schema, terms and encodings.

    Parameters
    ----------
    kind : str
    dataset : Dataset or None
        What the agreement permits of it.
    refs : Known
        Of the batch's encodings.
    spoken : ndarray of bool, shape (n,)
        Set for each encoding of which a row speaks.
    submitted_on : date
    rows : int
        As announced.
    in_order : bool
        Whether to rely on rows in the order of the encodings.
    """

    def __init__(
        self,
        kind: str,
        dataset: Dataset | None,
        refs: Known,
        spoken: NDArray[np.bool_],
        submitted_on: date,
        rows: int,
        *,
        in_order: bool = True,
    ) -> None:
        if dataset is None:
            raise RefusedError("DATASET_NOT_PERMITTED", "The agreement does not let you submit these data.")
        self._kind, self._dataset, self._submitted_on = kind, dataset, submitted_on
        self._refs, self._spoken = refs, spoken
        self._problems = Problems(kind)
        self._ordered = "record_ref" in SCHEMAS[kind].key and in_order
        self._keys = Hashed(0 if self._ordered else rows)
        self._last, self._again, self._carried = -1, list[int](), np.empty(0, np.uint64)
        self._filled: dict[str, bool] = {}
        self._outside, self._unknown = _Listed(), _Listed()
        self.rows = 0

    def add(self, piece: pa.Table) -> None:
        """Check some more rows.

        Raises
        ------
        ServiceError
            For what concerns columns as a whole: `PII_COLUMN`, `UNKNOWN_COLUMN`, …
        """
        try:
            typed = check_rows(
                self._kind, piece, self._problems, submitted_on=self._submitted_on, first_row=self.rows
            )
        except CohortlinkError as error:
            raise self._refused(error) from None
        if piece.num_rows and not self._problems.total:
            self._look(piece, typed)
        self.rows += piece.num_rows

    def _look(self, piece: pa.Table, typed: pa.Table) -> None:
        for name in piece.column_names:
            self._filled[name] = self._filled.get(name, False) or piece[name].null_count < piece.num_rows
        refs = typed["record_ref"].cast(pa.string()).to_pylist()
        at = self._refs.rows(refs)
        self._spoken[at[at >= 0]] = True
        self._unknown.add(np.flatnonzero(at < 0), self.rows)
        self._outside.add(_outside(self._kind, typed, self._dataset), self.rows)
        others = [name for name in SCHEMAS[self._kind].key if name != "record_ref"]
        columns = [self._keys.texts(typed[name].combine_chunks()) for name in others]
        if "record_ref" in SCHEMAS[self._kind].key:
            columns.insert(0, self._keys.refs(refs))
        self._look_for_keys(self._keys.mixed(columns), at)

    def _look_for_keys(self, keys: Hashes, at: Rows) -> None:
        """Keys that come again: over the whole file, or among neighbours where rows are in order."""
        if not self._ordered:
            self._keys.keep(keys)
            return
        known = at[at >= 0]
        if (np.diff(known, prepend=self._last) < 0).any():
            raise OutOfOrderError
        # Who is not known is refused at the end; until then it goes with the person before.
        person = np.maximum(np.maximum.accumulate(at), self._last)
        before = self._carried if person[0] == self._last else self._carried[:0]
        together = Hashed(len(before) + len(keys))
        together.keep(before)
        together.keep(keys)
        new = [int(place) - len(before) for place in together.repeated()]
        self._again += [self.rows + row for row in new if row >= 0]
        # Only the last person's keys can come again.
        if person[-1] != self._last or not len(before):
            before = before[:0]
        self._last = int(person[-1])
        self._carried = np.concatenate([before, keys[person == self._last]])

    def finish(self) -> None:
        """After the last row.

        Raises
        ------
        RefusedError
            `FACTS_INVALID`, `FIELD_NOT_PERMITTED`, `PERIOD_NOT_PERMITTED`; rows and columns, no values.
        """
        kind = self._kind
        if not self._problems.total:
            key = SCHEMAS[kind].key
            detail = f"An earlier row has the same {', '.join(key)}."
            again = np.array(self._again, np.int64) if self._ordered else self._keys.repeated()
            self._problems.add_rows(again, key[0], "DUPLICATE_KEY", detail)
        try:
            self._problems.raise_if_any()
        except CohortlinkError as error:
            raise self._refused(error) from None
        permitted = {"*", "record_ref", *self._dataset.fields}
        extra = [name for name, filled in self._filled.items() if filled and name not in permitted]
        if extra and "*" not in self._dataset.fields:
            problems = [Problem("FIELD_NOT_PERMITTED", "is not permitted", column=name) for name in extra]
            detail = f"facts {kind}: the agreement leaves out some fields."
            raise RefusedError("FIELD_NOT_PERMITTED", detail, problems)
        self._outside.refuse(
            "PERIOD_NOT_PERMITTED", "is in no permitted period", _DATED_BY.get(kind),
            "PERIOD_NOT_PERMITTED", f"facts {kind}: {{}} rows lie in no period that the agreement permits.",
        )  # fmt: skip
        self._unknown.refuse(
            "RECORD_REF_UNKNOWN", "is not in the encodings", "record_ref",
            "FACTS_INVALID", f"facts {kind}: {{}} rows speak of records that are not here.",
        )  # fmt: skip

    def _refused(self, error: CohortlinkError) -> ServiceError:
        refusal = from_crypto(error)
        if refusal.code != "INVALID_ROWS":
            return refusal
        return RefusedError("FACTS_INVALID", f"facts {self._kind}: {refusal.detail}", refusal.problems)


class _Listed:
    """Rows with which one thing is wrong: all counted, the first listed."""

    def __init__(self) -> None:
        self._total, self._first = 0, list[int]()

    def add(self, rows: Rows, first_row: int) -> None:
        self._total += len(rows)
        self._first += [first_row + int(row) + 1 for row in rows[: MAX_PROBLEMS - len(self._first)]]

    def refuse(self, problem: str, words: str, column: str | None, code: str, detail: str) -> None:
        if self._total:
            problems = [Problem(problem, words, row=row, column=column) for row in self._first]
            raise RefusedError(code, detail.format(self._total), problems)


def check_facts(file: pa.NativeFile, check: FactsCheck, name: str, rows: int) -> None:
    """Run a file through its check.

    Raises
    ------
    RefusedError
        `FILE_UNREADABLE`, `FILE_ROWS`, and what `FactsCheck` raises.
    """
    try:
        with pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20) as source:
            if source.metadata.num_rows != rows:
                raise RefusedError("FILE_ROWS", f"{name} does not have the announced number of rows.")
            if not rows:
                check.add(source.schema_arrow.empty_table())
            for piece in source.iter_batches(batch_size=PIECE, use_threads=False):
                check.add(pa.Table.from_batches([piece]))
    except (pa.ArrowException, OSError):
        raise RefusedError("FILE_UNREADABLE", f"{name} is not a Parquet file.") from None
    check.finish()


def _outside(kind: str, table: pa.Table, dataset: Dataset) -> Rows:
    """Rows in no period that the agreement permits; a row that only deletes may have no date."""
    permitted = read_periods(dataset.periods)
    column = _DATED_BY.get(kind)
    if permitted is None or column is None:
        return np.empty(0, np.int64)
    # Few distinct dates stand for many rows.
    months = table[column].cast(pa.string()).combine_chunks()
    outside = [
        text
        for text in months.unique().to_pylist()
        if text is not None and not covers(permitted, _months(text))
    ]
    refused = pc.is_in(months, value_set=pa.array(outside, type=pa.string()))
    return np.flatnonzero(refused.to_numpy(zero_copy_only=False).astype(bool))


def _months(text: str) -> Period:
    if "Q" in text:
        period = Period.parse(text)
        assert period is not None
        return period
    return Period(month_number(text), month_number(text))
