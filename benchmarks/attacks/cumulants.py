"""First rotations: two clouds of points are laid upon each other by their distributions alone.

The leading axes of two samples of one population span nearly the same space, in which the points are
distributed alike and far from normally. Third moments tell the axes apart, are untouched by symmetric noise
and need no person in both samples, so that a small overlap does not hide them. Rotations that carry one
tensor of moments to the other are found from many random ones by alternating polar steps (as in orthogonal
tensor matching); the best are handed on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

#: Numbers of axes that are tried, random rotations of each, those handed on, and steps.
_AXES = (12, 16)
_STARTS, _KEPT, _STEPS = 300, 2, 150
#: Weight of the second moments in a step.
_SECOND = 0.1


def polar(matrix: Points) -> Points:
    """The nearest orthogonal matrix, or of a stack those of each."""
    u, _, vt = np.linalg.svd(matrix)
    return np.asarray(u @ vt)


def third_moments(points: Points) -> Points:
    """Tensor of shape (axes, axes, axes)."""
    count, axes = points.shape
    pairs = (points[:, :, None] * points[:, None, :]).reshape(count, -1)
    return np.asarray((points.T @ pairs / count).reshape(axes, axes, axes))


def anchors(points: Points, mark: Points) -> Points:
    """Mean points weighted by powers of a mark that every person bears on both sides."""
    z = (mark - mark.mean()) / (mark.std() + 1e-12)
    return np.asarray(points.T @ np.column_stack([z, z**2 - 1, z**3 - 3 * z]) / len(points))


def _carried(turns: Points, tensor: Points) -> Points:
    """The tensor with its last two axes turned, for each rotation of a stack."""
    return np.asarray(turns[:, None] @ (tensor[None] @ turns.transpose(0, 2, 1)[:, None]))


def _align(turns: Points, a: Points, b: Points, one: Points, other: Points) -> tuple[Points, Points]:
    """Rotations after some steps, and how far they leave the moments of ``b`` from those of ``a``."""
    axes = turns.shape[1]
    ta, tb = third_moments(a[:, :axes]), third_moments(b[:, :axes])
    la, lb = one[:axes], other[:axes]
    sa, sb = np.diag((a[:, :axes] ** 2).mean(axis=0)), np.diag((b[:, :axes] ** 2).mean(axis=0))
    flat = ta.reshape(axes, -1)
    for _ in range(_STEPS):
        seen = flat @ _carried(turns, tb).reshape(len(turns), axes, -1).transpose(0, 2, 1)
        turns = polar(3 * seen + 2 * _SECOND * (sa @ turns @ sb) + la @ lb.T)
    whole = turns @ _carried(turns, tb).reshape(len(turns), axes, -1)
    left = ((whole - flat) ** 2).sum(axis=(1, 2)) + ((turns @ lb - la) ** 2).sum(axis=(1, 2))
    return turns, left


def rotations(a: Points, b: Points, mark_a: Points, mark_b: Points) -> list[Points]:
    """Likely rotations R, best first for each number of axes, with ``a @ R`` laid upon ``b``.

    The columns of ``a`` and ``b`` are axes in falling order, their lengths those of the spread along them.
    """
    rng = np.random.default_rng(0)
    found = []
    for axes in [n for n in _AXES if n <= min(a.shape[1], b.shape[1])]:
        deep, wide = (np.sqrt((points[:, :axes] ** 2).mean(axis=0)) for points in (a, b))
        weight = (deep + wide) / (deep + wide).mean()
        mine, hers = a[:, :axes] / deep * weight, b[:, :axes] / wide * weight
        one, other = anchors(mine, mark_a), anchors(hers, mark_b)
        turns = polar(rng.standard_normal((_STARTS, axes, axes)) + 3 * one @ other.T)
        turns, left = _align(turns, mine, hers, one, other)
        found += [turns[place] for place in np.argsort(left)[:_KEPT]]
    return found
