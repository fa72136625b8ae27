"""Worlds without a solver: from the middle of all worlds towards a goal, by projections.

The *analytic centre* maximises the sum of the logarithms of all distances to the bounds; a Newton method of
some ten steps finds it. From there one factorisation serves every goal. The smallest change that gives a sum
the value that is wanted, while all published figures stay, is a linear map of the goal; where it leaves the
bounds, columns are put back inside and the rest is projected again, until nothing is missed. Goals go through
this by the hundred, as dense arithmetic: milliseconds each, where a program took seconds.

A goal that keeps missing is probably out of reach, and what it misses by names the figures that hold it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import scipy.linalg as dense
import scipy.sparse as sp
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from app.disclosure.finest import Ints
from app.disclosure.worlds import TOLERANCE, Floats

#: Newton steps to the centre; ten suffice unless there is no centre.
STEPS = 50
#: A point is central when a Newton step from it has at most this length; its very middle is not needed.
_CENTRAL = 0.25
#: Numbers of a chunk of worlds, 16 MB.
_CHUNK = 2_000_000
#: A column that left its bounds is put back inside by this share of its distance in the centre.
_MARGIN = 1e-2
#: Rounds from one look to the next whether an aim is reached.
_LOOK = 3
#: Aims go so much further than what is wanted, as a share of the way.
_BEYOND = 0.02
#: Over-relaxation of what is put back.
_RELAX = 1.6
#: Floating-point operations that count as one unit of the policy's work.
_PER_UNIT = 60_000
#: Rows that others imply make the normal equations singular; so much is added to each unit diagonal.
_REGULAR = 1e-11
#: What such a row leaves on the diagonal of a factor is below this,
_IMPLIED = 1e-3
#: and by so much its multiplier becomes none.
_NEVER = 1e9


def one_thread() -> AbstractContextManager[object]:
    """Hold arithmetic to one thread.

    Rounding depends on how many threads share a sum, and who is served first depends on rounding.
    """
    return cast(AbstractContextManager[object], threadpool_limits(limits=1, user_api="blas"))


class Metric:
    """Directions within ``A d = 0`` that are steepest where lengths are measured by ``scale``.

    Rows that touch columns of one side alone are eliminated side by side, the rows that join sides after
    them: found and not found hang together by few rows. Where each side has but one such row (a cell of which
    the denominator is known), these are eliminated together: they have no column in common.

    Parameters
    ----------
    matrix : csr_matrix, shape (n_rows, n_columns)
    scale : array, shape (n_columns,)
        Squared length of a unit step in each column.
    side : array of int, shape (n_columns,), optional
    """

    def __init__(self, matrix: sp.csr_matrix, scale: Floats, side: Ints | None = None) -> None:
        self.scale = scale
        self._matrix, self._transposed = matrix, matrix.T.tocsr()
        self._norm = np.sqrt(matrix.multiply(matrix) @ scale)
        scaled = (sp.diags_array(1 / self._norm) @ matrix @ sp.diags_array(np.sqrt(scale))).tocsr()
        self._sides, self._border, apart = _sides(matrix, side)
        border = scaled[self._border]
        joint = (border @ border.T).toarray()
        self._factors: list[NDArray[Any] | None] = []
        self._across = []
        for rows in self._sides:
            own = scaled[rows]
            # Rows are scaled to length 1, so those that are apart need no factor.
            self._factors.append(None if apart else _factor((own @ own.T).toarray()))
            across = _forward(self._factors[-1], (own @ border.T).toarray())
            joint -= across.T @ across
            self._across.append(across)
        self._last = _factor(joint)

    def short(self) -> Metric:
        """Return the same in numbers of half the length: for rounds whose outcome is corrected after."""
        made = copy(self)
        made.scale, made._norm = self.scale.astype(np.float32), self._norm.astype(np.float32)
        made._matrix, made._transposed = (
            each.astype(np.float32) for each in (self._matrix, self._transposed)
        )
        made._factors = [None if factor is None else _shorten(factor) for factor in self._factors]
        made._across = [across.astype(np.float32, order="F") for across in self._across]
        made._last = _shorten(self._last)
        return made

    def solve(self, right: Floats) -> Floats:
        """Solve the normal equations for one right side or several columns of them."""
        norm = self._norm if right.ndim == 1 else self._norm[:, None]
        right = right / norm
        parts = []
        last = right[self._border]
        for rows, factor, across in zip(self._sides, self._factors, self._across, strict=True):
            parts.append(_forward(factor, right[rows]))
            last = last - across.T @ parts[-1]
        last = _backward(self._last, _forward(self._last, last))
        right[self._border] = last
        for rows, factor, across, part in zip(self._sides, self._factors, self._across, parts, strict=True):
            right[rows] = _backward(factor, part - across @ last)
        return np.asarray(right / norm)

    def steepest(self, goal: Floats) -> Floats:
        """Directions that raise the sums in the columns of ``goal``, shape (n_columns, n_goals)."""
        return self.free(self.scale[:, None] * goal)

    def free(self, change: Floats) -> Floats:
        """The part of changes of columns that leaves all rows alone."""
        return np.asarray(change - self.back(self.solve(self._matrix @ change)), np.float64)

    def back(self, held: Floats) -> Floats:
        """Change of the columns for multipliers of the rows."""
        change = np.asarray(self._transposed @ held)
        change *= self.scale[:, None]
        return change

    def weigh(self, held: Floats) -> Floats:
        """Multipliers of the rows on one scale."""
        return np.asarray(np.abs(held) * self._norm[:, None], np.float64)


def _sides(matrix: sp.csr_matrix, side: Ints | None) -> tuple[list[NDArray[np.intp]], NDArray[np.intp], bool]:
    """Rows of one side each, and those that touch several; whether the former have no column in common."""
    rows = np.arange(matrix.shape[0])
    if side is None or not len(rows):
        return [], rows, False
    low, high = side.max(initial=0) + np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    row = np.repeat(rows, np.diff(matrix.indptr))
    np.minimum.at(low, row, side[matrix.indices])
    np.maximum.at(high, row, side[matrix.indices])
    inside = low == high
    if len(np.unique(low[inside])) == inside.sum() > 2:
        return [np.flatnonzero(inside)], np.flatnonzero(~inside), True
    own = [np.flatnonzero(inside & (low == at)) for at in np.unique(side)]
    if len(own) < 2:
        return [], rows, False
    return [part for part in own if len(part)], np.flatnonzero(~inside), False


def _factor(normal: Floats) -> Floats:
    normal.flat[:: len(normal) + 1] += _REGULAR
    try:
        factor = dense.cholesky(normal, lower=True, check_finite=False)
    except dense.LinAlgError:
        # Rounding has made what is all but singular indefinite.
        normal.flat[:: len(normal) + 1] += 1000 * _REGULAR
        factor = dense.cholesky(normal, lower=True, check_finite=False)
    return np.asarray(factor, np.float64)


def _shorten(factor: Floats) -> NDArray[Any]:
    """A factor in numbers of half the length, in which rows that others imply count for nothing."""
    short = factor.astype(np.float32, order="F")
    at = np.arange(len(short))
    short[at, at] = np.where(short[at, at] < _IMPLIED, _NEVER, short[at, at])
    return short


def numbers_of(matrix: sp.csr_matrix, side: Ints) -> int:
    """How many numbers a factorisation holds."""
    sides, border, apart = _sides(matrix, side)
    return len(border) ** 2 + sum(len(rows) * ((not apart) * len(rows) + len(border)) for rows in sides)


def _forward(factor: NDArray[Any] | None, right: Floats) -> Floats:
    if factor is None:
        return right
    return np.asarray(dense.solve_triangular(factor, right, lower=True, check_finite=False))


def _backward(factor: NDArray[Any] | None, right: Floats) -> Floats:
    if factor is None:
        return right
    return np.asarray(dense.solve_triangular(factor, right, lower=True, trans=1, check_finite=False))


def centre_work(matrix: sp.csr_matrix, side: Ints) -> int:
    """Units of work of a factorisation and a solution with it."""
    sides, border, apart = _sides(matrix, side)
    joined = sum(
        len(rows) * (len(border) if apart else len(rows) * (len(rows) // 3 + len(border))) for rows in sides
    )
    last = len(border) ** 2 * (len(border) // 3 + sum(map(len, sides)))
    return int((joined + last + matrix.nnz**2 // max(matrix.shape[1], 1)) // _PER_UNIT) + 1


def aims_work(matrix: sp.csr_matrix, side: Ints, solutions: int) -> int:
    """Units of work of so many solutions."""
    each = 2 * numbers_of(matrix, side) + 6 * matrix.nnz + 10 * matrix.shape[1]
    return int(solutions * each // _PER_UNIT) + 1


def find_centre(
    matrix: sp.csr_matrix,
    value: Floats,
    upper: Floats,
    start: Floats,
    *,
    side: Ints | None = None,
    steps: int = STEPS,
) -> tuple[Floats | None, int]:
    """Return the analytic centre of ``{0 <= x <= upper, A x = value}`` and the Newton steps it took.

    Parameters
    ----------
    matrix : csr_matrix
    value : array, shape (n_rows,)
    upper : array, shape (n_columns,)
        May be infinite.
    start : array, shape (n_columns,)
        Strictly between the bounds; it need not fit ``value``.
    side : array, optional
        As for :class:`Metric`.
    steps : int
        At most so many; a point that fits by then is as good, if not central.

    Returns
    -------
    array or None
        None where bounds leave no room: a column that must be zero, say.
    """
    bounded = np.isfinite(upper)
    point = start.astype(np.float64)
    near = False
    for step in range(steps):
        above = np.where(bounded, upper - point, np.inf)
        curvature = 1 / point**2 + 1 / above**2
        slope = 1 / point - 1 / above
        short = value - matrix @ point
        try:
            metric = Metric(matrix, 1 / curvature, side)
        except dense.LinAlgError:
            return None, step
        right = short - matrix @ (slope / curvature)
        held = metric.solve(right)
        # Once more for what is lost where rows imply each other.
        held += metric.solve(right - matrix @ ((matrix.T @ held) / curvature))
        move = (slope + matrix.T @ held) / curvature
        length = float(np.sqrt(move @ (move * curvature)))
        near = bool(np.abs(short).max(initial=0.0) < TOLERANCE / 10)
        if near and length < _CENTRAL:
            return point, step
        rate = max(float((-move / point).max()), float((move / above).max()), 1e-12)
        reach = min(1.0, 0.95 / rate)
        point = point + (min(reach, 1 / (1 + length)) if near and length > 1 else reach) * move
        if not point.min() > 1e-9:
            return None, step
    return (point if near else None), steps


@dataclass(frozen=True, eq=False)
class Aimed:
    """What came of some aims.

    Attributes
    ----------
    reached : array of int
        Positions of the aims for which there is a world.
    missed : array of int
        Positions of the others,
    held : array, shape (n_rows, n_missed)
        and how much each row holds them.
    """

    reached: NDArray[np.intp]
    missed: NDArray[np.intp]
    held: Floats


class Range:
    """Aims from the centre of a polytope.

    Parameters
    ----------
    matrix, value, upper
        The polytope; ``upper`` may be infinite.
    centre : array, shape (n_columns,)
        A point inside it.
    side : array, optional
        As for :class:`Metric`.
    """

    def __init__(
        self, matrix: sp.csr_matrix, value: Floats, upper: Floats, centre: Floats, side: Ints | None = None
    ) -> None:
        self.matrix, self.value, self.upper, self.centre = matrix, value, upper, centre
        above = np.where(np.isfinite(upper), upper - centre, np.inf)
        self._low = _MARGIN * centre
        self._high = upper - np.where(np.isfinite(upper), _MARGIN * above, 0.0)
        # Lengths by the distance to the bounds, not by its square: large columns give, small ones stay.
        self.metric = Metric(matrix, 1 / (1 / centre + 1 / above), side)

    def aim(self, sums: sp.csr_matrix, wanted: Floats, rounds: int) -> Iterator[Aimed]:
        """Look for a world for each row of ``sums`` in which it is ``wanted``; in up to ``rounds`` rounds."""
        chunk = max(1, _CHUNK // len(self.centre))
        for first in range(0, sums.shape[0], chunk):
            last = min(first + chunk, sums.shape[0])
            yield self._aim(sums[first:last].T.toarray(), wanted[first:last], rounds, first)

    def _aim(self, goal: Floats, wanted: Floats, rounds: int, first: int) -> Aimed:
        turn = self.metric.steepest(goal)
        room = (goal * turn).sum(axis=0)
        # What published figures fix cannot turn; it stays among the missed.
        turn /= np.where(room > 1e-9, room, np.inf)
        points = np.repeat(self.centre[:, None], len(wanted), axis=1)
        base = (goal * points).sum(axis=0)
        # All of a sum's columns at a bound: they are put there and have no margin.
        upper = self.upper[:, None]
        most = np.where(goal > 0, upper, 0.0).sum(axis=0)
        pinned = (goal > 0) & ((wanted <= 0) | (wanted >= most))
        # A little further than is wanted: what still leaves a bound then may be moved back.
        aimed = np.clip(wanted + _BEYOND * (wanted - base), 0.0, most)
        points += turn * (aimed - base)
        low = np.where(pinned & (wanted > 0), upper, np.where(pinned, 0.0, self._low[:, None]))
        high = np.where(pinned & (wanted <= 0), 0.0, np.where(pinned, upper, self._high[:, None]))
        put, past = np.clip(points, low, high), np.zeros_like(points)
        left, reached = np.arange(len(wanted)), []
        held = np.zeros((len(self.value), len(wanted)))
        for at in range(rounds):
            # To look costs about as much as a round.
            looked = at % _LOOK == 0 or at == rounds - 1
            good = self._inside(points, goal, wanted, base) if looked else np.zeros(len(left), np.bool_)
            if good.any():
                reached.append(left[good])
                keep = ~good
                left, held = left[keep], held[:, keep]
                wanted, aimed, base = wanted[keep], aimed[keep], base[keep]
                goal, turn, points = goal[:, keep], turn[:, keep], points[:, keep]
                low, high, put, past = low[:, keep], high[:, keep], put[:, keep], past[:, keep]
            if not len(left):
                break
            # Alternating directions: what was put back is remembered, so that what resists gives in the end.
            put *= 1 - _RELAX
            put += past
            points *= _RELAX
            put += points
            np.copyto(past, put)
            np.clip(put, low, high, out=put)
            past -= put
            np.subtract(put, past, out=points)
            held = self.metric.solve(self.value[:, None] - self.matrix @ points)
            points += self.metric.back(held)
            points += turn * (aimed - (goal * points).sum(axis=0))
        done = np.concatenate(reached) if reached else np.zeros(0, np.intp)
        return Aimed(first + done, first + left, self.metric.weigh(held))

    def _inside(self, points: Floats, goal: Floats, wanted: Floats, base: Floats) -> NDArray[np.bool_]:
        """For which points there is a world on the way from the centre that has what is wanted."""
        worlds = inwards(points, self.centre, self.upper)
        short = (wanted - (goal * worlds).sum(axis=0)) * np.sign(wanted - base)
        good = short <= TOLERANCE / 2
        if good.any():
            missed = np.abs(self.matrix @ worlds[:, good] - self.value[:, None]).max(axis=0, initial=0.0)
            good[good] = missed <= TOLERANCE
        return np.asarray(good, np.bool_)


def inwards(points: Floats, centre: Floats, upper: Floats) -> Floats:
    """Move points, a column each, towards the centre until none leaves a bound."""
    middle = centre[:, None]
    away = points - middle
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(away < 0, middle / -away, (upper - centre)[:, None] / away)
    share = np.minimum(1.0, np.where(away == 0, np.inf, room).min(axis=0))
    return np.asarray(np.clip(middle + share * away, 0.0, upper[:, None]), np.float64)
