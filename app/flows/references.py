"""The record references of a batch: which are there, and in which row.

References are 128 random bits and ascend in their file, so their first half finds the row without sorting.
Of the second half a short hash under a random key is kept: whoever makes references that begin alike gains
nothing, and can only have their own batch refused.

Who asks in the order of the file needs no more of it than a piece (`PassingReferences`); for anybody else
all are kept, in ten bytes each (`References`).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

_SHIFT = np.uint64(48)
#: References of a piece.
PIECE: Final = 8_192

Begins = NDArray[np.uint64]
Ends = NDArray[np.uint16]


class OutOfOrderError(Exception):
    """The rows are not in the order of the encodings: check the file again, relying on no order."""


class Known(Protocol):
    """Where references can be looked up."""

    def rows(self, refs: Sequence[str]) -> NDArray[np.int64]:
        """The row of each, from 0; -1 for one that is not here."""


def stored_references(file: pa.NativeFile) -> Iterator[Sequence[str]]:
    """The references of a file of encodings that was found in order, a piece at a time, and no filters."""
    with pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 18) as source:
        for piece in source.iter_batches(batch_size=PIECE, columns=["record_ref"], use_threads=False):
            yield piece["record_ref"].to_pylist()


class References:
    """Kept a piece at a time, in ascending order.

    Parameters
    ----------
    expected : int
        How many there will be; more are no error.
    """

    def __init__(self, expected: int = 0) -> None:
        self._factor = _factor()
        self._begins: Begins = np.empty(expected, np.uint64)
        self._ends: Ends = np.empty(expected, np.uint16)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, refs: Sequence[str]) -> None:
        """Keep some more: 32 hex digits each."""
        begins, ends = _halves(refs, self._factor)
        count = self._count + len(begins)
        if count > len(self._begins):
            size = max(count, 2 * len(self._begins))
            self._begins, self._ends = np.resize(self._begins, size), np.resize(self._ends, size)
        self._begins[self._count : count], self._ends[self._count : count] = begins, ends
        self._count = count

    def rows(self, refs: Sequence[str]) -> NDArray[np.int64]:
        """The row of each, from 0; -1 for one that is not here."""
        begins, ends = _halves(refs, self._factor)
        return _places(begins, ends, self._begins[: self._count], self._ends[: self._count])


class PassingReferences:
    """References that pass by, for rows that come in the same order: a piece is held at a time.

    Parameters
    ----------
    pieces : iterator of sequence of str
        Ascending, as `stored_references`.
    """

    def __init__(self, pieces: Iterator[Sequence[str]]) -> None:
        self._pieces, self._factor = pieces, _factor()
        self._begins, self._ends = _halves([], self._factor)
        self._before, self._last = 0, np.uint64(0)

    def rows(self, refs: Sequence[str]) -> NDArray[np.int64]:
        """The row of each, from 0; -1 for one that is not here.

        Raises
        ------
        OutOfOrderError
            If they do not ascend, in themselves and after those asked for before.
        """
        begins, ends = _halves(refs, self._factor)
        found = np.full(len(begins), -1, np.int64)
        if not len(begins):
            return found
        if begins[0] < self._last or (begins[1:] < begins[:-1]).any():
            raise OutOfOrderError
        self._last, at = begins[-1], 0
        while True:
            held = self._begins[-1] if len(self._begins) else np.uint64(0)
            upto = int(np.searchsorted(begins, held, side="right")) if len(self._begins) else 0
            if upto > at:
                place = _places(begins[at:upto], ends[at:upto], self._begins, self._ends)
                found[at:upto] = np.where(place >= 0, place + self._before, -1)
                at = upto
            if at == len(begins) or not self._pull():
                return found

    def _pull(self) -> bool:
        piece = next(self._pieces, None)
        if piece is None:
            return False
        self._before += len(self._begins)
        self._begins, self._ends = _halves(piece, self._factor)
        return True


def _factor() -> np.uint64:
    return np.uint64(secrets.randbits(64) | 1)


def _places(begins: Begins, ends: Ends, known_begins: Begins, known_ends: Ends) -> NDArray[np.int64]:
    if not len(known_begins):
        return np.full(len(begins), -1, np.int64)
    place = np.minimum(np.searchsorted(known_begins, begins), len(known_begins) - 1)
    found = (known_begins[place] == begins) & (known_ends[place] == ends)
    return np.where(found, place, -1)


def _halves(refs: Sequence[str], factor: np.uint64) -> tuple[Begins, Ends]:
    halves = np.frombuffer(bytes.fromhex("".join(refs)), ">u8").astype(np.uint64).reshape(-1, 2)
    return halves[:, 0], ((halves[:, 1] * factor) >> _SHIFT).astype(np.uint16)
