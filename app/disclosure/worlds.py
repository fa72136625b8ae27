"""Linear programs over the worlds that agree with what is published: worlds, each of them checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from app.disclosure.solver import maximizer

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
        large = matrix.shape[1] > _SIMPLEX_COLUMNS
        settings = {
            "solver": "ipx" if large else "simplex",
            # Duals name what to hide and worlds need no vertex: what crossover would add is not wanted.
            "run_crossover": "off",
            # A world must be a world; whether it is the best one matters little.
            "ipm_optimality_tolerance": 1e-4,
            "ipm_iteration_limit": 200,
            "simplex_iteration_limit": 100_000,
        }
        self._solver = maximizer(matrix, value, lower, upper, settings)
        self._columns = np.arange(matrix.shape[1], dtype=np.int32)

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
        settings = {"mip_max_nodes": _NODES, "mip_feasibility_tolerance": TOLERANCE}
        self._solver = maximizer(matrix, value, lower, np.floor(upper), settings, whole=True)

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
