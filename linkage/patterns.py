"""Comparison patterns and how often each occurs: all that the model needs to see of the pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from linkage.errors import LinkageError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Patterns:
    """Distinct comparison patterns with their numbers of pairs.

    Attributes
    ----------
    values : ndarray of int64, shape (n_patterns, n_comparisons)
        Category of each comparison, -1 where missing.
    candidates : ndarray of float, shape (n_patterns,)
        Pairs among the candidates.
    others : ndarray of float, shape (n_patterns,)
        Pairs outside the candidates, as scaled from the random sample.
    """

    values: Ints
    candidates: Floats
    others: Floats


def joint_categories(levels: Sequence[NDArray[np.int8]], counts: Sequence[int]) -> Ints:
    """One category per pair for several filters: mixed radix over (level + 1), -1 if all are missing."""
    code = np.zeros(len(levels[0]), np.int64)
    for level, count in zip(levels, counts, strict=True):
        code = code * (count + 1) + (level.astype(np.int64) + 1)
    if len(levels) == 1:
        return code - 1
    return np.where(code == 0, -1, code)


def joint_size(counts: Sequence[int]) -> int:
    """Number of categories of `joint_categories`."""
    return counts[0] if len(counts) == 1 else int(np.prod([c + 1 for c in counts]))


def encode(categories: Ints, sizes: Sequence[int]) -> Ints:
    """Patterns as single numbers (mixed radix over category + 1), shape (n_pairs,).

    Raises
    ------
    LinkageError
        ``TOO_MANY_PATTERNS`` if they do not fit 63 bits.
    """
    if float(np.prod([float(s + 1) for s in sizes])) >= 2.0**63:
        raise LinkageError("TOO_MANY_PATTERNS", "The profile's filters have too many levels in all.")
    code = np.zeros(len(categories), np.int64)
    for column, size in enumerate(sizes):
        code = code * (size + 1) + (categories[:, column] + 1)
    return code


def decode(codes: Ints, sizes: Sequence[int]) -> Ints:
    """Inverse of `encode`, shape (n, n_comparisons)."""
    out = np.empty((len(codes), len(sizes)), np.int64)
    rest = codes.copy()
    for column in range(len(sizes) - 1, -1, -1):
        rest, digit = np.divmod(rest, sizes[column] + 1)
        out[:, column] = digit - 1
    return out


def count_patterns(
    candidates: Ints, others: Ints, others_total: float, sizes: Sequence[int]
) -> tuple[Patterns, Ints]:
    """Count patterns over candidates and over a random sample of all other pairs.

    Parameters
    ----------
    candidates, others : ndarray of int64, shape (n, n_comparisons)
        Categories of each candidate pair, and of sampled pairs that are no candidates.
    others_total : float
        Pairs that the sample stands for.
    sizes : sequence of int
        Categories of each comparison.

    Returns
    -------
    (Patterns, ndarray of int64)
        The second is the index into the patterns of each candidate pair.
    """
    codes, codes_others = encode(candidates, sizes), encode(others, sizes)
    distinct, where = np.unique(np.concatenate([codes, codes_others]), return_inverse=True)
    inside = np.bincount(where[: len(codes)], minlength=len(distinct)).astype(np.float64)
    outside = np.bincount(where[len(codes) :], minlength=len(distinct)).astype(np.float64)
    if len(codes_others):
        outside *= others_total / len(codes_others)
    return Patterns(decode(distinct, sizes), inside, outside), where[: len(codes)].astype(np.int64)
