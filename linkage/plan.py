"""How the filters of a run are compared, and the pairs of two sources with their similarities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crypto.encoding.types import FilterSpec, LinkSpec
from linkage import candidates, comparison, patterns
from linkage.comparison import FilterLevels
from linkage.model import Gaps, Near, gaps_of
from linkage.records import Source, common_filters
from linkage.scan.stream import Progress
from linkage.scanning import Limits
from linkage.smoothing import neighbours

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Pairs sampled at random per source pair (all of them where there are no more).
SAMPLE = 300_000

#: The engine's own seed; the sample is part of the result's definition, not a secret.
_SEED = 20_230_701

#: Categories of one comparison at most; beyond it, dependent filters stay apart.
_MOST_CATEGORIES = 1000

#: Agreeing composite keys that are told apart by their number: one, two, three and more.
_KEYS_COUNTED = 3

#: Whether any composite key agrees: compared together with the views, as if it were one of them. Among
#: strangers one key in millions does.
ANY_KEY = "any key"
_ANY_KEY = FilterLevels(FilterSpec(ANY_KEY, 64, "agreement", (), True), (1.0,), 0.0, 0.2)

#: Diffused views that are compared jointly at most.
_MOST_VIEWS = 4


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

    def __post_init__(self) -> None:
        if any(level.spec.similarity == "key" for level in self.levels.values()):
            self.levels = {**self.levels, ANY_KEY: _ANY_KEY}

    def groups_among(self, names: Sequence[str]) -> list[tuple[str, ...]]:
        """The groups restricted to the given filters, empty ones dropped."""
        held = set(names)
        if any(self.levels[n].spec.similarity == "key" for n in names):
            held.add(ANY_KEY)
        kept = (tuple(n for n in group if n in held) for group in self.groups)
        return [group for group in kept if group]

    def record_level(self, group: tuple[str, ...]) -> bool:
        """Whether a group consists of diffused filters, which hold a whole record each."""
        return all(self.levels[n].spec.similarity == "agreement" for n in group)

    def keys(self, group: tuple[str, ...]) -> bool:
        """Whether a group consists of composite keys, which are compared as one (`key_categories`)."""
        return all(self.levels[n].spec.similarity == "key" for n in group)

    def size(self, group: tuple[str, ...]) -> int:
        """Categories of a group's comparison."""
        if self.keys(group):
            return len(group) * _KEYS_COUNTED
        return patterns.joint_size([self.levels[n].count for n in group])

    def gaps(self, group: tuple[str, ...]) -> Ints:
        """Number of the gap of each category: equal for those in which the same filters are missing."""
        if self.keys(group) or len(group) == 1:
            return np.zeros(self.size(group), np.int64)
        counts = [self.levels[n].count for n in group]
        absent = patterns.decode(np.arange(patterns.joint_size(counts)), counts) < 0
        return np.asarray(np.unique(absent, axis=0, return_inverse=True)[1].ravel(), np.int64)

    def near(self, group: tuple[str, ...]) -> Near:
        """What the categories of a group lend each other: levels of diffused views are fine and noisy."""
        if not self.record_level(group):
            return None
        return neighbours([self.levels[n].count for n in group], [n != ANY_KEY for n in group])

    def gaps_among(self, counted: patterns.Patterns, groups: Sequence[tuple[str, ...]]) -> tuple[Gaps, ...]:
        """How frequent gaps are over all pairs, by group."""
        return gaps_of(counted, [self.gaps(g) for g in groups], [self.near(g) for g in groups])

    def merge(self, first: tuple[str, ...], second: tuple[str, ...]) -> bool:
        """Compare two groups (as restricted to some filters) as one from now on, unless that is too fine."""
        one = next(g for g in self.groups if first[0] in g)
        two = next(g for g in self.groups if second[0] in g)
        if one == two or self.size((*one, *two)) > _MOST_CATEGORIES:
            return False
        if any(self.record_level(g) or self.keys(g) for g in (one, two)):
            return False  # the noise of diffusion is drawn for each view by itself
        self.groups = [(*one, *two) if g == one else g for g in self.groups if g != two]
        return True


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
    views = [f.name for f in spec.filters if f.similarity == "agreement"]
    levels = {f.name: comparison.choose_levels(f, pooled[f.name], len(views)) for f in spec.filters}
    # Diffused views of a record share fields: what they say depends on each other in every class of pairs, so
    # they are compared jointly, as many as can be.
    keys = tuple(f.name for f in spec.filters if f.similarity == "key")
    plain = {name: values for name, values in pooled.items() if name not in (*views, *keys)}
    joint = [tuple(views[i : i + _MOST_VIEWS]) for i in range(0, len(views), _MOST_VIEWS)]
    if keys:
        joint = [(*(joint[0] if joint else ()), ANY_KEY), *joint[1:], keys]
    return Plan(levels, comparison.dependent_groups(plain) + joint)


