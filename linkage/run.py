"""The engine's one door: encodings of several sources in, persons with probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crypto.encoding.types import LinkSpec
from linkage import increment, pair, persons
from linkage.distributed import Cluster
from linkage.errors import LinkageError
from linkage.increment import Past
from linkage.kernels import exact_threshold
from linkage.plan import Compared, Plan, RandomPairs, compare, find, make_plan, sample_pairs
from linkage.records import Source, checked, common_filters, excerpt, with_union
from linkage.result import Borrowed, PairResult, pack_result, unpack_result
from linkage.scan.agreement import check_miss
from linkage.scanning import Limits
from linkage.units import Unit, at_once, prefixed

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Progress = Callable[[str, int, int], None]

#: Records of one source that are compared with each other to learn how different persons compare.
_KIN_RECORDS = 20_000

__all__ = ["LinkResult", "LinkageError", "Options", "Progress", "Source", "Unit", "link", "silent"]


def silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Options:
    """How to link; the defaults are for production.

    Attributes
    ----------
    threshold : float
        Probability from which two records count as one person, in (0, 1].
    scan_threshold : float, optional
        Similarity from which the exhaustive scan keeps a pair, in (0, 1]; by default the engine chooses.
    estimator : {"em", "recordlinkage"}
        Our EM over ordered levels, or recordlinkage's ECM over binary agreement.
    threads : int
        Threads at work. The result does not depend on it.
    memory_mb : int, optional
        Memory that the candidates of one source pair may take, at least 1. A bound that binds costs recall;
        the thresholds of the scans in the report tell.
    cluster : Cluster, optional
        A Dask cluster that does the scans. The result does not depend on it.
    miss : float
        In [0, 1): most that a pair of diffused filters at the threshold of a scan may be missed with, where
        others pay for being looked at in few bits first (`linkage.scan.agreement`); 0: none is missed.
    """

    threshold: float = 0.5
    scan_threshold: float | None = None
    estimator: Literal["em", "recordlinkage"] = "em"
    threads: int = 2
    memory_mb: int | None = None
    cluster: Cluster | None = None
    miss: float = 0.0

    def limits(self) -> Limits:
        """The bounds on each source pair's work."""
        return Limits(threads=self.threads, memory_mb=self.memory_mb, cluster=self.cluster, miss=self.miss)

    def check(self) -> None:
        """Refuse what makes no sense, see `link`."""
        exact_threshold(self.threshold)
        if self.scan_threshold is not None:
            exact_threshold(self.scan_threshold)
        if self.estimator not in ("em", "recordlinkage"):
            raise LinkageError("ESTIMATOR_UNKNOWN", "The estimators are em and recordlinkage.")
        check_miss(self.miss)
        if self.memory_mb is not None and self.memory_mb < 1:
            raise LinkageError("MEMORY_OUT_OF_RANGE", "The memory for candidates must be at least 1 MB.")


@dataclass(frozen=True)
class LinkResult:
    """What a run found.

    Attributes
    ----------
    persons : pyarrow.Table
        person int64, batch string, record_ref string, probability float64; one row for every record of every
        source, ordered by (person, batch, record_ref).
    links : pyarrow.Table
        batch_a, record_ref_a, batch_b, record_ref_b string, probability, weight float64.
    report : dict
        JSON-able figures, without record_refs or encodings; ``doubts`` are reasons not to call the run good.
    learned : dict
        JSON-able; with links and report what a later run goes on from (`linkage.increment.Past`).
    """

    persons: pa.Table
    links: pa.Table
    report: dict[str, object]
    learned: dict[str, object] = field(default_factory=dict)

    def past(self) -> Past:
        """This result as one to go on from."""
        return Past.read(self.links, self.remembered())

    def remembered(self) -> bytes:
        """What is to be kept beside the links, for a later run to go on from this one."""
        return increment.remembered(self.report, self.learned)


