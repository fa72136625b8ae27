"""Screening of filters: what it tells of plain, diffused and wrongly keyed batches, without any key."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.attacks.clk import plain_clk
from benchmarks.attacks.encodings import secret
from benchmarks.attacks.populations import Population, demo
from crypto.encoding.encode import encode_table
from crypto.encoding.keys import Keys
from crypto.encoding.profile import Profile, default_profile
from crypto.encoding.screening import LEAST_RECORDS, alike_pairs, bit_frequencies, cohort_z, screen_filter
from crypto.encoding.types import Encodings, FilterColumn

PLAIN, HARDENED = plain_clk(), default_profile("record-hardened")


def encoded(people: Population, profile: Profile, key: int) -> Encodings:
    return encode_table(people.table, profile, Keys(secret(key), profile))


def test_bit_frequencies_of_known_words_when_counted_follow_the_bit_order() -> None:
    words = np.array([[1 << 63], [(1 << 63) | 1]], np.uint64)
    found = bit_frequencies(words)
    assert found[0] == 1.0
    assert found[63] == 0.5
    assert found[1:63].sum() == 0
    assert bit_frequencies(words[:0]).sum() == 0


def test_upload_without_diffusion_of_2500_persons_when_screened_is_told_from_a_diffused_one() -> None:
    people = demo(LEAST_RECORDS)
    assert screen_filter(encoded(people, PLAIN, 1).filters["clk"]).looks_plain
    assert not screen_filter(encoded(people, HARDENED, 1).filters["person"]).looks_plain


def test_hardened_batches_of_2500_with_persons_in_common_when_compared_show_whether_they_share_a_key() -> (
    None
):
    people = demo(2 * LEAST_RECORDS - 50)
    first = encoded(people.take(np.arange(LEAST_RECORDS)), HARDENED, 1).filters["person"]
    rest = people.take(np.arange(LEAST_RECORDS - 50, 2 * LEAST_RECORDS - 50))
    assert alike_pairs(first, encoded(rest, HARDENED, 1).filters["person"]) >= 50
    assert alike_pairs(first, encoded(rest, HARDENED, 2).filters["person"]) == 0


def test_plain_batches_of_2500_strangers_when_compared_by_bit_frequencies_show_whether_they_share_a_key() -> (
    None
):
    one, same, other = (
        screen_filter(encoded(demo(LEAST_RECORDS, seed), PLAIN, key).filters["clk"])
        for seed, key in ((1, 1), (2, 1), (2, 2))
    )
    assert cohort_z(one, same) > 10
    assert abs(cohort_z(one, other)) < 5


def test_repeated_near_empty_and_outlying_filters_when_screened_are_counted() -> None:
    words = np.random.default_rng(5).integers(0, 2**64, (500, 16), dtype=np.uint64)
    words[1] = words[0]
    words[3] = words[2]
    words[3, 0] ^= np.uint64(7)
    words[4] = 0
    present = np.ones(500, np.bool_)
    present[5] = False
    found = screen_filter(FilterColumn(words, present))
    assert (found.records, found.present, found.empty, found.outliers) == (500, 499, 1, 1)
    assert found.repeated == 1
    assert found.near == 4
    assert found.fill == pytest.approx(0.5, abs=0.01)


def test_batch_without_the_filter_when_screened_has_empty_figures_and_is_not_judged() -> None:
    nobody = screen_filter(FilterColumn(np.zeros((3, 2), np.uint64), np.zeros(3, np.bool_)))
    assert (nobody.present, nobody.fill, nobody.near, nobody.repeated) == (0, 0.0, 0, 0)
    assert not nobody.looks_plain
    assert cohort_z(nobody, nobody) == 0.0
