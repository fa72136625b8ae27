"""Shares of categories that few pairs fell into: neighbouring levels tell how rare a rare one is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import ndtr

Floats = NDArray[np.float64]

#: What a level lends to each of its neighbours.
_LENT = 0.25

#: Pairs' worth of trust in that a category is as frequent as its neighbourhood.
_TRUST = 8.0


def noise(edges: Floats) -> Floats:
    """Where the noise of diffusion would put a pair of each level the next time.

    The likeness of two diffused filters is what they share and a normal error of one deviation; how many
    matches a level holds cannot change faster than that from one to the next. What different persons are
    alike by falls off far more steeply, by the error alone, and is not to be blurred by it once more.

    Parameters
    ----------
    edges : ndarray, shape (n_levels - 1,)
        Lower ends of all levels but the lowest, ascending, in deviations above chance.

    Returns
    -------
    ndarray, shape (n_levels, n_levels)
        Columns sum to one.
    """
    wide = np.concatenate([[edges[0] - 4.0], edges, [1.5 * abs(edges[-1]) + 1.0]])
    centre = (wide[:-1] + wide[1:]) / 2
    below = ndtr(edges[:, None] - centre[None, :])
    ends = np.zeros((1, len(centre))), np.ones((1, len(centre)))
    return np.diff(np.concatenate([ends[0], below, ends[1]]), axis=0)


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
    each = []
    for count, scale in zip(counts, ordered, strict=True):
        one = np.eye(count)
        if scale and count > 1:
            one = (1 - 2 * _LENT) * np.eye(count) + _LENT * (np.eye(count, k=1) + np.eye(count, k=-1))
            one[0, 0] += _LENT  # the ends of the scale keep what would leave it
            one[-1, -1] += _LENT
        each.append(one)
    return joint(each)


def joint(each: Sequence[Floats]) -> sparse.csr_array[Any]:
    """What joint categories lend each other, from what the levels of each filter do; as `neighbours`."""
    near: sparse.csr_array[Any] = sparse.csr_array(np.ones((1, 1)))
    for one in each:
        if len(each) > 1:
            one = np.pad(one, ((1, 0), (1, 0)))
            one[0, 0] = 1.0
        near = sparse.csr_array(sparse.kron(near, sparse.csr_array(one), format="csr"))
    return near


def alike_in_parts(counts: Floats, parts: int) -> Floats:
    """What each category would hold if a comparison came out alike in several equal parts of them."""
    by_part = counts.reshape(parts, -1)
    share = by_part.sum(axis=0) / max(float(by_part.sum()), 1e-300)
    return np.maximum(np.outer(by_part.sum(axis=1), share), 1e-300).ravel()


def smoothed(counts: Floats, expected: Floats) -> Floats:
    """Counts of categories, those of rare ones drawn to what their neighbourhood foresees.

    The mean of a Poisson count under a gamma prior whose mean is the neighbourhood: a category of many pairs
    keeps its own number, one of few or none has nearly that of its neighbours. A category that nobody fell
    into by luck is no proof that nobody ever will, and one pair in it no proof of matches.
    """
    return np.asarray(expected * (counts + _TRUST) / (expected + _TRUST))
