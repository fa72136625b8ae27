"""What a proof works on: a space of worlds, goals in it, and the budget.

See :mod:`app.disclosure.proof`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from app.disclosure.finest import Ints
from app.disclosure.worlds import TOLERANCE, Floats

#: Sums of so many columns are looked for in published ones, to tell what they can be at most.
_FEW = 16
#: Goals, and a value for each that some world is to give it.
Aims = tuple[NDArray[np.intp], Floats]


class Status(IntEnum):
    """What is published of a group: its sums, the sum of both sides only, nothing."""

    SHOWN = 0
    SUM = 1
    HIDDEN = 2


@dataclass(frozen=True, eq=False)
class Space:
    """All worlds of one attacker.

    Attributes
    ----------
    matrix : csr_matrix, shape (n_rows, n_columns)
        Published sums, one row each.
    figure : array, shape (n_rows,)
        Which published figure a row is; the owner of the space knows what that means.
    truth, upper : array, shape (n_columns,)
        What is; and the most that may be (an attacker's knowledge, or a number that never binds).
    codes : array, shape (n_columns, n_axes)
        Where a column lies, to choose blocks by.
    side : array, shape (n_columns,)
        Found (0) or not found (1). Sides hang together by few rows or none: one of them moves at a time,
        until nothing but both will do.
    unbounded : float
        An ``upper`` of so much never binds.
    status : array of int8, shape (n_groups,), optional
        What is shown of each group (:class:`Status`).
    """

    matrix: sp.csr_matrix
    figure: Ints
    truth: Floats
    upper: Floats
    codes: Ints
    side: Ints
    unbounded: float = np.inf
    status: NDArray[np.int8] | None = None

    def most(self, sums: sp.csr_matrix) -> Floats:
        """What sums of columns can be at most, by the bounds of columns and the rows that they lie in."""
        most = np.asarray(sums @ self.upper, np.float64)
        few = np.flatnonzero(np.diff(sums.indptr) <= _FEW)
        inside = (sums[few] @ self.matrix.T).tocoo()
        whole = inside.data == np.diff(sums.indptr)[few[inside.row]]
        np.minimum.at(most, few[inside.row[whole]], (self.matrix @ self.truth)[inside.col[whole]])
        return most


@dataclass(eq=False)
class Goals:
    """What must be possible: for each row of ``matrix`` a highest, a lowest value, a span.

    Attributes
    ----------
    matrix : csr_matrix, shape (n_goals, n_columns)
    highest, lowest : array, shape (n_goals,)
        Some world must reach at least / at most this; minus / plus infinity where nothing is asked.
    span : array, shape (n_goals,)
        Whole numbers within reach, less one; 0 where nothing is asked.
    cap : bool
        Whether a column above its goal may be cut off there while the goal is open (goals of one column).
    high, low : array, shape (n_goals,)
        Reached so far.
    group : array, shape (n_goals,), optional
        The group that a goal is about, -1 for a finest cell.
    """

    matrix: sp.csr_matrix
    highest: Floats
    lowest: Floats
    span: Floats
    cap: bool = False
    high: Floats = field(default_factory=lambda: np.zeros(0))
    low: Floats = field(default_factory=lambda: np.zeros(0))
    group: Ints | None = None

    def note(self, goals: NDArray[np.intp], reached: Floats) -> None:
        """Take what worlds reach of some goals into account; a goal may be there twice."""
        np.maximum.at(self.high, goals, reached)
        np.minimum.at(self.low, goals, reached)

    def note_all(self, reached: Floats) -> None:
        """Take worlds into account, by what every goal reaches in each, shape (n_goals, n_worlds)."""
        self.high = np.maximum(self.high, reached.max(axis=1))
        self.low = np.minimum(self.low, reached.min(axis=1))

    def open(self) -> NDArray[np.bool_]:
        """Which goals no world has served yet."""
        whole = np.floor(self.high + TOLERANCE) - np.ceil(self.low - TOLERANCE)
        return (
            (self.high < self.highest - TOLERANCE)
            | (self.low > self.lowest + TOLERANCE)
            | (whole < self.span)
        )

    def outer(self, chosen: NDArray[np.intp]) -> Aims:
        """The highest or lowest values that are still missing."""
        up = self.high[chosen] < self.highest[chosen] - TOLERANCE
        down = self.low[chosen] > self.lowest[chosen] + TOLERANCE
        return (
            np.concatenate([chosen[up], chosen[down]]),
            np.concatenate([self.highest[chosen[up]], self.lowest[chosen[down]]]),
        )

    def window(self, chosen: NDArray[np.intp], centre: Floats, most: Floats) -> Aims:
        """Ends of a span around the centre, for those that miss one and where it fits below ``most``."""
        narrow = self._narrow(chosen)
        chosen, centre, most = chosen[narrow], centre[narrow], most[narrow]
        span = self.span[chosen]
        least = np.clip(np.floor(centre - span / 2 + 0.5), 0, np.maximum(most - span, 0))
        return np.concatenate([chosen, chosen]), np.concatenate([least, least + span])

    def upward(self, chosen: NDArray[np.intp], most: Floats) -> Aims:
        """As far above the lowest value as the span wants."""
        narrow = self._narrow(chosen)
        wanted = np.ceil(self.low[chosen] - TOLERANCE) + self.span[chosen]
        narrow &= wanted <= most
        return chosen[narrow], wanted[narrow]

    def downward(self, chosen: NDArray[np.intp]) -> Aims:
        """As far below the highest value as the span wants."""
        narrow = self._narrow(chosen)
        wanted = np.floor(self.high[chosen] + TOLERANCE) - self.span[chosen]
        narrow &= wanted >= 0
        return chosen[narrow], wanted[narrow]

    def nearest(self, chosen: NDArray[np.intp], most: Floats, coin: NDArray[np.bool_]) -> Floats:
        """One value for each goal that would help: the highest, the lowest, or an end of the span by coin."""
        high, low = self.high[chosen], self.low[chosen]
        up, down = high < self.highest[chosen] - TOLERANCE, low > self.lowest[chosen] + TOLERANCE
        above = np.ceil(low - TOLERANCE) + self.span[chosen]
        below = np.floor(high + TOLERANCE) - self.span[chosen]
        spanned = np.where((below < 0) | (coin & (above <= most)), above, below)
        rises = up & (~down | coin)
        return np.where(rises, self.highest[chosen], np.where(down, self.lowest[chosen], spanned))

    def _narrow(self, chosen: NDArray[np.intp]) -> NDArray[np.bool_]:
        whole = np.floor(self.high[chosen] + TOLERANCE) - np.ceil(self.low[chosen] - TOLERANCE)
        return np.asarray(whole < self.span[chosen], np.bool_)

    def wish(self, chosen: NDArray[np.intp], coin: NDArray[np.bool_]) -> Floats:
        """Tell each goal's direction: up or down where only that is missing, else by coin."""
        up = self.high[chosen] < self.highest[chosen] - TOLERANCE
        down = self.low[chosen] > self.lowest[chosen] + TOLERANCE
        return np.where(up & ~down, 1.0, np.where(down & ~up, -1.0, np.where(coin, 1.0, -1.0)))


def each_reaches(size: int, k: int) -> Goals:
    """Goals: every column may reach k."""
    return Goals(
        sp.identity(size, format="csr"),
        np.full(size, float(k)),
        np.full(size, np.inf),
        np.zeros(size),
        cap=True,
    )


def statuses(shown: NDArray[np.bool_], whole: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Tell of each group what is shown: its sums (``shown``), both together (``whole``), or nothing."""
    return np.where(shown, Status.SHOWN, np.where(whole, Status.SUM, Status.HIDDEN)).astype(np.int8)


@dataclass
class Work:
    """What may still be spent, and what was: the unit is a non-zero of a program that was solved, or as much.

    Not seconds: the same data, policy and secret must give the same tables on any machine.
    """

    left: int
    spent: int = 0
    programs: int = 0
    centres: int = 0
    aims: int = 0

    def charge(self, units: int, *, programs: int = 0, centres: int = 0, aims: int = 0) -> None:
        self.left -= units
        self.spent += units
        self.programs += programs
        self.centres += centres
        self.aims += aims


@dataclass(frozen=True)
class Failure:
    """A goal without a world, and the published figures that hold it (with the size of their duals)."""

    goal: int
    figures: tuple[tuple[int, float], ...]


class OutOfWorkError(Exception):
    """The budget is spent; whatever is open is unproven."""
