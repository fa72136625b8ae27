"""The Fellegi–Sunter model, estimated by expectation-maximisation as a pure function of pattern counts.

Fellegi and Sunter, "A theory for record linkage", JASA 64 (1969); missing comparisons drop out of the product
(no information). The random class is estimated over *all* pairs of the two sources, candidates counted
exactly and the rest by a random sample, so the way in which candidates were selected does not bend it; pairs
outside the candidates are taken as no matches, so the match class cannot drift to whatever else is common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from linkage.patterns import Patterns
from linkage.smoothing import smoothed

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: A doubt that is also raised where no link is made in the end.
NO_MATCHES = "The model finds no matches."

#: Shares of categories by class, comparison and category.
Classes = tuple[tuple[Floats, ...], ...]

#: How the categories of a comparison lend each other pairs (`linkage.smoothing`); None: not at all.
Near: TypeAlias = "sparse.csr_array[Any] | None"


@dataclass(frozen=True)
class Parameters:
    """What the model knows.

    Attributes
    ----------
    m, u : tuple of ndarray, each of shape (n_categories,)
        Per comparison: the share of each category among matches, and among random pairs.
    matches : float
        Expected number of matches among the candidates.
    pairs : float
        All pairs of the two sources.
    r : tuple of tuple of ndarray
        The same shares in each class of relatives: different persons who are alike in some comparisons
        because they share a household, a name or a birthday. Given, not estimated here: they were learnt
        inside a source, where no two records are the same person (`relative_classes`).
    relatives : tuple of float
        Expected number of pairs of each such class.
    foreseen : tuple of float
        How many the sources' own pairs make one expect; averaged with what is found. Who differs from her
        match only as a namesake does is one or the other by their numbers, and with both classes left free
        the one explains the other away. Empty: nothing is expected.
    most : float
        No more matches than this are possible.
    """

    m: tuple[Floats, ...]
    u: tuple[Floats, ...]
    matches: float
    pairs: float
    r: Classes = ()
    relatives: tuple[float, ...] = ()
    foreseen: tuple[float, ...] = ()
    most: float = np.inf

    @property
    def prior(self) -> float:
        """Share of matches among all pairs."""
        return self.matches / self.pairs if self.pairs else 0.0


@dataclass(frozen=True)
class Fit:
    """An estimate and whether it can be trusted.

    Attributes
    ----------
    parameters : Parameters
    converged : bool
        The last step moved no parameter by more than the tolerance; False if the iterations ran out.
    iterations : int
    warnings : tuple of str
        Reasons to doubt the match class; empty if it is plausible.
    """

    parameters: Parameters
    converged: bool
    iterations: int
    warnings: tuple[str, ...] = ()


def class_log_likelihood(values: Ints, shares: Sequence[Floats]) -> Floats:
    """Natural logarithm of a pattern's probability in a class; missing comparisons count nothing."""
    total = np.zeros(len(values))
    for column, share in enumerate(shares):
        total += np.append(np.log(share), 0.0)[values[:, column]]  # the last entry is reached by -1: missing
    return total


def log_evidence(values: Ints, p: Parameters) -> tuple[Floats, Floats, Floats]:
    """Logarithm of each class's expected number of pairs per pattern: matches, relatives, random pairs.

    Relatives have shape (n_classes, n_patterns).
    """
    match = class_log_likelihood(values, p.m) + np.log(max(p.matches, 1e-300))
    random = class_log_likelihood(values, p.u) + np.log(max(p.pairs - p.matches - sum(p.relatives), 1e-300))
    related = [
        class_log_likelihood(values, shares) + np.log(max(count, 1e-300))
        for shares, count in zip(p.r, p.relatives, strict=True)
    ]
    return match, np.array(related).reshape(len(related), len(values)), random


def log_odds(values: Ints, p: Parameters) -> Floats:
    """Natural logarithm of the odds that a pair of each pattern is a match."""
    match, related, random = log_evidence(values, p)
    return np.asarray(match - np.logaddexp.reduce([*related, random]))


