"""Bits in bulk: transposition of bit matrices, a word at a time."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_STEPS: Final = tuple(
    (shift, np.uint64(sum(((1 << shift) - 1) << (2 * shift * block) for block in range(32 // shift))))
    for shift in (32, 16, 8, 4, 2, 1)
)


def transpose(rows: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Transpose a bit matrix.

    Every 64 × 64 block is transposed in six steps of halves, quarters, … (Warren, Hacker's Delight, 7-3), all
    blocks at once; then blocks change places.

    Parameters
    ----------
    rows : ndarray of uint64, shape (n, m // 64), n a multiple of 64
        Bit ``j`` of row ``i`` is ``rows[i, j // 64] >> (63 - j % 64) & 1``.

    Returns
    -------
    ndarray of uint64, shape (m, n // 64)
    """
    n, words = rows.shape
    # Axis 0: place in the block; then block row, block column.
    block = np.ascontiguousarray(rows.reshape(n // 64, 64, words).transpose(1, 0, 2))
    for shift, mask in _STEPS:
        pairs = block.reshape(32 // shift, 2, shift, n // 64, words)
        high, low = pairs[:, 0], pairs[:, 1]
        swapped = (high ^ (low >> np.uint64(shift))) & mask
        high ^= swapped
        low ^= swapped << np.uint64(shift)
    return np.ascontiguousarray(block.transpose(2, 0, 1)).reshape(words * 64, n // 64)
