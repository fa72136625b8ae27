"""Wide diffused filters: exact in full, and within the stated bound by a random subset of the bits."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from linkage.errors import LinkageError
from linkage.scan import PairBlock, SubsetTest, agreement_pairs, agreement_pairs_twin, choose_subset
from linkage.scan.agreement import gather_bits, largest_distance, subset_cutoff
from linkage.scan.backends import BACKENDS, unavailable

HERE = [name for name, b in BACKENDS.items() if not b.projects and unavailable(b) is None]
each_backend = pytest.mark.parametrize("backend", HERE)


def random_words(rng: np.random.Generator, n: int, width: int) -> Any:
    return np.frombuffer(rng.bytes(n * width // 8), np.uint64).reshape(n, width // 64).copy()


def at_distance(words: Any, distance: int, rng: np.random.Generator) -> Any:
    """Each row with exactly ``distance`` bits flipped."""
    flips = np.zeros((len(words), 64 * words.shape[1]), np.uint8)
    flips[:, :distance] = 1
    return words ^ np.packbits(rng.permuted(flips, axis=1), axis=1).view(np.uint64)


def keys(blocks: Any) -> list[tuple[int, int, int]]:
    return [key for block in blocks for key in zip(*(column.tolist() for column in block), strict=True)]


def of(block: PairBlock) -> list[tuple[int, int, int]]:
    return keys([block])


@each_backend
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 20),
    m=st.integers(0, 80),
    width=st.sampled_from([64, 512, 1024, 4096]),
    threshold=st.sampled_from(["0.01", "0.5", "0.55", "0.6", "0.65", "0.9", "1"]),
)
def test_agreement_pairs_any_filters_equals_its_twin(
    backend: str, seed: int, n: int, m: int, width: int, threshold: str
) -> None:
    rng = np.random.default_rng(seed)
    a, b = random_words(rng, n, width), random_words(rng, m, width)
    b[rng.random(m) < 0.1] = 0
    a[rng.random(n) < 0.1] = 2**64 - 1
    some = min(n, m) // 2
    a[:some] = at_distance(b[:some], largest_distance(width, Fraction(threshold)), rng)
    assert keys(agreement_pairs(a, b, threshold, backend=backend)) == of(
        agreement_pairs_twin(a, b, threshold)
    )


@each_backend
def test_agreement_pairs_exactly_at_the_threshold_is_kept_and_one_bit_below_is_not(backend: str) -> None:
    rng = np.random.default_rng(1)
    b = random_words(rng, 30, 4096)
    limit = largest_distance(4096, Fraction("0.6"))
    assert len(keys(agreement_pairs(at_distance(b, limit, rng), b, 0.6, backend=backend))) == 30
    assert not keys(agreement_pairs(at_distance(b, limit + 1, rng), b, 0.6, backend=backend))


@each_backend
def test_agreement_pairs_missing_filters_match_nothing_not_even_each_other(backend: str) -> None:
    nothing = np.zeros((80, 64), np.uint64)
    assert not keys(agreement_pairs(nothing, nothing, "0.5", backend=backend))


def test_gather_bits_any_positions_picks_exactly_those() -> None:
    rng = np.random.default_rng(2)
    words = random_words(rng, 7, 512)
    positions = np.sort(rng.permutation(512)[:192])
    bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")[:, positions]
    wanted = np.ascontiguousarray(np.packbits(bits, axis=1, bitorder="little")).view(np.uint64)
    np.testing.assert_array_equal(gather_bits(words, positions), wanted)


@pytest.mark.parametrize("probability", [0.2, 0.01, 1e-6])
def test_subset_cutoff_any_probability_is_the_smallest_that_keeps_it(probability: float) -> None:
    cutoff, missed = subset_cutoff(4096, 1638, 512, probability)
    assert missed == hypergeom.sf(cutoff, 4096, 1638, 512) <= probability
    assert hypergeom.sf(cutoff - 1, 4096, 1638, 512) > probability


@pytest.mark.parametrize("stated", [0.1, 0.01])
def test_subset_matches_at_the_threshold_are_missed_as_seldom_as_stated(stated: float) -> None:
    rng = np.random.default_rng(3)
    b = random_words(rng, 200, 4096)
    a = at_distance(b, largest_distance(4096, Fraction("0.6")), rng)
    matches, missed, allowed = 0, 0, 0.0
    for seed in range(25):
        subset = choose_subset(a, b, "0.6", stated, seed=seed)
        assert subset is not None and subset.miss_bound <= stated
        found = keys(agreement_pairs(a, b, "0.6", subset=subset))
        assert set(found) <= set(of(agreement_pairs_twin(a, b, "0.6")))  # no false pair, ever
        matches, missed = matches + 200, missed + 200 - len(found)
        allowed += 200 * subset.miss_bound
    assert missed <= allowed + 4 * np.sqrt(allowed) + 1


def test_choose_subset_no_misses_allowed_asks_for_the_full_count() -> None:
    words = random_words(np.random.default_rng(4), 5, 4096)
    assert choose_subset(words, words, "0.6", 0.0) is None


def test_choose_subset_filters_that_all_agree_asks_for_the_full_count() -> None:
    same = np.repeat(random_words(np.random.default_rng(5), 1, 4096), 50, axis=0)
    assert choose_subset(same, same, "0.6", 0.001) is None


@pytest.mark.parametrize("probability", [-0.1, 1.0, float("nan")])
def test_choose_subset_probability_out_of_range_is_refused(probability: float) -> None:
    words = random_words(np.random.default_rng(6), 2, 4096)
    with pytest.raises(LinkageError, match="MISS_PROBABILITY_OUT_OF_RANGE"):
        choose_subset(words, words, "0.6", probability)


def test_agreement_pairs_subset_of_another_width_is_refused() -> None:
    words = random_words(np.random.default_rng(7), 2, 1024)
    subset = SubsetTest(np.arange(64, dtype=np.int64) + 4000, 30, 0.01)
    with pytest.raises(LinkageError, match="FILTER_WIDTH"):
        agreement_pairs(words, words, "0.6", subset=subset)
