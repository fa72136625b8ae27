"""Screening of filters: what it tells of plain, diffused and wrongly keyed batches, without any key."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.attacks.clk import plain_clk
from benchmarks.attacks.encodings import secret
from benchmarks.attacks.populations import Population, demo
from crypto.encoding.encode import encode_table
from crypto.encoding.keys import Keys
from crypto.encoding.profile import Profile, default_profile
from crypto.encoding.screening import (
    ENOUGH_PAIRS,
    KEYS_ASKED,
    LEAST_RECORDS,
    MOST_DIFFUSED_STD,
    Sample,
    Screening,
    alike_pairs,
    bit_frequencies,
    cohort_z,
    repeated_share,
    same_key,
)
from crypto.encoding.types import Encodings, FilterColumn

PLAIN, HARDENED = plain_clk(), default_profile("record-hardened")


def sampled(encodings: Encodings) -> Sample:
    screening = Screening()
    screening.add(encodings)
    return screening.sample()


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
    plain = bit_frequencies(encoded(people, PLAIN, 1).filters["clk"].words)
    diffused = bit_frequencies(encoded(people, HARDENED, 1).filters["person"].words)
    assert diffused.std() < MOST_DIFFUSED_STD / 2 < 2 * MOST_DIFFUSED_STD < plain.std()


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
    spec = PLAIN.link_spec()
    one, same, other = (
        sampled(encoded(demo(LEAST_RECORDS, seed), PLAIN, key)) for seed, key in ((1, 1), (2, 1), (2, 2))
    )
    assert same_key(one, same, spec) == "same"
    assert same_key(one, other, spec) == "another"
    z_same, z_other = (
        cohort_z(*(bit_frequencies(batch.filters["clk"].words) for batch in (one, rest)))
        for rest in (same, other)
    )
    assert z_same > 10
    assert abs(z_other) < 5


@pytest.mark.parametrize("family", ["field-level", "record-hardened"])
def test_batches_of_a_default_profile_that_share_persons_when_compared_are_the_same_key_under_one_secret_only(
    family: str,
) -> None:
    profile = default_profile(family)
    people = demo(2 * LEAST_RECORDS - 50)
    first = sampled(encoded(people.take(np.arange(LEAST_RECORDS)), profile, 1))
    rest = people.take(np.arange(LEAST_RECORDS - 50, 2 * LEAST_RECORDS - 50))
    assert same_key(first, sampled(encoded(rest, profile, 1)), profile.link_spec()) == "same"
    expected = "another" if family == "field-level" else "strangers"
    assert same_key(first, sampled(encoded(rest, profile, 2)), profile.link_spec()) == expected


def test_hardened_batches_of_strangers_when_compared_share_composite_keys_under_one_secret_only() -> None:
    spec = HARDENED.link_spec()
    one, same, other = (
        sampled(encoded(demo(LEAST_RECORDS, seed), HARDENED, key)) for seed, key in ((1, 1), (2, 1), (2, 2))
    )
    assert not alike_pairs(one.filters["person"], same.filters["person"])
    assert same_key(one, same, spec) == "same"
    assert same_key(one, other, spec) == "strangers"


def keyed(records: int, *, first: int = 0, repeated: int = 1, keys: int = KEYS_ASKED) -> Sample:
    """Of so many records that have so many of the default's composite keys, of which some repeat."""
    starts = np.arange(first, first + records, dtype=np.uint64)
    starts[:repeated] = starts[-1]
    nothing, names = np.zeros(0, np.uint64), [item.name for item in HARDENED.link_spec().filters]
    has = [item.name for item in HARDENED.link_spec().filters if item.similarity == "key"][:keys]
    empty = {name: FilterColumn(np.zeros((0, 1), np.uint64), np.zeros(0, np.bool_)) for name in names}
    return Sample(empty, {name: starts if name in has else nothing for name in names})


