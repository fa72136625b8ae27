"""A scan as a bounded, ordered stream: rows in pieces, pieces on threads, matches in ascending (i, j).

Order and content depend on the inputs alone: pieces are cut by the inputs' sizes, and taken in order
whichever thread finishes first. Memory is bounded by `_CAPACITY` matches for each piece under way: a piece
with more of them is thrown away and halved, first by rows, then (a single row) by columns, down to pieces
that cannot overflow because they have no more pairs than the buffer has room. Each level of halving stops as
soon as the buffer is full, so a flood costs at most twice its time, and a consumer who stops listening stops
the scan.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from linkage.scan.backends import Backend
from linkage.scan.compiled import compiled, is_ready
from linkage.scan.shapes import OVERFLOW, Ints, Piece, Room, Side, Survivors
from linkage.scan.sketch import pack, padded, popcounts

#: Called with (stage, done, total).
Progress = Callable[[str, int, int], None]

_CAPACITY = 1 << 18
_WAITING = 1 << 12  # survivors that are counted in one go
_SMALLEST_PIECE, _LARGEST_PIECE = 60, 1020  # rows: to share work evenly, to read each panel seldom


class PairBlock(NamedTuple):
    """Some matches, ascending by (i, j), after all of the block before.

    Attributes
    ----------
    i, j : int64, shape (n,)
        Row of the left and of the right side.
    bits : int32, shape (n,)
        Common bits for Dice, equal bits for agreement.
    """

    i: NDArray[np.int64]
    j: NDArray[np.int64]
    bits: NDArray[np.int32]


class Found(NamedTuple):
    """Some matches with their Hamming distances."""

    i: NDArray[np.int64]
    j: NDArray[np.int64]
    distance: Ints


@dataclass(frozen=True)
class Job:
    """Everything a piece needs."""

    backend: Backend
    a: Side
    b: Side
    limits: Ints


def _halves(piece: Piece) -> tuple[Piece, Piece]:
    """In order: no pair of the first comes after one of the second."""
    row, row_stop, panel, panel_stop = piece
    if row_stop - row > 1:
        middle = (row + row_stop) // 2
        return Piece(row, middle, panel, panel_stop), Piece(middle, row_stop, panel, panel_stop)
    middle = (panel + panel_stop) // 2
    return Piece(row, row_stop, panel, middle), Piece(row, row_stop, middle, panel_stop)


def _pieces(job: Job) -> Iterator[Piece]:
    n, panels = len(job.a.words), job.b.sketch.shape[0]
    rows = min(max(n // 16, _SMALLEST_PIECE), _LARGEST_PIECE)
    rows += -rows % job.backend.rows
    for start in range(0, n, rows):
        yield Piece(start, min(start + rows, n), 0, panels)


@compiled
def _order_by_row(
    piece: Piece, found: Room, i: NDArray[np.int64], j: NDArray[np.int64], distance: Ints
) -> None:
    """Copy what a scan wrote, stably counting-sorted by row: ascending (i, j) afterwards."""
    starts = np.zeros(piece.row_stop - piece.row + 1, np.int64)
    for p in range(found.i.shape[0]):
        starts[found.i[p] - piece.row + 1] += 1
    for row in range(1, piece.row_stop - piece.row):
        starts[row] += starts[row - 1]
    for p in range(found.i.shape[0]):
        row = found.i[p] - piece.row
        i[starts[row]], j[starts[row]], distance[starts[row]] = found.i[p], found.j[p], found.distance[p]
        starts[row] += 1


class _Desk:
    """A thread's own scratch."""

    def __init__(self) -> None:
        self.room = Room(*(np.empty(_CAPACITY, np.int32) for _ in range(3)))
        self.survivors = Survivors(*(np.empty(_WAITING, np.int32) for _ in range(2)))


def _scan(job: Job, piece: Piece, desk: _Desk) -> Found | None:
    """The matches of a piece in order, or None if they are more than there is room for."""
    count = job.backend.scan(job.a, job.b, job.limits, piece, desk.survivors, desk.room)
    if count == OVERFLOW:
        return None
    found = Found(np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.int32))
    _order_by_row(piece, Room(*(column[:count] for column in desk.room)), *found)
    return found


def prepare(backend: Backend, progress: Progress) -> None:
    """Compile what a scan needs if this process has not yet, and say so: it takes some seconds."""
    if is_ready(backend.scan):
        return
    progress("compile", 0, 1)
    words = np.ones((1, 1), dtype=np.uint64)
    words.flags.writeable = False  # as the callers' filters are: Numba compiles for each kind of array
    size = popcounts(words)
    if backend.multiply is not None:
        backend.multiply(words, np.zeros((1, 16, backend.columns), np.uint32), np.zeros((1, 32), np.int32))
    a = Side(words, size, pack(words, 1, backend.rows), padded(size, backend.rows))
    b = Side(words, size, pack(words, 1, backend.columns), padded(size, backend.columns))
    _scan(Job(backend, a, b, np.zeros(3, np.int32)), Piece(0, 0, 0, 0), _Desk())
    progress("compile", 1, 1)


def stream(job: Job, threads: int, progress: Progress) -> Iterator[Found]:
    """All matches of a job, whose backend is prepared; progress counts pairs."""
    local = threading.local()

    def work(piece: Piece) -> Found | None:
        if not hasattr(local, "desk"):
            local.desk = _Desk()
        return _scan(job, piece, local.desk)

    columns, done, total = job.b.sketch.shape[2], 0, len(job.a.words) * len(job.b.words)
    upcoming = _pieces(job)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="scan")
    under_way: deque[tuple[Piece, Future[Found | None]]] = deque()
    try:
        progress("scan", 0, total)
        while True:
            while len(under_way) < 2 * threads and (piece := next(upcoming, None)):
                under_way.append((piece, pool.submit(work, piece)))
            if not under_way:
                return
            piece, future = under_way.popleft()
            found = future.result()
            if found is None:
                under_way.extendleft((half, pool.submit(work, half)) for half in reversed(_halves(piece)))
                continue
            width = min(piece.panel_stop * columns, len(job.b.words)) - piece.panel * columns
            done += (piece.row_stop - piece.row) * width
            if len(found.i):
                yield found
            progress("scan", done, total)
    finally:  # also when the consumer stops early
        pool.shutdown(wait=True, cancel_futures=True)
