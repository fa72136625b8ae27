"""What room goals have in a space, exactly; and goals that what is out leaves less room than they ask.

A goal that the published figures fail by themselves says nothing of a new cube, and hiding all of that would
not mend it. It is asked again as what can be kept: **the new cube leaves all the room that was left before
it**. The whole numbers that an attacker could not exclude then, from the least to the most, she still cannot.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse as sp

from app.disclosure.goals import Failure, Goals, OutOfWorkError, Space, Work
from app.disclosure.programs import TOLERANCE, Worlds
from app.disclosure.proof import Prover


class Room:
    """Least and most of sums over all worlds of a space, by programs that are solved to the optimum.

    Parameters
    ----------
    space : Space
    work : Work
        What its programs are charged to.
    """

    def __init__(self, space: Space, work: Work) -> None:
        self._worlds = Worlds(np.zeros(len(space.truth)).tolist(), space.upper.tolist())
        self._work, self._size = work, int(space.matrix.nnz) + len(space.truth)
        value = space.matrix @ space.truth
        for row, held in enumerate(value):
            part = space.matrix[row]
            if part.nnz:
                columns = {int(i): float(by) for i, by in zip(part.indices, part.data, strict=True)}
                self._worlds.add(columns, float(held), float(held))

    def ends(self, total: sp.csr_matrix) -> tuple[int, int]:
        """Least and most whole number of persons that a sum (one row) may be.

        Raises
        ------
        OutOfWorkError
            The budget is spent, or the solver gives no optimum: nothing is known.
        """
        columns = {int(i): float(by) for i, by in zip(total.indices, total.data, strict=True)}
        reached = []
        for maximize in (False, True):
            if self._work.left <= 0:
                raise OutOfWorkError
            self._work.charge(self._size, programs=1)
            world = self._worlds.best(columns, maximize=maximize)
            if world is None:
                raise OutOfWorkError
            reached.append(sum(by * float(world[i]) for i, by in columns.items()))
        return math.ceil(reached[0] - TOLERANCE), math.floor(reached[1] + TOLERANCE)


def restate(
    space: Space, goals: Goals, work: Work, seed: int, progress: Callable[[int, int], None]
) -> frozenset[int]:
    """Ask of goals that fail with nothing new published for what they have then; return which these are.

    Raises
    ------
    OutOfWorkError
    """
    restated: set[int] = set()
    exact: list[Room] = []

    def ask_less(failures: Sequence[Failure]) -> Space:
        exact.extend([Room(space, work)] if not exact else [])
        for failure in failures:
            goal = failure.goal
            least, most = exact[0].ends(goals.matrix[goal])
            goals.note(np.array([goal, goal]), np.array([float(least), float(most)]))
            if goals.open()[goal]:
                restated.add(goal)
                goals.lowest[goal], goals.highest[goal], goals.span[goal] = float(least), float(most), 0.0
        return space

    Prover(space, goals, work, seed, progress).settle(ask_less)
    return frozenset(restated)