def weights(values: Ints, p: Parameters) -> Floats:
    """Match weight of each pattern in log2: what the comparison adds to the prior log-odds."""
    prior = np.log(max(p.matches, 1e-300)) - np.log(max(p.pairs - p.matches, 1e-300))
    return np.asarray((log_odds(values, p) - prior) / np.log(2.0))


def shares_of(values: Ints, counts: Floats, size: int, pseudo: Floats, near: Near = None) -> Floats:
    """Share of each category by counts and pseudo-counts; missing ones (-1) left out. Shape (size,)."""
    known = values >= 0
    total = np.bincount(values[known], weights=counts[known], minlength=size) + pseudo
    if near is not None:
        total = smoothed(total, near)
    return np.asarray(total / total.sum())


@dataclass(frozen=True)
class Gaps:
    """Which parts of one joint comparison are missing in each of its categories.

    Attributes
    ----------
    of : ndarray of int64, shape (n_categories,)
        Number of the gap; categories with the same parts missing have the same.
    share : ndarray of float, shape (n_gaps,)
        Share of each gap over all pairs.
    near : csr_array or None
        What the categories lend each other.
    """

    of: Ints
    share: Floats
    near: Near = None

    def even(self, shares: Floats) -> Floats:
        """The shares with every gap as frequent as it is over all pairs: what is missing says nothing."""
        if len(self.share) == 1:
            return shares
        held = np.bincount(self.of, weights=shares, minlength=len(self.share))
        return np.asarray(np.maximum(shares * (self.share / np.maximum(held, 1e-300))[self.of], 1e-300))


def gaps_of(patterns: Patterns, numbers: Sequence[Ints], near: Sequence[Near]) -> tuple[Gaps, ...]:
    """How frequent gaps are over all pairs.

    Parameters
    ----------
    numbers : sequence of ndarray of int64, each of shape (n_categories,)
        Number of the gap of each category, by comparison.
    near : sequence of csr_array or None
        What the categories lend each other, by comparison.
    """
    everything, out = patterns.candidates + patterns.others, []
    for column, of, lent in zip(patterns.values.T, numbers, near, strict=True):
        known = column >= 0
        share = np.bincount(of[column[known]], weights=everything[known], minlength=int(of.max()) + 1)
        out.append(Gaps(of, share / max(float(share.sum()), 1e-300), lent))
    return tuple(out)


def evened(p: Parameters, gaps: Sequence[Gaps]) -> Parameters:
    """The parameters with gaps as frequent in every class as over all pairs."""

    def even(shares: Sequence[Floats]) -> tuple[Floats, ...]:
        return tuple(gap.even(share) for gap, share in zip(gaps, shares, strict=True))

    return replace(p, m=even(p.m), u=even(p.u), r=tuple(even(c) for c in p.r))


