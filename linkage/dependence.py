"""Which comparisons are one piece of evidence: street and town change at once when somebody moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
from scipy.special import expit

from linkage.model import Floats, Ints
from linkage.patterns import Patterns


def correlations(values: Ints, counts: Floats, scores: Sequence[Floats]) -> Floats:
    """Correlation of every two comparisons' scores over patterns with counts; 0 where nothing varies."""
    out = np.zeros((len(scores), len(scores)))
    for g, h in combinations(range(len(scores)), 2):
        out[g, h] = _correlation(values, counts, scores, g, h)
    return out


def _correlation(values: Ints, counts: Floats, scores: Sequence[Floats], g: int, h: int) -> float:
    both = (values[:, g] >= 0) & (values[:, h] >= 0)
    weight = counts[both]
    if weight.sum() < 30:
        return 0.0
    x, y = scores[g][values[both, g]], scores[h][values[both, h]]
    x, y = x - np.average(x, weights=weight), y - np.average(y, weights=weight)
    spread = float(np.sqrt((weight @ x**2) * (weight @ y**2)))
    return float(weight @ (x * y)) / spread if spread > 1e-9 * float(weight.sum()) else 0.0


def correlations_apart(
    patterns: Patterns,
    scores: Sequence[Floats],
    among_others: Floats,
    odds: Callable[[Ints], Floats],
    floor: float = 0.2,
) -> Floats:
    """As `correlations` among the matches, but of those that all *other* comparisons take for matches.

    Whoever moved differs in every part of an address at once. Where each part counts by itself, that is so
    much against one person that movers can fall out of the match class altogether, and what is left of it
    shows no correlation. So who is a match is judged without the two, and without whatever is alike together
    with either of them among different persons.

    Parameters
    ----------
    among_others : ndarray
        `correlations` among different persons; only comparisons above ``floor`` there are tried.
    odds : callable
        From values, of which -1 tells nothing, to the log-odds of being a match.
    """
    out = np.zeros_like(among_others)
    akin = (among_others > floor) | (among_others > floor).T
    for g, h in np.argwhere(among_others > floor).tolist():
        out_of = akin[g] | akin[h]
        out_of[[g, h]] = True
        if (~out_of).sum() < 2:
            continue
        matched = patterns.candidates * expit(odds(np.where(out_of, -1, patterns.values)))
        out[g, h] = _correlation(patterns.values, matched, scores, g, h)
    return out


def dependent(
    among_matches: Floats, among_others: Floats, limit: float = 0.5, floor: float = 0.03
) -> list[tuple[int, int]]:
    """Comparisons that are one piece of evidence: whoever moves changes street and town at once.

    They correlate above ``limit`` among the matches, and above ``floor`` also among persons who are certainly
    different: what agrees only in matches is evidence twice.
    """
    found = np.argwhere((among_matches > limit) & (among_others > floor))
    return [(int(g), int(h)) for g, h in sorted(found.tolist(), key=lambda p: -among_matches[p[0], p[1]])]
