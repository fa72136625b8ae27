"""What a run says of itself is true: calibrated probabilities, foreseen quality, doubts where due."""

from __future__ import annotations

import numpy as np
import pytest

from crypto.encoding.types import Encodings, FilterColumn, FilterSpec, LinkSpec
from linkage.quality import compare_pairs
from linkage.run import LinkResult, Options, Source, link
from linkage.scoring import advised_threshold, thresholds_table
from tests.linkage.synthetic import World, field_level_spec, make_world

PAIR = ("edu-oh", "ui-oh")


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(0.08, seed=5)


@pytest.fixture(scope="module")
def result(world: World) -> LinkResult:
    return link([Source(n, world.encodings[n]) for n in PAIR], field_level_spec())


def judged(world: World, result: LinkResult) -> tuple[np.ndarray, np.ndarray]:
    truth = world.truth(*PAIR)
    pairs = zip(
        result.links["record_ref_a"].to_pylist(), result.links["record_ref_b"].to_pylist(), strict=True
    )
    return np.array([p in truth for p in pairs]), result.links["probability"].to_numpy()


def test_probabilities_of_links_are_the_shares_that_are_true(world: World, result: LinkResult) -> None:
    right, probability = judged(world, result)
    assert abs(probability.mean() - right.mean()) < 0.01
    unsure = probability < 0.95
    if unsure.sum() >= 30:
        margin = 3 * np.sqrt(0.25 / unsure.sum())
        assert abs(probability[unsure].mean() - right[unsure].mean()) < 0.05 + margin


def test_foreseen_precision_and_recall_are_near_the_measured(world: World, result: LinkResult) -> None:
    report = result.report["pairs"][0]  # type: ignore[index]
    foreseen = next(row for row in report["thresholds"] if row["threshold"] == 0.5)
    pairs = zip(
        result.links["record_ref_a"].to_pylist(), result.links["record_ref_b"].to_pylist(), strict=True
    )
    measured = compare_pairs(pairs, world.truth(*PAIR))
    assert abs(foreseen["precision"] - measured.precision) < 0.02
    assert abs(foreseen["recall"] - measured.recall) < 0.03
    assert result.report["doubts"] == []


def test_another_threshold_is_advised_only_if_it_promises_noticeably_fewer_errors() -> None:
    sure, likely, unlikely = np.full(300, 0.99), np.full(600, 0.45), np.full(300, 0.02)
    probability = np.concatenate([sure, likely, unlikely])
    rows = thresholds_table(probability, 0.0)
    assert advised_threshold(rows, 0.5) == 0.4  # of the likely ones nearly every second is true
    assert advised_threshold(thresholds_table(np.concatenate([sure, unlikely]), 0.0), 0.5) == 0.5
    own = thresholds_table(probability, 5.0, own=0.45)
    assert advised_threshold(own, 0.45) == 0.45
    assert advised_threshold(thresholds_table(np.zeros(0), 0.0), 0.5) == 0.5


def source(name: str, words: np.ndarray) -> Source:
    refs = np.array([f"{i:032x}" for i in range(len(words))], dtype="<U32")
    return Source(name, Encodings(refs, {"name": FilterColumn(words, np.ones(len(words), np.bool_))}))


def test_link_of_sources_with_nobody_in_common_says_that_it_finds_no_matches() -> None:
    rng = np.random.default_rng(2)
    spec = LinkSpec((FilterSpec("name", 1024, "agreement", (), False),), "one-to-one")
    a, b = (rng.integers(0, 2**64, (1200, 16), dtype=np.uint64) for _ in range(2))
    found = link([source("a", a), source("b", b)], spec)
    assert found.links.num_rows <= 2
    assert any("no matches" in doubt for doubt in found.report["doubts"])  # type: ignore[union-attr]


@pytest.mark.slow
def test_link_of_a_million_records_with_the_same_filter_ends_and_links_nobody() -> None:
    spec = LinkSpec((FilterSpec("name", 64, "dice", (), False),), "one-to-one")
    same = np.full((1_000_000, 1), 7, np.uint64)
    found = link([source("a", same), source("b", same[:1000])], spec)
    assert found.persons.num_rows == 1_001_000
    assert found.links.num_rows == 0


def test_link_with_little_memory_for_candidates_keeps_to_it_and_still_finds_most(world: World) -> None:
    sources = [Source(n, world.encodings[n]) for n in PAIR]
    bounded = link(sources, field_level_spec(), options=Options(memory_mb=4))
    report = bounded.report["pairs"][0]  # type: ignore[index]
    free = link(sources, field_level_spec()).report["pairs"][0]  # type: ignore[index]
    assert report["candidates"] < free["candidates"]
    pairs = zip(
        bounded.links["record_ref_a"].to_pylist(), bounded.links["record_ref_b"].to_pylist(), strict=True
    )
    assert compare_pairs(pairs, world.truth(*PAIR)).f1 > 0.9


def test_matches_among_records_without_a_common_filter_are_believed_missed(world: World) -> None:
    plain = [Source(n, world.encodings[n]) for n in PAIR]
    ssn = plain[1].encodings.filters["ssn"]
    spec = LinkSpec(tuple(f for f in field_level_spec().filters if f.name == "ssn"), "one-to-one")
    half = ssn.present & (np.arange(len(ssn.present)) % 2 == 0)
    column = FilterColumn(np.where(half[:, None], ssn.words, np.uint64(0)), half)
    gappy = Source(PAIR[1], Encodings(plain[1].encodings.record_refs, {"ssn": column}))
    report = link([plain[0], gappy], spec).report["pairs"][0]  # type: ignore[index]
    true = len(world.truth(*PAIR))
    assert report["comparable"][1] < 0.55
    assert abs(report["matches"] + report["believed_missed"] - true) < 0.1 * true
