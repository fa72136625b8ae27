"""Rare categories of diffused views lean on their neighbours; frequent ones do not."""

from __future__ import annotations

import numpy as np
import pytest

from linkage.patterns import joint_categories, joint_size
from linkage.smoothing import neighbours, smoothed


@pytest.mark.parametrize(("counts", "ordered"), [((5,), (True,)), ((4, 3, 2), (True, True, False))])
def test_neighbours_lend_without_losing_a_pair(counts: tuple[int, ...], ordered: tuple[bool, ...]) -> None:
    near = neighbours(counts, ordered)
    assert near.shape == (joint_size(counts), joint_size(counts))
    np.testing.assert_allclose(near.sum(axis=0), 1.0)


def test_category_with_a_missing_view_lends_only_to_those_with_the_same_gap() -> None:
    counts = (4, 3)
    levels = np.array([2, -1], np.int8), np.array([-1, 1], np.int8)
    first, second = joint_categories([levels[0], levels[1]], counts)
    near = neighbours(counts, (True, True)).toarray()
    reached = [np.flatnonzero(near[:, category]) for category in (first, second)]
    one = [joint_categories([np.array([x], np.int8), np.array([-1], np.int8)], counts)[0] for x in (1, 2, 3)]
    two = [joint_categories([np.array([-1], np.int8), np.array([y], np.int8)], counts)[0] for y in (0, 1, 2)]
    assert reached[0].tolist() == sorted(one)
    assert reached[1].tolist() == sorted(two)


def test_agreement_of_keys_lends_nothing_to_disagreement() -> None:
    near = neighbours((2, 3), (False, True)).toarray()
    agree = joint_categories([np.array([1], np.int8), np.array([1], np.int8)], (2, 3))[0]
    differ = joint_categories([np.array([0], np.int8), np.array([1], np.int8)], (2, 3))[0]
    assert near[agree, differ] == 0


def test_steep_tail_of_many_pairs_keeps_its_own_counts() -> None:
    counts = np.array([1e6, 1e5, 1e4, 1e3])
    np.testing.assert_allclose(smoothed(counts, neighbours((4,), (True,)))[1:], counts[1:], rtol=0.02)


def test_lonely_pair_is_worth_less_and_an_empty_place_among_many_more() -> None:
    near = neighbours((7,), (True,))
    lonely = smoothed(np.array([0.0, 0, 0, 1, 0, 0, 0]), near)
    assert lonely[3] < 0.6
    assert lonely[2] > 0.1
    gap = smoothed(np.array([40.0, 40, 40, 0, 40, 40, 40]), near)
    assert 2 < gap[3] < 20
