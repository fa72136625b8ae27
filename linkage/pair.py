"""Linking two sources: candidates, comparison, model, competition, assignment; and the figures of it all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

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
#: Categories of one comparison at most; beyond it, dependent filters stay apart.
_MOST_CATEGORIES = 1000
#: Comparisons from which relatives can be told from matches.
RELATIVES_FROM = 4
#: Matches' worth of trust that a smaller source pair places in the m of larger ones.
_BORROWED = 20.0


#: Pseudo-counts of m by comparison and number of its categories.
Borrowed = dict[tuple[tuple[str, ...], int], Floats]


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


@dataclass
class Plan:
    """How filters are compared in all source pairs of a run; it learns as the run goes on, in fixed order.

    Attributes
    ----------
    levels : dict of str to FilterLevels
    groups : list of tuple of str
        Filters that are compared as one.
    """

    levels: dict[str, FilterLevels]
    groups: list[tuple[str, ...]]

    def groups_among(self, names: Sequence[str]) -> list[tuple[str, ...]]:
        """The groups restricted to the given filters, empty ones dropped."""
        kept = (tuple(n for n in group if n in names) for group in self.groups)
        return [group for group in kept if group]

    def size(self, group: tuple[str, ...]) -> int:
        """Categories of a group's comparison."""
        return patterns.joint_size([self.levels[n].count for n in group])

    def merge(self, first: tuple[str, ...], second: tuple[str, ...]) -> bool:
        """Compare two groups (as restricted to some filters) as one from now on, unless that is too fine."""
        one = next(g for g in self.groups if first[0] in g)
        two = next(g for g in self.groups if second[0] in g)
        if one == two or self.size((*one, *two)) > _MOST_CATEGORIES:
            return False
        self.groups = [(*one, *two) if g == one else g for g in self.groups if g != two]
        return True


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
    borrowed: Borrowed = field(default_factory=dict)


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
    return Plan(levels, comparison.dependent_groups(pooled))


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


@dataclass(frozen=True)
class Compared:
    """Two sources' candidates and random pairs with their similarities.

    Attributes
    ----------
    found : Candidates
    inside, outside : dict of str to ndarray
        Similarity per filter of the candidates, and of the sampled pairs that are no candidates.
    total : float
        All pairs of the two sources.
    """

    found: candidates.Candidates
    inside: dict[str, Floats]
    outside: dict[str, Floats]
    total: float

    def counted(self, plan: Plan, groups: Sequence[tuple[str, ...]]) -> tuple[patterns.Patterns, Ints]:
        """Pattern counts for these groups of filters, and the pattern of each candidate."""
        return patterns.count_patterns(
            _categories(plan, groups, self.inside),
            _categories(plan, groups, self.outside),
            max(0.0, self.total - len(self.found.left)),
            [plan.size(g) for g in groups],
        )


def compare(
    a: Source,
    b: Source,
    plan: Plan,
    sample: RandomPairs,
    limits: candidates.Limits,
    scan_threshold: float | None,
    progress: Callable[[int, int], None],
) -> Compared:
    """Find the candidates of two sources (or within one) and compare them."""
    names = list(sample.similarity)
    found = candidates.find(
        a.encodings,
        b.encodings,
        [plan.levels[n] for n in names],
        sample.similarity,
        limits,
        threshold=scan_threshold,
        within=a.name == b.name,
        progress=progress,
    )
    inside = {
        n: comparison.similarity(
            a.encodings, b.encodings, plan.levels[n].spec, found.left, found.right, limits.threads
        )
        for n in names
    }
    n_b = len(b.encodings)
    fresh = ~np.isin(sample.left * n_b + sample.right, found.left * n_b + found.right)
    return Compared(found, inside, {n: v[fresh] for n, v in sample.similarity.items()}, sample.total)


