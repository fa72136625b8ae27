"""The record references of a batch, in ten bytes each: which are there, and in which row.

References are 128 random bits and ascend in their file, so their first half finds the row without sorting.
Of the second half a short hash under a random key is kept: whoever makes references that begin alike gains
nothing, and can only have their own batch refused.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_SHIFT = np.uint64(48)


class References:
    """Kept a piece at a time, in ascending order.

    Parameters
    ----------
    expected : int
        How many there will be; more are no error.
    """

    def __init__(self, expected: int = 0) -> None:
        self._factor = np.uint64(secrets.randbits(64) | 1)
        self._begins: NDArray[np.uint64] = np.empty(expected, np.uint64)
        self._ends: NDArray[np.uint16] = np.empty(expected, np.uint16)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, refs: Sequence[str]) -> None:
        """Keep some more: 32 hex digits each."""
        begins, ends = self._halves(refs)
        count = self._count + len(begins)
        if count > len(self._begins):
            size = max(count, 2 * len(self._begins))
            self._begins, self._ends = np.resize(self._begins, size), np.resize(self._ends, size)
        self._begins[self._count : count], self._ends[self._count : count] = begins, ends
        self._count = count

    def rows(self, refs: Sequence[str]) -> NDArray[np.int64]:
        """The row of each, from 0; -1 for one that is not here."""
        if not self._count:
            return np.full(len(refs), -1, np.int64)
        begins, ends = self._halves(refs)
        place = np.searchsorted(self._begins[: self._count], begins)
        place = np.minimum(place, self._count - 1)
        found = (self._begins[place] == begins) & (self._ends[place] == ends)
        return np.where(found, place, -1)

    def _halves(self, refs: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.uint16]]:
        halves = np.frombuffer(bytes.fromhex("".join(refs)), ">u8").astype(np.uint64).reshape(-1, 2)
        return halves[:, 0], ((halves[:, 1] * self._factor) >> _SHIFT).astype(np.uint16)
