"""Proofs over kinds of cells: what a sum can be there is what it can be over all columns."""

from __future__ import annotations

from typing import Any

import highspy
import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import linprog

from app.disclosure.alike import Alike
from app.disclosure.goals import Failure, Goals, OutOfWorkError, Work, each_reaches
from app.disclosure.programs import Sums

MISSED, FOUND = 1, 2
CEILING = 1000.0


class Union:
    """Cells of two layers, of which figures tell but some apart."""

    def __init__(self, seed: int, cells: int = 12) -> None:
        random = np.random.default_rng(seed)
        self.cell = np.repeat(np.arange(cells), 3)
        self.pattern = np.tile([[MISSED, MISSED], [FOUND, MISSED], [FOUND, FOUND]], (cells, 1))
        self.truth = random.integers(0, 5, 3 * cells).astype(float)
        region, sort = random.integers(0, 2, cells)[self.cell], random.integers(0, 2, cells)[self.cell]
        first, second = (self.pattern[:, layer] == FOUND for layer in (0, 1))
        rows = [region == 0, (region == 0) & first, first, second, (sort == 0) & second]
        weights = np.where(first & (sort == 1), np.where(region == 0, 0.5, 1.0), 0.0)
        self.figures = sp.csr_matrix(np.vstack([*np.array(rows, float), weights]))
        inside = random.random((8, cells)) < 0.4
        sums = [inside[at][self.cell] & (first if at % 2 else second) for at in range(8)]
        self.sums = sp.csr_matrix(np.array([row for row in sums if row.any()], float))

    def ends(self, row: np.ndarray, *, known: bool) -> tuple[int, int]:
        """Least and most whole number of a sum over all columns, by a program of its own."""
        parts = [self.figures.toarray()]
        if known:
            parts.append((self.cell == np.arange(self.cell.max() + 1)[:, None]).astype(float))
        matrix = np.vstack(parts)
        found = [
            linprog(sign * row, A_eq=matrix, b_eq=matrix @ self.truth, bounds=(0, CEILING)).fun
            for sign in (1, -1)
        ]
        return int(np.ceil(found[0] - 1e-5)), int(np.floor(1e-5 - found[1]))

    def alike(self, goals: Goals, *, known: bool, work: int = 10**9) -> Alike:
        cell = self.cell if known else None
        numbers = np.arange(1, self.figures.shape[0] + 1)
        return Alike(self.figures, numbers, self.truth, self.pattern, cell, goals, Work(work), CEILING)


def wanted(sums: sp.csr_matrix) -> Goals:
    """Sums of which more is asked than there can be."""
    size = sums.shape[0]
    return Goals(sums, np.full(size, np.inf), np.full(size, -np.inf), np.zeros(size))


@pytest.mark.parametrize("seed", range(6))
def test_ends_of_sums_over_kinds_when_every_cell_is_known_are_those_over_columns(seed: int) -> None:
    union = Union(seed)
    alike = union.alike(wanted(union.sums), known=True)
    assert alike.size < len(union.truth)
    for goal in range(union.sums.shape[0]):
        row = union.sums[goal].toarray().ravel()
        assert alike.ends(goal)[:2] == union.ends(row, known=True)


@pytest.mark.parametrize("seed", range(6))
def test_ends_of_columns_over_kinds_when_no_cell_is_known_are_those_over_columns(seed: int) -> None:
    union = Union(seed)
    size = len(union.truth)
    alike = union.alike(wanted(sp.identity(size, format="csr")), known=False)
    assert alike.size < size
    for goal in range(size):
        assert alike.ends(goal)[:2] == union.ends(np.eye(size)[goal], known=False)


@pytest.mark.parametrize("known", [True, False])
def test_goals_that_are_settled_over_kinds_are_those_that_have_worlds(known: bool) -> None:
    for seed in range(4):
        union, size = Union(seed, 8), 24
        goals = each_reaches(size, 4)
        failed = set()

        def give_up(failure: Failure, goals: Goals = goals, failed: set[int] = failed) -> None:
            assert failure.figures or known
            failed.add(failure.goal)
            goals.highest[failure.goal] = -np.inf

        alike = union.alike(goals, known=known)
        alike.scatter(np.random.default_rng(seed))
        alike.settle(give_up)
        ends = [union.ends(np.eye(size)[goal], known=known)[1] for goal in range(size)]
        assert failed == {goal for goal, most in enumerate(ends) if most < 4}


def test_figures_that_are_freed_hold_nothing_any_longer() -> None:
    union = Union(1)
    alike = union.alike(wanted(union.sums), known=True)
    held = [alike.ends(goal)[:2] for goal in range(union.sums.shape[0])]
    alike.free(list(range(1, union.figures.shape[0] + 1)))
    union.figures = union.figures[:0]
    free = [alike.ends(goal)[:2] for goal in range(union.sums.shape[0])]
    assert free != held
    assert free == [union.ends(row, known=True) for row in union.sums.toarray()]


def test_goal_that_adds_up_other_patterns_of_each_cell_is_refused() -> None:
    union = Union(2)
    union.figures = union.figures[:0]
    row = np.zeros(len(union.truth))
    row[[0, 4]] = 1.0
    with pytest.raises(ValueError, match="patterns of cells"):
        union.alike(wanted(sp.csr_matrix(row)), known=True)


def test_programs_beyond_the_budget_are_not_asked() -> None:
    union = Union(3)
    alike = union.alike(wanted(union.sums), known=True, work=0)
    with pytest.raises(OutOfWorkError):
        alike.ends(0)


def test_every_program_tells_how_many_goals_are_served() -> None:
    union, told = Union(4), list[tuple[int, int]]()
    goals = wanted(union.sums)
    cell, numbers = union.cell, np.arange(union.figures.shape[0])
    alike = Alike(
        union.figures, numbers, union.truth, union.pattern, cell, goals, Work(10**9), CEILING,
        lambda done, total: told.append((done, total)),
    )  # fmt: skip
    alike.ends(0)
    assert told == [(0, len(goals.high))] * 2


class Stuck:
    """A solver that has no answer until it is begun anew."""

    def __init__(self, solver: Any) -> None:
        self._solver, self._stuck = solver, True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._solver, name)

    def clearSolver(self) -> None:  # noqa: N802 (the solver's own name)
        self._stuck = False
        self._solver.clearSolver()

    def getModelStatus(self) -> Any:  # noqa: N802
        return highspy.HighsModelStatus.kNotset if self._stuck else self._solver.getModelStatus()


@pytest.mark.parametrize(("anew", "best"), [(True, 3.0), (False, None)])
def test_a_program_without_an_answer_is_begun_anew(anew: bool, best: float | None) -> None:
    sums = Sums(sp.csr_matrix([[1.0, 1.0]]), np.array([3.0]), CEILING, anew=anew)
    sums._solver = Stuck(sums._solver)
    found = sums.best(np.array([1.0, 0.0]))
    assert (found.best if found else None) == best