def fit_pair(
    compared: Compared,
    kin: Compared | None,
    plan: Plan,
    names: Sequence[str],
    most: float,
    borrowed: Borrowed,
) -> tuple[model.Fit, patterns.Patterns, Ints, str]:
    """Estimate the model; comparisons that prove dependent among the matches are joined and it starts over."""
    while True:
        groups = plan.groups_among(names)
        sizes = [plan.size(g) for g in groups]
        scores = [_scores(plan, g) for g in groups]
        counted, which = compared.counted(plan, groups)
        inside = kin.counted(plan, groups)[0] if kin is not None else None
        r: model.Classes = ()
        if inside is not None and len(groups) >= RELATIVES_FROM:
            r = model.relative_classes(inside, sizes, scores)[0]
        start, origin = model.starting_values(counted, sizes, scores, compared.total, most, r)
        diffused = [all(plan.levels[n].spec.similarity == "agreement" for n in g) for g in groups]
        if inside is not None and any(diffused):
            start = model.with_given_u(start, model.random_shares(inside, sizes), diffused)
        pseudo = [borrowed.get((g, s), np.full(s, 1.0 / s)) for g, s in zip(groups, sizes, strict=True)]
        fit = model.estimate(counted, sizes, start, m_pseudo=pseudo, fixed_u=diffused)
        if inside is None or not r:
            break
        matched = counted.candidates * expit(model.log_odds(counted.values, fit.parameters))
        together = model.dependent(
            model.correlations(counted.values, matched, scores),
            model.correlations(inside.values, inside.candidates, scores),
        )
        if not any(plan.merge(groups[g], groups[h]) for g, h in together):
            break
    labels = ["+".join(g) for g in groups]
    fit = model.doubts(fit, scores, labels, most, float(len(compared.found.left)))
    return fit, counted, which, origin


def link_pair(
    a: Source,
    b: Source,
    compared: Compared,
    kin: Compared | None,
    plan: Plan,
    *,
    names: Sequence[str],
    threshold: float,
    left_once: bool,
    right_once: bool,
    borrowed: Borrowed,
) -> PairResult:
    """Link two sources (or one with itself) that have at least one filter in common."""
    found = compared.found
    most = float(min(len(a.encodings), len(b.encodings))) if left_once or right_once else compared.total
    fit, counted, which, origin = fit_pair(compared, kin, plan, names, most, borrowed)
    odds = model.log_odds(counted.values, fit.parameters)[which]
    weight = model.weights(counted.values, fit.parameters)[which]
    alone = expit(odds)
    probability = scoring.matching_marginals(
        found.left, found.right, np.exp(odds), left_once=left_once, right_once=right_once
    )
    wanted = np.flatnonzero(alone >= threshold)
    gain = odds[wanted] - odds[wanted].min(initial=0.0) + 1e-9
    taken, greedy = assignment.assign(
        found.left[wanted], found.right[wanted], gain, left_once=left_once, right_once=right_once
    )
    chosen = wanted[taken & (probability[wanted] >= threshold)]
    groups = plan.groups_among(names)
    own = {(g, plan.size(g)): _BORROWED * m for g, m in zip(groups, fit.parameters.m, strict=True)}
    report: dict[str, object] = {
        "sources": [a.name, b.name],
        "records": [len(a.encodings), len(b.encodings)],
        "pairs": compared.total,
        "candidates": len(found.left),
        "rules": found.report,
        "start": origin,
        "converged": fit.converged,
        "iterations": fit.iterations,
        "warnings": list(fit.warnings),
        "comparisons": [list(g) for g in groups],
        "expected_matches": round(fit.parameters.matches, 3),
        "expected_relatives": [round(x, 3) for x in fit.parameters.relatives],
        "prior": fit.parameters.prior,
        "matches": len(chosen),
        "histogram": scoring.histogram(probability, weight),
        "thresholds": scoring.thresholds_table(probability, 0.0),
        "components_solved_greedily": greedy,
    }
    return PairResult(
        found.left[chosen], found.right[chosen], probability[chosen], weight[chosen], report, own
    )
