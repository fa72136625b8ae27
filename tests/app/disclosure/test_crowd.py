"""Crowds: many goals a world, every world a world; what hides before anything is proven."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import scipy.sparse as sp

from app.disclosure import proof, suppression
from app.disclosure.centre import Metric, Range, find_centre
from app.disclosure.crowd import Crowd, draw, tight
from app.disclosure.goals import Failure, Goals, Space, Work
from app.disclosure.groups import plan_margins
from app.disclosure.policy import Policy
from app.disclosure.proof import Prover
from app.disclosure.suppression import suppress
from tests.app.disclosure.test_centre import margins
from tests.attacks.cells import joint, published, random_cells

POLICY = Policy(10, b"a secret of 32 bytes for testing")


def around(truth: np.ndarray, upper: np.ndarray, rows: int, columns: int) -> Range:
    matrix = margins(rows, columns)
    start = np.where(np.isfinite(upper), upper / 2, truth.mean())
    centre, _ = find_centre(matrix, matrix @ truth, upper, start)
    assert centre is not None
    return Range(matrix, matrix @ truth, upper, centre)


def test_every_world_of_a_crowd_is_a_world_and_serves_most_of_its_goals() -> None:
    truth = np.random.default_rng(1).integers(2, 20, 48).astype(float)
    space = around(truth, np.full(48, np.inf), 6, 8)
    goals = sp.identity(48, format="csr")
    world = np.arange(48) // 6
    wanted = draw(space, goals, world, np.full(48, 12.0), alone=False)
    worlds = Crowd(space).worlds(wanted, 300)
    assert worlds.shape == (48, 8)
    assert worlds.min() >= 0
    assert np.abs(space.matrix @ worlds - (space.matrix @ truth)[:, None]).max() < 1e-6
    assert (worlds[np.arange(48), world] >= 12).mean() > 0.6


def test_stopped_early_it_is_a_world_all_the_same() -> None:
    truth = np.random.default_rng(2).integers(0, 9, 30).astype(float)
    space = around(truth, truth + 4, 5, 6)
    wanted = draw(space, sp.identity(30, format="csr"), np.arange(30), space.upper, alone=True)
    worlds = Crowd(space).worlds(wanted, 3)
    assert worlds.min() >= 0
    assert (worlds <= space.upper[:, None]).all()
    assert np.abs(space.matrix @ worlds - (space.matrix @ truth)[:, None]).max() < 1e-6


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_column_that_is_wanted_at_its_bound_is_exactly_there(value: float) -> None:
    truth = np.indices((4, 6)).sum(axis=0).ravel() % 2.0
    space = around(truth, np.ones(24), 4, 6)
    wanted = draw(space, sp.identity(24, format="csr"), np.arange(24), np.full(24, value), alone=True)
    worlds = Crowd(space).worlds(wanted, 300)
    assert (worlds[np.arange(24), np.arange(24)] == value).mean() > 0.6


def test_goal_that_needs_all_of_a_published_sum_empties_the_rest_of_it() -> None:
    truth = np.array([4.0, 3, 3, 5, 6, 7, 9, 8, 2])
    space = around(truth, np.full(9, np.inf), 3, 3)
    goal = sp.identity(9, format="csr")[[0]]
    assert tight(space, goal, np.array([10.0])).indices.tolist() == [0]
    wanted = draw(space, goal, np.zeros(1, np.intp), np.array([10.0]), alone=True)
    worlds = Crowd(space).worlds(wanted, 200)
    assert worlds[:3, 0] == pytest.approx([10, 0, 0], abs=1e-6)


def test_metric_of_two_sides_solves_what_one_of_the_whole_solves() -> None:
    rng = np.random.default_rng(3)
    part = margins(3, 4)
    nothing = sp.csr_matrix(part.shape)
    across = sp.csr_matrix(np.tile(np.eye(12)[:2], 2))
    matrix = sp.vstack([sp.hstack([part, nothing]), sp.hstack([nothing, part]), across]).tocsr()
    scale = rng.uniform(0.5, 3, 24)
    change = rng.normal(size=(24, 5))
    whole, parted = Metric(matrix, scale), Metric(matrix, scale, np.repeat([0, 1], 12))
    assert whole.free(change) == pytest.approx(parted.free(change), abs=1e-6)
    assert np.abs(matrix @ parted.free(change)).max() < 1e-6


def test_metric_of_short_numbers_takes_rows_that_others_imply_for_nothing() -> None:
    rng = np.random.default_rng(4)
    matrix = sp.vstack([margins(4, 5), np.ones((1, 20))]).tocsr()
    metric = Metric(matrix, rng.uniform(0.5, 3, 20))
    change = rng.normal(size=(20, 3))
    short = metric.short().free(change.astype(np.float32))
    assert short == pytest.approx(metric.free(change), abs=1e-4)


def test_sums_that_must_be_brought_to_their_very_end_are_served_by_crowds() -> None:
    truth = np.tile([1.0, 2, 0, 1], 6)
    upper = np.full(24, 3.0)
    matrix = margins(4, 6)
    codes = np.indices((4, 6)).reshape(2, -1).T
    space = Space(matrix, np.arange(10), truth, upper, codes, np.zeros(24, np.int64))
    pairs = sp.csr_matrix((np.ones(24), (np.repeat(np.arange(12), 2), np.arange(24))), shape=(12, 24))
    goals = Goals(pairs, np.full(12, -np.inf), np.zeros(12), np.zeros(12))
    prover = Prover(space, goals, Work(10**9), 1)
    prover._gather()
    assert not goals.open().any()


def test_goals_that_aims_keep_missing_are_asked_of_programs_before_all_is_hidden_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    truth = np.ones(24)
    codes = np.indices((4, 6)).reshape(2, -1).T
    space = Space(
        margins(4, 6), np.arange(1, 11), truth, np.full(24, 9.0), codes, np.zeros(24, np.int64), 9.0
    )
    goals = Goals(
        sp.identity(24, format="csr"), np.full(24, 3.0), np.full(24, np.inf), np.zeros(24), cap=True
    )
    monkeypatch.setattr(proof, "_EXACT_COLUMNS", 0)
    prover = Prover(space, goals, Work(10**9), 1)

    def miss(*_: object) -> list[Failure]:
        prover._around()
        return [Failure(int(goal), ()) for goal in np.flatnonzero(goals.open())]

    repaired: list[int] = []

    def repair(failures: Sequence[Failure]) -> Space:
        repaired.append(len(failures))
        if len(repaired) > 5:
            pytest.fail("goals that have worlds are given up")
        return space

    monkeypatch.setattr(prover, "_aim", miss)
    prover.settle(repair)
    assert len(repaired) == 2
    assert not goals.open().any()


def test_space_that_is_too_large_to_be_factorised_is_proven_in_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proof, "_EXACT_COLUMNS", 0)
    monkeypatch.setattr(proof, "_NUMBERS", 0)
    cells = random_cells(3, 600, (4, 5), 0.7, 0.7)
    decided = suppress(cells, plan_margins(cells.axes, 2), POLICY)
    assert decided.work.programs
    assert not decided.work.centres
    documents = published(cells, 2, POLICY)
    for know_n in (False, True):
        assert not joint(cells, documents, know_n=know_n)


@pytest.mark.parametrize(
    ("sample", "few"),
    [
        # More of a sample of goals fail than may;
        (None, 0),
        # or nothing is looked at before all is, and many fail then.
        (0, 1),
    ],
)
def test_deep_cube_of_which_many_goals_fail_hides_what_is_hardly_above_the_minimum_first(
    monkeypatch: pytest.MonkeyPatch, sample: int | None, few: int
) -> None:
    monkeypatch.setattr(proof, "_EXACT_COLUMNS", 0)
    if sample is not None:
        monkeypatch.setattr(proof, "_SAMPLE", sample)
    cells = random_cells(5, 700, (3, 4, 3, 3), 0.6, 0.6)
    monkeypatch.setattr(suppression, "_N_LEVELS", (1000.0,))
    shown = []
    for many in (few, 1000):
        monkeypatch.setattr(suppression, "_MANY", many)
        decided = suppress(cells, plan_margins(cells.axes, 3), POLICY)
        deep = (decided.groups.depth == 3) & decided.n_shown
        assert len(decided.proven) == 3
        shown.append(int(deep.sum()))
    assert shown[0] < shown[1]
