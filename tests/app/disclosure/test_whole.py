"""Worlds in whole numbers: what only halves of persons could reach is not proven, by R2 and by R3."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import scipy.sparse as sp

from app.disclosure import suppression
from app.disclosure.goals import Goals, Space, Work
from app.disclosure.groups import Groups, plan_margins
from app.disclosure.policy import Policy
from app.disclosure.suppression import Suppression, suppress
from app.disclosure.whole import WholeProof
from tests.attacks.cells import random_cells

K = 3
POLICY = Policy(K, b"a secret of 32 bytes for testing")


def triangle(highest: float) -> tuple[Space, Goals]:
    """Three columns of which any two have one person, or a fourth column has her.

    Halves reach 1.5 in the three together; whole persons reach none, since three pairs cannot share one.
    """
    matrix = sp.csr_matrix(np.array([[1, 1, 0, 1], [0, 1, 1, 1], [1, 0, 1, 1]], float))
    truth = np.array([0.0, 0, 0, 1])
    space = Space(
        matrix, np.arange(3), truth, np.full(4, 9.0), np.arange(4)[:, None], np.zeros(4, np.int64), 9.0
    )
    sums = sp.csr_matrix(np.array([[1.0, 1, 1, 0]]))
    return space, Goals(sums, np.array([highest]), np.array([np.inf]), np.array([0.0]))


def test_sum_that_only_halves_reach_fails() -> None:
    space, goals = triangle(1.0)
    work = Work(10**6)
    assert [failure.goal for failure in WholeProof(goals, space.truth, work, 1).failures(space)] == [0]
    assert work.programs


def test_sum_that_whole_persons_reach_once_more_is_hidden_passes() -> None:
    space, goals = triangle(1.0)
    proof = WholeProof(goals, space.truth, Work(10**6), 1)
    assert proof.failures(space)
    open_space = Space(
        space.matrix[:2], np.arange(2), space.truth, space.upper, space.codes, space.side, space.unbounded
    )
    assert not proof.failures(open_space)


def worlds(matrix: np.ndarray, value: np.ndarray, upper: np.ndarray) -> Iterator[np.ndarray]:
    """Every world in whole numbers, one column after the other: no solver, no cleverness."""
    size = matrix.shape[1]
    after = np.flip(np.cumsum(np.flip(matrix * upper, 1), 1), 1)
    after = np.hstack([after, np.zeros((len(matrix), 1))])

    def grow(world: list[int], left: np.ndarray) -> Iterator[np.ndarray]:
        at = len(world)
        if np.any(left < 0) or np.any(left > after[:, at]):
            return
        if at == size:
            yield np.array(world)
            return
        for much in range(int(upper[at]) + 1):
            yield from grow([*world, much], left - much * matrix[:, at])

    yield from grow([], value.astype(float))


def pinned(decided: Suppression, n: np.ndarray, found: np.ndarray) -> list[int]:
    """Groups whose found persons an attacker tells who knows every N and tries every world."""
    shown = decided.groups.matrix[np.flatnonzero(decided.found_shown)].toarray()
    hidden = decided.groups.matrix[np.flatnonzero(~decided.found_shown)].toarray()
    told = {row.tobytes() for row in shown}
    hidden = np.array([row for row in [*hidden, *np.eye(len(n))] if row.tobytes() not in told])
    reached = np.array([hidden @ world for world in worlds(shown, shown @ found, n)])
    span, whole = reached.max(axis=0) - reached.min(axis=0), hidden @ n
    return [int(at) for at in np.flatnonzero((span < 1) | ((whole < K) & (2 * span < whole)))]


@pytest.mark.parametrize("seed", range(9))
def test_no_group_is_pinned_for_one_who_tries_every_world_in_whole_numbers(seed: int) -> None:
    cells = random_cells(seed, 28, [(2, 2, 2), (3, 3), (2, 2, 3)][seed % 3], 0.5, 0.5)
    decided = suppress(cells, plan_margins(cells.axes, 2), POLICY)
    if decided.found_shown.any():
        assert not pinned(decided, cells.n, cells.found)


def test_oracle_finds_what_small_cells_alone_give_away() -> None:
    caught = 0
    for seed in range(6):
        cells = random_cells(seed, 28, (2, 2, 2), 0.5, 0.5)
        groups = Groups(cells, plan_margins(cells.axes, 2))
        shown = np.minimum(groups.found, groups.n - groups.found) >= K
        caught += bool(pinned(Suppression(groups, groups.n >= K, shown, Work(1)), cells.n, cells.found))
    assert caught


def below_minimum(decided: Suppression, n: np.ndarray, found: np.ndarray) -> list[int]:
    """Columns (found by cell, then not found) that hold K in no world of one who does not know N."""
    told, persons = (
        decided.groups.matrix[np.flatnonzero(shown)].toarray()
        for shown in (decided.found_shown, decided.n_shown)
    )
    matrix = np.vstack([np.hstack([told, 0 * told]), np.hstack([persons, persons])])
    value = matrix @ np.concatenate([found, n - found])
    upper = np.full(matrix.shape[1], n.sum())

    def holds(column: int) -> bool:
        """Whether there is a world: as before, with K persons put into the column beforehand."""
        return any(True for _ in worlds(matrix, value - K * matrix[:, column], upper))

    return [column for column in range(matrix.shape[1]) if not holds(column)]


@pytest.mark.parametrize("seed", range(9))
def test_every_cell_may_hold_the_minimum_for_one_who_tries_every_world_without_knowing_n(seed: int) -> None:
    cells = random_cells(seed, 28, [(2, 2), (3, 2), (2, 2, 2)][seed % 3], 0.5, 0.5)
    decided = suppress(cells, plan_margins(cells.axes, 2), POLICY)
    if decided.n_shown.any():
        assert not below_minimum(decided, cells.n, cells.found)


def test_oracle_that_does_not_know_n_finds_what_small_cells_alone_give_away() -> None:
    caught = 0
    for seed in range(6):
        cells = random_cells(seed, 28, (3, 2), 0.5, 0.5)
        groups = Groups(cells, plan_margins(cells.axes, 2))
        shown = np.minimum(groups.found, groups.n - groups.found) >= K
        caught += bool(
            below_minimum(Suppression(groups, groups.n >= K, shown, Work(1)), cells.n, cells.found)
        )
    assert caught


def test_larger_cubes_rest_on_worlds_of_real_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = random_cells(1, 60, (3, 3, 2), 0.5, 0.5)
    programs = []
    for limit in (300, 0):
        monkeypatch.setattr(suppression, "_WHOLE_CELLS", limit)
        programs.append(suppress(cells, plan_margins(cells.axes, 2), POLICY).work.programs)
    assert programs[0] > programs[1]
