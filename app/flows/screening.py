"""Screening of encodings on arrival: figures for the agency, and the refusals that need no judgement.

Pure: encodings in, figures out. Figures are decimal strings, because they are signed and logged.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import Problem, RefusedError
from crypto.encoding.types import Encodings, FilterColumn

MAX_FILL = 0.95
MAX_DUPLICATES = 0.5
MANY = 20


class Screening:
    """Fill rate, per-bit frequencies, empty filters and exact duplicates, a piece of the records at a time.

    What is kept between pieces is one count per bit and 8 bytes per record.
    """

    def __init__(self) -> None:
        self._records = 0
        self._filters: dict[str, _Counts] = {}
        self._digests: list[NDArray[np.uint64]] = []
        self._random = np.random.default_rng()
        self._factors: NDArray[np.uint64] | None = None

    def add(self, encodings: Encodings) -> None:
        """Look at some more records."""
        self._records += len(encodings)
        for name, column in encodings.filters.items():
            self._filters.setdefault(name, _Counts(column.width)).add(column)
        self._digests.append(self._digest(encodings))

    def figures(self) -> dict[str, Any]:
        """What was seen.

        Returns
        -------
        dict
            `{"records", "duplicates", "filters": {name: {"present", "empty", "fill", "bit_std"}}}`;
            `fill` is the mean share of set bits, `bit_std` the standard deviation over bits of the share of
            records that set the bit (.177 for a plain CLK, .009 when diffused, PRIVACY 2).
        """
        digests = np.concatenate(self._digests) if self._digests else np.empty(0, np.uint64)
        digests.sort()
        return {
            "records": self._records,
            "duplicates": int((digests[1:] == digests[:-1]).sum()) if self._filters else 0,
            "filters": {name: counts.figures() for name, counts in self._filters.items()},
        }

    def _digest(self, encodings: Encodings) -> NDArray[np.uint64]:
        """64 bits of each record's filters, shape (n,): equal records have equal ones, others by chance.

        The factors are drawn anew each time, so nobody can prepare records that collide.
        """
        columns = list(encodings.filters.values())
        words = [column.words.astype(np.uint64, copy=False) for column in columns]
        words.append(np.stack([column.present for column in columns], axis=1).astype(np.uint64))
        width = sum(part.shape[1] for part in words)
        if self._factors is None:
            self._factors = self._random.integers(0, 2**64, (2, width), dtype=np.uint64) | np.uint64(1)
        total = np.zeros(len(encodings), np.uint64)
        at = 0
        for part in words:
            for number in range(part.shape[1]):
                mixed = (part[:, number] ^ self._factors[0, at]) * self._factors[1, at]
                mixed ^= mixed >> np.uint64(29)
                mixed *= self._factors[0, at]
                total += mixed ^ (mixed >> np.uint64(32))
                at += 1
        return total


def screen(encodings: Encodings) -> dict[str, Any]:
    """`Screening` of records that are all here."""
    screening = Screening()
    screening.add(encodings)
    return screening.figures()


def refuse_by_policy(figures: dict[str, Any]) -> None:
    """Refuse what cannot be real data whoever sent it.

    Raises
    ------
    RefusedError
        `SCREENING_FAILED` with a problem per filter.
    """
    problems = []
    for name, item in figures["filters"].items():
        if item["empty"]:
            problems.append(Problem("EMPTY_FILTER", "filters are present without a set bit", column=name))
        if item["present"] and float(item["fill"]) > MAX_FILL:
            problems.append(Problem("FILL_TOO_HIGH", "filters are nearly full", column=name))
    if figures["records"] >= MANY and figures["duplicates"] > MAX_DUPLICATES * figures["records"]:
        problems.append(Problem("DUPLICATES", "most records are exact copies of others"))
    if problems:
        raise RefusedError("SCREENING_FAILED", "The encodings do not look like real data.", problems)


class _Counts:
    """Counts of one filter."""

    def __init__(self, width: int) -> None:
        self.width, self.present, self.empty, self.set_bits = width, 0, 0, 0
        self.bits = np.zeros(width, dtype=np.int64)

    def add(self, column: FilterColumn) -> None:
        words = column.words[column.present]
        set_bits = np.bitwise_count(words).sum(axis=1)
        self.present += len(words)
        self.empty += int((set_bits == 0).sum())
        self.set_bits += int(set_bits.sum())
        # In slices: a bit matrix of all records at once would be 8 times the size of the encodings.
        for start in range(0, len(words), 4096):
            piece = np.ascontiguousarray(words[start : start + 4096]).view(np.uint8)
            self.bits += np.unpackbits(piece, axis=1).sum(axis=0, dtype=np.int64)

    def figures(self) -> dict[str, Any]:
        if not self.present:
            return {"present": 0, "empty": 0, "fill": "0.0000", "bit_std": "0.0000"}
        return {
            "present": self.present,
            "empty": self.empty,
            "fill": f"{self.set_bits / self.present / self.width:.4f}",
            "bit_std": f"{(self.bits / self.present).std():.4f}",
        }
