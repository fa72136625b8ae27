"""Worlds that serve many goals at once: the cheapest part of a proof.

Each world of a crowd is pushed towards goals of its own, dozens to hundreds of them: columns are drawn to
where their goals want them, softly, so that what does not fit together costs those goals alone. Alternating
directions (ADMM) settle that in some dozens of rounds over one factorisation, for a batch of worlds together.

What comes out satisfies the published sums; where it still leaves a bound, it is moved towards the centre
until it does not. So everything that comes out is a world, however early the rounds are stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from app.disclosure.centre import Range, inwards
from app.disclosure.worlds import TOLERANCE, Floats

#: Columns keep this share of their distance in the centre from their bounds, to have room for the last steps.
_MARGIN = 0.02
#: A round draws a column by this share of its way.
STEP = 0.15
#: Goals are wanted further than they need, as a share of the way: moving a world back inside costs some.
_BEYOND = 0.2
#: A row of so few columns is short: those of one cell, by what was found of it.
_SHORT = 16
#: Over-relaxation.
_RELAX = 1.6
#: A column that is to be at its bound is put there if it is this near, in persons;
_NEAR = 0.2
#: in so many steps of conjugate gradients.
_POLISH = 30


def draw(
    around: Range, sums: sp.csr_matrix, world: NDArray[np.intp], value: Floats, *, alone: bool
) -> Floats:
    """Where to draw the columns of some goals so that their sums come to have a value.

    Parameters
    ----------
    around : Range
    sums : csr_matrix, shape (n_goals, n_columns)
    world : array, shape (n_goals,)
        In which world a goal is to be served.
    value : array, shape (n_goals,)
    alone : bool
        Whether each goal has a world of its own: then whatever must be empty for it is. Else only what shares
        a short row with it, where it is in nobody's way.

    Returns
    -------
    array, shape (n_columns, n_worlds)
        NaN where nothing draws.
    """
    centre, upper = around.centre, around.upper
    goal = np.repeat(np.arange(sums.shape[0]), np.diff(sums.indptr))
    column = sums.indices
    way = value - sums @ centre
    way *= 1 + _BEYOND
    room = np.where(np.isfinite(upper), upper - centre, centre + 1)
    share = np.where(way > 0, way / (sums @ room), way / (sums @ centre))[goal]
    # What is wanted of everybody is put at its bound, exactly.
    full = (share >= 1) & np.isfinite(upper[column])
    up = np.where(full, upper[column], centre[column] + share * room[column])
    down = np.where(share <= -1, 0.0, centre[column] * (1 + share))
    wanted = np.full((len(centre), int(world.max()) + 1), np.nan)
    wanted[column, world[goal]] = np.where(share > 0, np.minimum(up, upper[column]), down)
    longest = len(centre) if alone else _SHORT
    for at, others in _exhausted(around, sums, value, longest) if alone or np.isinf(upper).any() else ():
        wanted[np.setdiff1d(others, sums[at].indices), world[at]] = 0.0
    return wanted


def tight(around: Range, sums: sp.csr_matrix, value: Floats, longest: int | None = None) -> sp.csr_matrix:
    """Which published sums a goal must have for itself, since it lies in them, shape (n_goals, n_rows)."""
    few = np.diff(around.matrix.indptr) <= (around.matrix.shape[1] if longest is None else longest)
    small = np.flatnonzero(few & (around.value <= value.max(initial=0.0) + TOLERANCE))
    size = np.diff(sums.indptr)
    hits = (sums @ around.matrix[small].T).tocoo()
    keep = (hits.data == size[hits.row]) & (around.value[small[hits.col]] <= value[hits.row] + TOLERANCE)
    shape = sums.shape[0], around.matrix.shape[0]
    return sp.csr_matrix((np.ones(keep.sum()), (hits.row[keep], small[hits.col[keep]])), shape=shape)


def _exhausted(
    around: Range, sums: sp.csr_matrix, value: Floats, longest: int
) -> Iterator[tuple[int, NDArray[np.int32]]]:
    """Columns that must be empty for a goal, since it needs all of a published sum."""
    held = tight(around, sums, value, longest).tocoo()
    for at, row in zip(held.row, held.col, strict=True):
        yield int(at), around.matrix.indices[around.matrix.indptr[row] : around.matrix.indptr[row + 1]]


class Crowd:
    """Crowds of worlds around one centre.

    Parameters
    ----------
    around : Range
        The polytope, its centre and a factorisation there.
    """

    def __init__(self, around: Range) -> None:
        self._matrix, self._value = around.matrix, around.value[:, None]
        self._centre, self._upper = around.centre[:, None], around.upper[:, None]
        self._above = np.where(np.isfinite(self._upper), self._upper - self._centre, np.inf)
        self._metric = around.metric
        self._short = around.metric.short()
        self._rows = self._matrix.astype(np.float32)

    def worlds(self, wanted: Floats, rounds: int, *, step: float = STEP) -> Floats:
        """Draw columns to where they are wanted (NaN: anywhere), one world for each column of ``wanted``.

        A round draws a column by ``step`` of its way: little, where many goals share a world.
        """
        drawn = ~np.isnan(wanted)
        goal = np.where(drawn, wanted, self._centre)
        pinned = drawn & ((goal <= 0) | (goal >= self._upper))
        low = np.where(pinned, 0.0, _MARGIN * self._centre)
        high = np.where(
            pinned | np.isinf(self._upper), self._upper, self._centre + (1 - _MARGIN) * self._above
        )
        found = self._rounds(goal, low, high, rounds, step).astype(np.float64)
        found += self._metric.back(self._metric.solve(self._value - self._matrix @ found))
        if pinned.any():
            found = self._polish(found, goal, pinned & (np.abs(found - goal) < _NEAR))
        return self._inwards(found)

    def _rounds(self, goal: Floats, low: Floats, high: Floats, rounds: int, share: float) -> NDArray[Any]:
        """Where alternating directions lead; in numbers of half the length, which published sums may miss."""
        aim, least, most, value = (each.astype(np.float32) for each in (goal, low, high, self._value))
        point = np.repeat(self._centre.astype(np.float32), aim.shape[1], axis=1)
        step = np.float32(share) * np.abs(aim - point)
        back = -step
        past = np.zeros_like(point)
        room = np.empty_like(point)
        found: NDArray[Any] = point
        # In place: there is more traffic in these arrays than arithmetic.
        for _ in range(rounds):
            np.subtract(point, past, out=room)
            found = self._short.back(self._short.solve(value - self._rows @ room))
            found += room
            point *= 1 - _RELAX
            point += past
            point += np.multiply(found, _RELAX, out=room)
            np.copyto(past, point)
            np.subtract(aim, point, out=room)
            point += np.clip(room, back, step, out=room)
            np.clip(point, least, most, out=point)
            past -= point
        return found

    def _polish(self, points: Floats, goal: Floats, pinned: NDArray[np.bool_]) -> Floats:
        """Put pinned columns where they belong, exactly, while published sums stay."""
        weight = np.where(pinned, 1 / self._metric.scale[:, None], 0.0)
        rest = np.where(pinned, goal - points, 0.0)
        eased = weight * rest
        turn, size = eased.copy(), (rest * eased).sum(axis=0)
        held = np.zeros_like(points)
        for _ in range(_POLISH):
            if not (np.abs(rest) > TOLERANCE / 100).any():
                break
            bent = np.where(pinned, self._metric.steepest(turn), 0.0)
            slope = (turn * bent).sum(axis=0)
            rate = np.where(slope > 1e-14, size / np.maximum(slope, 1e-14), 0.0)
            held += rate * turn
            rest -= rate * bent
            eased = weight * rest
            size, before = (rest * eased).sum(axis=0), size
            turn = eased + np.where(before > 0, size / np.maximum(before, 1e-300), 0.0) * turn
        better = points + self._metric.steepest(held)
        there = pinned & (np.abs(better - goal) < TOLERANCE / 10)
        return np.where(there, goal, better)

    def _inwards(self, points: Floats) -> Floats:
        """What is a world of each point; whatever misses a published sum becomes the centre."""
        worlds = inwards(points, self._centre[:, 0], self._upper[:, 0])
        missed = np.abs(self._matrix @ worlds - self._value).max(axis=0, initial=0.0)
        return np.asarray(np.where(missed <= TOLERANCE, worlds, self._centre), np.float64)
