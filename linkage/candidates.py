"""Which pairs are worth comparing: hash joins on identical filters, united with an exhaustive scan.

Every rule has a budget. A block of identical filters larger than the cap is left out and reported, never
expanded: a million records with the same filter are one block of one distinct filter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from crypto.encoding.types import Encodings, FilterColumn, FilterSpec
from linkage.comparison import FilterLevels
from linkage.distributed import Cluster
from linkage.records import identical_groups
from linkage.scan import agreement_pairs, dice_pairs
from linkage.scan.inputs import silent
from linkage.scan.stream import PairBlock, Progress

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Thresholds that the scan of a Dice filter tries, lowest (best recall) first.
_SCAN_GRID = (0.7, 0.75, 0.8, 0.85, 0.9, 0.95)

#: Bytes of a candidate pair without its similarities, with what sorting it takes.
_BYTES = 120
#: Deviations of a single view's threshold above chance from which views are also scanned side by side; below,
#: each of them alone brings whatever is worth it.
_JOINT_FROM = 3.3


@dataclass(frozen=True)
class Limits:
    """Bounds on the work.

    Attributes
    ----------
    per_record : int
        Pairs that the scan may bring per record of both sides, on average.
    per_record_join : int
        The same for each join on identical filters; dearer joins are skipped.
    block : int
        Largest block (left × right records with the same filter) that is expanded.
    threads : int
    memory_mb : int, optional
        Memory that the candidates of one source pair may take; fewer are then kept per record.
    cluster : Cluster, optional
        Where scans are done instead of here.
    """

    per_record: int = 12
    per_record_join: int = 2
    block: int = 10_000
    threads: int = 2
    memory_mb: int | None = None
    cluster: Cluster | None = None

    def budget(self, a: Encodings, b: Encodings) -> int:
        """Pairs that the scan may bring for these two sources."""
        return self._bounded(self.per_record * (len(a) + len(b)), a)

    def join_budget(self, a: Encodings, b: Encodings) -> int:
        """Pairs that each join may bring for these two sources."""
        return self._bounded(self.per_record_join * (len(a) + len(b)), a)

    def _bounded(self, pairs: int, a: Encodings) -> int:
        if self.memory_mb is None:
            return pairs
        # A scan may exceed its budget fourfold before it is given up, and each filter may bring a rule.
        rules = 5 + len(a.filters)
        per_pair = _BYTES + 16 * len(a.filters)
        return min(pairs, max(1, self.memory_mb * 2**20 // (per_pair * rules)))


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


@dataclass(frozen=True)
class _Joined:
    left: Ints
    right: Ints
    total: int
    capped_blocks: int
    capped_pairs: int


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


def join(groups_a: Ints, groups_b: Ints, block: int, budget: int) -> _Joined:
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
        return _Joined(none, none, total, *lost)
    rows_b = np.argsort(groups_b, kind="stable")
    starts = np.searchsorted(groups_b[rows_b], np.arange(size))
    rows_a = np.flatnonzero((groups_a >= 0) & (count_b[groups_a] > 0) & ~capped[groups_a])
    left, offset = _repeat(rows_a, count_b[groups_a[rows_a]])
    return _Joined(left, rows_b[starts[groups_a[left]] + offset], total, *lost)


def _repeat(values: Ints, times: Ints) -> tuple[Ints, Ints]:
    """Each value ``times`` times, and the running number (0, 1, …) within each value."""
    repeated = np.repeat(values, times)
    ends = np.cumsum(times)
    return repeated, np.arange(len(repeated)) - np.repeat(ends - times, times)


def scan_order(a: Encodings, b: Encodings, names: Sequence[str]) -> list[str]:
    """Filters by their worth for the scan: how often present, times how many are distinct; ties as given.

    The profile's own order counts: its first filter that comes within half of the best is taken, because
    distinctness cannot see that people move house but rarely change their name.
    """
    worth = {}
    for name in names:
        shares = []
        for column in (a.filters[name], b.filters[name]):
            distinct = len(identical_groups(column.words[column.present])[1])
            shares.append(float(column.present.mean()) * distinct / max(1, int(column.present.sum())))
        worth[name] = min(shares)
    best = max(worth.values(), default=0.0)
    good = [n for n in names if worth[n] >= 0.5 * best]
    return good + sorted((n for n in names if n not in good), key=lambda n: -worth[n])


def scan_threshold(levels: FilterLevels, random: Floats, pairs: float, budget: int) -> float:
    """The lowest threshold at which the scan is expected to stay within ``budget`` pairs."""
    known = random[~np.isnan(random)]
    share = budget / max(pairs, 1.0)
    if levels.spec.similarity == "agreement":
        tail = float(np.quantile(known, max(0.0, 1.0 - share))) if len(known) else 0.5
        if share * len(known) < 50:  # beyond what the sample shows: the normal tail of many summed bits
            tail = max(tail, levels.chance + float(-ndtri(share)) * levels.spread)
        return float(min(max(np.ceil(tail * 10_000) / 10_000, 0.0001), 1.0))
    for threshold in _SCAN_GRID:
        if not len(known) or float(np.mean(known >= threshold)) <= share:
            return threshold
    return _SCAN_GRID[-1]


def scan_pairs(
    a: FilterColumn,
    b: FilterColumn,
    levels: FilterLevels,
    threshold: float,
    limits: Limits,
    budget: int,
    progress: Progress,
) -> _Joined | None:
    """Pairs whose filters are at least ``threshold`` alike; None if there are more than ``budget``.

    Distinct filters are compared once and expanded afterwards, block by block.
    """
    rows_a, rows_b = np.flatnonzero(a.present), np.flatnonzero(b.present)
    groups_a, first_a = identical_groups(a.words[rows_a])
    groups_b, first_b = identical_groups(b.words[rows_b])
    count_a, count_b = np.bincount(groups_a), np.bincount(groups_b)
    lefts, rights, total, capped = [], [], 0, np.zeros(2, np.int64)
    words_a, words_b = a.words[rows_a][first_a], b.words[rows_b][first_b]
    # The threshold as it prints: a float is what somebody wrote in decimal.
    for found in _pairs_alike(levels, words_a, words_b, repr(threshold), limits, progress):
        pairs = count_a[found.i] * count_b[found.j]
        over = pairs > limits.block
        capped += np.array([over.sum(), pairs[over].sum()])
        total += int(pairs[~over].sum())
        if total > budget:
            return None
        lefts.append(found.i[~over])
        rights.append(found.j[~over])
    if not lefts:
        return _Joined(np.zeros(0, np.int64), np.zeros(0, np.int64), 0, 0, 0)
    left, right = _expand(np.concatenate(lefts), np.concatenate(rights), groups_a, groups_b)
    return _Joined(rows_a[left], rows_b[right], total, int(capped[0]), int(capped[1]))


def _pairs_alike(
    levels: FilterLevels,
    a: NDArray[np.uint64],
    b: NDArray[np.uint64],
    threshold: str,
    limits: Limits,
    progress: Progress,
) -> Iterator[PairBlock]:
    similarity: Literal["dice", "agreement"] = (
        "agreement" if levels.spec.similarity == "agreement" else "dice"
    )
    if limits.cluster is not None:
        return limits.cluster.pairs(similarity, a, b, threshold, progress)
    scan = dice_pairs if similarity == "dice" else agreement_pairs
    return scan(a, b, threshold, threads=limits.threads, progress=progress)


def _expand(left: Ints, right: Ints, groups_a: Ints, groups_b: Ints) -> tuple[Ints, Ints]:
    """From pairs of groups to pairs of rows."""
    for_a, for_b = np.argsort(groups_a, kind="stable"), np.argsort(groups_b, kind="stable")
    count_a, count_b = np.bincount(groups_a), np.bincount(groups_b)
    start_a = np.cumsum(count_a) - count_a
    start_b = np.cumsum(count_b) - count_b
    pair, offset = _repeat(np.arange(len(left)), count_a[left] * count_b[right])
    rows_a = for_a[start_a[left[pair]] + offset // count_b[right[pair]]]
    rows_b = for_b[start_b[right[pair]] + offset % count_b[right[pair]]]
    return rows_a, rows_b


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

    def note(rule: str, names: Sequence[str], joined: _Joined, used: bool, **more: Any) -> None:
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
        for step in [start] if threshold is not None else [start, *_raised(start, level)]:
            joined = scan_pairs(column_a, column_b, level, step, limits, 4 * budget, progress)
            if joined is not None:
                note("scan", [name], joined, True, threshold=step)
                break
            none = np.zeros(0, np.int64)
            note("scan", [name], _Joined(none, none, -1, 0, 0), False, threshold=step)
    views = [n for n in order if by_name[n].spec.similarity == "agreement"]
    if threshold is None and len(views) > 1:
        joint = joint_view(a, b, [by_name[n] for n in views], random)
        if joint is not None:
            column_a, column_b, level = joint
            pairs = float(column_a.present.sum()) * float(column_b.present.sum())
            step = scan_threshold(level, _joint_random(views, by_name, random), pairs, budget)
            if step > level.chance + _JOINT_FROM * level.spread:
                joined = scan_pairs(column_a, column_b, level, step, limits, 4 * budget, progress)
                if joined is not None:
                    note("scan", views, joined, True, threshold=step)
    return _united(found, len(b), report, within)


def joint_view(
    a: Encodings, b: Encodings, views: Sequence[FilterLevels], random: dict[str, Floats]
) -> tuple[FilterColumn, FilterColumn, FilterLevels] | None:
    """Several diffused views side by side as one filter: weak in each, a match may be plain in their sum.

    None where few records have all of them.
    """
    names = [v.spec.name for v in views]

    def beside(e: Encodings) -> FilterColumn:
        columns = [e.filters[n] for n in names]
        present = np.logical_and.reduce([c.present for c in columns])
        return FilterColumn(np.concatenate([c.words for c in columns], axis=1), present)

    for e in (a, b):
        if float(np.logical_and.reduce([e.filters[n].present for n in names]).mean()) < 0.5:
            return None
    values = _joint_random(names, {v.spec.name: v for v in views}, random)
    known = values[~np.isnan(values)]
    if len(known) < 100:
        return None
    width = sum(v.spec.width for v in views)
    spec = FilterSpec("+".join(names), width, "agreement", (), False)
    return beside(a), beside(b), FilterLevels(spec, (1.0,), float(known.mean()), float(known.std()))


def _joint_random(
    names: Sequence[str], levels: Mapping[str, FilterLevels], random: dict[str, Floats]
) -> Floats:
    widths = np.array([levels[n].spec.width for n in names], np.float64)
    return np.asarray(widths @ np.stack([random[n] for n in names]) / widths.sum())


def _raised(start: float, level: FilterLevels) -> list[float]:
    if level.spec.similarity == "agreement":
        return [round(t, 4) for t in (start + level.spread * k for k in (0.5, 1, 2, 4)) if t <= 1]
    return [t for t in (*_SCAN_GRID, 1.0) if t > start]


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
