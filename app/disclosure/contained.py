"""Figures of which one contains another: what is between them is a group, and needs no program to be told."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Flags = NDArray[np.bool_]


def tells_of_few(
    new: sp.csr_matrix,
    published: sp.csr_matrix,
    truth: NDArray[np.float64],
    k: int,
    spared: Callable[[NDArray[np.intp]], bool],
) -> Flags:
    """Which new figures contain a published one, or lie in one, but for fewer than ``k`` persons.

    Then no column between the two can hold ``k`` in any world.

    Parameters
    ----------
    new, published : csr_matrix, shape (n_figures, n_columns)
        Ones where a column counts.
    truth : array, shape (n_columns,)
    k : int
    spared : callable
        Whether of all of some columns that is known already: they are no reason to hide anything.

    Returns
    -------
    array of bool, shape (n_new,)
    """
    if not new.shape[0] or not published.shape[0]:
        return np.zeros(new.shape[0], np.bool_)
    told = np.zeros(new.shape[0], np.bool_)
    common = (new @ published.T).tocoo()
    larger, smaller = np.diff(new.indptr)[common.row], np.diff(published.indptr)[common.col]
    value = np.abs((new @ truth)[common.row] - (published @ truth)[common.col])
    nested = ((common.data == larger) | (common.data == smaller)) & (larger != smaller) & (value < k - 0.5)
    for one, other in zip(common.row[nested], common.col[nested], strict=True):
        between = np.setxor1d(new[one].indices, published[other].indices)
        told[one] = told[one] or not spared(between)
    return told
