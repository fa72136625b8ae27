"""Worlds by moves: what they reach, a solver reaches too; the same for any number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.disclosure import board, gather, moves, proof
from app.disclosure.finest import FinestCells
from app.disclosure.goals import Goals, Space, Work
from app.disclosure.groups import plan_margins
from app.disclosure.moves import Moves
from app.disclosure.policy import Policy
from app.disclosure.suppression import _Search, suppress
from app.disclosure.worlds import WholeProgram
from tests.attacks.cells import joint, published, random_cells

K, WIDE = 4, Policy(10, b"a secret of 32 bytes for testing")
POLICY = Policy(K, b"a secret of 32 bytes for testing")
SPACES = ("denominators", "unknown", "known")


def search(seed: int, persons: int = 220, sizes: tuple[int, ...] = (3, 4, 3), depth: int = 2) -> _Search:
    return search_of(random_cells(seed, persons, sizes, 0.6, 0.8), depth)


def search_of(cells: FinestCells, depth: int = 2) -> _Search:
    """The state before anything is proven: primary rule and line residuals."""
    kept: list[_Search] = []

    class Kept(_Search):
        def run(self) -> None:
            self._mend(n=True)
            self.state.found_shown &= self.state.n_shown
            self._mend(n=False)
            kept.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.disclosure.suppression._Search", Kept)
        suppress(cells, plan_margins(cells.axes, depth), POLICY)
    return kept[0]


def space_and_goals(made: _Search, kind: str) -> tuple[Space, Goals]:
    space, goals = {
        "denominators": lambda: (made._n_space(), made._n_goals()),
        "unknown": lambda: (made._unknown_space(), made._unknown_goals()),
        "known": lambda: (made._known_space(), made._known_n()),
    }[kind]()
    goals.high = goals.matrix @ space.truth
    goals.low = goals.high.copy()
    return space, goals


def reached(made: _Search, kind: str) -> tuple[Space, Goals, int]:
    """Goals after moves towards all of them, up and down; and how many goals moves can be made for."""
    space, goals = space_and_goals(made, kind)
    assert made.grid is not None
    them = Moves(space, goals, made.grid, Work(10**9))
    for up in (True, False):
        left = np.flatnonzero(goals.open())
        value = goals.nearest(left, (goals.matrix @ space.upper)[left], np.full(len(left), up))
        them.serve(left, value, 20, 100, 1)
    return space, goals, int((them._place >= 0).sum())


@pytest.mark.parametrize("kind", SPACES)
@pytest.mark.parametrize("seed", [1, 2])
def test_what_moves_reach_whole_worlds_of_a_solver_reach(kind: str, seed: int) -> None:
    space, goals, _ = reached(search(seed), kind)
    value = space.matrix @ space.truth
    program = WholeProgram(space.matrix, value, np.zeros_like(space.truth), space.upper)
    moved = 0
    for goal in range(len(goals.high)):
        row = goals.matrix[goal].toarray().ravel()
        truth = row @ space.truth
        for end, way in ((goals.high[goal], 1.0), (goals.low[goal], -1.0)):
            assert end == round(end)
            if end != truth:
                moved += 1
                world = program.maximize(way * row, way * end)
                assert world is not None
                assert np.abs(space.matrix @ world - value).max() < 1e-6
    assert moved > 5


def test_moves_of_any_number_of_threads_reach_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moves, "_CHUNK", 8)
    ends = []
    for threads in (1, 3):
        monkeypatch.setattr(moves, "_THREADS", threads)
        monkeypatch.setattr("os.cpu_count", lambda: 4)
        _, goals, _ = reached(search(3), "unknown")
        ends.append((goals.high.tolist(), goals.low.tolist()))
    assert ends[0] == ends[1]


def test_groups_that_are_hidden_move_where_who_knows_n_asks_for_them() -> None:
    _, goals, placed = reached(search(4, persons=400), "known")
    groups = np.flatnonzero(np.diff(goals.matrix.indptr) > 1)
    assert placed > goals.matrix.shape[0] - len(groups)
    assert (goals.high > goals.low)[groups].any()


def test_cells_that_count_in_different_tables_keep_sums_of_both() -> None:
    cells = random_cells(7, 500, (3, 4, 3), 0.6, 0.8, twice=0.3)
    made = search_of(cells)
    space, goals, _ = reached(made, "unknown")
    program = WholeProgram(space.matrix, space.matrix @ space.truth, np.zeros_like(space.truth), space.upper)
    raised = np.flatnonzero(goals.high > np.rint(space.truth))
    assert len(raised) > 5
    for goal in raised:
        assert program.maximize(goals.matrix[goal].toarray().ravel(), goals.high[goal]) is not None


def test_grid_is_not_laid_out_where_moves_do_not_help(monkeypatch: pytest.MonkeyPatch) -> None:
    assert search(1, depth=3).grid is None
    monkeypatch.setattr(board, "_PLACES", 10)
    assert search(1).grid is None


def test_cube_proven_with_moves_is_not_broken_by_the_joint_attack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "_EXACT_COLUMNS", 0)
    monkeypatch.setattr(proof, "_SAMPLE", 4)
    monkeypatch.setattr(gather, "_PAYS", 2.0)
    monkeypatch.setattr(moves, "_EFFORTS", ((20, 60),))
    monkeypatch.setattr(gather, "_FEW", 0)
    monkeypatch.setattr(proof, "aims_work", lambda *of: 10_000)
    cells = random_cells(3, 700, (3, 4, 5), 0.7, 0.7)
    served: list[int] = []
    serve = Moves.serve

    def counting(self: Moves, *asked: Any) -> None:
        before = int(self._goals.open().sum())
        serve(self, *asked)
        served.append(before - int(self._goals.open().sum()))

    monkeypatch.setattr(Moves, "serve", counting)
    decided = suppress(cells, plan_margins(cells.axes, 2), WIDE)
    assert len(decided.proven) == 3
    assert sum(served) > 5
    documents = published(cells, 2, WIDE)
    for know_n in (False, True):
        assert not joint(cells, documents, know_n=know_n)


def test_moves_serve_no_fewer_goals_where_more_is_hidden() -> None:
    served = {0.0: 0, 0.5: 0}
    for seed in range(1, 9):
        made = search(seed, 900, (4, 5, 4, 3))
        shown = made.state.found_shown.copy()
        for share in served:
            few = np.random.default_rng(seed).random(len(shown)) < share
            made.state.found_shown[:] = shown & ~(few & (made.state.groups.depth == 2))
            space, goals = space_and_goals(made, "unknown")
            assert made.grid is not None
            left = np.flatnonzero(goals.open())
            Moves(space, goals, made.grid, Work(10**9)).serve(left, np.full(len(left), float(K)), 20, 10, 1)
            served[share] += len(left) - int(goals.open()[left].sum())
    assert served[0.5] >= served[0.0] > 0
