"""Worlds in whole numbers: whether what worlds of real numbers prove holds for persons, who are not divided.

A sum may reach a value by halves of persons alone; who tries whole numbers then reads what the proof calls
open. In cubes that are small enough every goal has a world in whole numbers too: most vertices are one by
themselves, the rest comes from mixed-integer programs. A goal that has none, or none within the limit of such
a program, is not proven. Where vertices leave too much to such programs, the cube rests on real numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.disclosure.goals import Failure, Goals, OutOfWorkError, Space, Work
from app.disclosure.worlds import Floats, Program, WholeProgram

#: Vertices in a row that served nothing end the cheap part.
_PATIENCE = 6
#: Mixed-integer programs are afforded for so many goals times columns: some seconds.
_AFFORDED = 4000


class WholeProof:
    """Which goals of a space have worlds in whole numbers.

    Parameters
    ----------
    goals : Goals
    truth : array, shape (n_columns,)
    work : Work
    seed : int
    """

    def __init__(self, goals: Goals, truth: Floats, work: Work, seed: int) -> None:
        reached = goals.matrix @ truth
        self._goals = Goals(
            goals.matrix, goals.highest, goals.lowest, goals.span, high=reached, low=reached.copy()
        )
        self._work = work
        self._random = np.random.default_rng(seed)

    def failures(self, space: Space) -> list[Failure]:
        """Serve all goals of a space, or the space that it became; return those that cannot be served.

        Those are none where too many are left to tell.

        Raises
        ------
        OutOfWorkError
        """
        goals = self._goals
        value = space.matrix @ space.truth
        self._vertices(Program(space.matrix, value, np.zeros_like(space.truth), space.upper), space)
        left = np.flatnonzero(goals.open())
        if not len(left) or len(left) * len(space.truth) > _AFFORDED:
            return []
        program = WholeProgram(space.matrix, value, np.zeros_like(space.truth), space.upper)
        return [Failure(int(goal), ()) for goal in left if not self._serve(program, space, int(goal))]

    def _vertices(self, program: Program, space: Space) -> None:
        """Take vertices of random directions, while they serve something."""
        idle = 0
        while idle < _PATIENCE:
            left = np.flatnonzero(self._goals.open())
            if not len(left):
                return
            coin = self._random.random(len(left)) < 0.5
            weight = self._goals.wish(left, coin) * np.exp(2.0 * self._random.standard_normal(len(left)))
            self._charge(program)
            world = program.maximize(self._goals.matrix[left].T @ weight)
            if world is not None:
                self._note(space, world.values)
            idle = 0 if self._goals.open().sum() < len(left) else idle + 1

    def _serve(self, program: WholeProgram, space: Space, goal: int) -> bool:
        """Look for worlds of one goal; the highest and lowest if a span is wanted."""
        goals = self._goals
        at: NDArray[np.intp] = np.array([goal])
        row = goals.matrix[goal]
        for sign in (1.0, -1.0):
            if not goals.open()[goal]:
                return True
            bound = goals.highest[goal] if sign > 0 else -goals.lowest[goal]
            if goals.span[goal] == 0 and not np.isfinite(bound):
                continue
            self._charge(program)
            values = program.maximize(sign * row.toarray().ravel(), bound)
            if values is not None:
                self._note(space, values)
        return not goals.open()[at].any()

    def _note(self, space: Space, values: Floats) -> None:
        whole = np.rint(values)
        inside = np.all(whole >= 0) and np.all(whole <= space.upper)
        if inside and np.array_equal(space.matrix @ whole, space.matrix @ space.truth):
            self._goals.note_all((self._goals.matrix @ whole)[:, None])

    def _charge(self, program: Program | WholeProgram) -> None:
        if self._work.left <= 0:
            raise OutOfWorkError
        self._work.charge(program.work, programs=1)
