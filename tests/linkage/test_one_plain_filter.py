"""One plain filter of a whole record, as clkhash makes it: the model must not lose the matches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crypto.encoding.types import Encodings, FilterColumn, FilterSpec, LinkSpec
from linkage.records import Source
from linkage.run import link

BITS, TOKENS, PERSONS, COMMON = 1024, 20, 900, 400
SPEC = LinkSpec((FilterSpec("clk", BITS, "dice", (), exact=False),), "one-to-one")


def filters(tokens: NDArray[np.int64], positions: NDArray[np.int64]) -> FilterColumn:
    bits = np.zeros((len(tokens), BITS), np.uint8)
    for column in tokens.T:
        np.put_along_axis(bits, positions[column], 1, axis=1)
    words = np.packbits(bits, axis=1).view(">u8").astype(np.uint64)
    return FilterColumn(words, np.ones(len(tokens), np.bool_))


def test_records_of_one_plain_filter_when_linked_find_their_matches_and_few_others() -> None:
    rng = np.random.default_rng(8)
    positions = rng.integers(0, BITS, (400, 15))
    # Tokens as uneven as those of names are.
    people = np.minimum(rng.geometric(0.012, (2 * PERSONS - COMMON, TOKENS)), 399)
    left, right = people[:PERSONS], people[PERSONS - COMMON :].copy()
    wrong = rng.random(right.shape) < 0.06
    right[wrong] = rng.integers(0, 400, int(wrong.sum()))
    refs = np.array([f"{at:032x}" for at in range(2 * PERSONS)])
    sources = [
        Source("a", Encodings(refs[:PERSONS], {"clk": filters(left, positions)})),
        Source("b", Encodings(refs[PERSONS:], {"clk": filters(right, positions)})),
    ]
    links = link(sources, SPEC).links.to_pydict()
    found = [
        (int(one, 16), int(other, 16) - PERSONS)
        for one, other in zip(links["record_ref_a"], links["record_ref_b"], strict=True)
    ]
    right_ones = sum(one - (PERSONS - COMMON) == other for one, other in found)
    assert right_ones > 0.97 * COMMON
    assert right_ones > 0.97 * len(found)
