"""The exhaustive part of the candidates: what is scanned, from which similarity on, in what units."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from crypto.encoding.types import Encodings, FilterColumn, FilterSpec
from linkage.comparison import FilterLevels, by_most
from linkage.distributed import Cluster
from linkage.records import identical_groups
from linkage.scan import SubsetTest, agreement_pairs, choose_subset, dice_pairs
from linkage.scan.stream import PairBlock, Progress
from linkage.units import Unit, at_once, pack, unpack

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Thresholds that the scan of a Dice filter tries, lowest (best recall) first.
_SCAN_GRID = (0.7, 0.75, 0.8, 0.85, 0.9, 0.95)

#: Bytes of a candidate pair without its similarities, with what sorting it takes.
_BYTES = 120
#: Words of filters that one unit of a scan compares at most: some ten seconds to a minute.
_UNIT_WORDS = 10**12


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
    miss : float
        Most that a pair of diffused filters at a scan's threshold may be missed with; 0: none is.
    unit : Unit
        Who does, or has done, each part of a scan.
    """

    per_record: int = 12
    per_record_join: int = 2
    block: int = 10_000
    threads: int = 2
    memory_mb: int | None = None
    cluster: Cluster | None = None
    miss: float = 0.0
    unit: Unit = at_once

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


@dataclass(frozen=True)
class Joined:
    left: Ints
    right: Ints
    total: int
    capped_blocks: int
    capped_pairs: int
    subset: SubsetTest | None = None


def repeat(values: Ints, times: Ints) -> tuple[Ints, Ints]:
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
) -> Joined | None:
    """Pairs whose filters are at least ``threshold`` alike; None if there are more than ``budget``.

    Distinct filters are compared once and expanded afterwards, block by block.
    """
    rows_a, rows_b = np.flatnonzero(a.present), np.flatnonzero(b.present)
    groups_a, first_a = identical_groups(a.words[rows_a])
    groups_b, first_b = identical_groups(b.words[rows_b])
    counts = np.bincount(groups_a), np.bincount(groups_b)
    words_a, words_b = a.words[rows_a][first_a], b.words[rows_b][first_b]
    lefts, rights, total, capped = [], [], 0, np.zeros(2, np.int64)
    ranges = _ranges(words_a, words_b, limits)
    every = len(words_a) * len(words_b)
    # The threshold as it prints: a float is what somebody wrote in decimal.
    wanted = repr(threshold)
    subset = _subset(levels, words_a, words_b, wanted, limits.miss)
    for number, (start, stop) in enumerate(ranges, 1):

        def work(start: int = start, stop: int = stop, left: int = budget - total) -> bytes:
            def moved(stage: str, done: int, of: int) -> None:
                progress(stage, *((done + start * len(words_b), every) if stage == "scan" else (done, of)))

            alike = _pairs_alike(levels, words_a[start:stop], words_b, wanted, subset, limits, moved)
            return _kept(alike, (counts[0][start:stop], counts[1]), limits.block, left)

        name = f"scan {levels.spec.name} {threshold!r} {number}/{len(ranges)}"
        head, found = unpack(limits.unit(name, work))
        if head["over"]:
            return None
        total += head["pairs"]
        capped += np.array(head["capped"])
        lefts.append(found["left"] + start)
        rights.append(found["right"])
    if not lefts:
        return Joined(np.zeros(0, np.int64), np.zeros(0, np.int64), 0, 0, 0, subset)
    left, right = _expand(np.concatenate(lefts), np.concatenate(rights), groups_a, groups_b)
    return Joined(rows_a[left], rows_b[right], total, int(capped[0]), int(capped[1]), subset)


