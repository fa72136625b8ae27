"""From two filters to an ordered level of agreement; a missing filter is no information (level -1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crypto.encoding.types import Encodings, FilterColumn, FilterSpec
from linkage import kernels

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Default levels of a Dice filter, as the share of the way that a pair falls short of identity, where 1 is
#: the similarity of two random records. Relative, because filters differ in fill and so in chance similarity.
_SHORTFALLS = (0.0, 0.14, 0.28, 0.42, 0.62)
#: Levels of a diffused filter, in standard deviations above two random records.
#: The more views there are, the coarser each, since they are compared jointly.
_DEVIATIONS = (
    (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0, 8.0, 9.0, 10.0, 12.0, 15.0, 20.0, 30.0),
    (1.0, 1.75, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 10.0, 13.0, 18.0, 28.0),
    (1.5, 2.5, 3.25, 4.0, 5.0, 6.5, 9.0, 14.0, 25.0),
    (2.0, 3.0, 4.0, 6.0, 10.0, 20.0),
)

#: Deviations above chance that no two strangers reach by chance alone.
_CERTAIN = 6.0


@dataclass(frozen=True)
class FilterLevels:
    """How one filter is compared.

    Attributes
    ----------
    spec : FilterSpec
    thresholds : tuple of float
        Descending; a pair's level is the number of thresholds that its similarity reaches from below, so
        that level 0 is none and ``len(thresholds)`` the highest.
    chance : float
        Mean similarity of two random records.
    spread : float
        Its standard deviation.
    """

    spec: FilterSpec
    thresholds: tuple[float, ...]
    chance: float
    spread: float

    @property
    def scores(self) -> Floats:
        """Agreement of each level from 0 to 1, for telling agreement from the lack of it; shape (count,).

        A plain filter's levels are taken as evenly spaced. A diffused one says enough at `_CERTAIN`
        deviations above chance: what lies beyond differs in noise only.
        """
        if self.spec.similarity != "agreement":
            return np.arange(self.count) / max(1, self.count - 1)
        ascending = np.array(sorted(self.thresholds))
        above = (ascending - self.chance) / max(self.spread, 1e-4)
        return np.concatenate([[0.0], np.clip(above / _CERTAIN, 0.0, 1.0)])

    @property
    def count(self) -> int:
        """Number of levels without "missing"."""
        return len(self.thresholds) + 1


def similarity(
    a: Encodings, b: Encodings, spec: FilterSpec, left: Ints, right: Ints, threads: int = 2
) -> Floats:
    """Similarity of each pair in one filter, NaN where either side's filter is missing, shape (n_pairs,)."""
    return _alike(a.filters[spec.name], b.filters[spec.name], spec, left, right, threads)


def changed_places(
    a: Encodings,
    b: Encodings,
    pair: tuple[FilterLevels, FilterLevels],
    similarity: Mapping[str, Floats],
    left: Ints,
    right: Ints,
    threads: int = 2,
) -> dict[str, Floats]:
    """The similarity of two filters, raised to their lowest level where they agree crosswise, not directly.

    Given name and surname change places in one record of some hundred; made under one key, as names are,
    their filters can be compared with each other. Under different keys nothing agrees crosswise, and nothing
    is raised. Names that were swapped are no identical ones: they count as similar.

    Parameters
    ----------
    pair : (FilterLevels, FilterLevels)
        Two plain filters of the same width.
    similarity : mapping of str to ndarray
        The direct one, by filter.
    """
    one, two = pair
    names = one.spec.name, two.spec.name
    least = min(one.thresholds), min(two.thresholds)
    apart = np.flatnonzero((similarity[names[0]] < least[0]) & (similarity[names[1]] < least[1]))
    rows = left[apart], right[apart]
    across = _alike(a.filters[names[0]], b.filters[names[1]], one.spec, *rows, threads)
    back = _alike(a.filters[names[1]], b.filters[names[0]], two.spec, *rows, threads)
    swapped = apart[(across >= max(least)) & (back >= max(least))]
    raised = {name: similarity[name].copy() for name in names}
    for name, value in zip(names, least, strict=True):
        raised[name][swapped] = value
    return raised