def step(
    patterns: Patterns,
    sizes: Sequence[int],
    old: Parameters,
    m_pseudo: Sequence[Floats],
    u_pseudo: float,
    fixed_u: Sequence[bool],
    gaps: Sequence[Gaps] = (),
) -> Parameters:
    """One E-step and one M-step.

    Parameters
    ----------
    m_pseudo : sequence of ndarray
        Pseudo-counts added per category of the match class.
    u_pseudo : float
        Pseudo-pairs of the random class, spread evenly over each comparison's categories.
    fixed_u : sequence of bool
        Comparisons whose u is given, not estimated.
    gaps : sequence of Gaps
        By comparison; empty: every comparison is of one part only.
    """
    match, relative, random = log_evidence(patterns.values, old)
    everyone = np.logaddexp.reduce([match, *relative, random])
    matched = patterns.candidates * np.exp(match - everyone)
    # Pairs outside the candidates are no matches, but they may be relatives.
    others = np.logaddexp.reduce([*relative, random])
    related = patterns.candidates * np.exp(relative - everyone) + patterns.others * np.exp(relative - others)
    unmatched = patterns.candidates + patterns.others - matched - related.sum(axis=0)

    def shares(counts: Floats, pseudo: Sequence[Floats]) -> tuple[Floats, ...]:
        near = [gap.near for gap in gaps] or [None] * len(sizes)
        found = [shares_of(patterns.values[:, g], counts, s, pseudo[g], near[g]) for g, s in enumerate(sizes)]
        return tuple(gap.even(x) for gap, x in zip(gaps, found, strict=True)) if gaps else tuple(found)

    u = shares(unmatched, [np.full(size, u_pseudo / size) for size in sizes])
    kin = related.sum(axis=1)
    if old.foreseen:
        kin = (kin + np.array(old.foreseen)) / 2
    return replace(
        old,
        m=shares(matched, m_pseudo),
        u=tuple(old.u[g] if fixed_u[g] else u[g] for g in range(len(sizes))),
        matches=min(float(matched.sum()), old.most),
        relatives=tuple(float(x) for x in kin),
    )


def estimate(
    patterns: Patterns,
    sizes: Sequence[int],
    start: Parameters,
    *,
    m_pseudo: Sequence[Floats] | None = None,
    u_pseudo: float = 0.5,
    fixed_u: Sequence[bool] | None = None,
    gaps: Sequence[Gaps] = (),
    tolerance: float = 1e-6,
    max_iterations: int = 5000,
) -> Fit:
    """Estimate m, u and the prior from pattern counts.

    Parameters
    ----------
    patterns : Patterns
    sizes : sequence of int
        Categories of each comparison.
    start : Parameters
    m_pseudo : sequence of ndarray, optional
        Pseudo-counts per category of the match class; by default one match spread evenly.
    tolerance : float
        Largest change of any m, u or of the relative number of matches that counts as none.
    """
    if m_pseudo is None:
        m_pseudo = [np.full(size, 1.0 / size) for size in sizes]
    if fixed_u is None:
        fixed_u = [False] * len(sizes)
    old, converged, iteration = start, False, 0
    while iteration < max_iterations and not converged:
        iteration += 1
        new = step(patterns, sizes, old, m_pseudo, u_pseudo, fixed_u, gaps)
        change = abs(new.matches - old.matches) / max(old.matches, 1.0)
        for was, now in zip((*old.m, *old.u), (*new.m, *new.u), strict=True):
            change = max(change, float(np.abs(was - now).max()))
        old, converged = new, change < tolerance
    return Fit(old, converged, iteration)


def random_shares(patterns: Patterns, sizes: Sequence[int]) -> tuple[Floats, ...]:
    """Share of each category over all pairs: the start of u, for matches are few among all pairs."""
    everything = patterns.candidates + patterns.others
    return tuple(
        shares_of(patterns.values[:, g], everything, size, np.full(size, 0.5 / size))
        for g, size in enumerate(sizes)
    )


def doubts(
    fit: Fit, scores: Sequence[Floats], names: Sequence[str], most_matches: float, candidates: float
) -> Fit:
    """The fit with warnings wherever its match class does not look like matches."""
    p = fit.parameters
    warnings = [] if fit.converged else ["The estimation did not converge."]
    if p.matches < 0.5:
        warnings.append(NO_MATCHES)
    elif p.matches > 1.05 * most_matches:
        warnings.append("The model expects more matches than there are records to match.")
    for g, score in enumerate(scores):
        if p.matches >= 0.5 and np.ptp(score) > 0 and float(p.m[g] @ score) <= float(p.u[g] @ score):
            warnings.append(f"Matches agree no more than random pairs in {names[g]!r}.")
    if candidates and p.matches / candidates > 0.98 and candidates > 100:
        warnings.append("Nearly every candidate is taken for a match.")
    return replace(fit, warnings=tuple(warnings))
