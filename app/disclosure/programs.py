"""Linear programs over the worlds that agree with what is published. The only file that knows the solver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import highspy
import numpy as np
from numpy.typing import NDArray

#: Solutions are feasible to about 1e-7; a bound counts as reached within this.
TOLERANCE = 1e-6


class Worlds:
    """A polytope ``{x : lower <= x <= upper, row_low <= A x <= row_high}`` and best values over it.

    Parameters
    ----------
    lower, upper : sequence of float, shape (n,)
    """

    def __init__(self, lower: Sequence[float], upper: Sequence[float]) -> None:
        self._solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        for option, value in (("output_flag", False), ("threads", 1), ("random_seed", 1)):
            self._solver.setOptionValue(option, value)
        self.size = len(lower)
        self._solver.addVars(self.size, np.asarray(lower, float), np.asarray(upper, float))
        self._columns = np.arange(self.size, dtype=np.int32)

    def add(self, coefficients: Mapping[int, float], low: float, high: float) -> None:
        """Require ``low <= sum(coefficients * x) <= high``."""
        columns = np.fromiter(coefficients.keys(), np.int32, len(coefficients))
        values = np.fromiter(coefficients.values(), float, len(coefficients))
        self._solver.addRow(low, high, len(columns), columns, values)

    def best(self, coefficients: Mapping[int, float], *, maximize: bool) -> NDArray[np.float64] | None:
        """Return a world where ``sum(coefficients * x)`` is largest or smallest.

        Only a proven optimum is returned; anything else (no world, limits, numerical trouble) is None, which
        callers take for "not proven".
        """
        cost = np.zeros(self.size)
        for column, value in coefficients.items():
            cost[column] = value
        self._solver.changeColsCost(self.size, self._columns, cost)
        sense = highspy.ObjSense.kMaximize if maximize else highspy.ObjSense.kMinimize
        self._solver.changeObjectiveSense(sense)
        self._solver.run()
        if self._solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        return np.asarray(self._solver.getSolution().col_value, dtype=np.float64)
