"""All pairs of filters at least ``t`` alike, exactly, and the distances of given pairs.

Both similarities are thresholds on the Hamming distance ``H`` of two filters, in whole numbers:

- Dice ``2 c / (|a| + |b|) >= t``: since ``2 c = |a| + |b| - H``, this is ``H <= (1 - t) (|a| + |b|)``;
- share of equal bits ``1 - H / width >= t``: the same with ``width / 2`` in the place of each ``|.|``.

So one kernel serves both: it is given a *size* per filter (``|a|``, or ``width / 2``) and ``t`` as a fraction,
and tests ``den * H <= (den - num) * (size_a + size_b)``. No rounding takes part, which is why the set of pairs
does not depend on the machine. Two empty filters have size zero and never match.

XOR-folding a filter to fewer words never increases a Hamming distance (a folded bit differs only if at least one
of the bits folded into it differs), so a folded *sketch* rejects safely, and only what it lets through is
counted in full.

The compiled kernels run without the interpreter's lock on plain threads. Beside each stands its NumPy twin;
with ``NUMBA_DISABLE_JIT=1`` the same source runs uncompiled. ``NUMBA_CACHE_DIR`` says where compiled code is
kept; the first use on a machine compiles for some seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core import config as numba_config
from numba.extending import intrinsic
from numpy.typing import NDArray

from linkage.errors import LinkageError

Words = NDArray[np.uint64]
Ints = NDArray[np.int64]

#: Filters of the right-hand side that are held in the first-level cache at a time.
_TILE = 512
#: Pairs that one job may hold before it hands them over; bounds memory at 16 bytes a pair and job.
_BUFFER = 1 << 18
#: Left rows per job: small enough to share work evenly, large enough to forget the overhead.
_ROWS = 256


def _uncompiled_popcount(x: Any) -> int:
    return int(x).bit_count()


def _compiled_popcount() -> Callable[[Any], int]:
    @intrinsic  # type: ignore[untyped-decorator, unused-ignore]
    def popcount(typing_context: Any, x: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.ctpop(args[0])

        return types.int64(types.uint64), codegen

    return popcount  # type: ignore[no-any-return, unused-ignore]


_popcount = _uncompiled_popcount if numba_config.DISABLE_JIT else _compiled_popcount()


def _scan_rows(
    a: Words,
    a_sketch: Words,
    a_size: Ints,
    b: Words,
    b_sketch: Words,
    b_size: Ints,
    num: int,
    den: int,
    first: int,
    stop: int,
    row: int,
    tile: int,
    out_a: Ints,
    out_b: Ints,
) -> tuple[int, int, int]:
    """Pairs of rows [first, stop) of ``a`` with all of ``b``, from ``row`` of the tile at ``tile`` on.

    ``b_sketch`` is transposed, shape (sketch words, n_b), so that the innermost loop runs over records and
    becomes vector instructions; tiles are the outer loop, so that a tile stays in the cache for all rows.
    Returns (pairs written, row, tile) where to go on: the buffer always has room for one more row of a tile,
    or the kernel hands over.
    """
    n_b, width, depth = b.shape[0], b.shape[1], b_sketch.shape[0]
    room = out_a.shape[0] - _TILE
    slack = den - num
    distance = np.zeros(_TILE, np.int64)
    found = 0
    for start in range(tile, n_b, _TILE):
        length = min(_TILE, n_b - start)
        largest = b_size[start : start + length].max()
        for i in range(row, stop):
            if found > room:
                return found, i, start
            size = a_size[i]
            for j in range(length):
                distance[j] = 0
            for w in range(0, depth - 3, 4):  # four words a round: the running sums are loaded and stored less
                w0, w1, w2, w3 = a_sketch[i, w], a_sketch[i, w + 1], a_sketch[i, w + 2], a_sketch[i, w + 3]
                r0 = b_sketch[w, start : start + length]
                r1 = b_sketch[w + 1, start : start + length]
                r2 = b_sketch[w + 2, start : start + length]
                r3 = b_sketch[w + 3, start : start + length]
                for j in range(length):
                    distance[j] += (
                        _popcount(w0 ^ r0[j])
                        + _popcount(w1 ^ r1[j])
                        + _popcount(w2 ^ r2[j])
                        + _popcount(w3 ^ r3[j])
                    )
            for w in range(depth - depth % 4, depth):
                word = a_sketch[i, w]
                right = b_sketch[w, start : start + length]
                for j in range(length):
                    distance[j] += _popcount(word ^ right[j])
            nearest = distance[0]
            for j in range(length):
                nearest = min(nearest, distance[j])
            if den * nearest > slack * (size + largest):
                continue
            for j in range(length):
                both = size + b_size[start + j]
                if den * distance[j] > slack * both or both == 0:
                    continue
                full = 0
                for w in range(width):
                    full += _popcount(a[i, w] ^ b[start + j, w])
                if den * full <= slack * both:
                    out_a[found] = i
                    out_b[found] = start + j
                    found += 1
        row = first
    return found, first, n_b


def _distances(a: Words, b: Words, left: Ints, right: Ints, out: Ints) -> None:
    for p in range(left.shape[0]):
        i, j = left[p], right[p]
        total = 0
        for w in range(a.shape[1]):
            total += _popcount(a[i, w] ^ b[j, w])
        out[p] = total


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    compiled: Callable[..., Any] = numba.njit(nogil=True, cache=True)(function)
    return compiled


_scan_rows_fast = _compiled(_scan_rows)
_distances_fast = _compiled(_distances)


def popcounts(words: Words) -> Ints:
    """Set bits of each filter, shape (n_records,)."""
    return np.bitwise_count(words).sum(axis=1, dtype=np.int64)


def sizes(words: Words, similarity: str) -> Ints:
    """``|a|`` of each filter for Dice; half the width for the share of equal bits (module docstring)."""
    if similarity == "dice":
        return popcounts(words)
    return np.full(len(words), words.shape[1] * 32, dtype=np.int64)


def fold(words: Words, depth: int) -> Words:
    """XOR-fold filters to ``depth`` words, shape (n_records, depth); the distance never grows."""
    if depth >= words.shape[1]:
        return words
    folded = words[:, :depth].copy()
    for start in range(depth, words.shape[1], depth):
        part = words[:, start : start + depth]
        folded[:, : part.shape[1]] ^= part
    return folded


def exact_threshold(threshold: float) -> Fraction:
    """The threshold as the decimal fraction that was written: .85 is 17/20, not the nearest double.

    Raises
    ------
    LinkageError
        ``THRESHOLD_OUT_OF_RANGE`` outside (0, 1] or not a number.
    """
    if not 0.0 < threshold <= 1.0:
        raise LinkageError("THRESHOLD_OUT_OF_RANGE", "A similarity threshold lies above 0 and at most at 1.")
    return Fraction(repr(float(threshold))).limit_denominator(1_000_000)


def similarity_of(distance: Ints, both_sizes: Ints) -> NDArray[np.float64]:
    """``1 - H / (size_a + size_b)``: Dice, or the share of equal bits; 0 for two empty filters."""
    safe = np.maximum(both_sizes, 1)
    return np.where(both_sizes > 0, 1.0 - distance / safe, 0.0)


def pair_distances(a: Words, b: Words, left: Ints, right: Ints, threads: int = 2) -> Ints:
    """Hamming distance of ``a[left[p]]`` and ``b[right[p]]`` for every pair p, shape (n_pairs,)."""
    out = np.empty(len(left), dtype=np.int64)
    edges = np.linspace(0, len(left), max(1, threads) + 1).astype(int)
    with ThreadPoolExecutor(max(1, threads)) as pool:
        jobs = [
            pool.submit(_distances_fast, a, b, left[s:e], right[s:e], out[s:e])
            for s, e in zip(edges[:-1], edges[1:], strict=True)
        ]
        for job in jobs:
            job.result()
    return out


def pair_distances_twin(a: Words, b: Words, left: Ints, right: Ints) -> Ints:
    """NumPy twin of `pair_distances`."""
    return np.bitwise_count(a[left] ^ b[right]).sum(axis=1, dtype=np.int64)


@dataclass(frozen=True)
class PairBlock:
    """Pairs found in some rows of the left side, ordered by (left, right).

    ``rows`` counts the left rows that are done with after this block.
    """

    left: Ints
    right: Ints
    rows: int


def sketch_depth(a: Words, b: Words, a_size: Ints, b_size: Ints, threshold: Fraction) -> int:
    """Words of sketch that cost least, by a fixed sample of pairs.

    In cycles a pair: a quarter per sketch word; one more wherever a tile has a survivor; and two per word of
    filter for each survivor. The choice changes the time only, never the pairs found.
    """
    width = a.shape[1]
    if not len(a) or not len(b) or width <= 2:
        return width
    picks = np.random.default_rng(20_140_707)
    left, right = picks.integers(0, len(a), 20_000), picks.integers(0, len(b), 20_000)
    limit = (1 - float(threshold)) * (a_size[left] + b_size[right])
    best, best_cost = width, np.inf
    for depth in (2, 3, 4, 6, 8, 12, 16, 24, 32, width):
        if depth > width:
            continue
        distance = pair_distances_twin(fold(a, depth), fold(b, depth), left, right)
        passed = float(np.mean(distance <= limit))
        cost = depth / 4 + 1 - (1 - passed) ** _TILE + 2 * width * passed
        if cost < best_cost:
            best, best_cost = depth, cost
    return best


def scan(
    a: Words,
    b: Words,
    similarity: str,
    threshold: float,
    *,
    threads: int = 2,
    ceiling: int | None = None,
) -> Iterator[PairBlock]:
    """Every pair (i, j) whose similarity is at least ``threshold``, as a stream of blocks in order.

    Parameters
    ----------
    a, b : ndarray of uint64, shape (n_a, n_words) and (n_b, n_words)
    similarity : {"dice", "agreement"}
    threshold : float
        In (0, 1], taken as the decimal fraction that it prints as.
    threads : int
        Threads at work; the result does not depend on it.
    ceiling : int, optional
        A job of at most 256 rows that has found more pairs than this stops early: for callers who give up
        at that many anyway, so that a flood of pairs cannot fill the memory.

    Raises
    ------
    LinkageError
        ``THRESHOLD_OUT_OF_RANGE``, ``FILTER_WIDTH`` if the widths differ.
    """
    limit = exact_threshold(threshold)
    if a.shape[1:] != b.shape[1:]:
        raise LinkageError("FILTER_WIDTH", "The two sides' filters have different widths.")
    if not len(a) or not len(b):
        return
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    a_size, b_size = sizes(a, similarity), sizes(b, similarity)
    depth = sketch_depth(a, b, a_size, b_size, limit)
    a_sketch = np.ascontiguousarray(fold(a, depth))
    b_sketch = np.ascontiguousarray(fold(b, depth).T)

    def rows(start: int) -> tuple[Ints, Ints]:
        stop, row, tile = min(start + _ROWS, len(a)), start, 0
        out_a, out_b = np.empty(_BUFFER, np.int64), np.empty(_BUFFER, np.int64)
        lefts, rights, total = [], [], 0
        while tile < len(b) and (ceiling is None or total <= ceiling):
            found, row, tile = _scan_rows_fast(
                a,
                a_sketch,
                a_size,
                b,
                b_sketch,
                b_size,
                limit.numerator,
                limit.denominator,
                start,
                stop,
                row,
                tile,
                out_a,
                out_b,
            )
            lefts.append(out_a[:found].copy())
            rights.append(out_b[:found].copy())
            total += found
        left, right = np.concatenate(lefts), np.concatenate(rights)
        order = np.lexsort((right, left))
        return left[order], right[order]

    with ThreadPoolExecutor(max(1, threads)) as pool:
        # Not pool.map: it would start every job at once and hold all their pairs in memory.
        starts = iter(range(0, len(a), _ROWS))
        waiting = deque(pool.submit(rows, start) for start in islice(starts, 2 * max(1, threads)))
        done = 0
        while waiting:
            left, right = waiting.popleft().result()
            waiting.extend(pool.submit(rows, start) for start in islice(starts, 1))
            done = min(done + _ROWS, len(a))
            yield PairBlock(left, right, done)


def scan_twin(a: Words, b: Words, similarity: str, threshold: float) -> tuple[Ints, Ints]:
    """NumPy twin of `scan`: all pairs at once, ordered by (left, right); for tests and small inputs."""
    limit = exact_threshold(threshold)
    both = sizes(a, similarity)[:, None] + sizes(b, similarity)[None, :]
    distance = np.bitwise_count(a[:, None, :] ^ b[None, :, :]).sum(axis=2, dtype=np.int64)
    hit = (limit.denominator * distance <= (limit.denominator - limit.numerator) * both) & (both > 0)
    left, right = np.nonzero(hit)
    return left.astype(np.int64), right.astype(np.int64)
