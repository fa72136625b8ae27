"""Which pairs are worth comparing: hash joins on identical filters, united with an exhaustive scan.

Every rule has a budget. A block of identical filters larger than the cap is left out and reported, never
expanded: a million records with the same filter are one block of one distinct filter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crypto.encoding.types import Encodings, FilterColumn
from linkage.comparison import FilterLevels
from linkage.records import identical_groups
from linkage.scan.inputs import silent
from linkage.scan.stream import Progress
from linkage.scanning import (
    Joined,
    Limits,
    joint_random,
    joint_view,
    raised,
    repeat,
    scan_order,
    scan_pairs,
    scan_threshold,
)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Deviations of a single view's threshold above chance from which views are also scanned side by side; below,
#: each of them alone brings whatever is worth it.
_JOINT_FROM = 3.3


@dataclass
class Candidates:
    """Distinct candidate pairs, ordered by (left, right).

    Attributes
    ----------
    left, right : ndarray of int64, shape (n_pairs,)
        Rows in the two sources.
    rules : ndarray of uint32, shape (n_pairs,)
        Bit r: rule r of ``report`` found the pair.
    report : list of dict
        What each rule brought, what was capped or skipped, as JSON-able figures.
    """

    left: Ints
    right: Ints
    rules: NDArray[np.uint32]
    report: list[dict[str, Any]] = field(default_factory=list)


def shared_groups(columns: Sequence[tuple[FilterColumn, FilterColumn]]) -> tuple[Ints, Ints]:
    """Number records of both sides by equality of all the given filters; -1 where one is missing."""
    n_a = len(columns[0][0].present)
    present = np.ones(n_a + len(columns[0][1].present), np.bool_)
    parts = []
    for a, b in columns:
        present &= np.concatenate([a.present, b.present])
        groups, _ = identical_groups(np.concatenate([a.words, b.words]))
        parts.append(groups.astype(np.uint64))
    groups, _ = (
        identical_groups(np.stack(parts, axis=1)) if len(parts) > 1 else (parts[0].astype(np.int64), 0)
    )
    groups = np.where(present, groups, -1)
    return groups[:n_a], groups[n_a:]


def join(groups_a: Ints, groups_b: Ints, block: int, budget: int) -> Joined:
    """All pairs with the same non-negative group, blocks above ``block`` left out.

    ``left`` and ``right`` are empty if the pairs would exceed ``budget``; ``total`` still tells how many.
    """
    size = int(max(groups_a.max(initial=-1), groups_b.max(initial=-1))) + 1
    count_a = np.bincount(groups_a[groups_a >= 0], minlength=size)
    count_b = np.bincount(groups_b[groups_b >= 0], minlength=size)
    pairs = count_a * count_b
    capped = pairs > block
    total = int(pairs[~capped].sum())
    lost = (int(capped.sum()), int(pairs[capped].sum()))
    if total > budget or total == 0:
        none = np.zeros(0, np.int64)
        return Joined(none, none, total, *lost)
    rows_b = np.argsort(groups_b, kind="stable")
    starts = np.searchsorted(groups_b[rows_b], np.arange(size))
    rows_a = np.flatnonzero((groups_a >= 0) & (count_b[groups_a] > 0) & ~capped[groups_a])
    left, offset = repeat(rows_a, count_b[groups_a[rows_a]])
    return Joined(left, rows_b[starts[groups_a[left]] + offset], total, *lost)


def find(
    a: Encodings,
    b: Encodings,
    levels: Sequence[FilterLevels],
    random: dict[str, Floats],
    limits: Limits,
    *,
    threshold: float | None = None,
    within: bool = False,
    progress: Progress = silent,
) -> Candidates:
    """Candidate pairs of two sources.

    Parameters
    ----------
    a, b : Encodings
    levels : sequence of FilterLevels
        The filters that both sides have.
    random : dict of str to ndarray
        Similarities of random pairs by filter, to foresee what a threshold brings.
    limits : Limits
    threshold : float, optional
        Of the scan; by default the lowest that the budget allows.
    within : bool
        ``a`` and ``b`` are the same source: pairs with left < right only.
    """
    budget = limits.budget(a, b)
    by_name = {level.spec.name: level for level in levels}
    report: list[dict[str, Any]] = []
    found: list[tuple[Ints, Ints]] = []

    def note(rule: str, names: Sequence[str], joined: Joined, used: bool, **more: Any) -> None:
        report.append(
            {
                "rule": rule,
                "filters": list(names),
                "used": used,
                "pairs": joined.total,
                "capped_blocks": joined.capped_blocks,
                "capped_pairs": joined.capped_pairs,
                **more,
            }
        )
        if used:
            found.append((joined.left, joined.right))

    def identical(names: Sequence[str]) -> bool:
        columns = [(a.filters[n], b.filters[n]) for n in names]
        joined = join(*shared_groups(columns), limits.block, limits.join_budget(a, b))
        fits = len(joined.left) == joined.total
        note("identical", names, joined, fits)
        # A few huge blocks (a placeholder for the SSN, the two sexes) are left out; where they are most of
        # the rule, it is worth combining with another.
        return fits and joined.capped_pairs <= joined.total

    dear = [name for name in by_name if not identical([name])]
    for first, second in combinations(dear, 2):
        identical([first, second])
    order = scan_order(a, b, [n for n, level in by_name.items() if not level.spec.exact])
    # One plain filter is worth a scan; of record-level views each is, for any of them may be missing.
    for name in order[:1] + [n for n in order[1:] if by_name[n].spec.similarity == "agreement"]:
        level, column_a, column_b = by_name[name], a.filters[name], b.filters[name]
        pairs = float(column_a.present.sum()) * float(column_b.present.sum())
        start = threshold if threshold is not None else scan_threshold(level, random[name], pairs, budget)
        for step in [start] if threshold is not None else [start, *raised(start, level)]:
            joined = scan_pairs(column_a, column_b, level, step, limits, 4 * budget, progress)
            if joined is not None:
                note("scan", [name], joined, True, threshold=step, **_looked_at(joined))
                break
            none = np.zeros(0, np.int64)
            note("scan", [name], Joined(none, none, -1, 0, 0), False, threshold=step)
    views = [n for n in order if by_name[n].spec.similarity == "agreement"]
    if threshold is None and len(views) > 1:
        joint = joint_view(a, b, [by_name[n] for n in views], random)
        if joint is not None:
            column_a, column_b, level = joint
            pairs = float(column_a.present.sum()) * float(column_b.present.sum())
            step = scan_threshold(level, joint_random(views, by_name, random), pairs, budget)
            if step > level.chance + _JOINT_FROM * level.spread:
                joined = scan_pairs(column_a, column_b, level, step, limits, 4 * budget, progress)
                if joined is not None:
                    note("scan", views, joined, True, threshold=step, **_looked_at(joined))
    return _united(found, len(b), report, within)


def _looked_at(joined: Joined) -> dict[str, Any]:
    """What is to be said of a scan that may have missed pairs."""
    if joined.subset is None:
        return {}
    return {"bits": len(joined.subset.positions), "missed_at_most": joined.subset.miss_bound}


def _united(
    found: list[tuple[Ints, Ints]], n_b: int, report: list[dict[str, Any]], within: bool
) -> Candidates:
    keys, masks = [], []
    for rule, (left, right) in enumerate(found):
        keep = left < right if within else np.ones(len(left), np.bool_)
        keys.append(left[keep] * n_b + right[keep])
        masks.append(np.full(int(keep.sum()), 1 << min(rule, 31), np.uint32))
    key = np.concatenate(keys) if keys else np.zeros(0, np.int64)
    mask = np.concatenate(masks) if masks else np.zeros(0, np.uint32)
    distinct, where = np.unique(key, return_inverse=True)
    rules = np.zeros(len(distinct), np.uint32)
    np.bitwise_or.at(rules, where, mask)
    left, right = np.divmod(distinct, max(n_b, 1))
    return Candidates(left, right, rules, report)
