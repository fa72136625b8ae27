"""Competition, assignment, persons, quality: small cases that can be worked out by hand."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from linkage import assignment, frequency, persons, quality, scoring


def test_marginals_of_two_equal_namesakes_share_the_probability() -> None:
    found = scoring.matching_marginals(np.array([0, 0]), np.array([0, 1]), np.array([99.0, 99.0]))
    np.testing.assert_allclose(found, [99 / 199, 99 / 199], rtol=1e-4)


def test_marginals_of_a_record_whose_rival_is_taken_rise() -> None:
    left, right = np.array([0, 0, 1]), np.array([0, 1, 1])
    found = scoring.matching_marginals(left, right, np.array([3.0, 3.0, 1e9]))
    assert found[0] == pytest.approx(0.75, abs=1e-3)
    assert found[1] < 1e-3
    assert found[2] > 0.999


def test_marginals_of_a_chain_equal_those_of_all_its_matchings() -> None:
    left, right, odds = np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([2.0, 3.0, 0.5])
    matchings = [(), (0,), (1,), (2,), (0, 2)]
    weight = [float(np.prod(odds[list(m)])) for m in matchings]
    wanted = [
        sum(w for m, w in zip(matchings, weight, strict=True) if e in m) / sum(weight) for e in range(3)
    ]
    np.testing.assert_allclose(scoring.matching_marginals(left, right, odds), wanted, atol=1e-6)


def test_marginals_where_partners_are_unlimited_are_the_pairs_own() -> None:
    found = scoring.matching_marginals(
        np.array([0, 0]), np.array([0, 1]), np.array([3.0, 1.0]), left_once=False, right_once=True
    )
    np.testing.assert_allclose(found, [0.75, 0.5])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32))
def test_one_to_one_on_any_small_graph_has_the_largest_total(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = np.where(rng.random((n, m)) < 0.6, rng.integers(1, 50, (n, m)), 0)
    left, right = np.nonzero(table)
    weight = table[left, right].astype(float)
    chosen, greedy = assignment.one_to_one(left, right, weight)
    side = max(n, m)
    square = np.zeros((side, side))
    square[:n, :m] = table
    best = max(sum(square[i, p[i]] for i in range(side)) for p in permutations(range(side)))
    assert weight[chosen].sum() == best
    assert greedy == 0
    assert len(set(left[chosen])) == chosen.sum() == len(set(right[chosen]))


def test_one_to_one_on_a_large_component_is_exact_where_greed_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    left, right = np.nonzero(rng.random((80, 90)) < 0.1)
    weight = rng.integers(1, 6, len(left)).astype(float)
    chosen, greedy = assignment.one_to_one(left, right, weight)
    table = np.zeros((80, 90))
    table[left, right] = weight
    assert weight[chosen].sum() == table[linear_sum_assignment(table, maximize=True)].sum()
    assert len(set(left[chosen])) == chosen.sum() == len(set(right[chosen]))
    assert greedy == 0
    monkeypatch.setattr(assignment, "EXACT_CELLS", 1)
    by_greed, _ = assignment.one_to_one(left, right, weight)
    assert weight[by_greed].sum() < weight[chosen].sum()


def test_one_to_one_on_too_large_a_component_is_greedy_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assignment, "EXACT_CELLS", 1)
    chosen, greedy = assignment.one_to_one(
        np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([5.0, 4.0, 4.0])
    )
    assert chosen.tolist() == [True, False, False]
    assert greedy == 1


def test_assign_many_to_one_takes_each_left_records_best() -> None:
    chosen, _ = assignment.assign(
        np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([2.0, 3.0, 1.0]), left_once=True, right_once=False
    )
    assert chosen.tolist() == [False, True, True]


def test_rivalry_sets_apart_names_that_nobody_else_could_mean() -> None:
    left, right = np.array([0, 1, 2, 2]), np.array([0, 1, 1, 2])
    certain = np.array([0.0, 0.999, 0.0, 0.0])
    found = frequency.rivalry(left, right, certain, np.array([True, True, True, True]))
    assert found.possible.tolist() == [True, True, True, True]
    assert found.rarity.tolist() == [0, 1, 1, 0]


def test_cluster_with_two_records_of_one_source_is_cut_at_its_weakest_link() -> None:
    # records: 0 and 3 in source 0, 1 in source 1, 2 in source 2
    source = np.array([0, 1, 2, 0])
    cluster, kept = persons.cluster(
        np.array([0, 1, 2]), np.array([1, 2, 3]), np.array([0.9, 0.6, 0.8]), source, [True, True, True]
    )
    assert kept.tolist() == [True, False, True]
    assert cluster.tolist() == [0, 0, 2, 2]
    cluster, kept = persons.cluster(
        np.array([0, 1, 2]), np.array([1, 2, 3]), np.array([0.9, 0.6, 0.8]), source, [False, True, True]
    )
    assert kept.all()
    assert set(cluster.tolist()) == {0}


def test_strongest_link_of_a_single_record_is_one() -> None:
    found = persons.strongest(np.array([0]), np.array([1]), np.array([0.7]), 3)
    assert found.tolist() == [0.7, 0.7, 1.0]


def test_quality_of_links_counts_pairs_in_either_order() -> None:
    found = quality.compare_pairs([("a", "b"), ("d", "c"), ("e", "f")], [("b", "a"), ("c", "d"), ("x", "y")])
    assert (found.correct, found.wrong, found.missed) == (2, 1, 1)
    assert found.f1 == pytest.approx(2 / 3)
    assert quality.Quality(0, 0, 0).f1 == 1.0


def test_wilson_interval_of_a_known_share_is_the_published_one() -> None:
    assert quality.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert quality.wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("first", "second"), [(0.1, 0.05), (0.02, 0.02), (0.3, 0.1)])
def test_interval_of_a_paired_difference_covers_as_often_as_it_says(first: float, second: float) -> None:
    trials, covered = 25, 0.0
    for a in range(trials + 1):
        for b in range(trials + 1 - a):
            low, high = quality.paired_difference(a, b, trials)
            ways = math.comb(trials, a) * math.comb(trials - a, b)
            chance = ways * first**a * second**b * (1 - first - second) ** (trials - a - b)
            covered += chance * (low <= first - second <= high)
    assert 0.94 <= covered <= 1
    assert quality.paired_difference(0, 0, 0) == (-1.0, 1.0)
