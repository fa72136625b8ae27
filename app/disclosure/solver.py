"""Models as HiGHS takes them. With `programs` and `worlds`, which ask them, all that knows the solver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import highspy
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

#: Whatever is asked: silent, and the same steps each time.
_ALWAYS: Mapping[str, object] = {"output_flag": False, "threads": 1, "random_seed": 1}


def new_solver(settings: Mapping[str, object] | None = None) -> Any:
    """Return a solver without a model.

    Parameters
    ----------
    settings : mapping of str to object, optional
        Options of HiGHS besides those that always hold.
    """
    solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    for option, setting in {**_ALWAYS, **(settings or {})}.items():
        solver.setOptionValue(option, setting)
    return solver


def maximizer(
    matrix: sp.csr_matrix,
    value: NDArray[np.float64],
    lower: NDArray[np.float64],
    upper: NDArray[np.float64],
    settings: Mapping[str, object],
    *,
    whole: bool = False,
) -> Any:
    """Return a solver over ``{x : lower <= x <= upper, A x = value}`` that maximises, without an objective.

    Parameters
    ----------
    matrix : csr_matrix, shape (n_rows, n_columns)
    value : array, shape (n_rows,)
    lower, upper : array, shape (n_columns,)
    settings : mapping of str to object
        Options of HiGHS.
    whole : bool, optional
        In whole numbers.
    """
    model: Any = highspy.HighsLp()
    model.num_row_, model.num_col_ = matrix.shape
    model.col_cost_ = np.zeros(matrix.shape[1])
    model.col_lower_, model.col_upper_ = lower, upper
    model.row_lower_ = model.row_upper_ = value
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_ = matrix.indptr
    model.a_matrix_.index_ = matrix.indices
    model.a_matrix_.value_ = matrix.data
    if whole:
        model.integrality_ = [highspy.HighsVarType.kInteger] * matrix.shape[1]
    model.sense_ = highspy.ObjSense.kMaximize
    solver = new_solver(settings)
    solver.passModel(model)
    return solver
