"""Linear programs over the worlds that agree with what is published: optima to rely on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import highspy
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from app.disclosure.solver import maximizer, new_solver

#: Solutions are feasible to about 1e-7; a bound counts as reached within this.
TOLERANCE = 1e-6
#: Simplex methods, by the numbers of the solver.
_DUAL, _PRIMAL = 1, 4


class Worlds:
    """A polytope ``{x : lower <= x <= upper, row_low <= A x <= row_high}`` and best values over it.

    Parameters
    ----------
    lower, upper : sequence of float, shape (n,)
    """

    def __init__(self, lower: Sequence[float], upper: Sequence[float]) -> None:
        self._solver = new_solver()
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


@dataclass(frozen=True, eq=False)
class Optimum:
    """A best world, and how much each row holds it (its dual)."""

    values: NDArray[np.float64]
    best: float
    duals: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Capped:
    """Part of an objective: what a sum of columns is above ``least``, as far as ``most``.

    Attributes
    ----------
    columns : array of int
    least, most : float
    """

    columns: NDArray[np.int32]
    least: float
    most: float


class Sums:
    """The polytope ``{0 <= x <= most, A x = value}`` and how large objectives can be over it.

    One program after another starts where the last one ended; rows may be freed.

    Parameters
    ----------
    matrix : scipy.sparse.csr_matrix, shape (n_rows, n_columns)
    value : array, shape (n_rows,)
    most : float
    anew : bool, optional
        Whether a program for which the solver has no answer is begun anew, by another method.
    """

    def __init__(
        self, matrix: sp.csr_matrix, value: NDArray[np.float64], most: float, *, anew: bool = False
    ) -> None:
        self._matrix, self._value, self._anew = matrix, value, anew
        self._held = np.ones(len(value), np.bool_)
        size = matrix.shape[1]
        self._upper = np.full(size, most)
        # Objectives change and worlds stay worlds: the primal method goes on where it was.
        settings = {"presolve": "off", "simplex_strategy": _PRIMAL}
        self._solver = maximizer(matrix, value, np.zeros(size), self._upper, settings)
        self._columns = np.arange(size, dtype=np.int32)

    @property
    def work(self) -> int:
        """Size of one program, in non-zeros and columns: the unit of the policy's budget."""
        return int(self._matrix.nnz + self._matrix.shape[1])

    def free(self, rows: NDArray[np.intp]) -> None:
        """Let rows have any value from now on."""
        for row in rows[self._held[rows]]:
            self._solver.changeRowBounds(int(row), -np.inf, np.inf)
        self._held[rows] = False

    def best(
        self,
        cost: NDArray[np.float64],
        capped: Sequence[Capped] = (),
        upper: NDArray[np.float64] | None = None,
    ) -> Optimum | None:
        """Return a world where ``cost @ x`` plus the capped parts is largest.

        Only a proven optimum is returned, and only what satisfies every row that is held; None is taken for
        "nothing is known".

        Parameters
        ----------
        cost : array, shape (n_columns,)
        capped : sequence of Capped
            With a finite ``most`` each adds what its sum is above ``least``, but never more than that; else
            each takes off what its sum is above ``least``.
        upper : array, shape (n_columns,), optional
            Bounds for this program alone.
        """
        solver, size, held = self._solver, len(self._columns), len(self._value)
        solver.changeColsCost(size, self._columns, np.asarray(cost, np.float64))
        if upper is not None:
            solver.changeColsBounds(size, self._columns, np.zeros(size), upper)
        for at, part in enumerate(capped):
            wanted = np.isfinite(part.most)
            solver.addVar(0.0, part.most)
            solver.changeColCost(size + at, 1.0 if wanted else -1.0)
            low, high = (-np.inf, -part.least) if wanted else (-part.least, np.inf)
            signs = np.append(-np.ones(len(part.columns)), 1.0)
            columns = np.append(part.columns, size + at).astype(np.int32)
            solver.addRow(low, high, len(columns), columns, signs)
        solver.run()
        if self._anew and solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            # Seldom, the primal method ends without an answer, where the dual one has no difficulty.
            solver.clearSolver()
            solver.setOptionValue("simplex_strategy", _DUAL)
            solver.run()
            solver.setOptionValue("simplex_strategy", _PRIMAL)
        optimal = solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
        solution, best = solver.getSolution(), float(solver.getInfo().objective_function_value)
        values = np.maximum(np.asarray(solution.col_value, np.float64)[:size], 0.0)
        duals = np.asarray(solution.row_dual, np.float64)[:held]
        if capped:
            more = np.arange(len(capped), dtype=np.int32)
            solver.deleteRows(len(more), held + more)
            solver.deleteCols(len(more), size + more)
        if upper is not None:
            solver.changeColsBounds(size, self._columns, np.zeros(size), self._upper)
        if not optimal or len(values) != size:
            return None
        missed = np.abs(self._matrix @ values - self._value)[self._held]
        return None if missed.max(initial=0.0) > TOLERANCE else Optimum(values, best, duals)
