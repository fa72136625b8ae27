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
from dataclasses import dataclass

import numpy as np
import scipy.linalg as dense
import scipy.sparse as sp
from numpy.typing import NDArray

from app.disclosure.worlds import TOLERANCE, Floats

#: Newton steps to the centre; ten suffice unless there is no centre.
_STEPS = 50
#: A point is central when a Newton step from it has at most this length; its very middle is not needed.
_CENTRAL = 0.25
#: Numbers of a chunk of worlds, 16 MB.
_CHUNK = 2_000_000
#: A column that left its bounds is put back inside by this share of what it was outside,
_OVERSHOOT = 0.5
#: and by this share of its distance in the centre.
_MARGIN = 1e-3
#: Floating-point operations that count as one unit of the policy's work.
_PER_UNIT = 60_000
#: Rows that others imply make the normal equations singular; so much is added to each unit diagonal.
_REGULAR = 1e-11


class Metric:
    """Directions within ``A d = 0`` that are steepest where lengths are measured by ``scale``.

    Parameters
    ----------
    matrix : csr_matrix, shape (n_rows, n_columns)
    scale : array, shape (n_columns,)
        Squared length of a unit step in each column.
    """

    def __init__(self, matrix: sp.csr_matrix, scale: Floats) -> None:
        self._matrix, self._transposed, self._scale = matrix, matrix.T.tocsr(), scale
        normal = (matrix @ sp.diags_array(scale) @ self._transposed).toarray()
        self._norm = np.sqrt(normal.diagonal())
        normal /= self._norm[:, None]
        normal /= self._norm
        normal.flat[:: len(normal) + 1] += _REGULAR
        self._factor = dense.cholesky(normal, lower=True, overwrite_a=True, check_finite=False)

    def solve(self, right: Floats) -> Floats:
        """Solve the normal equations for one right side or several columns of them."""
        norm = self._norm if right.ndim == 1 else self._norm[:, None]
        part = dense.solve_triangular(self._factor, right / norm, lower=True, check_finite=False)
        part = dense.solve_triangular(
            self._factor, part, lower=True, trans=1, overwrite_b=True, check_finite=False
        )
        return np.asarray(part / norm, np.float64)

    def steepest(self, goal: Floats) -> Floats:
        """Directions that raise the sums in the columns of ``goal``, shape (n_columns, n_goals)."""
        scale = self._scale[:, None]
        return np.asarray(scale * goal - self.back(self.solve(self._matrix @ (scale * goal))), np.float64)

    def back(self, held: Floats) -> Floats:
        """Change of the columns for multipliers of the rows."""
        return np.asarray(self._scale[:, None] * (self._transposed @ held), np.float64)

    def weigh(self, held: Floats) -> Floats:
        """Multipliers of the rows on one scale."""
        return np.asarray(np.abs(held) * self._norm[:, None], np.float64)


