"""How alike given pairs of filters are; all pairs above a threshold are the matter of `linkage.scan`.

Both similarities come from the Hamming distance ``H`` and a *size* of each filter, ``|a|`` for Dice and half
the width for the share of equal bits: ``1 - H / (size_a + size_b)``. For Dice this is the definition, since
``2 c = |a| + |b| - H``.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from linkage.scan.compiled import compiled, popcount
from linkage.scan.inputs import exact_fraction

Words = NDArray[np.uint64]
Ints = NDArray[np.int64]


def _distances(a: Words, b: Words, left: Ints, right: Ints, out: Ints) -> None:
    for p in range(left.shape[0]):
        i, j = left[p], right[p]
        total = 0
        for w in range(a.shape[1]):
            total += popcount(a[i, w] ^ b[j, w])
        out[p] = total


_distances_fast = compiled(_distances)


def sizes(words: Words, similarity: str) -> Ints:
    """``|a|`` of each filter for Dice; half the width for the share of equal bits. Shape (n_records,)."""
    if similarity == "dice":
        return np.asarray(np.bitwise_count(words).sum(axis=1, dtype=np.int64))
    return np.full(len(words), words.shape[1] * 32, dtype=np.int64)


def exact_threshold(threshold: float) -> Fraction:
    """The threshold as it prints in decimal.

    Raises
    ------
    LinkageError
        ``THRESHOLD_OUT_OF_RANGE`` outside (0, 1] or not a number.
    """
    return exact_fraction(repr(float(threshold)))


def similarity_of(distance: Ints, both_sizes: Ints) -> NDArray[np.float64]:
    """``1 - H / (size_a + size_b)``: Dice, or the share of equal bits; 0 for two empty filters."""
    return np.where(both_sizes > 0, 1.0 - distance / np.maximum(both_sizes, 1), 0.0)


def pair_distances(a: Words, b: Words, left: Ints, right: Ints, threads: int = 2) -> Ints:
    """Hamming distance of ``a[left[p]]`` and ``b[right[p]]`` for every pair p, shape (n_pairs,)."""
    out = np.empty(len(left), dtype=np.int64)
    edges = np.linspace(0, len(left), max(1, threads) + 1).astype(int)
    with ThreadPoolExecutor(max(1, threads)) as pool:
        jobs = [
            pool.submit(_distances_fast, a, b, left[s:e], right[s:e], out[s:e]) for s, e in pairwise(edges)
        ]
        for job in jobs:
            job.result()
    return out


def pair_distances_twin(a: Words, b: Words, left: Ints, right: Ints) -> Ints:
    """NumPy twin of `pair_distances`."""
    return np.asarray(np.bitwise_count(a[left] ^ b[right]).sum(axis=1, dtype=np.int64))