def _ranges(a: NDArray[np.uint64], b: NDArray[np.uint64], limits: Limits) -> list[tuple[int, int]]:
    """Rows of the left side that are one unit each; a cluster cuts a scan by itself."""
    rows = len(a) if limits.cluster is not None else max(1, _UNIT_WORDS // max(1, b.size))
    return [(start, min(start + rows, len(a))) for start in range(0, len(a), max(rows, 1))]


def _kept(alike: Iterator[PairBlock], counts: tuple[Ints, Ints], block: int, budget: int) -> bytes:
    """Pairs of groups that are not too large, packed; only ``over`` if they expand beyond the budget."""
    lefts, rights = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    total, capped = 0, np.zeros(2, np.int64)
    for found in alike:
        pairs = counts[0][found.i] * counts[1][found.j]
        over = pairs > block
        capped += np.array([over.sum(), pairs[over].sum()])
        total += int(pairs[~over].sum())
        if total > budget:
            return pack({"over": True}, {})
        lefts.append(found.i[~over])
        rights.append(found.j[~over])
    head = {"over": False, "pairs": total, "capped": capped.tolist()}
    return pack(head, {"left": np.concatenate(lefts), "right": np.concatenate(rights)})


def _pairs_alike(
    levels: FilterLevels,
    a: NDArray[np.uint64],
    b: NDArray[np.uint64],
    threshold: str,
    subset: SubsetTest | None,
    limits: Limits,
    progress: Progress,
) -> Iterator[PairBlock]:
    similarity: Literal["dice", "agreement"] = (
        "agreement" if levels.spec.similarity == "agreement" else "dice"
    )
    if limits.cluster is not None:
        return limits.cluster.pairs(similarity, a, b, threshold, progress, subset)
    if similarity == "dice":
        return dice_pairs(a, b, threshold, threads=limits.threads, progress=progress)
    return agreement_pairs(a, b, threshold, subset=subset, threads=limits.threads, progress=progress)


def _subset(
    levels: FilterLevels, a: NDArray[np.uint64], b: NDArray[np.uint64], threshold: str, miss: float
) -> SubsetTest | None:
    """The bits that a pair is first looked at by, where some matches may be missed for it.

    Drawn by a seed that the filters themselves make, so that the same records give the same pairs, and that
    nobody can aim at who makes only some of the filters.
    """
    if not miss or levels.spec.similarity != "agreement":
        return None
    seed = hashlib.sha256()
    for words in (a, b):
        seed.update(np.ascontiguousarray(words).data)
    return choose_subset(a, b, threshold, miss, seed=int.from_bytes(seed.digest()))


def _expand(left: Ints, right: Ints, groups_a: Ints, groups_b: Ints) -> tuple[Ints, Ints]:
    """From pairs of groups to pairs of rows."""
    for_a, for_b = np.argsort(groups_a, kind="stable"), np.argsort(groups_b, kind="stable")
    count_a, count_b = np.bincount(groups_a), np.bincount(groups_b)
    start_a = np.cumsum(count_a) - count_a
    start_b = np.cumsum(count_b) - count_b
    pair, offset = repeat(np.arange(len(left)), count_a[left] * count_b[right])
    rows_a = for_a[start_a[left[pair]] + offset // count_b[right[pair]]]
    rows_b = for_b[start_b[right[pair]] + offset % count_b[right[pair]]]
    return rows_a, rows_b


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
    values = joint_random(names, {v.spec.name: v for v in views}, random)
    known = values[~np.isnan(values)]
    if len(known) < 100:
        return None
    width = sum(v.spec.width for v in views)
    spec = FilterSpec("+".join(names), width, "agreement", (), False)
    return beside(a), beside(b), FilterLevels(spec, (1.0,), *by_most(known))


def joint_random(
    names: Sequence[str], levels: Mapping[str, FilterLevels], random: dict[str, Floats]
) -> Floats:
    widths = np.array([levels[n].spec.width for n in names], np.float64)
    return np.asarray(widths @ np.stack([random[n] for n in names]) / widths.sum())


def raised(start: float, level: FilterLevels) -> list[float]:
    if level.spec.similarity == "agreement":
        return [round(t, 4) for t in (start + level.spread * k for k in (0.5, 1, 2, 4)) if t <= 1]
    return [t for t in (*_SCAN_GRID, 1.0) if t > start]
