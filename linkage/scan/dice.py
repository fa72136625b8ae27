"""All pairs of filters with Dice >= t, exactly."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from linkage.scan.backends import Backend, select
from linkage.scan.inputs import both_sides, exact_fraction, silent
from linkage.scan.projection import choose_projection, project
from linkage.scan.shapes import Ints, Side, Words
from linkage.scan.sketch import (
    choose_fold,
    dice_limits,
    dice_side_limits,
    pack,
    padded,
    popcounts,
)
from linkage.scan.stream import Job, PairBlock, Progress, prepare, stream

_TWIN_ROWS = 64

#: Packed sketches of one side, and a limit for each.
Sketched = tuple[NDArray[np.uint32], Ints]


def dice_pairs(
    a: Words,
    b: Words,
    threshold: Fraction | str | float,
    *,
    threads: int = 2,
    progress: Progress | None = None,
    backend: str = "auto",
) -> Iterator[PairBlock]:
    """Every pair (i, j) with ``2 |a_i & b_j| / (|a_i| + |b_j|) >= threshold``, in ascending order.

    The comparison is exact in rational numbers, so the result is the same on every machine, backend and
    number of threads. Empty filters match nothing.

    Parameters
    ----------
    a, b : ndarray of uint64, shape (n, n_words) and (m, n_words)
        Bit-packed filters, any multiple of 64 bits wide; any strides and alignment.
    threshold : Fraction, str or float
        In (0, 1]; a float counts as the decimal that it prints as.
    threads : int
        Threads at work, at least 1.
    progress : callable, optional
        Called with ("compile", done, 1) when a kernel is compiled, and with ("scan", pairs done, pairs).
    backend : {"auto", "amx", "avx512", "avx2", "plain"}

    Yields
    ------
    PairBlock
        With common bits as ``bits``; never empty, at most 2**18 pairs.

    Raises
    ------
    LinkageError
        ``THRESHOLD_OUT_OF_RANGE``, ``FILTER_SHAPE``, ``FILTER_WIDTH``, ``BACKEND_UNAVAILABLE``; when called,
        not when first iterated.
    """
    exact, (left, right) = exact_fraction(threshold), both_sides(a, b)
    chosen = select(backend, (len(left), len(right)))
    return _dice_blocks(left, right, exact, max(1, threads), progress or silent, chosen)


def _dice_blocks(
    a: Words, b: Words, threshold: Fraction, threads: int, progress: Progress, chosen: Backend
) -> Iterator[PairBlock]:
    if not len(a) or not len(b):
        return
    prepare(chosen, progress)
    a_size, b_size = popcounts(a), popcounts(b)
    a_limit, b_limit = dice_side_limits(a_size, threshold, 0), dice_side_limits(b_size, threshold, 1)
    sketches = _projections if chosen.projects else _folds
    (a_sketch, a_own), (b_sketch, b_own) = sketches(a, b, a_limit, b_limit, chosen)
    job = Job(
        chosen,
        Side(a, a_size, a_sketch, a_own),
        Side(b, b_size, b_sketch, b_own),
        dice_limits(64 * a.shape[1], threshold),
    )
    for found in stream(job, threads, progress):
        common = (a_size[found.i] + b_size[found.j] - found.distance) >> 1
        yield PairBlock(found.i, found.j, common)


def _folds(a: Words, b: Words, a_limit: Ints, b_limit: Ints, chosen: Backend) -> tuple[Sketched, Sketched]:
    depth = choose_fold(a, b, a_limit, b_limit, chosen.cost, chosen.rows * chosen.columns)
    return (
        (pack(a, depth, chosen.rows), padded(a_limit, chosen.rows)),
        (pack(b, depth, chosen.columns), padded(b_limit, chosen.columns)),
    )


def _projections(
    a: Words, b: Words, a_limit: Ints, b_limit: Ints, chosen: Backend
) -> tuple[Sketched, Sketched]:
    tile = chosen.rows * chosen.columns
    projection = choose_projection(a, b, a_limit, b_limit, chosen.cost, tile)
    return (
        project(a, a_limit, projection, chosen.rows, chosen.multiply, left=True),
        project(b, b_limit, projection, chosen.columns, chosen.multiply, left=False),
    )


def dice_pairs_twin(a: Words, b: Words, threshold: Fraction | str | float) -> PairBlock:
    """NumPy twin of `dice_pairs`, all at once and from the definition: for tests and small inputs."""
    exact = exact_fraction(threshold)
    a_size = np.bitwise_count(a).sum(axis=1, dtype=np.int64)
    b_size = np.bitwise_count(b).sum(axis=1, dtype=np.int64)
    total = a_size[:, None] + b_size[None, :]
    common = np.zeros(total.shape, dtype=np.int64)
    for start in range(0, len(a), _TWIN_ROWS):
        rows = a[start : start + _TWIN_ROWS, None, :] & b[None, :, :]
        common[start : start + _TWIN_ROWS] = np.bitwise_count(rows).sum(axis=2, dtype=np.int64)
    # Python's integers: the denominator of a threshold written with 17 digits leaves no room in 64 bits.
    least = np.array(
        [-(-exact.numerator * s // (2 * exact.denominator)) for s in range(128 * a.shape[1] + 1)]
    )
    i, j = np.nonzero((common >= least[total]) & (total > 0))
    return PairBlock(i, j, common[i, j].astype(np.int32))
