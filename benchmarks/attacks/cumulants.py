"""First rotations: two clouds of points are laid upon each other by their distributions alone.

The leading axes of two samples of one population span nearly the same space, in which the points are
distributed alike and far from normally. What every person bears on both sides (`invariants`) has moments
with one axis and with two, and three axes have moments with each other. All are untouched by symmetric noise
and need no person in both samples, so that a small overlap does not hide them. Rotations that carry the
moments of one side to those of the other are found from many first ones by alternating polar steps (as in
orthogonal tensor matching); the best is handed on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

#: Numbers of axes that are tried, first rotations of each, and steps.
_AXES = (24, 16, 32, 12)
_STARTS, _STEPS = 24, 80
#: Weight of the moments of three axes beside those with functions.
_THIRD = 0.5


@dataclass(frozen=True)
class Moments:
    """Of points: with functions, shape (axes, functions), and (functions, axes, axes); of three axes."""

    single: Points
    double: Points
    triple: Points


def polar(matrix: Points) -> Points:
    """The nearest orthogonal matrix, or of a stack those of each."""
    u, _, vt = np.linalg.svd(matrix)
    return np.asarray(u @ vt)


def moments(points: Points, functions: Points) -> Moments:
    """Of points, shape (n, axes), and functions of the same persons, shape (n, functions)."""
    count, axes = points.shape
    pairs = (points[:, :, None] * points[:, None, :]).reshape(count, -1)
    spread = (pairs.mean(axis=0)[None] * functions.mean(axis=0)[:, None]).reshape(-1, axes, axes)
    double = (functions.T @ pairs / count).reshape(-1, axes, axes) - spread
    triple = (points.T @ pairs / count).reshape(axes, axes, axes)
    return Moments(points.T @ functions / count, double, triple)


def _carried(turns: Points, tensor: Points) -> Points:
    """The tensor with its last two axes turned, for each rotation of a stack."""
    return np.asarray(turns[:, None] @ (tensor[None] @ turns.transpose(0, 2, 1)[:, None]))


def _align(turns: Points, one: Moments, other: Moments) -> tuple[Points, Points]:
    """Rotations after some steps, and how far they leave the moments of the one from the other's."""
    count, axes = turns.shape[:2]
    flat, linear = one.triple.reshape(axes, -1), one.single @ other.single.T
    # Sums over functions as products of wide matrices.
    left = one.double.transpose(1, 0, 2).reshape(axes, -1)
    right = other.double.transpose(1, 0, 2).reshape(axes, -1)
    for _ in range(_STEPS):
        seen = flat @ _carried(turns, other.triple).reshape(count, axes, -1).transpose(0, 2, 1)
        turned = (turns @ right).reshape(count, axes, -1, axes).transpose(0, 2, 1, 3)
        turns = polar(3 * _THIRD * seen + 2 * left @ turned.reshape(count, -1, axes) + linear)
    whole = turns @ _carried(turns, other.triple).reshape(count, axes, -1)
    carried = turns.transpose(0, 2, 1)[:, None] @ one.double[None] @ turns[:, None]
    apart = _THIRD * ((whole - flat) ** 2).sum(axis=(1, 2))
    apart += ((carried - other.double) ** 2).sum(axis=(1, 2, 3))
    apart += ((turns.transpose(0, 2, 1) @ one.single - other.single) ** 2).sum(axis=(1, 2))
    return turns, apart


def rotations(a: Points, b: Points, seen: Points, known: Points) -> Iterator[Points]:
    """Likely rotations R, one for each number of axes, with ``a @ R`` laid upon ``b``.

    The columns of ``a`` and ``b`` are axes in falling order, their lengths those of the spread along them;
    ``seen`` and ``known`` are functions of the same persons that are alike on both sides.
    """
    rng = np.random.default_rng(0)
    for axes in [n for n in _AXES if n <= min(a.shape[1], b.shape[1])]:
        deep, wide = (np.sqrt((points[:, :axes] ** 2).mean(axis=0)) for points in (a, b))
        weight = (deep + wide) / (deep + wide).mean()
        one, other = moments(a[:, :axes] / deep * weight, seen), moments(b[:, :axes] / wide * weight, known)
        linear = one.single @ other.single.T
        random = rng.standard_normal((_STARTS, axes, axes)) * np.linspace(0, 0.6, _STARTS)[:, None, None]
        turns, apart = _align(polar(random + linear), one, other)
        yield turns[apart.argmin()]
