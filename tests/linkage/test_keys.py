"""Composite keys: equal or not, several of them one piece of evidence, and a way where views are noise."""

from __future__ import annotations

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crypto.encoding.types import Encodings, FilterColumn, FilterSpec, LinkSpec
from linkage.increment import Past
from linkage.plan import key_categories
from linkage.quality import Quality, compare_pairs
from linkage.run import LinkResult, Options, Source, link

_T, _BITS, _KEYS = 5, 1024, ("birth_name", "name_place", "birth_place")


def _refs(prefix: str, count: int) -> np.ndarray:
    return np.array([f"{prefix}{i:031x}" for i in range(count)], dtype="<U32")


def _spec(keys: tuple[str, ...] = _KEYS) -> LinkSpec:
    view = FilterSpec("person", _BITS, "agreement", (), False)
    return LinkSpec((view, *(FilterSpec(k, 64, "key", (), True) for k in keys)), "one-to-one")


def _sources(count: int, shared: int, seed: int) -> tuple[list[Source], set[tuple[str, str]]]:
    """Two sources whose common persons lost one of name, birth and place in three of ten records.

    The view of whoever lost something is noise: only a key can bring these together.
    """
    rng = np.random.default_rng(seed)
    people = rng.integers(1, 1 << 40, (2 * count - shared, 3), dtype=np.int64)
    likeness = rng.integers(0, 2, (len(people), _BITS))
    sides, rows = [], [np.arange(count), np.arange(count - shared, 2 * count - shared)]
    for side, (prefix, who) in enumerate(zip("ab", rows, strict=True)):
        parts, bits = people[who].copy(), likeness[who] ^ (rng.random((count, _BITS)) < 0.15)
        hurt = np.flatnonzero(rng.random(count) < 0.3 * side)
        parts[hurt, rng.integers(0, 3, len(hurt))] = rng.integers(1, 1 << 40, len(hurt))
        bits[hurt] = rng.integers(0, 2, (len(hurt), _BITS))
        filters = {
            "person": FilterColumn(np.packbits(bits, axis=1).view(">u8").astype(np.uint64), _all(count))
        }
        for name, (i, j) in zip(_KEYS, ((1, 0), (0, 2), (1, 2)), strict=True):
            words = (parts[:, i].astype(np.uint64) << np.uint64(20)) ^ parts[:, j].astype(np.uint64)
            filters[name] = FilterColumn(words[:, None], _all(count))
        sides.append(Source(prefix, Encodings(_refs(prefix, count), filters)))
    a, b = (s.encodings.record_refs for s in sides)
    true = {(str(x), str(y)) for x, y in zip(a[count - shared :], b[:shared], strict=True)}
    return sides, true


def _all(count: int) -> np.ndarray:
    return np.ones(count, np.bool_)


def _quality(found: LinkResult, true: set[tuple[str, str]]) -> Quality:
    rows = found.links.to_pydict()
    return compare_pairs(zip(rows["record_ref_a"], rows["record_ref_b"], strict=True), true)


def _bytes(result: LinkResult) -> bytes:
    sink = io.BytesIO()
    for table in (result.persons, result.links):
        pq.write_table(table, sink)
    return sink.getvalue()


def test_key_categories_of_agreeing_keys_tell_the_first_and_how_many() -> None:
    agree = np.array([[1, 0, 1, -1, 0, -1], [1, 1, 0, -1, 0, 1], [1, 1, 0, -1, -1, 0]], np.int8)
    assert key_categories(agree).tolist() == [8, 4, 6, -1, -1, 3]


def test_link_of_records_whose_view_is_noise_finds_them_by_a_key_that_is_left() -> None:
    sources, true = _sources(1_500, 700, 1)
    with_keys, without = (_quality(link(sources, _spec(keys)), true) for keys in (_KEYS, ()))
    assert without.recall < 0.75
    assert with_keys.recall > 0.97
    assert with_keys.precision > 0.98


def test_link_by_keys_of_sources_that_may_hold_a_person_twice_works_without_known_strangers() -> None:
    sources, true = _sources(800, 400, 2)
    open_ended = [Source(s.name, s.encodings, deduplicated=False) for s in sources]
    rows = link(open_ended, _spec()).links.to_pydict()
    columns = zip(*(rows[c] for c in ("batch_a", "batch_b", "record_ref_a", "record_ref_b")), strict=True)
    across = [(ref_a, ref_b) for a, b, ref_a, ref_b in columns if a != b]
    quality = compare_pairs(across, true)
    assert quality.recall > 0.9 and quality.precision > 0.95


def test_link_by_keys_goes_on_from_a_past_that_went_through_json() -> None:
    sources, _ = _sources(400, 200, 3)
    first = link(sources, _spec())
    past = Past(first.links, json.loads(json.dumps(first.report)), json.loads(json.dumps(first.learned)))
    assert _bytes(link(sources, _spec(), past=past)) == _bytes(first)


@pytest.mark.parametrize("threads", [1, 3])
def test_link_by_keys_of_shuffled_rows_gives_the_same_bytes(threads: int) -> None:
    sources, _ = _sources(300, 150, 4)
    order = np.random.default_rng(5).permutation(300)
    shuffled = [
        Source(
            s.name,
            Encodings(
                s.encodings.record_refs[order],
                {n: FilterColumn(c.words[order], c.present[order]) for n, c in s.encodings.filters.items()},
            ),
        )
        for s in reversed(sources)
    ]
    options = Options(threads=threads)
    assert _bytes(link(shuffled, _spec(), options=options)) == _bytes(link(sources, _spec()))


def test_link_of_a_key_that_everybody_shares_refuses_to_believe_it() -> None:
    sources, true = _sources(600, 300, 6)
    for source in sources:
        constant = np.full_like(source.encodings.filters["birth_place"].words, 7)
        source.encodings.filters["birth_place"] = FilterColumn(constant, _all(600))
    quality = _quality(link(sources, _spec()), true)
    assert quality.precision > 0.97


def test_link_of_sources_that_share_keys_alone_links_by_them() -> None:
    sources, true = _sources(900, 450, 7)
    spec = LinkSpec(_spec().filters[1:], "one-to-one")
    result = link(sources, spec)
    assert isinstance(result.persons, pa.Table)
    assert _quality(result, true).recall > 0.9
