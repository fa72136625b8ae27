"""From pair by pair probabilities to probabilities that know a person has one record in a source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def matching_marginals(
    left: Ints,
    right: Ints,
    odds: Floats,
    *,
    left_once: bool = True,
    right_once: bool = True,
    iterations: int = 60,
    tolerance: float = 1e-6,
) -> Floats:
    """Probability of each pair if every left (right) record has at most one partner.

    Two namesakes cannot both be the match, and a record whose partner is certain is no candidate for others.
    Matchings weighted by the product of their pairs' odds are a monomer–dimer model; its marginals are
    computed by belief propagation, which is exact on trees and always converges (Bayati, Gamarnik, Katz,
    Nair, Tetali, "Simple deterministic approximation algorithms for counting matchings", STOC 2007).

    Parameters
    ----------
    left, right : ndarray of int64, shape (n_pairs,)
    odds : ndarray of float, shape (n_pairs,)
        Odds of each pair by itself.
    left_once, right_once : bool
        Whether a left (right) record has at most one partner.

    Returns
    -------
    ndarray of float, shape (n_pairs,)
    """
    odds = np.clip(odds, 0.0, 1e12)
    size_left = int(left.max(initial=-1)) + 1
    size_right = int(right.max(initial=-1)) + 1
    # free_left: probability that the pair's left record is still free, the pair itself left aside
    free_left, free_right = np.ones(len(odds)), np.ones(len(odds))
    for _ in range(iterations if left_once or right_once else 0):
        before = free_left, free_right
        if left_once:
            wanted = odds * free_right
            free_left = 1.0 / (1.0 + np.maximum(_others(left, wanted, size_left), 0.0))
        if right_once:
            wanted = odds * free_left
            free_right = 1.0 / (1.0 + np.maximum(_others(right, wanted, size_right), 0.0))
        moved = max(
            np.abs(free_left - before[0]).max(initial=0), np.abs(free_right - before[1]).max(initial=0)
        )
        if moved < tolerance:
            break
    wanted = odds * free_left * free_right
    return np.asarray(wanted / (1.0 + wanted))


def _others(group: Ints, value: Floats, size: int) -> Floats:
    """Sum of ``value`` over the other members of the same group, without cancellation.

    Subtracting from the group's sum would drown small values beside a large one, so the largest member is
    kept apart.
    """
    largest = np.zeros(size)
    np.maximum.at(largest, group, value)
    is_largest = value == largest[group]
    first = np.full(size, len(value))
    np.minimum.at(first, group[is_largest], np.flatnonzero(is_largest))
    top = np.zeros(len(value), np.bool_)
    top[first[first < len(value)]] = True
    rest = np.bincount(group[~top], weights=value[~top], minlength=size)
    return np.where(top, rest[group], largest[group] + rest[group] - value)


def histogram(probability: Floats, weight: Floats) -> dict[str, object]:
    """Pairs by probability (tenths) and by weight (log2, whole numbers from -20 to 60)."""
    tenths = np.clip((probability * 10).astype(int), 0, 9)
    whole = np.clip(np.floor(weight), -20, 60).astype(int) + 20
    return {
        "probability_tenths": np.bincount(tenths, minlength=10).tolist(),
        "weight_from": -20,
        "weights": np.bincount(whole, minlength=81).tolist(),
    }


#: Gain in expected F1 from which another threshold is worth a new run.
NOTICEABLE = 0.005


def thresholds_table(probability: Floats, missed: float, own: float = 0.5) -> list[dict[str, float]]:
    """Expected precision and recall if links were made at each of several thresholds.

    Parameters
    ----------
    probability : ndarray of float
        Of each candidate pair, with competition taken into account.
    missed : float
        Matches believed to lie outside the candidates.
    own : float
        The run's own threshold, which is among them.
    """
    total = float(probability.sum()) + missed
    rows = []
    for threshold in sorted({0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, own}):
        taken = probability[probability >= threshold]
        hits = float(taken.sum())
        rows.append(
            {
                "threshold": threshold,
                "links": float(len(taken)),
                "precision": round(hits / len(taken), 6) if len(taken) else 1.0,
                "recall": round(hits / total, 6) if total > 0 else 1.0,
            }
        )
    return rows


def advised_threshold(rows: Sequence[Mapping[str, float]], own: float) -> float:
    """The threshold to take: the run's own, unless another promises a noticeably better F1.

    Parameters
    ----------
    rows : sequence of mapping
        As `thresholds_table` gives them.
    own : float
        The run's own threshold.
    """

    def f1(row: Mapping[str, float]) -> float:
        both = row["precision"] + row["recall"]
        return 2 * row["precision"] * row["recall"] / both if both else 0.0

    best = max(rows, key=lambda row: (f1(row), -abs(row["threshold"] - own)))
    current = next(row for row in rows if row["threshold"] == own)
    return best["threshold"] if f1(best) >= f1(current) + NOTICEABLE else own
