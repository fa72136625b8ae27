"""Shares of categories that few pairs fell into: neighbouring levels tell how rare a rare one is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]

#: What a level lends to each of its neighbours: the noise of diffusion blurs levels by about one.
_LENT = 0.25

#: Pairs' worth of trust in that a category is as frequent as its neighbourhood.
_TRUST = 8.0


def neighbours(counts: Sequence[int], ordered: Sequence[bool]) -> sparse.csr_array[Any]:
    """How the categories of a joint comparison lend each other their pairs.

    Parameters
    ----------
    counts : sequence of int
        Levels of each filter, in the order and the numbering of `linkage.patterns.joint_categories`.
    ordered : sequence of bool
        Whether a filter's levels are steps of one scale; others, and what is missing, lend nothing.

    Returns
    -------
    csr_array, shape (n_categories, n_categories)
        Every column sums to one: no pair is lost.
    """
    near = sparse.csr_array(np.ones((1, 1)))
    for count, scale in zip(counts, ordered, strict=True):
        one = np.eye(count)
        if scale and count > 1:
            one = (1 - 2 * _LENT) * np.eye(count) + _LENT * (np.eye(count, k=1) + np.eye(count, k=-1))
            one[0, 0] += _LENT  # the ends of the scale keep what would leave it
            one[-1, -1] += _LENT
        if len(counts) > 1:
            one = np.pad(one, ((1, 0), (1, 0)))
            one[0, 0] = 1.0
        near = sparse.csr_array(sparse.kron(near, sparse.csr_array(one), format="csr"))
    return near


def smoothed(counts: Floats, near: sparse.csr_array[Any]) -> Floats:
    """Counts of categories, those of rare ones drawn to what their neighbourhood foresees.

    The mean of a Poisson count under a gamma prior whose mean is the neighbourhood: a category of many pairs
    keeps its own number, one of few or none has nearly that of its neighbours. A category that nobody fell
    into by luck is no proof that nobody ever will, and one pair in it no proof of matches.
    """
    expected = np.asarray(near @ counts)
    return np.asarray(expected * (counts + _TRUST) / (expected + _TRUST))