def _alike(
    column_a: FilterColumn, column_b: FilterColumn, spec: FilterSpec, left: Ints, right: Ints, threads: int
) -> Floats:
    both = column_a.present[left] & column_b.present[right]
    out = np.full(len(left), np.nan)
    if both.any():
        rows_a, rows_b = left[both], right[both]
        distance = kernels.pair_distances(column_a.words, column_b.words, rows_a, rows_b, threads)
        size_a = kernels.sizes(column_a.words, spec.similarity)
        size_b = kernels.sizes(column_b.words, spec.similarity)
        out[both] = kernels.similarity_of(distance, size_a[rows_a] + size_b[rows_b])
        if spec.similarity == "key":  # equal or not; how many bits of two digests differ is chance
            out[both] = distance == 0
    return out


def choose_levels(spec: FilterSpec, random_similarity: Floats, views: int = 1) -> FilterLevels:
    """Levels for a filter: the profile's, or by default placed between chance and identity.

    Parameters
    ----------
    random_similarity : ndarray of float, shape (n,)
        Similarities of random pairs; NaN where missing.
    views : int
        Diffused filters of the profile.
    """
    known = random_similarity[~np.isnan(random_similarity)]
    chance = float(known.mean()) if len(known) else 0.0
    spread = float(known.std()) if len(known) else 0.0
    if spec.similarity == "agreement" and len(known):
        chance, spread = by_most(known)
    if spec.exact:
        thresholds: tuple[float, ...] = (1.0,)
    elif spec.levels:
        for threshold in spec.levels:
            kernels.exact_threshold(threshold)
        thresholds = tuple(sorted(set(spec.levels), reverse=True))
    elif spec.similarity == "agreement":
        chosen = _DEVIATIONS[min(max(views, 1), len(_DEVIATIONS)) - 1]
        steps = (chance + z * max(spread, 1e-4) for z in reversed(chosen))
        thresholds = (1.0, *(round(t, 6) for t in steps if t < 1.0))
    else:
        thresholds = tuple(round(1.0 - (1.0 - chance) * short, 6) for short in _SHORTFALLS)
    return FilterLevels(spec, thresholds, chance, spread)


def by_most(values: Floats) -> tuple[float, float]:
    """Mean and standard deviation of a normal law by its quantiles: the few matches in it do not count."""
    low, middle, high = np.quantile(values, [0.158655, 0.5, 0.841345])
    return float(middle), float(high - low) / 2


def to_levels(values: Floats, thresholds: Sequence[float]) -> NDArray[np.int8]:
    """Level of each similarity: thresholds reached, -1 for NaN."""
    ascending = np.asarray(sorted(thresholds))
    # A similarity is a ratio of whole numbers below 2**16: this slack mends its rounding and nothing else.
    levels = np.searchsorted(ascending, values + 1e-9, side="right").astype(np.int8)
    levels[np.isnan(values)] = -1
    return levels


def dependent_groups(random_similarities: Mapping[str, Floats], limit: float = 0.25) -> list[tuple[str, ...]]:
    """Filters that repeat each other's evidence, to be compared as one.

    A name filter and its parts, or a street and its town, are alike together also in random pairs; counting
    them as independent would count the same evidence twice. Filters whose similarities correlate above
    ``limit`` over random pairs are joined (transitively) into one comparison over their joint levels.
    """
    names = list(random_similarities)
    group = {name: name for name in names}
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            x, y = random_similarities[first], random_similarities[second]
            known = ~(np.isnan(x) | np.isnan(y))
            if known.sum() < 1000 or x[known].std() == 0 or y[known].std() == 0:
                continue
            if abs(float(np.corrcoef(x[known], y[known])[0, 1])) > limit:
                old, new = group[second], group[first]
                group = {name: new if g == old else g for name, g in group.items()}
    return [tuple(n for n in names if group[n] == g) for g in dict.fromkeys(group.values())]
