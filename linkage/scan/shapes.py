"""What the scans read and write."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Marks = NDArray[np.int64]
Ints = NDArray[np.int32]

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
