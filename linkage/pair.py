"""Linking two sources: candidates, comparison, model, competition, assignment; and the figures of it all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from crypto.encoding.types import Encodings, LinkSpec
from linkage import assignment, candidates, comparison, model, patterns, scoring
from linkage.comparison import FilterLevels
from linkage.records import Source, common_filters

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Pairs sampled at random per source pair (all of them where there are no more).
SAMPLE = 300_000
#: The engine's own seed; the sample is part of the result's definition, not a secret.
_SEED = 20_230_701
#: Matches' worth of trust that a smaller source pair places in the m of larger ones.
_BORROWED = 20.0


@dataclass(frozen=True)
class RandomPairs:
    """A fixed sample of all pairs of two sources.

    Attributes
    ----------
    left, right : ndarray of int64
    total : float
        All pairs of the two sources.
    similarity : dict of str to ndarray
        Per common filter, NaN where missing.
    """

    left: Ints
    right: Ints
    total: float
    similarity: dict[str, Floats]


@dataclass(frozen=True)
class Plan:
    """How filters are compared, the same for all source pairs of a run.

    Attributes
    ----------
    levels : dict of str to FilterLevels
    groups : tuple of tuple of str
        Filters that are compared as one.
    """

    levels: dict[str, FilterLevels]
    groups: tuple[tuple[str, ...], ...]

    def groups_among(self, names: Sequence[str]) -> list[tuple[str, ...]]:
        """The groups restricted to the given filters, empty ones dropped."""
        kept = (tuple(n for n in group if n in names) for group in self.groups)
        return [group for group in kept if group]


@dataclass
class PairResult:
    """Links between two sources, ordered by (left, right), and the figures.

    Attributes
    ----------
    left, right : ndarray of int64, shape (n_links,)
        Rows of the two sources.
    probability, weight : ndarray of float, shape (n_links,)
        Probability with competition taken into account; match weight in log2.
    report : dict
        JSON-able.
    borrowed : dict
        Pseudo-counts of m per comparison, for smaller source pairs to lean on.
    """

    left: Ints
    right: Ints
    probability: Floats
    weight: Floats
    report: dict[str, object]
    borrowed: dict[tuple[str, ...], Floats] = field(default_factory=dict)


def sample_pairs(a: Source, b: Source, spec: LinkSpec, threads: int) -> RandomPairs:
    """A fixed random sample of the pairs of two sources (of one source: of its own pairs)."""
    within = a.name == b.name
    n_a, n_b = len(a.encodings), len(b.encodings)
    total = n_a * (n_a - 1) / 2 if within else float(n_a) * n_b
    if total <= SAMPLE:
        left, right = (x.ravel() for x in np.indices((n_a, n_b)))
    else:
        random = np.random.default_rng(_SEED)
        left, right = random.integers(0, n_a, SAMPLE), random.integers(0, n_b, SAMPLE)
    if within:
        left, right = np.minimum(left, right)[left != right], np.maximum(left, right)[left != right]
        if total <= SAMPLE:
            left, right = (x.ravel() for x in np.triu_indices(n_a, 1))
    left, right = left.astype(np.int64), right.astype(np.int64)
    by_name = {f.name: f for f in spec.filters}
    return RandomPairs(
        left,
        right,
        total,
        {
            name: comparison.similarity(a.encodings, b.encodings, by_name[name], left, right, threads)
            for name in common_filters(a.encodings, b.encodings, spec)
        },
    )


def make_plan(samples: Sequence[RandomPairs], spec: LinkSpec) -> Plan:
    """Levels and dependent groups from the random pairs of all source pairs together."""
    n = {len(s.left) for s in samples}
    pooled = {
        f.name: np.concatenate([s.similarity.get(f.name, np.full(len(s.left), np.nan)) for s in samples])
        if n
        else np.zeros(0)
        for f in spec.filters
    }
    levels = {f.name: comparison.choose_levels(f, pooled[f.name]) for f in spec.filters}
    return Plan(levels, tuple(comparison.dependent_groups(pooled)))


def _categories(
    plan: Plan, groups: Sequence[tuple[str, ...]], similarity: dict[str, Floats]
) -> NDArray[np.int64]:
    columns = []
    for group in groups:
        levels = [comparison.to_levels(similarity[n], plan.levels[n].thresholds) for n in group]
        columns.append(patterns.joint_categories(levels, [plan.levels[n].count for n in group]))
    return np.stack(columns, axis=1)


def _scores(plan: Plan, group: tuple[str, ...]) -> Floats:
    """Agreement of each joint category from 0 to 1: the best of its filters' levels, roughly averaged."""
    counts = [plan.levels[n].count for n in group]
    if len(group) == 1:
        return np.arange(counts[0]) / max(1, counts[0] - 1)
    digits = patterns.decode(np.arange(patterns.joint_size(counts)), counts)
    shares = np.where(digits >= 0, digits / np.maximum(np.array(counts) - 1, 1), np.nan)
    known = ~np.isnan(shares)
    total = np.where(known, shares, 0.0).sum(axis=1)
    return np.asarray(total / np.maximum(known.sum(axis=1), 1))


