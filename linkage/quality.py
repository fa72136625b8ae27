"""Precision, recall and F1 against known pairs, with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

Pair = tuple[str, str]


@dataclass(frozen=True)
class Quality:
    """Counts of pairs; the ratios follow.

    Attributes
    ----------
    correct, wrong, missed : int
        Links that are true, links that are not, true pairs without a link.
    """

    correct: int
    wrong: int
    missed: int

    @property
    def precision(self) -> float:
        """Share of links that are true; 1 without links."""
        links = self.correct + self.wrong
        return self.correct / links if links else 1.0

    @property
    def recall(self) -> float:
        """Share of true pairs that are linked; 1 without true pairs."""
        true = self.correct + self.missed
        return self.correct / true if true else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 if there is nothing to link and nothing linked."""
        total = 2 * self.correct + self.wrong + self.missed
        return 2 * self.correct / total if total else 1.0

    def to_document(self) -> dict[str, object]:
        """JSON-able figures with 95 % Wilson intervals."""
        return {
            "correct": self.correct,
            "wrong": self.wrong,
            "missed": self.missed,
            "precision": round(self.precision, 6),
            "precision_interval": list(wilson(self.correct, self.correct + self.wrong)),
            "recall": round(self.recall, 6),
            "recall_interval": list(wilson(self.correct, self.correct + self.missed)),
            "f1": round(self.f1, 6),
        }


def wilson(successes: int, trials: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's score interval of a share (JASA 22, 1927); (0, 1) without trials."""
    if trials == 0:
        return 0.0, 1.0
    share = successes / trials
    scale = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return round(max(0.0, centre - half), 6), round(min(1.0, centre + half), 6)


def paired_difference(
    only_first: int, only_second: int, trials: int, z: float = 1.959963984540054
) -> tuple[float, float]:
    """Interval of the difference of two shares of the same trials; (-1, 1) without trials.

    Wald's interval after half a trial was added to each of the four outcomes (Agresti and Min, Statistics in
    Medicine 24, 2005), which covers as stated where few trials differ, too.

    Parameters
    ----------
    only_first, only_second : int
        Trials that count in the first share only, in the second only.
    trials : int
        All trials.
    """
    if trials == 0:
        return -1.0, 1.0
    whole = trials + 2
    first, second = only_first + 0.5, only_second + 0.5
    difference = (first - second) / whole
    half = z * math.sqrt(first + second - (first - second) ** 2 / whole) / whole
    return round(max(-1.0, difference - half), 6), round(min(1.0, difference + half), 6)


def compare_pairs(links: Iterable[Pair], truth: Iterable[Pair]) -> Quality:
    """Quality of links against the true pairs; a pair means the same in either order."""
    found = {(a, b) if a <= b else (b, a) for a, b in links}
    true = {(a, b) if a <= b else (b, a) for a, b in truth}
    correct = len(found & true)
    return Quality(correct, len(found) - correct, len(true) - correct)
