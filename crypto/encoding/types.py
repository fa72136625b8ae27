"""The shapes in which encodings travel; the only part of ``crypto`` that the linker knows.

Bit order, once and for all: bit 0 of a filter is the most significant bit of its byte 0, and ``words`` are
those bytes taken eight at a time as *big-endian* numbers, so that bit ``i`` is
``words[i // 64] >> (63 - i % 64) & 1``. AND, XOR and population counts do not care about the order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class FilterColumn:
    """One filter of every record.

    Attributes
    ----------
    words : ndarray of uint64, shape (n_records, width // 64)
        All zero where the filter is absent.
    present : ndarray of bool, shape (n_records,)
        False: the field was missing, which is no information, neither for nor against a match.
    """

    words: NDArray[np.uint64]
    present: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.words.ndim != 2 or self.present.shape != (self.words.shape[0],):
            raise ValueError("words must be (n, width // 64) and present (n,)")

    @property
    def width(self) -> int:
        """Bits."""
        return int(self.words.shape[1]) * 64


@dataclass(frozen=True)
class Encodings:
    """The encoded records of one batch, in the order of ``record_refs``.

    Attributes
    ----------
    record_refs : ndarray of "<U32", shape (n_records,)
        32 lowercase hex digits, random per batch.
    filters : dict of str to FilterColumn
        By the filter's name in the profile.
    """

    record_refs: NDArray[np.str_]
    filters: dict[str, FilterColumn]

    def __post_init__(self) -> None:
        if any(len(column.present) != len(self.record_refs) for column in self.filters.values()):
            raise ValueError("every filter needs one row per record_ref")

    def __len__(self) -> int:
        return len(self.record_refs)


@dataclass(frozen=True)
class FilterSpec:
    """What the linker must know of one filter.

    Attributes
    ----------
    name : str
    width : int
        Bits, a multiple of 64.
    similarity : {"dice", "agreement", "key"}
        Dice of the set bits for plain filters; share of equal bits for diffused ones, in which an unset bit
        carries as much as a set one; composite keys are equal (1) or not (0).
    levels : tuple of float
        Thresholds of similarity, descending, highest first; empty: the engine chooses.
    exact : bool
        The filter holds one exact token: records are equal in it, or not.
    """

    name: str
    width: int
    similarity: Literal["dice", "agreement", "key"]
    levels: tuple[float, ...]
    exact: bool


@dataclass(frozen=True)
class LinkSpec:
    """The filters that the linker compares, and how many partners a record may have."""

    filters: tuple[FilterSpec, ...]
    mode: Literal["one-to-one", "many-to-one", "one-to-many"]
