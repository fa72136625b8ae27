"""Linear programs over the worlds that agree with what is published. The only file that knows the solver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: A world may miss a published figure by this many persons, and a bound counts as reached within it.
TOLERANCE = 1e-6
#: Above this many columns the interior-point method beats the simplex method.
_SIMPLEX_COLUMNS = 1500
#: Nodes of a mixed-integer program, not seconds: the same on any machine; and what one costs at most, in
#: programs over real numbers.
_NODES, _WHOLE_WORK = 500, 10


@dataclass(frozen=True, eq=False)
class World:
    """A solution: values of the columns, and how much each row holds the optimum (its dual)."""

    values: Floats
    duals: Floats


class Program:
    """A polytope ``{x : lower <= x <= upper, A x = value}`` and best values over it.

    Parameters
    ----------
    matrix : scipy.sparse.csr_matrix, shape (n_rows, n_columns)
    value : array, shape (n_rows,)
    lower, upper : array, shape (n_columns,)
    """

    def __init__(self, matrix: sp.csr_matrix, value: Floats, lower: Floats, upper: Floats) -> None:
        self._matrix, self._value, self._lower, self._upper = matrix, value, lower, upper
        solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        rows, columns = matrix.shape
        large = columns > _SIMPLEX_COLUMNS
        for option, setting in (
            ("output_flag", False),
            ("threads", 1),
            ("random_seed", 1),
            ("solver", "ipx" if large else "simplex"),
            # Duals name what to hide and worlds need no vertex: what crossover would add is not wanted.
            ("run_crossover", "off"),
            # A world must be a world; whether it is the best one matters little.
            ("ipm_optimality_tolerance", 1e-4),
            ("ipm_iteration_limit", 200),
            ("simplex_iteration_limit", 100_000),
        ):
            solver.setOptionValue(option, setting)
        model: Any = highspy.HighsLp()
        model.num_col_, model.num_row_ = columns, rows
        model.col_cost_ = np.zeros(columns)
        model.col_lower_, model.col_upper_ = lower, upper
        model.row_lower_ = model.row_upper_ = value
        model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        model.a_matrix_.start_ = matrix.indptr
        model.a_matrix_.index_ = matrix.indices
        model.a_matrix_.value_ = matrix.data
        model.sense_ = highspy.ObjSense.kMaximize
        solver.passModel(model)
        self._solver = solver
        self._columns = np.arange(columns, dtype=np.int32)

    @property
    def work(self) -> int:
        """Size of one program, in non-zeros and columns: the unit of the policy's budget."""
        return int(self._matrix.nnz + self._matrix.shape[1])

    def maximize(self, cost: Floats) -> World | None:
        """Return a world where ``cost @ x`` is largest.

        The solver's word is not taken for it: what does not satisfy every row and bound is no world, and
        None means "not proven".
        """
        self._solver.changeColsCost(len(cost), self._columns, cost)
        self._solver.run()
        solution = self._solver.getSolution()
        values = np.asarray(solution.col_value, np.float64)
        if len(values) != len(cost):
            return None
        values = np.clip(values, self._lower, self._upper)
        if np.abs(self._matrix @ values - self._value).max(initial=0.0) > TOLERANCE:
            return None
        duals = np.asarray(solution.row_dual, np.float64) if solution.dual_valid else np.zeros(0)
        return World(values, duals)


class WholeProgram:
    """The same polytope in whole numbers.

    Parameters
    ----------
    matrix, value, lower, upper
        As for :class:`Program`.
    """

    def __init__(self, matrix: sp.csr_matrix, value: Floats, lower: Floats, upper: Floats) -> None:
        self._matrix = matrix
        self._columns = np.arange(matrix.shape[1], dtype=np.int32)
        solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        for option, setting in (
            ("output_flag", False),
            ("threads", 1),
            ("random_seed", 1),
            ("mip_max_nodes", _NODES),
            ("mip_feasibility_tolerance", TOLERANCE),
        ):
            solver.setOptionValue(option, setting)
        model: Any = highspy.HighsLp()
        model.num_col_, model.num_row_ = matrix.shape[1], matrix.shape[0]
        model.col_cost_ = np.zeros(matrix.shape[1])
        model.col_lower_, model.col_upper_ = lower, np.floor(upper)
        model.row_lower_ = model.row_upper_ = value
        model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        model.a_matrix_.start_ = matrix.indptr
        model.a_matrix_.index_ = matrix.indices
        model.a_matrix_.value_ = matrix.data
        model.integrality_ = [highspy.HighsVarType.kInteger] * matrix.shape[1]
        model.sense_ = highspy.ObjSense.kMaximize
        solver.passModel(model)
        self._solver = solver

    @property
    def work(self) -> int:
        """Units of one program: it solves many."""
        return _WHOLE_WORK * int(self._matrix.nnz + self._matrix.shape[1])

    def maximize(self, cost: Floats, enough: float) -> Floats | None:
        """Return a world where ``cost @ x`` is ``enough``; where that is infinite, one where it is largest.

        None if none was found: there is none, or the limit of nodes was met.
        """
        solver, wanted = self._solver, np.flatnonzero(cost).astype(np.int32)
        bounded = bool(np.isfinite(enough))
        solver.changeColsCost(len(cost), self._columns, np.zeros(len(cost)) if bounded else cost)
        if bounded:
            solver.addRow(float(enough), np.inf, len(wanted), wanted, cost[wanted])
        solver.run()
        solution = solver.getSolution()
        values = np.asarray(solution.col_value, np.float64)
        found = solution.value_valid and len(values) == len(cost)
        if bounded:
            solver.deleteRows(1, np.array([self._matrix.shape[0]], np.int32))
        return values if found else None