def link_pair(
    a: Source,
    b: Source,
    plan: Plan,
    sample: RandomPairs,
    *,
    threshold: float,
    scan_threshold: float | None,
    limits: candidates.Limits,
    estimator: str,
    left_once: bool,
    right_once: bool,
    borrowed: dict[tuple[str, ...], Floats],
    progress: Callable[[int, int], None],
) -> PairResult:
    """Link two sources (or one with itself) that have at least one filter in common."""
    within = a.name == b.name
    names = list(sample.similarity)
    levels = [plan.levels[n] for n in names]
    found = candidates.find(
        a.encodings,
        b.encodings,
        levels,
        sample.similarity,
        limits,
        threshold=scan_threshold,
        within=within,
        progress=progress,
    )
    similarity = {
        n: comparison.similarity(
            a.encodings, b.encodings, plan.levels[n].spec, found.left, found.right, limits.threads
        )
        for n in names
    }
    groups = plan.groups_among(names)
    sizes = [patterns.joint_size([plan.levels[n].count for n in g]) for g in groups]
    scores = [_scores(plan, g) for g in groups]
    outside = ~np.isin(
        sample.left * len(b.encodings) + sample.right, found.left * len(b.encodings) + found.right
    )
    sampled = {n: values[outside] for n, values in sample.similarity.items()}
    counted, which = patterns.count_patterns(
        _categories(plan, groups, similarity),
        _categories(plan, groups, sampled),
        max(0.0, sample.total - len(found.left)),
        sizes,
    )
    most = float(min(len(a.encodings), len(b.encodings))) if left_once or right_once else sample.total
    start, origin = model.starting_values(counted, sizes, scores, sample.total, most)
    pseudo = [borrowed.get(g, np.full(s, 1.0 / s)) for g, s in zip(groups, sizes, strict=True)]
    fit = model.estimate(counted, sizes, start, m_pseudo=pseudo)
    fit = model.doubts(fit, scores, ["+".join(g) for g in groups], most, float(len(found.left)))
    weight = model.weights(counted.values, fit.parameters)
    alone = model.probabilities(weight, fit.parameters)
    probability = scoring.matching_marginals(
        found.left,
        found.right,
        (alone / np.maximum(1.0 - alone, 1e-300))[which],
        left_once=left_once,
        right_once=right_once,
    )
    weight, alone = weight[which], alone[which]
    wanted = np.flatnonzero(alone >= threshold)
    gain = weight[wanted] - weight[wanted].min(initial=0.0) + 1e-9
    taken, greedy = assignment.assign(
        found.left[wanted], found.right[wanted], gain, left_once=left_once, right_once=right_once
    )
    chosen = wanted[taken & (probability[wanted] >= threshold)]
    own = {g: _BORROWED * m for g, m in zip(groups, fit.parameters.m, strict=True)}
    report: dict[str, object] = {
        "sources": [a.name, b.name],
        "records": [len(a.encodings), len(b.encodings)],
        "pairs": sample.total,
        "candidates": len(found.left),
        "rules": found.report,
        "start": origin,
        "converged": fit.converged,
        "iterations": fit.iterations,
        "warnings": list(fit.warnings),
        "expected_matches": round(fit.parameters.matches, 3),
        "prior": fit.parameters.prior,
        "matches": len(chosen),
        "histogram": scoring.histogram(probability, weight),
        "thresholds": scoring.thresholds_table(probability, 0.0),
        "components_solved_greedily": greedy,
    }
    return PairResult(
        found.left[chosen], found.right[chosen], probability[chosen], weight[chosen], report, own
    )
