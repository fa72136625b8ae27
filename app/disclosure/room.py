"""Goals that what is out leaves less room than they ask, exactly.

A goal that the published figures fail by themselves says nothing of a new cube, and hiding all of that would
not mend it. It is asked again as what can be kept: **the new cube leaves all the room that was left before
it**. The whole numbers that an attacker could not exclude then, from the least to the most, she still cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.disclosure.alike import Alike
from app.disclosure.goals import Failure, Goals, Space, Work
from app.disclosure.proof import Prover

#: Least and most whole number that a goal may be.
Ends = tuple[int, int]


def restate(
    space: Space, before: Alike, work: Work, seed: int, progress: Callable[[int, int], None]
) -> dict[int, Ends]:
    """Find the goals that fail with nothing new published, and what they have then.

    Parameters
    ----------
    space : Space
        Worlds that agree with what was published before.
    before : Alike
        The same, and the goals; these are asked for less where they fail.
    work : Work
    seed : int
    progress : callable

    Raises
    ------
    OutOfWorkError
    """
    restated: dict[int, Ends] = {}

    def repair(failures: Sequence[Failure]) -> Space:
        for failure in failures:
            least, most, _ = before.ends(failure.goal)
            if before.goals.open()[failure.goal]:
                restated[failure.goal] = least, most
                ask_less(before.goals, failure.goal, (least, most))
        return space

    Prover(space, before.goals, work, seed, progress).settle(repair)
    return restated


def ask_less(goals: Goals, goal: int, ends: Ends) -> None:
    """Ask of a goal that all the room stays that there is."""
    goals.lowest[goal], goals.highest[goal], goals.span[goal] = float(ends[0]), float(ends[1]), 0.0