def key_categories(agree: NDArray[np.int8]) -> Ints:
    """One category for several composite keys: the first that agrees, and how many do.

    Keys share fields, so they agree together: a son who bears his father's name shares all keys of names and
    address, twins those of surname and birth. Which key comes first, in the profile's order, and how many
    there are tells these apart from a person with a damaged field. Whether any key agrees at all is part of
    the comparison of views (`ANY_KEY`), since what damages the keys of a person damages her views as well.

    Parameters
    ----------
    agree : ndarray of int8, shape (n_keys, n_pairs)
        1, 0, or -1 where either side lacks the key.

    Returns
    -------
    ndarray of int64, shape (n_pairs,)
        -1 where no key agrees. Earlier keys, and more of them, have higher categories.
    """
    count = np.minimum((agree == 1).sum(axis=0), _KEYS_COUNTED)
    first = np.argmax(agree == 1, axis=0)
    return np.where(count > 0, (len(agree) - 1 - first) * _KEYS_COUNTED + count - 1, -1).astype(np.int64)


def categories(
    plan: Plan, groups: Sequence[tuple[str, ...]], similarity: dict[str, Floats]
) -> NDArray[np.int64]:
    columns = []
    for group in groups:
        levels = [comparison.to_levels(_of(similarity, n, plan), plan.levels[n].thresholds) for n in group]
        if plan.keys(group):
            columns.append(key_categories(np.stack(levels)))
            continue
        columns.append(patterns.joint_categories(levels, [plan.levels[n].count for n in group]))
    return np.stack(columns, axis=1)


def _of(similarity: dict[str, Floats], name: str, plan: Plan) -> Floats:
    if name != ANY_KEY:
        return similarity[name]
    keys = [values for n, values in similarity.items() if plan.levels[n].spec.similarity == "key"]
    return np.asarray(np.fmax.reduce(keys))


def scores_of(plan: Plan, group: tuple[str, ...]) -> Floats:
    """Agreement of each joint category from 0 to 1: the best of its filters' levels, roughly averaged."""
    if plan.keys(group):
        return np.ones(plan.size(group))
    counts = [plan.levels[n].count for n in group]
    single = [plan.levels[n].scores for n in group]
    if len(group) == 1:
        return single[0]
    digits = patterns.decode(np.arange(patterns.joint_size(counts)), counts)
    shares = np.stack([np.append(s, np.nan)[d] for s, d in zip(single, digits.T, strict=True)], axis=1)
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
            categories(plan, groups, self.inside),
            categories(plan, groups, self.outside),
            max(0.0, self.total - len(self.found.left)),
            [plan.size(g) for g in groups],
        )


def compare(
    a: Source, b: Source, plan: Plan, sample: RandomPairs, found: candidates.Candidates, threads: int
) -> Compared:
    """Compare the candidates of two sources (or within one)."""
    inside = {
        n: comparison.similarity(
            a.encodings, b.encodings, plan.levels[n].spec, found.left, found.right, threads
        )
        for n in sample.similarity
    }
    names = _names(plan, list(inside))
    if names is not None:
        rows = found.left, found.right
        inside |= comparison.changed_places(a.encodings, b.encodings, names, inside, *rows, threads)
    n_b = len(b.encodings)
    fresh = ~np.isin(sample.left * n_b + sample.right, found.left * n_b + found.right)
    return Compared(found, inside, {n: v[fresh] for n, v in sample.similarity.items()}, sample.total)


def _names(plan: Plan, held: Sequence[str]) -> tuple[FilterLevels, FilterLevels] | None:
    """The two plain filters that come first, if they are as wide as each other: given name and surname.

    None where their union is compared, which is the same for names that changed places.
    """
    levels = [plan.levels[n] for n in held]
    plain = [each for each in levels if each.spec.similarity == "dice" and not each.spec.exact][:2]
    if len(plain) < 2 or "|" in plain[0].spec.name or plain[0].spec.width != plain[1].spec.width:
        return None
    return plain[0], plain[1]


def find(
    a: Source,
    b: Source,
    plan: Plan,
    sample: RandomPairs,
    limits: Limits,
    scan_threshold: float | None,
    progress: Progress,
) -> candidates.Candidates:
    """The candidates of two sources (or within one)."""
    return candidates.find(
        a.encodings,
        b.encodings,
        [plan.levels[n] for n in sample.similarity],
        sample.similarity,
        limits,
        threshold=scan_threshold,
        within=a.name == b.name,
        progress=progress,
    )
