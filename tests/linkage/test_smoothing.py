"""Rare categories of diffused views lean on their neighbours; frequent ones do not."""

from __future__ import annotations

import numpy as np
import pytest

from linkage.patterns import joint_categories, joint_size
from linkage.smoothing import alike_in_parts, joint, neighbours, noise, smoothed


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
    near = neighbours((4,), (True,))
    np.testing.assert_allclose(smoothed(counts, near @ counts)[1:], counts[1:], rtol=0.02)


def test_lonely_pair_is_worth_less_and_an_empty_place_among_many_more() -> None:
    near = neighbours((7,), (True,))
    lonely, hole = np.array([0.0, 0, 0, 1, 0, 0, 0]), np.array([40.0, 40, 40, 0, 40, 40, 40])
    lonely = smoothed(lonely, near @ lonely)
    assert lonely[3] < 0.6
    assert lonely[2] > 0.1
    gap = smoothed(hole, near @ hole)
    assert 2 < gap[3] < 20


def test_noise_of_diffusion_keeps_every_pair_and_moves_most_by_about_one_deviation() -> None:
    edges = np.array([1.0, 2.0, 3.0, 3.5, 4.0, 4.5, 5.0, 8.0, 20.0])
    lent = noise(edges)
    np.testing.assert_allclose(lent.sum(axis=0), 1.0)
    narrow, wide = 4, 8  # from 3.5 to 4 deviations, and from 8 to 20
    assert lent[narrow, narrow] < 0.25 < lent[narrow - 1 : narrow + 2, narrow].sum()
    assert lent[wide, wide] > 0.99


def test_excess_in_one_narrow_level_of_noise_is_spread_over_those_beside_it() -> None:
    edges = np.array([2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5])
    counts = np.array([0.0, 0, 0, 0, 0, 6, 0, 0])
    lent = joint([noise(edges)])
    assert smoothed(counts, lent @ counts)[5] < 0.5 * counts[5]


def test_parts_of_a_comparison_with_few_pairs_lean_on_how_it_comes_out_in_all() -> None:
    counts = np.array([90.0, 10, 0, 2])
    expected = alike_in_parts(counts, 2)
    np.testing.assert_allclose(expected.reshape(2, 2).sum(axis=1), [100, 2])
    leaning = smoothed(counts, expected).reshape(2, 2)
    shares = leaning / leaning.sum(axis=1, keepdims=True)
    assert 0.85 < shares[0, 0] < 0.91  # many pairs keep their own
    assert 0.2 < shares[1, 0] < 0.9  # two pairs do not speak for themselves
