"""What callers may hand in, made into what the kernels take."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from linkage.errors import LinkageError
from linkage.scan.shapes import Words


def silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


def exact_fraction(threshold: Fraction | str | float) -> Fraction:
    """The threshold as it is written in decimal: .85 is 17/20, not the nearest double.

    Raises
    ------
    LinkageError
        ``THRESHOLD_OUT_OF_RANGE`` outside (0, 1], or if it is no number.
    """
    try:
        exact = threshold if isinstance(threshold, Fraction) else Fraction(str(threshold))
    except (ValueError, ZeroDivisionError):
        exact = Fraction(0)
    if not 0 < exact <= 1:
        raise LinkageError("THRESHOLD_OUT_OF_RANGE", "A similarity threshold lies above 0 and at most at 1.")
    return exact


def _filters(words: Words, side: str) -> Words:
    """Contiguous, aligned and read-only; copied only if the caller's are not contiguous or not aligned."""
    array = np.asarray(words)
    if array.ndim != 2 or array.dtype.newbyteorder("=") != np.uint64 or not array.shape[1]:
        raise LinkageError("FILTER_SHAPE", f"The {side} filters are not rows of 64-bit words.")
    if len(array) >= 1 << 31:
        raise LinkageError("FILTER_SHAPE", f"The {side} side has more records than a scan can number.")
    # One flavour of array, whatever the caller's buffer was: for each flavour the kernels are compiled anew.
    view = np.require(array, np.dtype(np.uint64), ["C_CONTIGUOUS", "ALIGNED"]).view()
    view.flags.writeable = False
    return view


def both_sides(a: Words, b: Words) -> tuple[Words, Words]:
    """Both sides' filters, ready for the kernels.

    Raises
    ------
    LinkageError
        ``FILTER_SHAPE`` if a side is no array of shape (n, n_words), uint64; ``FILTER_WIDTH`` if they differ.
    """
    left, right = _filters(a, "left"), _filters(b, "right")
    if left.shape[1] != right.shape[1]:
        raise LinkageError("FILTER_WIDTH", "The two sides' filters have different widths.")
    return left, right
