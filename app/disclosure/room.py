"""What room goals had before a new cube, exactly: asked only where they fail beside it.

A goal that the published figures fail by themselves says nothing of a new cube, and hiding all of that would
not mend it. It is asked again as what can be kept: **the new cube leaves all the room that was left before
it**. The whole numbers that an attacker could not exclude then, from the least to the most, she still cannot.
A goal that fails before fails after as well, so only those that fail after are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from app.disclosure.alike import Alike
from app.disclosure.goals import Failure, Goals, Space, Work
from app.disclosure.proof import Prover

#: Least and most whole number that a goal may be.
Ends = tuple[int, int]


class Before:
    """Worlds that agree with what was published before.

    Parameters
    ----------
    space : Space
    alike : Alike
        The same by kinds, and the goals as they were asked at first.
    work : Work
    seed : int
    progress : callable
    """

    def __init__(
        self, space: Space, alike: Alike, work: Work, seed: int, progress: Callable[[int, int], None]
    ) -> None:
        self._space, self._alike, self._work = space, alike, work
        self._seed, self._progress = seed, progress
        self._ends: dict[int, Ends | None] = {}

    def failing(self, goals: Iterable[int]) -> dict[int, Ends]:
        """Which of some goals failed before, and what they could be.

        Raises
        ------
        OutOfWorkError
        """
        wanted = [int(goal) for goal in dict.fromkeys(goals)]
        left = [goal for goal in wanted if goal not in self._ends]
        if left:
            self._look(left)
        told = {goal: self._ends[goal] for goal in wanted}
        return {goal: ends for goal, ends in told.items() if ends is not None}

    def _look(self, chosen: list[int]) -> None:
        whole = self._alike.goals
        part = Goals(
            whole.matrix[chosen],
            whole.highest[chosen].copy(),
            whole.lowest[chosen].copy(),
            whole.span[chosen].copy(),
            cap=whole.cap,
        )
        self._ends.update(dict.fromkeys(chosen))

        def ask(failures: Sequence[Failure]) -> Space:
            for failure in failures:
                goal, at = chosen[failure.goal], np.array([failure.goal])
                if self._alike.fails(goal):
                    ends = self._alike.ends(goal)[:2]
                    self._ends[goal] = ends
                    ask_less(part, failure.goal, ends)
                for reached in (whole.high[goal], whole.low[goal]):
                    part.note(at, np.array([reached]))
            return self._space

        Prover(self._space, part, self._work, self._seed, self._progress).settle(ask)


def ask_less(goals: Goals, goal: int, ends: Ends) -> None:
    """Ask of a goal that all the room stays that there is."""
    goals.lowest[goal], goals.highest[goal], goals.span[goal] = float(ends[0]), float(ends[1]), 0.0
