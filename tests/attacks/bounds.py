"""Least and most of sums over everything that agrees with what is published: one program, many objectives.

The attacker's own: it shares nothing with the service but the solver. A solution is kept, and what an earlier
one shows to be open is not asked of the solver again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import highspy
import numpy as np

#: So many persons are in no group.
_NOBODY_MORE = 1e5
_SLACK = 1e-4
#: So many solutions are looked at before the solver is asked.
_KEPT = 400


class Bounds:
    """All non-negative ``x`` with ``rows @ x = values``.

    Parameters
    ----------
    rows : sequence of array, shape (n_rows, n_columns)
    values : sequence of float
    size : int
        Columns.
    """

    def __init__(self, rows: Sequence[np.ndarray], values: Sequence[float], size: int) -> None:
        self._solver = highspy.Highs()
        for option, value in (("output_flag", False), ("threads", 1), ("random_seed", 7)):
            self._solver.setOptionValue(option, value)
        self._solver.addVars(size, np.zeros(size), np.full(size, _NOBODY_MORE))
        self._columns = np.arange(size, dtype=np.int32)
        for row, value in zip(rows, values, strict=True):
            inside = np.flatnonzero(row).astype(np.int32)
            self._solver.addRow(float(value), float(value), len(inside), inside, row[inside].astype(float))
        self._seen = np.zeros((0, size))

    def bound(self, cost: np.ndarray, sign: int) -> float:
        """The least (sign -1) or most (1) that a sum may be; infinite where the solver has no answer."""
        self._solver.changeColsCost(len(cost), self._columns, -sign * cost.astype(float))
        self._solver.run()
        if self._solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return sign * math.inf
        found = np.asarray(self._solver.getSolution().col_value, float)
        self._seen = np.vstack([self._seen, found])[-_KEPT:]
        return float(cost @ found)

    def reaches(self, cost: np.ndarray, least: float) -> bool:
        """Whether a sum may be at least so much."""
        return bool((self._seen @ cost).max(initial=-1.0) >= least - _SLACK) or (
            self.bound(cost, 1) >= least - _SLACK
        )

    def whole(self, cost: np.ndarray) -> tuple[int, int]:
        """Least and most whole number that a sum may be."""
        return (
            math.ceil(self.bound(cost, -1) - _SLACK),
            math.floor(self.bound(cost, 1) + _SLACK),
        )

    def range_seen(self, cost: np.ndarray) -> tuple[int, int]:
        """Whole numbers of the sum between those of kept solutions; the ends may lie further out."""
        values = self._seen @ cost
        if not len(values):
            return 1, 0
        return math.ceil(values.min() - _SLACK), math.floor(values.max() + _SLACK)


def told_by(low: int, high: int, n: int, k: int) -> str:
    """What an interval of those found tells of so few as are protected, to one who knows the ``n``.

    Of a large group a number may follow that could be shown: k found and k not found at least. It was hidden
    for others' sake, and whatever follows from it for them is asked of them.
    """
    if n >= 2 * k:
        return f"{low} to {high} of {n} found, so few one way" if high < k or n - low < k else ""
    return f"{low} to {high} of {n} found" if high <= low or (n < k and 2 * (high - low) < n) else ""
