"""Several overlapping diffused views of each record: what they say together, and a view that is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crypto.encoding.types import Encodings, FilterColumn, FilterSpec, LinkSpec
from linkage.errors import LinkageError
from linkage.quality import compare_pairs
from linkage.run import Options, Source, link

WIDTH = 1024
SPEC = LinkSpec(tuple(FilterSpec(n, WIDTH, "agreement", (), False) for n in ("one", "two")), "one-to-one")


def make_source(
    name: str, people: np.ndarray, noise: np.ndarray, missing: np.ndarray, seed: int, first: int
) -> Source:
    """Views of ``people`` (n, 2, WIDTH), each bit flipped with the record's ``noise`` per view (n, 2)."""
    rng = np.random.default_rng(seed)
    filters = {}
    for v, view in enumerate(("one", "two")):
        bits = people[:, v] ^ (rng.random((len(people), WIDTH)) < noise[:, v, None])
        words = np.packbits(bits, axis=1).view(">u8").astype(np.uint64)
        present = ~missing[:, v]
        filters[view] = FilterColumn(np.where(present[:, None], words, np.uint64(0)), present)
    refs = np.array([f"{i + first:032x}" for i in range(len(people))], dtype="<U32")
    return Source(name, Encodings(refs, filters))


def test_link_of_two_weak_views_finds_what_neither_shows_alone() -> None:
    rng = np.random.default_rng(3)
    n = 1200
    people = rng.random((n + n // 2, 2, WIDTH)) < 0.5
    # Among matches, a view agrees plainly, or so weakly that strangers do as well; both at once in a third.
    weak = rng.random((n, 2)) < 0.4
    noise = np.where(weak, 0.42, 0.1)
    none = np.zeros((n, 2), np.bool_)
    gaps = none.copy()
    gaps[rng.random(n) < 0.1, 1] = True
    a = make_source("a", people[:n], np.zeros((n, 2)), none, 1, 0)
    b = make_source("b", people[n // 2 :], noise, gaps, 2, n // 2)
    truth = [(f"{i:032x}", f"{i:032x}") for i in range(n // 2, n)]

    def f1(spec: LinkSpec) -> float:
        found = link([a, b], spec).links
        pairs = zip(found["record_ref_a"].to_pylist(), found["record_ref_b"].to_pylist(), strict=True)
        return compare_pairs(pairs, truth).f1

    together = f1(SPEC)
    assert together > max(f1(LinkSpec((s,), "one-to-one")) for s in SPEC.filters) + 0.03
    assert together > 0.97


def test_link_where_a_few_pairs_may_be_missed_says_how_many_and_misses_no_more() -> None:
    rng = np.random.default_rng(8)
    n = 1000
    people = rng.random((n, 2, WIDTH)) < 0.5
    noise, none = np.full((n, 2), 0.25), np.zeros((n, 2), np.bool_)
    a = make_source("a", people, np.zeros((n, 2)), none, 1, 0)
    b = make_source("b", people, noise, none, 2, 0)

    def linked(miss: float) -> tuple[int, list[dict[str, Any]], bytes]:
        result = link([a, b], SPEC, options=Options(miss=miss, scan_threshold=0.73))
        (pair,) = result.report["pairs"]  # type: ignore[attr-defined]
        scans = [rule for rule in pair["rules"] if rule["rule"] == "scan"]
        return result.links.num_rows, scans, result.persons.to_string().encode()

    exact, silent, _ = linked(0.0)
    assert exact > 0.95 * n
    assert all("missed_at_most" not in scan for scan in silent)
    count, scans, persons = linked(0.05)
    assert all(0 < scan["missed_at_most"] <= 0.05 and scan["bits"] < WIDTH for scan in scans)
    # Either view brings a pair, and few lie at the threshold itself, where as many are missed as is said.
    assert count > 0.97 * exact
    assert sum(scan["pairs"] for scan in scans) < sum(scan["pairs"] for scan in silent)
    assert linked(0.05)[2] == persons


@pytest.mark.parametrize("miss", [-0.1, 1.0, float("nan")])
def test_link_by_a_miss_probability_that_is_none_is_refused(miss: float) -> None:
    with pytest.raises(LinkageError, match="MISS_PROBABILITY_OUT_OF_RANGE"):
        Options(miss=miss).check()
