"""Several overlapping diffused views of each record: what they say together, and a view that is missing."""

from __future__ import annotations

import numpy as np

from crypto.encoding.types import Encodings, FilterColumn, FilterSpec, LinkSpec
from linkage.quality import compare_pairs
from linkage.run import Source, link

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
