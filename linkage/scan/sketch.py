"""Sketches that reject a pair without counting it in full, and the choice of the cheapest one.

Let ``H`` be the Hamming distance of two filters of ``W`` bits with ``|a|`` and ``|b|`` set bits.

*Exact test.* ``2c = |a| + |b| - H``, so Dice ``2c / (|a| + |b|) >= t`` is ``H <= s - 2 ceil(t s / 2)`` with
``s = |a| + |b|``: one whole number per ``s``, tabled with Python's own integers, whatever t's denominator.

*Folding.* A bit of the XOR-fold is the XOR of some bits of the filter, so it differs between two filters
only if an odd number of those bits differ: at least one. Each bit goes into one folded bit, so the folded
distance never exceeds ``H``. A pair whose folds are further apart than H may be is no match.

*Splitting the limit.* The kernel tests ``h <= limit(a) + limit(b)``. With ``x = (1 - t)|a|`` and
``y = (1 - t)|b|`` a match has ``H <= x + y < floor(x) + 1 + floor(y) + 1``, and H is whole, so
``H <= floor(x) + floor(y) + 1``: at most one above the exact limit, and the full count decides.

*Empty filters* match nothing: a limit of ``NEVER`` stops them in front, since a million missing fields on
both sides would otherwise pass the sketch against each other.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from linkage.scan.compiled import compiled, popcount

Words = NDArray[np.uint64]
Ints = NDArray[np.int32]

#: Two of them still fit into int32 with any distance added.
NEVER = -(1 << 29)

_SAMPLED_PAIRS = 8192
_HOPELESS = 0.1
_DEPTHS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 24, 28, 32, 40, 48, 64)


class Cost(NamedTuple):
    """What a scan costs, in nanoseconds on the processor on which it was fitted; only the ratios matter.

    Attributes
    ----------
    per_word, per_pair : float
        Of a pair's sketch.
    per_tile : float
        Of finding out which pairs of a tile passed, if any did: mostly a mispredicted branch.
    per_survivor : float
        Of each 64-bit word of a full count, cold caches included.
    """

    per_word: float
    per_pair: float
    per_tile: float
    per_survivor: float

    def of(self, depth: int, passing: float, tile: int, n_words: int) -> float:
        """Nanoseconds a pair, if a share ``passing`` of the pairs of ``tile`` each passes."""
        some = 1 - (1 - passing) ** tile
        sketching = depth * self.per_word + self.per_pair
        return sketching + some * self.per_tile / tile + passing * n_words * self.per_survivor


def dice_limits(width: int, threshold: Fraction) -> Ints:
    """Largest distance of a match by ``|a| + |b|``, shape (2 width + 1,); -1 for two empty filters."""
    num, den = threshold.numerator, 2 * threshold.denominator
    limits = [s - 2 * -(-num * s // den) for s in range(2 * width + 1)]
    return np.array([-1, *limits[1:]], dtype=np.int32)


@compiled
def _popcounts_into(words: Words, counts: Ints) -> None:
    for record in range(words.shape[0]):
        total = 0
        for w in range(words.shape[1]):
            total += popcount(words[record, w])
        counts[record] = total


def popcounts(words: Words) -> Ints:
    """Set bits of each filter, shape (n,)."""
    counts = np.empty(len(words), dtype=np.int32)
    _popcounts_into(words, counts)
    return counts


def dice_side_limits(sizes: Ints, threshold: Fraction, extra: int) -> Ints:
    """``floor((1 - t)|a|) + extra``, or NEVER for an empty filter (see *Splitting the limit* above)."""
    num, den = threshold.denominator - threshold.numerator, threshold.denominator
    table = [NEVER, *(num * size // den + extra for size in range(1, int(sizes.max(initial=0)) + 1))]
    return np.array(table, dtype=np.int32)[sizes]


def halves(words: Words) -> NDArray[np.uint32]:
    """The filters as 32-bit words, the low half of each word first. Shape (n, 2 n_words)."""
    pairs = np.stack([words & np.uint64(0xFFFFFFFF), words >> np.uint64(32)], axis=2)
    return pairs.astype(np.uint32).reshape(len(words), -1)


def fold(words: NDArray[np.uint32], depth: int) -> NDArray[np.uint32]:
    """XOR-fold `halves`: word i goes into word ``i % depth``. Shape (n, depth); the NumPy twin of `pack`."""
    folded = words[:, :depth].copy()
    for start in range(depth, words.shape[1], depth):
        part = words[:, start : start + depth]
        folded[:, : part.shape[1]] ^= part
    return folded


@compiled
def _fold_into(words: Words, packed: NDArray[np.uint32]) -> None:
    depth, columns = packed.shape[1], packed.shape[2]
    for record in range(words.shape[0]):
        block, column = record // columns, record % columns
        word = 0
        for w in range(words.shape[1]):
            packed[block, word, column] ^= np.uint32(words[record, w] & np.uint64(0xFFFFFFFF))
            word = word + 1 if word + 1 < depth else 0
            packed[block, word, column] ^= np.uint32(words[record, w] >> np.uint64(32))
            word = word + 1 if word + 1 < depth else 0


def pack(words: Words, depth: int, columns: int) -> NDArray[np.uint32]:
    """`fold`, laid out vertically: shape (n_blocks, depth, columns), the last block filled up with zeros."""
    packed = np.zeros((-(-len(words) // columns), depth, columns), dtype=np.uint32)
    _fold_into(words, packed)
    return packed


def padded(limits: Ints, columns: int) -> Ints:
    """One limit per packed record: the ones that fill up the last block match nothing."""
    out = np.full(-(-len(limits) // columns) * columns, NEVER, dtype=np.int32)
    out[: len(limits)] = limits
    return out


def sample_pairs(n: int, m: int, count: int = _SAMPLED_PAIRS) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The same random pairs in every run: the choice of a sketch changes the time only, never the result."""
    picks = np.random.default_rng(20_140_707)
    return picks.integers(0, n, count), picks.integers(0, m, count)


def choose_fold(a: Words, b: Words, a_limit: Ints, b_limit: Ints, cost: Cost, tile: int) -> int:
    """The depth that costs least for these filters and limits, by a sample of pairs.

    Folding is linear, so the sample's differences are folded, not its filters. A small part of the sample is
    enough to see that a depth lets too many pairs through.
    """
    full: int = 2 * a.shape[1]
    left, right = sample_pairs(len(a), len(b))
    difference, limit = halves(a[left] ^ b[right]), a_limit[left] + b_limit[right]
    best, least = full, math.inf
    for depth in (*(d for d in _DEPTHS if d < full), full):
        if depth * cost.per_word >= least:
            break
        for part in (_SAMPLED_PAIRS // 16, _SAMPLED_PAIRS):
            distance = np.bitwise_count(fold(difference[:part], depth)).sum(axis=1, dtype=np.int32)
            passing = float(np.mean(distance <= limit[:part]))
            if passing > _HOPELESS and depth < full:
                break
        else:
            price = cost.of(depth, passing, tile, a.shape[1])
            if price < least:
                best, least = depth, price
    return best