def link(
    sources: Sequence[Source],
    spec: LinkSpec,
    *,
    options: Options | None = None,
    progress: Progress = silent,
    past: Past | None = None,
    unit: Unit = at_once,
) -> LinkResult:
    """Link the records of all sources.

    With ``past``, pairs of sources that took part in it as they are now are taken over; the report's
    ``incremental`` says which, and how far the new ones are from what the past had measured. With nothing new
    the persons and links are those of the past, byte for byte.

    The same records give the same bytes, whatever the order of sources and rows and the number of threads.

    Raises
    ------
    LinkageError
        ``THRESHOLD_OUT_OF_RANGE``, ``MISS_PROBABILITY_OUT_OF_RANGE``, ``MEMORY_OUT_OF_RANGE``,
        ``ESTIMATOR_UNKNOWN``, ``ESTIMATOR_FAILED``,
        ``NO_COMMON_FILTER``, ``PAST_DIFFERS``, and those of `linkage.records.checked`.
    """
    options = options or Options()
    options.check()
    ordered, spec = with_union(checked(sources, spec), spec)
    about = increment.terms(spec, options.threshold, options.estimator, options.miss)
    every = _source_pairs(ordered, spec)
    results = _taken_over(ordered, every, past, about)
    pairs = [p for p in every if p not in results]
    samples = {}
    for done, (i, j) in enumerate(pairs):
        progress("sample", done, len(pairs))
        samples[i, j] = sample_pairs(ordered[i], ordered[j], spec, options.threads)
    plan = make_plan(list(samples.values()), spec)
    borrowed: Borrowed = {}
    told: dict[str, Any] = {}
    if past is not None:
        fresh, plan, borrowed = plan, past.plan(spec), past.borrowed()
        told = {
            "reused": [[ordered[i].name, ordered[j].name] for i, j in sorted(results)],
            "computed": [[ordered[i].name, ordered[j].name] for i, j in pairs],
            "drift": increment.drift(plan, fresh) if pairs else {},
        }
    kin = _Kin(ordered, plan, spec, options.threads)
    # Largest first: the smaller ones lean on what the larger ones have taught about m.
    for done, (i, j) in enumerate(sorted(pairs, key=lambda p: (-samples[p].total, p))):
        progress("link", done, len(pairs))
        asked = _Asked(ordered[i], ordered[j], samples[i, j], options, progress, unit)
        results[i, j], plan.groups = asked.linked(plan, kin, spec, borrowed)
        for key, counts in results[i, j].borrowed.items():
            borrowed.setdefault(key, counts)
    progress("link", len(pairs), len(pairs))
    made = _assemble(ordered, plan, {key: results[key] for key in sorted(results)})
    if past is not None:
        made.report["incremental"] = told
        doubts = _doubts([results[key].report for key in sorted(results)])
        made.report["doubts"] = [*doubts, *increment.drifted(told["drift"])]
    return replace(made, learned=increment.learned(plan, borrowed, ordered, about))


@dataclass(frozen=True)
class _Asked:
    """Two sources that are to be linked, and how."""

    a: Source
    b: Source
    sample: RandomPairs
    options: Options
    progress: Progress
    unit: Unit

    def linked(
        self, plan: Plan, kin: _Kin, spec: LinkSpec, borrowed: Borrowed
    ) -> tuple[PairResult, list[tuple[str, ...]]]:
        """The links, and the groups of filters that prove to be one comparison; unit by unit."""
        a, b, options = self.a, self.b, self.options
        title = f"{a.name} × {b.name}"

        def scanned(stage: str, done: int, total: int) -> None:
            self.progress(f"{stage} {title}", done, total)

        limits = replace(options.limits(), unit=prefixed(self.unit, title))
        found = find(a, b, plan, self.sample, limits, options.scan_threshold, scanned)
        left_once, right_once = _cardinality(a, b, spec)
        names = list(self.sample.similarity)

        def work() -> bytes:
            # On a copy: a result that was kept must leave the plan as one that is made now.
            own = Plan(plan.levels, list(plan.groups))
            result = pair.link_pair(
                a,
                b,
                compare(a, b, own, self.sample, found, options.threads),
                kin.among(names),
                own,
                names=names,
                threshold=options.threshold,
                left_once=left_once,
                right_once=right_once,
                borrowed=borrowed,
                estimator=options.estimator,
            )
            return pack_result(result, own.groups)

        return unpack_result(limits.unit("link", work))


