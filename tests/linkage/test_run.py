"""The whole engine on a small world: quality at a blind threshold, determinism, and bad input."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crypto.encoding.types import Encodings, FilterColumn, FilterSpec, LinkSpec
from linkage.quality import Quality, compare_pairs
from linkage.run import LinkageError, LinkResult, Options, Source, link
from tests.linkage.synthetic import World, field_level_spec, make_world

SPEC = field_level_spec()


def sources_of(world: World) -> list[Source]:
    return [Source(name, encodings) for name, encodings in world.encodings.items()]


def quality_of(world: World, result: LinkResult, a: str, b: str) -> Quality:
    rows = result.links.select(["batch_a", "record_ref_a", "batch_b", "record_ref_b"]).to_pylist()
    links = [(r["record_ref_a"], r["record_ref_b"]) for r in rows if (r["batch_a"], r["batch_b"]) == (a, b)]
    return compare_pairs(links, world.truth(a, b))


def as_bytes(result: LinkResult) -> bytes:
    sink = io.BytesIO()
    pq.write_table(result.persons, sink)
    pq.write_table(result.links, sink)
    return sink.getvalue() + json.dumps(result.report, sort_keys=True).encode()


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(0.08, seed=11)


@pytest.fixture(scope="module")
def result(world: World) -> LinkResult:
    return link(sources_of(world), SPEC)


def test_link_of_education_and_wages_at_the_blind_threshold_reaches_its_goal(
    world: World, result: LinkResult
) -> None:
    total = Quality(0, 0, 0)
    for a in ("edu-ky", "edu-oh"):
        for b in ("ui-ky", "ui-oh"):
            q = quality_of(world, result, a, b)
            total = Quality(total.correct + q.correct, total.wrong + q.wrong, total.missed + q.missed)
    assert total.f1 >= 0.97
    assert quality_of(world, result, "edu-oh", "np").f1 >= 0.95


def test_link_lists_every_record_once_and_no_source_twice_in_a_person(
    world: World, result: LinkResult
) -> None:
    table = result.persons
    assert table.num_rows == sum(len(e) for e in world.encodings.values())
    assert table.schema.names == ["person", "batch", "record_ref", "probability"]
    keys = list(zip(table["person"].to_pylist(), table["batch"].to_pylist(), strict=True))
    assert len(set(keys)) == len(keys)
    assert keys == sorted(keys)
    probability = table["probability"].to_numpy()
    assert probability.min() >= 0.5
    assert probability.max() <= 1.0


def test_link_reports_figures_that_json_can_carry_and_no_record(world: World, result: LinkResult) -> None:
    text = json.dumps(result.report, allow_nan=False)
    assert str(world.encodings["np"].record_refs[0]) not in text
    pair = result.report["pairs"]
    assert isinstance(pair, list)
    assert len(pair) == 10
    assert all(p["converged"] and p["warnings"] == [] for p in pair)


@pytest.mark.parametrize("threads", [1, 3])
def test_link_of_shuffled_rows_and_sources_gives_the_same_bytes(
    world: World, result: LinkResult, threads: int
) -> None:
    rng = np.random.default_rng(threads)
    shuffled = []
    for name, encodings in reversed(world.encodings.items()):
        order = rng.permutation(len(encodings))
        filters = {n: FilterColumn(c.words[order], c.present[order]) for n, c in encodings.filters.items()}
        shuffled.append(Source(name, Encodings(encodings.record_refs[order], filters)))
    again = link(shuffled, SPEC, options=Options(threads=threads))
    assert as_bytes(again) == as_bytes(result)


def test_link_by_recordlinkages_estimator_works_on_the_same_comparisons(world: World) -> None:
    two = [Source(n, world.encodings[n]) for n in ("edu-oh", "ui-oh")]
    found = link(two, SPEC, options=Options(estimator="recordlinkage"))
    assert quality_of(world, found, "edu-oh", "ui-oh").f1 > 0.9


def test_link_with_surname_and_given_name_apart_unites_them_for_the_scan(world: World) -> None:
    parts = replace(SPEC, filters=tuple(f for f in SPEC.filters if f.name != "name"))
    found = link([Source(n, world.encodings[n]) for n in ("edu-oh", "ui-oh")], parts)
    assert ["given|surname", "given", "surname"] in found.report["comparisons"]  # type: ignore[operator]
    assert quality_of(world, found, "edu-oh", "ui-oh").f1 >= 0.97


def test_link_of_diffused_record_level_filters_sets_its_threshold_from_the_model() -> None:
    rng = np.random.default_rng(5)
    n, width = 1500, 2048
    people = rng.random((2 * n, width)) < 0.5
    flips = np.where(
        rng.random(n) < 0.7, 0.0, 0.22
    )  # most records identical, some noisy: similarity near .78
    a, b = people[:n], people[n // 2 : n // 2 + n].copy()
    b ^= rng.random(b.shape) < flips[:, None]

    def source(name: str, bits: np.ndarray, first: int) -> Source:
        words = np.packbits(bits, axis=1).view(">u8").astype(np.uint64)
        refs = np.array([f"{i + first:032x}" for i in range(len(bits))], dtype="<U32")
        return Source(name, Encodings(refs, {"person": FilterColumn(words, np.ones(len(bits), np.bool_))}))

    spec = LinkSpec((FilterSpec("person", width, "agreement", (), False),), "one-to-one")
    found = link([source("a", a, 0), source("b", b, n // 2)], spec)
    truth = [(f"{i:032x}", f"{i:032x}") for i in range(n // 2, n)]
    links = list(
        zip(found.links["record_ref_a"].to_pylist(), found.links["record_ref_b"].to_pylist(), strict=True)
    )
    assert compare_pairs(links, truth).f1 > 0.98


def test_link_within_a_source_that_is_not_deduplicated_finds_a_persons_two_records(world: World) -> None:
    edu = world.encodings["edu-oh"]
    twice = np.concatenate([np.arange(len(edu)), np.arange(200)])
    refs = edu.record_refs[twice].copy()
    refs[len(edu) :] = [f"{i:032x}" for i in range(200)]
    filters = {n: FilterColumn(c.words[twice], c.present[twice]) for n, c in edu.filters.items()}
    found = link([Source("edu", Encodings(refs, filters), deduplicated=False)], SPEC)
    truth = [(str(edu.record_refs[i]), f"{i:032x}") for i in range(200)]
    links = list(
        zip(found.links["record_ref_a"].to_pylist(), found.links["record_ref_b"].to_pylist(), strict=True)
    )
    assert compare_pairs(links, truth).recall > 0.95


def test_link_of_one_source_makes_every_record_a_person(world: World) -> None:
    found = link([Source("np", world.encodings["np"])], SPEC)
    assert found.links.num_rows == 0
    assert found.persons["probability"].to_pylist() == [1.0] * len(world.encodings["np"])
    assert found.persons["person"].to_pylist() == list(range(1, len(world.encodings["np"]) + 1))


def test_link_of_nothing_or_empty_sources_is_an_empty_or_lonely_result(world: World) -> None:
    assert link([], SPEC).persons.schema.field("person").type == pa.int64()
    empty = Encodings(np.zeros(0, "<U32"), {})
    found = link([Source("a", empty), Source("np", world.encodings["np"])], SPEC)
    assert found.persons.num_rows == len(world.encodings["np"])


def test_link_of_all_identical_filters_finishes_and_links_nobody_by_chance() -> None:
    def source(name: str, n: int) -> Source:
        refs = np.array([f"{i:032x}" for i in range(n)], dtype="<U32")
        column = FilterColumn(np.full((n, 16), 7, np.uint64), np.ones(n, np.bool_))
        return Source(name, Encodings(refs, {"name": column}))

    spec = LinkSpec((FilterSpec("name", 1024, "dice", (), False),), "one-to-one")
    found = link([source("a", 400), source("b", 300)], spec)
    assert found.persons.num_rows == 700
    assert found.links.num_rows == 0


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (Options(threshold=0.0), "THRESHOLD_OUT_OF_RANGE"),
        (Options(threshold=1.5), "THRESHOLD_OUT_OF_RANGE"),
        (Options(threshold=float("nan")), "THRESHOLD_OUT_OF_RANGE"),
        (Options(scan_threshold=-0.1), "THRESHOLD_OUT_OF_RANGE"),
        (Options(estimator="magic"), "ESTIMATOR_UNKNOWN"),  # type: ignore[arg-type]
    ],
)
def test_link_with_options_out_of_range_is_refused(world: World, options: Options, code: str) -> None:
    with pytest.raises(LinkageError) as caught:
        link(sources_of(world), SPEC, options=options)
    assert caught.value.code == code


def test_link_of_filters_with_the_wrong_width_is_refused(world: World) -> None:
    wider = replace(SPEC, filters=(replace(SPEC.filters[0], width=2048),))
    with pytest.raises(LinkageError, match="FILTER_WIDTH"):
        link(sources_of(world), wider)


def test_link_of_sources_without_a_common_filter_is_refused(world: World) -> None:
    edu, ui = world.encodings["edu-oh"], world.encodings["ui-oh"]
    only = Encodings(edu.record_refs, {"birth_date": edu.filters["birth_date"]})
    with pytest.raises(LinkageError, match="NO_COMMON_FILTER"):
        link([Source("a", only), Source("b", ui)], SPEC)


def test_link_of_a_record_or_source_named_twice_is_refused(world: World) -> None:
    np_source = world.encodings["np"]
    with pytest.raises(LinkageError, match="DUPLICATE_SOURCE"):
        link([Source("a", np_source), Source("a", np_source)], SPEC)
    twice = Encodings(np.resize(np_source.record_refs[:1], len(np_source)), np_source.filters)
    with pytest.raises(LinkageError, match="DUPLICATE_RECORD"):
        link([Source("a", twice)], SPEC)
    with pytest.raises(LinkageError, match="NO_FILTERS"):
        link([Source("a", np_source)], replace(SPEC, filters=()))


def test_link_of_sources_without_a_common_person_links_hardly_anybody() -> None:
    world = make_world(0.08, seed=4)
    everybody = world.encodings["edu-oh"]
    half = len(everybody) // 2

    def part(rows: slice) -> Encodings:
        filters = {n: FilterColumn(c.words[rows], c.present[rows]) for n, c in everybody.filters.items()}
        return Encodings(everybody.record_refs[rows], filters)

    # Households are torn apart: whoever is alike here is a relative.
    found = link([Source("a", part(slice(0, half))), Source("b", part(slice(half, None)))], SPEC)
    assert len(found.links) <= 0.03 * half
