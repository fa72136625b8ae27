"""The scans: every pair of some rows and some column panels, sketch first, full count for what is left.

All three mean the same and differ only in their innermost step. They never allocate by the size of the
result: matches go to buffers of the caller, and a scan that runs out of room says so and is thrown away
(`linkage.scan.stream` retries it in smaller pieces).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from linkage.scan.compiled import compiled, popcount
from linkage.scan.tiles import (
    NARROW_LANES,
    NARROW_ROWS,
    NARROW_VECTORS,
    WIDE_LANES,
    WIDE_ROWS,
    WIDE_VECTORS,
    narrow_tile,
    wide_tile,
)

Words = NDArray[np.uint64]
Marks = NDArray[np.int64]
Ints = NDArray[np.int32]

#: Columns of a panel of `scan_plain`; its groups are single rows.
PLAIN_COLUMNS = 64
WIDE_COLUMNS = WIDE_VECTORS * WIDE_LANES
NARROW_COLUMNS = NARROW_VECTORS * NARROW_LANES

#: What a scan returns instead of a count when its buffers are too small.
OVERFLOW = -1


class Side(NamedTuple):
    """One side of a scan.

    Attributes
    ----------
    words : uint64, shape (n, n_words)
        The filters, for the full count.
    size : int32, shape (n,)
        Set bits: an index into ``limits``, added to the other side's.
    sketch : uint32, shape (blocks, depth, records per block)
        `linkage.scan.sketch.pack`: groups of rows on the left, panels of columns on the right.
    limit : int32, shape (blocks * records per block,)
        A pair whose sketches are further apart than both sides' limits together is no match.
    """

    words: Words
    size: Ints
    sketch: NDArray[np.uint32]
    limit: Ints


class Piece(NamedTuple):
    """Rows [row, row_stop) of the left side with panels [panel, panel_stop) of the right."""

    row: int
    row_stop: int
    panel: int
    panel_stop: int


class Survivors(NamedTuple):
    """Pairs that passed the sketch and wait for their full count, int32, shape (room,)."""

    i: Ints
    j: Ints


class Room(NamedTuple):
    """Where a scan writes: row, column and full Hamming distance of each match, int32, shape (capacity,)."""

    i: Ints
    j: Ints
    distance: Ints


@compiled
def _verify(a: Side, b: Side, limits: Ints, survivors: Survivors, waiting: int, count: int, out: Room) -> int:
    """Count the waiting survivors in full and append those that match; the new count, or OVERFLOW.

    Survivors wait for each other because their filters are cold: in a loop of their own, the processor
    fetches several at once.
    """
    for p in range(waiting):
        i, j = survivors.i[p], survivors.j[p]
        distance = 0
        for word in range(a.words.shape[1]):
            distance += popcount(a.words[i, word] ^ b.words[j, word])
        if distance <= limits[a.size[i] + b.size[j]]:
            if count == out.i.shape[0]:
                return OVERFLOW
            out.i[count], out.j[count], out.distance[count] = i, j, distance
            count += 1
    return count


@compiled
def _mark(survivors: Survivors, waiting: int, marks: Marks, piece: Piece, row: int, column: int) -> int:
    """Note what a tile marked from ``row`` and ``column`` on; how many wait then.

    Rows outside the piece only fill the group up, and belong to another piece.
    """
    for n in range(marks.shape[0]):
        i, mark = row + n, marks[n]
        if mark and piece.row <= i < piece.row_stop:
            while mark:
                survivors.i[waiting] = i
                survivors.j[waiting] = column + popcount(np.uint64((mark & -mark) - 1))
                waiting += 1
                mark &= mark - 1
    return waiting


@compiled
def scan_wide(a: Side, b: Side, limits: Ints, piece: Piece, survivors: Survivors, out: Room) -> int:
    """`scan_plain` with AVX-512 tiles."""
    marks = np.zeros(WIDE_ROWS, np.int64)
    depth, count, waiting = a.sketch.shape[1], 0, 0
    full = survivors.i.shape[0] - WIDE_ROWS * WIDE_COLUMNS
    for panel in range(piece.panel, piece.panel_stop):
        for group in range(piece.row // WIDE_ROWS, (piece.row_stop + WIDE_ROWS - 1) // WIDE_ROWS):
            if wide_tile(a.sketch, a.limit, group, b.sketch, b.limit, panel, depth, marks):
                waiting = _mark(survivors, waiting, marks, piece, group * WIDE_ROWS, panel * WIDE_COLUMNS)
                if waiting > full:
                    count = _verify(a, b, limits, survivors, waiting, count, out)
                    if count == OVERFLOW:
                        return OVERFLOW
                    waiting = 0
    return _verify(a, b, limits, survivors, waiting, count, out)


@compiled
def scan_narrow(a: Side, b: Side, limits: Ints, piece: Piece, survivors: Survivors, out: Room) -> int:
    """`scan_plain` with AVX2 tiles."""
    marks = np.zeros(NARROW_ROWS, np.int64)
    depth, count, waiting = a.sketch.shape[1], 0, 0
    full = survivors.i.shape[0] - NARROW_ROWS * NARROW_COLUMNS
    for panel in range(piece.panel, piece.panel_stop):
        for group in range(piece.row // NARROW_ROWS, (piece.row_stop + NARROW_ROWS - 1) // NARROW_ROWS):
            if narrow_tile(a.sketch, a.limit, group, b.sketch, b.limit, panel, depth, marks):
                waiting = _mark(survivors, waiting, marks, piece, group * NARROW_ROWS, panel * NARROW_COLUMNS)
                if waiting > full:
                    count = _verify(a, b, limits, survivors, waiting, count, out)
                    if count == OVERFLOW:
                        return OVERFLOW
                    waiting = 0
    return _verify(a, b, limits, survivors, waiting, count, out)


@compiled
def scan_plain(a: Side, b: Side, limits: Ints, piece: Piece, survivors: Survivors, out: Room) -> int:
    """All matches within a piece, for any processor.

    Parameters
    ----------
    a, b : Side
    limits : int32, shape (largest sum of sizes + 1,)
        A pair matches if its distance is at most ``limits[a.size[i] + b.size[j]]``.
    piece : Piece
    survivors : Survivors
        Scratch, with room for more than one tile.
    out : Room

    Returns
    -------
    int
        Matches written, columns ascending within each row; OVERFLOW if there was no room.
    """
    depth, count, waiting = a.sketch.shape[1], 0, 0
    full = survivors.i.shape[0] - PLAIN_COLUMNS
    distance = np.zeros(PLAIN_COLUMNS, np.int32)
    for panel in range(piece.panel, piece.panel_stop):
        for i in range(piece.row, piece.row_stop):
            distance[:] = 0
            for word in range(depth):
                left = a.sketch[i, word, 0]
                for column in range(PLAIN_COLUMNS):
                    distance[column] += popcount(left ^ b.sketch[panel, word, column])
            for column in range(PLAIN_COLUMNS):
                j = panel * PLAIN_COLUMNS + column
                if distance[column] <= a.limit[i] + b.limit[j]:
                    survivors.i[waiting], survivors.j[waiting] = i, j
                    waiting += 1
            if waiting > full:
                count = _verify(a, b, limits, survivors, waiting, count, out)
                if count == OVERFLOW:
                    return OVERFLOW
                waiting = 0
    return _verify(a, b, limits, survivors, waiting, count, out)


@compiled
def order_by_row(
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
