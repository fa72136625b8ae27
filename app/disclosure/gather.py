"""Serve goals by crowds of worlds, many goals a world at first, fewer where they are in each other's way.

In a large space goals of single columns are gathered side by side, found apart from not found: where one side
has few persons, its goals would spoil the worlds of the other, each of which serves hundreds. What a crowd of
one size leaves is walked for (``moves``) and then asked of crowds of small sizes, which take more rounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.disclosure.centre import Range
from app.disclosure.crowd import STEP, Crowd, draw, tight
from app.disclosure.goals import Goals, Space

#: Goals of a world of a crowd, at first and at least;
_CROWDS = (4096, 4)
#: so many are few: only when fewer were served is a large space walked through.
_SMALL = 32
#: So few goals are not worth a crowd in a large space.
_FEW = 128
#: Share of the way that a round draws a column of a large space, where goals of a world are many.
_GENTLE = 0.05
#: The goals of a world want this part (one in so many) of all persons, at first.
_PLENTY = 10
#: Worlds of a crowd that are looked for together, and their rounds; so many times more after moves.
_BATCH, _PUSHES, _PATIENT = 32, 50, 3
#: The next crowd has smaller groups of goals if fewer than this share are served,
_PAYS = 0.4
#: a crowd ends if fewer than this.
_ENDS = 0.15
#: So many goals tell that.
_SEEN = 128

#: Serves some goals otherwise.
Move = Callable[[NDArray[np.intp]], object]


@dataclass(frozen=True, eq=False)
class Gathering:
    """Crowds around the middle of a space.

    Attributes
    ----------
    around : Range
    space : Space
    goals : Goals
    most : array, shape (n_goals,)
        What sums can be at most.
    random : numpy.random.Generator
    apart : bool
        Whether goals of one column are served side by side.
    move : callable
    charge : callable
        Called with worlds and rounds before they are looked for.
    tell : callable
        Called when something was served.
    """

    around: Range
    space: Space
    goals: Goals
    most: NDArray[np.float64]
    random: np.random.Generator
    apart: bool
    move: Move
    charge: Callable[[int, int], None]
    tell: Callable[[], None]

    def serve(self) -> None:
        """Serve what crowds and moves can of the open goals."""
        if self.apart and not self.goals.cap:
            # To know every N asks for a person more or less of most cells: a step or two.
            self.move(np.flatnonzero(self.goals.open()))
        crowd = Crowd(self.around)
        for part in self._parts():
            self._serve_part(crowd, part)
        left = np.flatnonzero(self.goals.open())
        if not self.goals.cap or not len(left):
            return
        value = np.where(np.isfinite(self.goals.highest), self.goals.highest, -1.0)[left]
        alone = tight(self.around, self.goals.matrix.tocsr()[left], value).sum(axis=1)
        self._pass(crowd, left[np.asarray(alone).ravel() > 0], 1, _PUSHES)

    def _parts(self) -> list[NDArray[np.intp]]:
        """Goals that are served together."""
        every = np.arange(len(self.goals.high))
        if not (self.apart and self.goals.cap):
            return [every]
        side = self.space.side[self.goals.matrix.tocsr().indices]
        return [every[side == at] for at in np.unique(side)]

    def _serve_part(self, crowd: Crowd, part: NDArray[np.intp]) -> None:
        size = self._size(part)
        # Sums must be brought to an end of what they can be, exactly: a world of its own does that best.
        least = _CROWDS[1] if self.goals.cap else 1
        hard, moved = self.apart and self.goals.cap, False
        while size >= least:
            left = part[self.goals.open()[part]]
            if len(left) <= _FEW * hard:
                return
            served, seen = self._pass(crowd, left, size, _PATIENT * _PUSHES if moved and hard else _PUSHES)
            if served >= _PAYS * seen:
                continue
            if hard and not moved and size <= _SMALL:
                self.move(part[self.goals.open()[part]])
                moved = True
            size //= 4

    def _size(self, part: NDArray[np.intp]) -> int:
        """Of how many goals together there are persons enough, by far."""
        goals = self.goals
        left = part[goals.open()[part]]
        value = goals.nearest(left, self.most[left], np.ones(len(left), np.bool_))
        base = goals.matrix.tocsr()[left] @ self.around.centre
        need = float(np.abs(value - base).mean()) if len(left) else 1.0
        columns = np.unique(goals.matrix.tocsr()[part].indices) if self.apart and goals.cap else slice(None)
        persons = float(self.space.truth[columns].sum())
        return int(np.clip(persons / (_PLENTY * max(need, 0.1)), _CROWDS[1], _CROWDS[0]))

    def _pass(self, crowd: Crowd, chosen: NDArray[np.intp], size: int, rounds: int) -> tuple[int, int]:
        """Let worlds serve ``size`` goals each, while few fail; return how many were served, of how many."""
        goals = self.goals
        chosen = self.random.permutation(chosen)
        served = seen = 0
        for first in range(0, len(chosen), size * _BATCH):
            batch = chosen[first : first + size * _BATCH]
            still = batch[goals.open()[batch]]
            seen += len(batch)
            if len(still):
                world = np.arange(len(still)) // size
                coin = self.random.random(len(still)) < 0.5
                value = goals.nearest(still, self.most[still], coin)
                wanted = draw(self.around, goals.matrix.tocsr()[still], world, value, alone=size == 1)
                self.charge(wanted.shape[1], rounds)
                step = _GENTLE if self.apart and size > _SMALL else STEP
                goals.note_all(goals.matrix @ crowd.worlds(wanted, rounds, step=step))
                self.tell()
            served += len(batch) - int(goals.open()[batch].sum())
            if seen >= _SEEN and served < _ENDS * seen:
                break
        return served, seen