def work_of(rows: int, columns: int, nonzeros: int, goals: int) -> int:
    """Units of work of a factorisation and of so many solutions with it."""
    normal = rows**3 // 3 + nonzeros**2 // max(columns, 1)
    return int((normal + goals * (2 * rows * rows + 6 * nonzeros + 10 * columns)) // _PER_UNIT) + 1


def find_centre(
    matrix: sp.csr_matrix, value: Floats, upper: Floats, start: Floats
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

    Returns
    -------
    array or None
        None where bounds leave no room: a column that must be zero, say.
    """
    bounded = np.isfinite(upper)
    point = start.astype(np.float64)
    for step in range(_STEPS):
        above = np.where(bounded, upper - point, np.inf)
        curvature = 1 / point**2 + 1 / above**2
        slope = 1 / point - 1 / above
        short = value - matrix @ point
        try:
            metric = Metric(matrix, 1 / curvature)
        except dense.LinAlgError:
            return None, step
        held = metric.solve(short - matrix @ (slope / curvature))
        move = (slope + matrix.T @ held) / curvature
        length = float(np.sqrt(move @ (move * curvature)))
        near = bool(np.abs(short).max(initial=0.0) < TOLERANCE / 10)
        if near and length < _CENTRAL:
            return point, step
        rate = max(float((-move / point).max()), float((move / above).max()), 1e-12)
        reach = min(1.0, 0.95 / rate)
        point = point + (min(reach, 1 / (1 + length)) if near and length > 1 else reach) * move
        if not point.min() > 1e-9:
            break
    return None, _STEPS


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
        The polytope.
    centre : array, shape (n_columns,)
        A point inside it.
    """

    def __init__(self, matrix: sp.csr_matrix, value: Floats, upper: Floats, centre: Floats) -> None:
        self._matrix, self._value, self._upper, self._centre = matrix, value, upper, centre
        above = np.where(np.isfinite(upper), upper - centre, np.inf)
        self._low = _MARGIN * centre
        self._high = upper - np.where(np.isfinite(upper), _MARGIN * above, 0.0)
        # Lengths by the distance to the bounds, not by its square: large columns give, small ones stay.
        self._metric = Metric(matrix, 1 / (1 / centre + 1 / above))

    def aim(self, sums: sp.csr_matrix, wanted: Floats, rounds: int) -> Iterator[Aimed]:
        """Look for a world for each row of ``sums`` in which it is ``wanted``; in up to ``rounds`` rounds."""
        chunk = max(1, _CHUNK // len(self._centre))
        for first in range(0, sums.shape[0], chunk):
            last = min(first + chunk, sums.shape[0])
            yield self._aim(sums[first:last].T.toarray(), wanted[first:last], rounds, first)

    def _aim(self, goal: Floats, wanted: Floats, rounds: int, first: int) -> Aimed:
        turn = self._metric.steepest(goal)
        room = (goal * turn).sum(axis=0)
        # What published figures fix cannot turn; it stays among the missed.
        turn /= np.where(room > 1e-9, room, np.inf)
        points = np.repeat(self._centre[:, None], len(wanted), axis=1)
        points += turn * (wanted - (goal * points).sum(axis=0))
        # All of a sum's columns at a bound: they are put there and have no margin.
        upper = self._upper[:, None]
        most = np.where(goal > 0, upper, 0.0).sum(axis=0)
        pinned = (goal > 0) & ((wanted <= 0) | (wanted >= most))
        left, reached = np.arange(len(wanted)), []
        held = np.zeros((len(self._value), len(wanted)))
        for _ in range(rounds):
            good = self._inside(points, goal, wanted)
            if good.any():
                reached.append(left[good])
                keep = ~good
                left, wanted, held = left[keep], wanted[keep], held[:, keep]
                goal, turn, points = goal[:, keep], turn[:, keep], points[:, keep]
                pinned = pinned[:, keep]
            if not len(left):
                break
            below, over = points < 0, points > upper
            np.copyto(points, self._low[:, None] - _OVERSHOOT * points, where=below)
            np.copyto(points, self._high[:, None] - _OVERSHOOT * (points - upper), where=over)
            np.copyto(points, np.where(wanted <= 0, 0.0, upper), where=pinned)
            held = self._metric.solve(self._value[:, None] - self._matrix @ points)
            points += self._metric.back(held)
            points += turn * (wanted - (goal * points).sum(axis=0))
        done = np.concatenate(reached) if reached else np.zeros(0, np.intp)
        return Aimed(first + done, first + left, self._metric.weigh(held))

    def _inside(self, points: Floats, goal: Floats, wanted: Floats) -> NDArray[np.bool_]:
        """Which points are worlds that have what is wanted: every row, every bound and the sum is checked."""
        upper = self._upper[:, None]
        off = np.maximum(-points, points - upper).max(axis=0)
        good = off < TOLERANCE / 10
        if good.any():
            worlds = np.clip(points[:, good], 0.0, upper)
            missed = np.abs(self._matrix @ worlds - self._value[:, None]).max(axis=0, initial=0.0)
            short = np.abs((goal[:, good] * worlds).sum(axis=0) - wanted[good])
            good[good] = (missed <= TOLERANCE) & (short <= TOLERANCE / 2)
        return np.asarray(good, np.bool_)
