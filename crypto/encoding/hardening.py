"""Diffusion (ELD; Armknecht, Heng, Schnell, PoPETs 2023): each output bit is the XOR of t secret filter bits.

The index sets come from a keyed stream, filter by filter::

    stream = HMAC-SHA512(K_eld, counter ‖ LV("index", filter name)), counter = 0, 1, … as 4 bytes, big-endian

read as big-endian uint32. A working list holds 0 … m − 1. For each output bit, for j = 0 … t − 1: draw r
uniformly from 0 … m − j − 1, swap the list's items j and j + r, and take item j (a partial Fisher–Yates
shuffle; the list is not reset between output bits). Uniform: with n = m − j, a word w is skipped if
w ≥ 2³² − (2³² mod n); r = w mod n. So a set has t different positions, and sets are independent.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from crypto.encoding.bits import transpose
from crypto.encoding.keys import lv
from crypto.encoding.profile_parts import Diffusion

_ROWS = 4096  # records transposed at once: 2 MiB at 4096 bits, which stay in the cache


def _words(key: bytes, name: str) -> Iterator[int]:
    label = lv(b"index", name.encode())
    counter = 0
    while True:
        digest = hmac.digest(key, counter.to_bytes(4, "big") + label, "sha512")
        yield from np.frombuffer(digest, ">u4").tolist()
        counter += 1


def index_sets(key: bytes, name: str, width: int, diffusion: Diffusion) -> NDArray[np.int64]:
    """Which filter bits each output bit is made of.

    Parameters
    ----------
    key : bytes
        K_eld, 32 bytes.
    name : str
        Of the filter.
    width : int
        m, bits of the filter.
    diffusion : Diffusion

    Returns
    -------
    ndarray of int64, shape (out, t)
    """
    words = _words(key, name)
    items = list(range(width))
    sets = np.empty((diffusion.width, diffusion.t), np.int64)
    for bit in range(diffusion.width):
        for j in range(diffusion.t):
            left = width - j
            limit = 2**32 - 2**32 % left
            word = next(words)
            while word >= limit:
                word = next(words)
            other = j + word % left
            items[j], items[other] = items[other], items[j]
        sets[bit] = items[: diffusion.t]
    return sets


def diffuse(filters: NDArray[np.uint64], sets: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Apply index sets to filters whose bytes are in filter order.

    Parameters
    ----------
    filters : ndarray of uint64, shape (n, m // 64)
    sets : ndarray of int64, shape (out, t)

    Returns
    -------
    ndarray of uint64, shape (n, out // 64)
    """
    out = np.empty((len(filters), len(sets) // 64), np.uint64)
    for start in range(0, len(filters), _ROWS):
        out[start : start + _ROWS] = _diffuse_block(filters[start : start + _ROWS], sets)
    return out


def _diffuse_block(filters: NDArray[np.uint64], sets: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Bit-sliced: one packed row per filter bit with a bit per record, so that an XOR serves 64 records."""
    n = len(filters)
    words = np.zeros((-(-n // 64) * 64, filters.shape[1]), np.uint64)
    words[:n] = np.ascontiguousarray(filters).view(">u8")
    planes = transpose(words)
    mixed = planes[sets[:, 0]]
    for j in range(1, sets.shape[1]):
        mixed ^= planes[sets[:, j]]
    return transpose(mixed)[:n].astype(">u8").view(np.uint64)