def _doubts(pairs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why the run is not to be called good, by source pair; empty if nothing speaks against it."""
    return [f"{' × '.join(p['sources'])}: {warning}" for p in pairs for warning in p["warnings"]]


def _taken_over(
    sources: Sequence[Source],
    pairs: Sequence[tuple[int, int]],
    past: Past | None,
    about: dict[str, object],
) -> dict[tuple[int, int], PairResult]:
    """Results of the past for pairs of sources that have not changed since."""
    if past is None:
        return {}
    past.check(about)
    same = past.unchanged(sources)
    found = {
        (i, j): past.result(sources[i], sources[j])
        for i, j in pairs
        if sources[i].name in same and sources[j].name in same
    }
    return {key: result for key, result in found.items() if result is not None}


class _Kin:
    """Pairs within the largest deduplicated source, from which the model learns how relatives compare."""

    def __init__(self, sources: Sequence[Source], plan: Plan, spec: LinkSpec, threads: int) -> None:
        self._sources, self._plan, self._spec, self._threads = sources, plan, spec, threads
        self._known: dict[tuple[str, tuple[str, ...]], Compared] = {}

    def among(self, names: Sequence[str]) -> Compared | None:
        """The pairs, or None if they would not help or no deduplicated source has all these filters.

        Of a large source a part is enough: record_refs are random, so the first ones are a fair sample.
        """
        groups = self._plan.groups_among(names)
        record_level = len(groups) == 1 or any(self._plan.record_level(g) for g in groups)
        if len(groups) < pair.RELATIVES_FROM and not record_level:
            return None  # too few comparisons to tell relatives by
        able = [
            s
            for s in self._sources
            if s.deduplicated and set(names) <= set(common_filters(s.encodings, s.encodings, self._spec))
        ]
        if not able:
            return None
        source = max(able, key=lambda s: (len(s.encodings), s.name))
        key = source.name, tuple(names)
        if key not in self._known:
            part = excerpt(source, _KIN_RECORDS, names)
            sample = sample_pairs(part, part, self._spec, self._threads)
            found = find(part, part, self._plan, sample, Limits(threads=self._threads), None, silent)
            self._known[key] = compare(part, part, self._plan, sample, found, self._threads)
        return self._known[key]


def _source_pairs(sources: Sequence[Source], spec: LinkSpec) -> list[tuple[int, int]]:
    """Pairs of sources with something to compare; one that may hold a person twice also with itself."""
    filled = [i for i, s in enumerate(sources) if len(s.encodings)]
    every = list(combinations(filled, 2)) + [(i, i) for i in filled if not sources[i].deduplicated]
    useful = [(i, j) for i, j in every if common_filters(sources[i].encodings, sources[j].encodings, spec)]
    if every and not useful:
        raise LinkageError("NO_COMMON_FILTER", "No two sources have a filter of the profile in common.")
    return sorted(p for p in useful if p[0] != p[1] or len(sources[p[0]].encodings) > 1)


def _cardinality(a: Source, b: Source, spec: LinkSpec) -> tuple[bool, bool]:
    """Whether a record of ``a`` has at most one partner in ``b``, and the reverse.

    The profile's mode speaks of sources in the order of their names; a source that may hold a person twice
    may always bring several partners.
    """
    if a.name == b.name:
        return False, False
    left_once = b.deduplicated and spec.mode != "one-to-many"
    right_once = a.deduplicated and spec.mode != "many-to-one"
    return left_once, right_once


def _assemble(
    sources: Sequence[Source], plan: Plan, results: dict[tuple[int, int], PairResult]
) -> LinkResult:
    refs = [s.encodings.record_refs for s in sources]
    offsets = np.concatenate([[0], np.cumsum([len(r) for r in refs])]).astype(np.int64)
    all_refs = np.concatenate(refs) if refs else np.zeros(0, "<U32")
    source = np.repeat(np.arange(len(sources)), np.diff(offsets))

    no_rows, no_figures = np.zeros(0, np.int64), np.zeros(0)
    first = np.concatenate([no_rows, *(r.left + offsets[i] for (i, _), r in results.items())])
    second = np.concatenate([no_rows, *(r.right + offsets[j] for (_, j), r in results.items())])
    probability = np.concatenate([no_figures, *(r.probability for r in results.values())])
    weight = np.concatenate([no_figures, *(r.weight for r in results.values())])
    cluster, kept = persons.cluster(first, second, probability, source, [s.deduplicated for s in sources])
    tie = persons.strongest(first[kept], second[kept], probability[kept], len(source))
    _, number = np.unique(cluster, return_inverse=True)  # a cluster's representative is its first record
    order = np.lexsort((np.arange(len(source)), number))
    names = np.array([s.name for s in sources], dtype=object)
    table = pa.table(
        {
            "person": pa.array(number[order] + 1, pa.int64()),
            "batch": pa.array(names[source[order]], pa.string()),
            "record_ref": pa.array(all_refs[order], pa.string()),
            "probability": pa.array(tie[order], pa.float64()),
        }
    )
    links = pa.table(
        {
            "batch_a": pa.array(names[source[first]], pa.string()),
            "record_ref_a": pa.array(all_refs[first], pa.string()),
            "batch_b": pa.array(names[source[second]], pa.string()),
            "record_ref_b": pa.array(all_refs[second], pa.string()),
            "probability": pa.array(probability, pa.float64()),
            "weight": pa.array(weight, pa.float64()),
        }
    )
    report: dict[str, object] = {
        "sources": [
            {
                "name": s.name,
                "organization": s.organization,
                "records": len(s.encodings),
                "deduplicated": s.deduplicated,
            }
            for s in sources
        ],
        "levels": {
            name: {"thresholds": list(level.thresholds), "chance": level.chance, "spread": level.spread}
            for name, level in plan.levels.items()
        },
        "comparisons": [list(group) for group in plan.groups],
        "pairs": [r.report for r in results.values()],
        "persons": int(number.max(initial=-1)) + 1,
        "links": len(first),
        "links_dropped_for_consistency": int((~kept).sum()),
        "doubts": _doubts([r.report for r in results.values()]),
    }
    return LinkResult(table, links, report)
