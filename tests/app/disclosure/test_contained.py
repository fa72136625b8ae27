from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from app.disclosure.centre import Metric
from app.disclosure.contained import tells_of_few
from app.disclosure.goals import Goals, Space

NEW = sp.csr_matrix(np.array([[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 0.0, 0.0]]))
PUBLISHED = sp.csr_matrix(np.array([[1.0, 1.0, 0.0, 0.0]]))


@pytest.mark.parametrize(
    ("between", "spared", "told"),
    [(3.0, [], True), (9.0, [], True), (10.0, [], False), (0.0, [], True), (3.0, [2], False)],
)
def test_figure_that_contains_a_published_one_but_for_few_tells_of_them(
    between: float, spared: list[int], told: bool
) -> None:
    found = tells_of_few(
        NEW, PUBLISHED, np.array([50.0, 40.0, between, 30.0]), 10, lambda columns: set(columns) <= set(spared)
    )
    # The second overlaps, and the third is the same group: nothing lies between.
    assert found.tolist() == [told, False, False]


def test_goal_that_two_worlds_serve_at_once_keeps_both_ends() -> None:
    one = np.ones(1)
    goals = Goals(sp.identity(1, format="csr"), one, one, one, high=np.array([3.0]), low=np.array([3.0]))
    goals.note(np.array([0, 0]), np.array([1.0, 5.0]))
    assert (goals.low[0], goals.high[0]) == (1.0, 5.0)


def test_most_of_a_sum_within_a_published_one_is_what_is_published() -> None:
    space = Space(
        PUBLISHED,
        np.zeros(1, np.int64),
        np.array([5.0, 4.0, 3.0, 2.0]),
        np.full(4, 100.0),
        np.zeros((4, 1), np.int64),
        np.zeros(4, np.int64),
    )
    sums = sp.csr_matrix(np.array([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0]]))
    assert space.most(sums).tolist() == [9.0, 9.0, 200.0]


def test_directions_are_the_same_whether_rows_without_common_columns_are_told_apart_or_not() -> None:
    rng = np.random.default_rng(3)
    cells = np.repeat(np.arange(12), 3)
    own = sp.csr_matrix((np.ones(36), (cells, np.arange(36))), shape=(12, 36))
    crossing = sp.csr_matrix((rng.random((5, 36)) < 0.4).astype(float))
    matrix, scale, goal = sp.vstack([crossing, own]).tocsr(), rng.random(36) + 0.1, rng.random((36, 4))
    apart, together = Metric(matrix, scale, cells), Metric(matrix, scale)
    assert np.allclose(apart.steepest(goal), together.steepest(goal), atol=1e-6)
    assert np.abs(matrix @ apart.steepest(goal)).max() < 1e-6
