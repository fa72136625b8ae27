"""What a run tells of itself: shares per level, and the matches it believes to have missed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crypto.encoding.types import Encodings
from linkage import candidates, comparison
from linkage.plan import Compared, Plan

Floats = NDArray[np.float64]


def level_shares(compared: Compared, plan: Plan, probability: Floats) -> list[dict[str, object]]:
    """m and u of each filter's levels, lowest first, as the final probabilities have them."""
    rest = max(0.0, compared.total - len(probability))
    out: list[dict[str, object]] = []
    for name, similarity in compared.inside.items():
        level = plan.levels[name]
        inside = comparison.to_levels(similarity, level.thresholds)
        outside = comparison.to_levels(compared.outside[name], level.thresholds)
        known = inside >= 0
        m = np.bincount(inside[known], weights=probability[known], minlength=level.count)
        u = np.bincount(inside[known], weights=1.0 - probability[known], minlength=level.count)
        if len(outside):
            u = u + np.bincount(outside[outside >= 0], minlength=level.count) * (rest / len(outside))
        out.append(
            {
                "comparison": name,
                "m": np.round(m / max(m.sum(), 1e-12), 9).tolist(),
                "u": np.round(u / max(u.sum(), 1e-12), 12).tolist(),
            }
        )
    return out


def comparable_share(encodings: Encodings, names: Sequence[str]) -> float:
    """Share of records that have at least one of the filters, in [0, 1]; the others can match nobody."""
    if not len(encodings):
        return 0.0
    return float(np.logical_or.reduce([encodings.filters[n].present for n in names]).mean())


def beyond_comparison(matches: float, comparable: Sequence[float]) -> float:
    """Matches believed among records without any filter in common with the other source.

    Supposes that those who lack them match as often as the others (missing at random).
    """
    share = float(np.prod(comparable))
    return matches * (1.0 / share - 1.0) if share > 0 else 0.0


def believed_missed(found: candidates.Candidates, probability: Floats) -> float:
    """Matches believed to be outside the candidates, by capture and recapture (Chapman's estimate).

    The scan is one capture, the joins on filters that have no part in the scan the other. The figure supposes
    that a match escapes one independently of the other; 0 where only one of them was at work.
    """
    used = [rule for rule in found.report if rule["used"]]
    scans = [i for i, rule in enumerate(used) if rule["rule"] == "scan"]
    if not scans:
        return 0.0
    parts = set("|".join(used[scans[0]]["filters"]).split("|"))
    joins = [
        i
        for i, rule in enumerate(used[:32])
        if rule["rule"] == "identical" and not parts & set("|".join(rule["filters"]).split("|"))
    ]
    if not joins:
        return 0.0
    by_scan = (found.rules >> np.uint32(scans[0])) & 1 == 1
    by_join = (found.rules & np.uint32(sum(1 << i for i in joins))) > 0
    both = float(probability[by_scan & by_join].sum())
    only_scan = float(probability[by_scan & ~by_join].sum())
    only_join = float(probability[by_join & ~by_scan].sum())
    everybody = (both + only_scan + 1) * (both + only_join + 1) / (both + 1) - 1
    return max(0.0, everybody - both - only_scan - only_join)
