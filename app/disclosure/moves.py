"""Worlds by moves from the truth: whole numbers, no factorisation, a millisecond or so for a goal.

To alternate between two codes in each of several dimensions, plus and minus in turn, leaves the sums of all
tables alone that have fewer dimensions. A goal begins with a place that is out of bounds: the truth where it
should be what is wanted. Steps (``walk``) put it right, of which each may push others out; those are put
right by further steps, until none is left. On the way even unpopulated combinations may hold somebody. What
comes out counts only if every published sum is as it was, row by row, and every bound is kept.

Figures that are hidden are *stars*: groups whose sum may change, by steps in one dimension less. Where N of a
group is shown, what is found more must be not found less: both sides share a star then.

Each goal begins at the truth with a random number of its own, so goals can be shared out among threads, and
the outcome is the same for any number of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from app.disclosure.board import ANY, Grid, Ints, State, lay_board, new_state
from app.disclosure.goals import Goals, OutOfWorkError, Space, Work
from app.disclosure.walk import walk

#: Efforts: steps that one is chosen from, and steps of a goal.
_EFFORTS = (20, 300), (60, 300)
#: Moves are made where an aim costs more units of the policy's work: several times what moves do.
_DEAR = 8000
#: Goals that are walked for in a row.
_CHUNK = 512
#: Goals from one report of progress to the next.
_TOLD = 16 * _CHUNK
#: Threads; more would take more memory.
_THREADS = 2
#: Steps that are looked at for one unit of the policy's work.
_PER_UNIT = 15


def work_of(tries: int, steps: int) -> int:
    """Units of work of so many steps."""
    return tries * steps // _PER_UNIT


def pays(aim: int) -> bool:
    """Whether moves serve goals for less than aims do, which cost so many units of work each."""
    return aim >= _DEAR


class Moves:
    """Moves in one space.

    Parameters
    ----------
    space : Space
        With a status of its groups.
    goals : Goals
    grid : Grid
    work : Work
    """

    def __init__(self, space: Space, goals: Goals, grid: Grid, work: Work) -> None:
        if space.status is None:
            raise ValueError("Moves are made where it is told what is shown of each group.")
        self._goals, self._grid, self._work = goals, grid, work
        self._truth = np.rint(space.truth).astype(np.int64)
        self._board = lay_board(space, grid, space.status)
        self._place = self._places()
        sums = np.rint(goals.matrix @ space.truth).astype(np.int64)
        self._single = np.flatnonzero(np.diff(goals.matrix.indptr) == 1)
        self._column = goals.matrix.indices[goals.matrix.indptr[self._single]]
        self._shift = sums
        self._shift[self._single] = 0
        self._most = space.most(goals.matrix)
        self._free: list[State] = []

    def _places(self) -> Ints:
        """Place of each goal; -1 for sums that no place stands for."""
        goals, grid = self._goals, self._grid
        place = np.full(goals.matrix.shape[0], -1, np.int64)
        single = np.flatnonzero(np.diff(goals.matrix.indptr) == 1)
        side, cell = np.divmod(goals.matrix.indices[goals.matrix.indptr[single]], len(grid.place))
        place[single] = side * grid.kinds * grid.volume + grid.place[cell]
        if goals.group is None:
            return place
        home = np.full(grid.matrix.shape[0], -1, np.int64)
        stars = np.flatnonzero(self._board.group >= 0)
        home[self._board.group[stars]] = stars
        return np.where(goals.group >= 0, home[goals.group], place)

    def serve_open(
        self, chosen: NDArray[np.intp], random: np.random.Generator, tell: Callable[[], None]
    ) -> None:
        """Serve what is open of some goals, with little effort first; ``tell`` is called now and then.

        Raises
        ------
        OutOfWorkError
        """
        for tries, steps in _EFFORTS:
            # Up by chance, then the other way: a span may have room on one side only.
            coin = random.random(len(chosen)) < 0.5
            for up in (coin,) if self._goals.cap else (coin, ~coin):
                seed = int(random.integers(1 << 31))
                for at in range(0, len(chosen), _TOLD):
                    if self._work.left <= 0:
                        raise OutOfWorkError
                    still = self._goals.open()[chosen[at : at + _TOLD]]
                    left = chosen[at : at + _TOLD][still]
                    value = self._goals.nearest(left, self._most[left], up[at : at + _TOLD][still])
                    self.serve(left, value, tries, steps, seed)
                    tell()

    def serve(
        self, chosen: NDArray[np.intp], value: NDArray[np.float64], tries: int, steps: int, seed: int
    ) -> None:
        """Look for worlds in which goals have a value, or one beyond, and note them.

        Parameters
        ----------
        chosen : array of int
            Goals.
        value : array
            What is wanted: more than any world so far has, or less.
        tries, steps, seed : int
            As for :func:`app.disclosure.walk.walk`.
        """
        goals = self._goals
        keep = self._place[chosen] >= 0
        chosen, value = chosen[keep], value[keep]
        rises = value > goals.high[chosen]
        wanted = np.rint(value).astype(np.int64) - self._shift[chosen]
        asked = np.stack(
            [self._place[chosen], np.where(rises, wanted, -ANY), np.where(rises, ANY, wanted)], axis=1
        )
        chunks = [slice(at, at + _CHUNK) for at in range(0, len(chosen), _CHUNK)]
        with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
            done = list(pool.map(lambda chunk: self._walk(asked[chunk], tries, steps, seed), chunks))
        high, low = self._truth.copy(), self._truth.copy()
        taken = 0
        for chunk, (steps_taken, top, bottom, served) in zip(chunks, done, strict=True):
            taken += steps_taken
            np.maximum(high, top, out=high)
            np.minimum(low, bottom, out=low)
            goals.note(chosen[chunk][served], value[chunk][served])
        goals.note(self._single, high[self._column].astype(np.float64))
        goals.note(self._single, low[self._column].astype(np.float64))
        self._work.charge(work_of(tries, taken) + len(chosen))

    def _walk(
        self, asked: Ints, tries: int, steps: int, seed: int
    ) -> tuple[int, Ints, Ints, NDArray[np.bool_]]:
        state = self._free.pop() if self._free else new_state(self._board)
        high, low = self._truth.copy(), self._truth.copy()
        served = np.zeros(len(asked), np.bool_)
        taken = walk(self._board, state, asked, seed, tries, steps, high, low, served)
        self._free.append(state)
        return int(taken), high, low, served
