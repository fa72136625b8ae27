"""All pairs of wide, diffused filters whose share of equal bits is at least t.

In a diffused filter (PRIVACY: record-hardened) half the bits are set, strangers agree in half of them, and
the thresholds lie near .55 to .65. A fold of such bits is again random in the face of those thresholds, so
no exact sketch rejects, and there are two ways:

*Exact* (the default): every pair is counted in full, at the hardware's floor.

*By a random subset of the bits*: a pair is counted in full only if it differs in at most ``cutoff`` of
``bits`` bits, drawn without replacement and independently of the filters. Let L be the largest distance of a
match. For a pair at distance H <= L, the differing bits in the subset are hypergeometric (width, H, bits),
which grows with H, so the pair is missed with a probability of at most P(X > cutoff), X ~
hypergeometric(width, L, bits): the ``miss_bound``. It holds for every match, whatever the filters; a match
well above the threshold is missed far more seldom. It is a bound per pair, and so on the *expected* share of
matches missed: one subset serves all pairs of a run, so misses within a run are not independent of each
other. What is found is exact: no false pair.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from linkage.errors import LinkageError
from linkage.scan.backends import BACKENDS, Backend, select
from linkage.scan.compiled import compiled
from linkage.scan.inputs import both_sides, exact_fraction, silent
from linkage.scan.shapes import Side, Words
from linkage.scan.sketch import NEVER, pack, padded, popcounts, sample_pairs
from linkage.scan.stream import Job, PairBlock, Progress, prepare, stream

_SUBSETS = (128, 192, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584)
_TWIN_ROWS = 16
#: A smaller subset misses as many at most; a larger one must save more than the sample is uncertain of.
_WORTHWHILE = 0.9


@dataclass(frozen=True)
class SubsetTest:
    """How pairs are looked at before they are counted in full.

    Attributes
    ----------
    positions : int64, shape (bits,)
        The bits, ascending; bit p is ``words[p // 64] >> (p % 64) & 1``.
    cutoff : int
        Most differing bits of the subset in a pair that is counted in full.
    miss_bound : float
        Upper bound on the probability of missing a given match.
    """

    positions: NDArray[np.int64]
    cutoff: int
    miss_bound: float


def largest_distance(width: int, threshold: Fraction) -> int:
    """``floor((1 - t) width)``: the distance of the least similar match."""
    return (threshold.denominator - threshold.numerator) * width // threshold.denominator


def subset_cutoff(width: int, distance: int, bits: int, miss_probability: float) -> tuple[int, float]:
    """The smallest cutoff that keeps a pair at ``distance`` but for the probability, and what it misses."""
    low, high = 0, bits  # nobody differs in more than all of them
    while low < high:
        middle = (low + high) // 2
        if hypergeom.sf(middle, width, distance, bits) <= miss_probability:
            high = middle
        else:
            low = middle + 1
    return low, float(hypergeom.sf(low, width, distance, bits))


@compiled
def _gather_into(words: Words, at_word: NDArray[np.int64], at_bit: NDArray[np.uint64], out: Words) -> None:
    for record in range(words.shape[0]):
        for word in range(out.shape[1]):
            value = np.uint64(0)
            for bit in range(64):
                p = 64 * word + bit
                found = (words[record, at_word[p]] >> at_bit[p]) & np.uint64(1)
                value |= found << np.uint64(bit)
            out[record, word] = value


def gather_bits(words: Words, positions: NDArray[np.int64]) -> Words:
    """The bits at ``positions`` (a multiple of 64 of them), packed: shape (n, n_positions // 64)."""
    out = np.empty((len(words), len(positions) // 64), dtype=np.uint64)
    _gather_into(words, positions // 64, (positions % 64).astype(np.uint64), out)
    return out


def check_miss(probability: float) -> None:
    """Refuse what is no probability of missing a match.

    Raises
    ------
    LinkageError
        ``MISS_PROBABILITY_OUT_OF_RANGE``.
    """
    if not 0.0 <= probability < 1.0:
        raise LinkageError(
            "MISS_PROBABILITY_OUT_OF_RANGE", "A miss probability lies at 0 or above, and below 1."
        )


def choose_subset(
    a: Words,
    b: Words,
    threshold: Fraction | str | float,
    miss_probability: float,
    *,
    seed: int = 0,
    backend: str = "avx512",
) -> SubsetTest | None:
    """The cheapest subset of bits with the wanted bound, by a sample of pairs; None for a full count.

    Parameters
    ----------
    miss_probability : float
        In [0, 1): most that a match may be missed with; 0 asks for the exact scan.
    seed : int
        Of the draw. The bound holds as long as nobody who makes filters knows it beforehand.
    backend : str
        Whose costs are weighed, whether or not it can run here: machines of all kinds draw the same subset.

    Raises
    ------
    LinkageError
        ``MISS_PROBABILITY_OUT_OF_RANGE``, ``THRESHOLD_OUT_OF_RANGE``, ``FILTER_SHAPE``, ``FILTER_WIDTH``.
    """
    exact, chosen = exact_fraction(threshold), BACKENDS[backend]
    left, right = both_sides(a, b)
    check_miss(miss_probability)
    width, tile = 64 * left.shape[1], chosen.rows * chosen.columns
    if not miss_probability or not len(left) or not len(right):
        return None
    distance = largest_distance(width, exact)
    shuffled = np.random.default_rng(seed).permutation(width)
    i, j = sample_pairs(len(left), len(right))
    difference = gather_bits(left[i] ^ right[j], shuffled)
    best, least = None, chosen.cost.of(width // 32, 0.0, tile, left.shape[1])
    for bits in (s for s in _SUBSETS if s < width and s // 32 * chosen.cost.per_word < least):
        cutoff, bound = subset_cutoff(width, distance, bits, miss_probability)
        differing = np.bitwise_count(difference[:, : bits // 64]).sum(axis=1, dtype=np.int32)
        price = chosen.cost.of(bits // 32, float(np.mean(differing <= cutoff)), tile, left.shape[1])
        if price < _WORTHWHILE * least:
            best, least = SubsetTest(np.sort(shuffled[:bits]), cutoff, bound), price
    return best


def agreement_pairs(
    a: Words,
    b: Words,
    threshold: Fraction | str | float,
    *,
    subset: SubsetTest | None = None,
    threads: int = 2,
    progress: Progress | None = None,
    backend: str = "auto",
) -> Iterator[PairBlock]:
    """Every pair (i, j) with a share of equal bits of at least ``threshold``, in ascending order.

    Filters without a set bit are missing fields and match nothing.

    Parameters
    ----------
    a, b : ndarray of uint64, shape (n, n_words) and (m, n_words)
    threshold : Fraction, str or float
        In (0, 1]; a float counts as the decimal that it prints as.
    subset : SubsetTest, optional
        From `choose_subset`; None counts every pair in full.
    threads, progress, backend
        As in `linkage.scan.dice.dice_pairs`.

    Yields
    ------
    PairBlock
        With equal bits as ``bits``; never empty, at most 2**18 pairs.

    Raises
    ------
    LinkageError
        ``THRESHOLD_OUT_OF_RANGE``, ``FILTER_SHAPE``, ``FILTER_WIDTH``, ``BACKEND_UNAVAILABLE``; when called.
    """
    exact, chosen = exact_fraction(threshold), select(backend)
    left, right = both_sides(a, b)
    if subset is not None and subset.positions.max() >= 64 * left.shape[1]:
        raise LinkageError("FILTER_WIDTH", "The subset of bits was drawn for wider filters.")
    return _agreement_blocks(left, right, exact, subset, max(1, threads), progress or silent, chosen)


def _agreement_blocks(
    a: Words,
    b: Words,
    threshold: Fraction,
    subset: SubsetTest | None,
    threads: int,
    progress: Progress,
    chosen: Backend,
) -> Iterator[PairBlock]:
    if not len(a) or not len(b):
        return
    prepare(chosen, progress)
    width = 64 * a.shape[1]
    limit = largest_distance(width, threshold)
    looked_at = limit if subset is None else subset.cutoff

    def side(words: Words, own: int, columns: int) -> Side:
        seen = words if subset is None else gather_bits(words, subset.positions)
        limits = np.where(popcounts(words) > 0, own, NEVER).astype(np.int32)
        # The limit of the full count is the same for all pairs: every size is 0.
        return Side(
            words,
            np.zeros(len(words), dtype=np.int32),
            pack(seen, 2 * seen.shape[1], columns),
            padded(limits, columns),
        )

    job = Job(
        chosen,
        side(a, looked_at, chosen.rows),
        side(b, 0, chosen.columns),
        np.array([limit], dtype=np.int32),
    )
    for found in stream(job, threads, progress):
        yield PairBlock(found.i, found.j, np.int32(width) - found.distance)


def agreement_pairs_twin(a: Words, b: Words, threshold: Fraction | str | float) -> PairBlock:
    """NumPy twin of the exact `agreement_pairs`, from the definition: for tests and small inputs."""
    exact, width = exact_fraction(threshold), 64 * a.shape[1]
    equal = np.zeros((len(a), len(b)), dtype=np.int64)
    for start in range(0, len(a), _TWIN_ROWS):
        rows = ~(a[start : start + _TWIN_ROWS, None, :] ^ b[None, :, :])
        equal[start : start + _TWIN_ROWS] = np.bitwise_count(rows).sum(axis=2, dtype=np.int64)
    known = np.outer(a.any(axis=1), b.any(axis=1))
    i, j = np.nonzero((equal >= math.ceil(exact * width)) & known)
    return PairBlock(i, j, equal[i, j].astype(np.int32))
