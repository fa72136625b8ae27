"""From filters to levels and patterns."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.encoding.types import Encodings, FilterColumn, FilterSpec
from linkage import comparison, kernels, patterns
from linkage.errors import LinkageError

TWIN_CHECK = """
import numpy as np
from linkage import kernels
rng = np.random.default_rng(5)
a, b = rng.integers(0, 1 << 63, (9, 4), np.uint64), rng.integers(0, 1 << 63, (7, 4), np.uint64)
left, right = rng.integers(0, 9, 40), rng.integers(0, 7, 40)
found = kernels.pair_distances(a, b, left, right)
assert np.array_equal(found, kernels.pair_distances_twin(a, b, left, right))
"""


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(0, 30), st.integers(1, 3))
def test_pair_distances_on_any_filters_equal_their_numpy_twin(
    seed: int, words: int, pairs: int, threads: int
) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(0, 1 << 63, (6, words), np.uint64) for _ in range(2))
    left, right = rng.integers(0, 6, pairs), rng.integers(0, 6, pairs)
    np.testing.assert_array_equal(
        kernels.pair_distances(a, b, left, right, threads), kernels.pair_distances_twin(a, b, left, right)
    )


def test_pair_distances_without_compilation_equal_their_numpy_twin() -> None:
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", TWIN_CHECK], check=True, env=environment, cwd=root)


def test_similarity_where_a_filter_is_missing_is_unknown_and_its_level_minus_one() -> None:
    spec = FilterSpec("x", 64, "dice", (), False)
    words = np.array([[0b1111], [0b0011], [0]], np.uint64)
    side = Encodings(
        np.array(["a", "b", "c"], "<U32"), {"x": FilterColumn(words, np.array([True, True, False]))}
    )
    values = comparison.similarity(side, side, spec, np.array([0, 0, 0]), np.array([0, 1, 2]))
    np.testing.assert_allclose(values[:2], [1.0, 2 / 3])
    assert np.isnan(values[2])
    assert comparison.to_levels(values, (1.0, 0.6)).tolist() == [2, 1, -1]


def test_levels_of_a_profile_with_a_threshold_outside_its_range_are_refused() -> None:
    with pytest.raises(LinkageError, match="THRESHOLD_OUT_OF_RANGE"):
        comparison.choose_levels(FilterSpec("x", 64, "dice", (1.2,), False), np.zeros(3))


def test_levels_of_an_exact_filter_are_equal_or_not() -> None:
    chosen = comparison.choose_levels(FilterSpec("x", 64, "dice", (0.5,), True), np.full(10, 0.3))
    assert chosen.thresholds == (1.0,)


def test_filters_that_repeat_each_other_are_compared_as_one() -> None:
    rng = np.random.default_rng(2)
    given_name, surname, birth = rng.random((3, 5000))
    name = given_name + surname
    groups = comparison.dependent_groups(
        {"name": name, "birth": birth, "given": given_name, "surname": surname}
    )
    assert groups == [("name", "given", "surname"), ("birth",)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 2**32))
def test_patterns_encoded_and_decoded_are_the_same(sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.stack([rng.integers(-1, s, 20) for s in sizes], axis=1)
    np.testing.assert_array_equal(patterns.decode(patterns.encode(values, sizes), sizes), values)


def test_patterns_count_every_candidate_and_scale_the_sample() -> None:
    inside, outside = np.array([[1], [1], [0]]), np.array([[0], [-1]])
    counted, which = patterns.count_patterns(inside, outside, 100.0, [2])
    assert counted.values.ravel().tolist() == [-1, 0, 1]
    assert counted.candidates.tolist() == [0.0, 1.0, 2.0]
    assert counted.others.tolist() == [50.0, 50.0, 0.0]
    assert which.tolist() == [2, 2, 1]


def test_patterns_of_too_many_filters_are_refused() -> None:
    with pytest.raises(LinkageError, match="TOO_MANY_PATTERNS"):
        patterns.encode(np.zeros((1, 30), np.int64), [9] * 30)


def test_names_that_changed_places_are_similar_and_nothing_else_is_raised() -> None:
    # Sparse filters of four names, so that two different ones hardly agree.
    rng = np.random.default_rng(3)
    names = np.packbits(rng.random((4, 512)) < 0.15, axis=1).view(np.uint64)

    def source(given: list[int], surname: list[int]) -> Encodings:
        here = np.ones(len(given), np.bool_)
        here[-1] = False
        refs = np.array([f"{i:032x}" for i in range(len(given))], dtype="<U32")
        return Encodings(
            refs,
            {
                "given": FilterColumn(names[given], np.ones(len(given), np.bool_)),
                "surname": FilterColumn(names[surname], here),
            },
        )

    # The same, swapped, one of both swapped into, strangers, swapped with one missing.
    a = source([0, 0, 0, 0, 0], [1, 1, 1, 1, 1])
    b = source([0, 1, 1, 2, 1], [1, 0, 2, 3, 0])
    levels = tuple(
        comparison.FilterLevels(FilterSpec(n, 512, "dice", (), False), (1.0, 0.9, 0.7), 0.15, 0.05)
        for n in ("given", "surname")
    )
    rows = np.arange(5)
    direct = {each.spec.name: comparison.similarity(a, b, each.spec, rows, rows) for each in levels}
    raised = comparison.changed_places(a, b, (levels[0], levels[1]), direct, rows, rows)
    for name in ("given", "surname"):
        assert raised[name][1] == 0.7
        np.testing.assert_array_equal(np.delete(raised[name], 1), np.delete(direct[name], 1))
    assert direct["given"][1] < 0.7