def test_many_records_without_a_composite_key_in_common_when_compared_are_of_another_secret() -> None:
    spec, many = HARDENED.link_spec(), round(ENOUGH_PAIRS**0.5)
    one = keyed(many)
    assert same_key(one, keyed(many, first=many), spec) == "another"
    assert same_key(one, keyed(many, first=many - 2), spec) == "same"
    assert same_key(one, keyed(many - 1, first=many), spec) == "strangers"
    assert same_key(one, keyed(LEAST_RECORDS // 2 - 1, first=many), spec) == "unknown"


def test_keys_that_no_two_of_a_file_have_or_too_few_keys_when_compared_say_nothing_of_strangers() -> None:
    spec, many = HARDENED.link_spec(), round(ENOUGH_PAIRS**0.5)
    assert same_key(keyed(many), keyed(many, first=many, repeated=0), spec) == "unknown"
    few = KEYS_ASKED - 1
    assert same_key(keyed(many, keys=few), keyed(many, first=many, keys=few), spec) == "unknown"


def test_hardened_batches_of_which_one_holds_names_alone_are_told_to_share_a_key_by_its_composite_keys() -> (
    None
):
    """As of a wage file without numbers: hardly anything of its views is there."""
    people, spec = demo(2 * LEAST_RECORDS - 50), HARDENED.link_spec()
    first = sampled(encoded(people.take(np.arange(LEAST_RECORDS)), HARDENED, 1))
    rest = people.take(np.arange(LEAST_RECORDS - 50, 2 * LEAST_RECORDS - 50)).table
    names = rest.select(["first_name", "middle_name", "last_name"])
    bare = [sampled(encode_table(names, HARDENED, Keys(secret(key), HARDENED))) for key in (1, 2)]
    views = [item.name for item in spec.filters if item.similarity == "agreement"]
    assert not any(bare[0].filters[name].present.any() for name in views)
    assert [same_key(first, one, spec) for one in bare] == ["same", "unknown"]


def test_share_that_is_repeated_is_told_from_samples_and_of_records_that_are_whole() -> None:
    rng = np.random.default_rng(3)
    words = rng.integers(0, 2**63, (4_000, 2), dtype=np.uint64)
    nobody = FilterColumn(np.zeros((4_000, 1), np.uint64), np.zeros(4_000, np.bool_))
    ours, theirs = rng.permutation(4_000)[:1_000], rng.permutation(4_000)[:2_000]

    def sample(rows: Any) -> dict[str, FilterColumn]:
        return {
            "one": FilterColumn(words[rows], np.ones(len(rows), np.bool_)),
            "two": FilterColumn(nobody.words[rows], nobody.present[rows]),
        }

    assert repeated_share(sample(ours), sample(theirs), 4_000) == pytest.approx(1.0, abs=0.1)
    assert repeated_share(sample(np.arange(1_000)), sample(np.arange(900, 2_000)), 1_100) == 0.1
    assert repeated_share({"two": nobody}, {"two": nobody}, 4_000) == 0.0
    assert repeated_share({}, {}, 0) == 0.0


def test_batches_of_few_records_when_compared_are_not_judged() -> None:
    few = demo(500)
    one, other = (sampled(encoded(few, PLAIN, key)) for key in (1, 2))
    assert same_key(one, other, PLAIN.link_spec()) == "unknown"


def screened(column: FilterColumn, pieces: int = 1) -> dict[str, Any]:
    screening = Screening()
    for index in np.array_split(np.arange(len(column.present)), pieces):
        part = FilterColumn(column.words[index], column.present[index])
        screening.add(Encodings(np.array([f"{at:032x}" for at in index]), {"clk": part}))
    return screening.figures()


@pytest.mark.parametrize("pieces", [1, 7])
def test_repeated_near_empty_and_outlying_filters_when_screened_are_counted(pieces: int) -> None:
    words = np.random.default_rng(5).integers(0, 2**64, (500, 16), dtype=np.uint64)
    words[1] = words[0]
    words[3] = words[2]
    words[3, 0] ^= np.uint64(7)
    words[4] = 0
    present = np.ones(500, np.bool_)
    present[5] = False
    found = screened(FilterColumn(words, present), pieces)
    assert (found["records"], found["duplicates"], found["near"], found["near_of"]) == (500, 1, 4, 500)
    clk = found["filters"]["clk"]
    assert (clk["present"], clk["empty"], clk["outliers"], clk["constant"]) == (499, 1, 1, False)
    assert float(clk["fill"]) == pytest.approx(0.5, abs=0.01)


def test_filter_that_is_the_same_for_everybody_when_screened_is_constant() -> None:
    words = np.full((30, 2), 0x0F0F, np.uint64)
    assert screened(FilterColumn(words, np.ones(30, np.bool_)))["filters"]["clk"]["constant"]


def test_batch_without_the_filter_when_screened_has_empty_figures_and_is_not_judged() -> None:
    nobody = FilterColumn(np.zeros((3, 2), np.uint64), np.zeros(3, np.bool_))
    found = screened(nobody)
    assert (found["filters"]["clk"]["present"], found["near"]) == (0, 0)
    empty = Sample({"clk": nobody}, {})
    assert same_key(empty, empty, PLAIN.link_spec()) == "unknown"
