"""The Fellegi–Sunter model, estimated by expectation-maximisation as a pure function of pattern counts.

Fellegi and Sunter, "A theory for record linkage", JASA 64 (1969); missing comparisons drop out of the product
(no information). The random class is estimated over *all* pairs of the two sources, candidates counted
exactly and the rest by a random sample, so the way in which candidates were selected does not bend it; pairs
outside the candidates are taken as no matches, so the match class cannot drift to whatever else is common.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from linkage.patterns import Patterns

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Shares of categories by class, comparison and category.
Classes = tuple[tuple[Floats, ...], ...]

#: Vectors handed to recordlinkage's ECM at most; it takes vectors, not counts.
_ECM_VECTORS = 100_000


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
    """

    m: tuple[Floats, ...]
    u: tuple[Floats, ...]
    matches: float
    pairs: float
    r: Classes = ()
    relatives: tuple[float, ...] = ()

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


def _log_likelihood(values: Ints, shares: Sequence[Floats]) -> Floats:
    """Natural logarithm of a pattern's probability in a class; missing comparisons count nothing."""
    total = np.zeros(len(values))
    for column, share in enumerate(shares):
        total += np.append(np.log(share), 0.0)[values[:, column]]  # the last entry is reached by -1: missing
    return total


def log_evidence(values: Ints, p: Parameters) -> tuple[Floats, Floats, Floats]:
    """Logarithm of each class's expected number of pairs per pattern: matches, relatives, random pairs.

    Relatives have shape (n_classes, n_patterns).
    """
    match = _log_likelihood(values, p.m) + np.log(max(p.matches, 1e-300))
    random = _log_likelihood(values, p.u) + np.log(max(p.pairs - p.matches - sum(p.relatives), 1e-300))
    related = [
        _log_likelihood(values, shares) + np.log(max(count, 1e-300))
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
    return (log_odds(values, p) - prior) / np.log(2.0)


def _shares(values: Ints, counts: Floats, size: int, pseudo: Floats) -> Floats:
    known = values >= 0
    total = np.bincount(values[known], weights=counts[known], minlength=size) + pseudo
    return np.asarray(total / total.sum())


def step(
    patterns: Patterns,
    sizes: Sequence[int],
    old: Parameters,
    m_pseudo: Sequence[Floats],
    u_pseudo: float,
    fixed_u: Sequence[bool],
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
    """
    match, relative, random = log_evidence(patterns.values, old)
    everyone = np.logaddexp.reduce([match, *relative, random])
    matched = patterns.candidates * np.exp(match - everyone)
    related = patterns.candidates * np.exp(relative - everyone)
    unmatched = patterns.candidates - matched - related.sum(axis=0) + patterns.others

    def shares(counts: Floats, pseudo: Sequence[Floats]) -> tuple[Floats, ...]:
        return tuple(_shares(patterns.values[:, g], counts, s, pseudo[g]) for g, s in enumerate(sizes))

    u = shares(unmatched, [np.full(size, u_pseudo / size) for size in sizes])
    return Parameters(
        shares(matched, m_pseudo),
        tuple(old.u[g] if fixed_u[g] else u[g] for g in range(len(sizes))),
        float(matched.sum()),
        old.pairs,
        old.r,
        tuple(float(x) for x in related.sum(axis=1)),
    )


def estimate(
    patterns: Patterns,
    sizes: Sequence[int],
    start: Parameters,
    *,
    m_pseudo: Sequence[Floats] | None = None,
    u_pseudo: float = 0.5,
    fixed_u: Sequence[bool] | None = None,
    tolerance: float = 1e-6,
    max_iterations: int = 1000,
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
        new = step(patterns, sizes, old, m_pseudo, u_pseudo, fixed_u)
        change = abs(new.matches - old.matches) / max(old.matches, 1.0)
        for was, now in zip((*old.m, *old.u), (*new.m, *new.u), strict=True):
            change = max(change, float(np.abs(was - now).max()))
        old, converged = new, change < tolerance
    return Fit(old, converged, iteration)


def relative_classes(
    patterns: Patterns, sizes: Sequence[int], scores: Sequence[Floats], *, max_iterations: int = 200
) -> tuple[Classes, tuple[float, ...]]:
    """How pairs that are no matches come to be alike, as latent classes of the pairs inside one source.

    Two classes alone, matches and random pairs, take brothers and sisters at one address for matches. Inside a
    deduplicated source there are no matches, so whatever is alike there by more than chance belongs to such a
    class: one is started from the pairs that agree in each comparison, and all are estimated beside the
    random pairs (Lazarsfeld and Henry, "Latent structure analysis", 1968).

    Returns
    -------
    (classes, pairs of each)
    """
    values, counts = patterns.values, patterns.candidates

    def shares(weight: Floats) -> tuple[Floats, ...]:
        return tuple(
            _shares(values[:, g], weight, size, np.full(size, 1.0 / size)) for g, size in enumerate(sizes)
        )

    agree = [(values[:, g] >= 0) & (np.append(s, 0.0)[values[:, g]] >= 0.75) for g, s in enumerate(scores)]
    seeds = [counts * a for a in agree if float(counts @ a) >= 10]
    u, classes = random_shares(patterns, sizes), [shares(seed) for seed in seeds]
    number = np.array([seed.sum() for seed in seeds])
    total = float((patterns.candidates + patterns.others).sum())
    for _ in range(max_iterations if len(classes) else 0):
        logs = [_log_likelihood(values, u) + np.log(max(total - number.sum(), 1.0))]
        logs += [_log_likelihood(values, c) + np.log(max(n, 1e-300)) for c, n in zip(classes, number, strict=True)]
        member = counts * np.exp(np.array(logs[1:]) - np.logaddexp.reduce(logs))
        before, number = number, member.sum(axis=1)
        classes = [shares(weight) for weight in member]
        u = tuple(
            _shares(values[:, g], counts - member.sum(axis=0) + patterns.others, size, np.full(size, 0.5 / size))
            for g, size in enumerate(sizes)
        )
        if float(np.abs(number - before).max()) < 1e-3 * float(number.max()):
            break
    kept = [i for i in range(len(classes)) if number[i] >= 5]
    return tuple(classes[i] for i in kept), tuple(float(number[i]) for i in kept)


def correlations(values: Ints, counts: Floats, scores: Sequence[Floats]) -> Floats:
    """Correlation of every two comparisons' scores over patterns with counts; 0 where nothing varies."""
    size = len(scores)
    out = np.zeros((size, size))
    for g in range(size):
        for h in range(g + 1, size):
            both = (values[:, g] >= 0) & (values[:, h] >= 0)
            weight = counts[both]
            if weight.sum() < 30:
                continue
            x, y = scores[g][values[both, g]], scores[h][values[both, h]]
            x, y = x - np.average(x, weights=weight), y - np.average(y, weights=weight)
            spread = float(np.sqrt((weight @ x**2) * (weight @ y**2)))
            if spread > 1e-9 * float(weight.sum()):
                out[g, h] = float(weight @ (x * y)) / spread
    return out


def dependent(
    among_matches: Floats, among_others: Floats, limit: float = 0.5, floor: float = 0.1
) -> list[tuple[int, int]]:
    """Comparisons that are one piece of evidence: whoever moves changes street and town at once.

    They correlate above ``limit`` among the matches, and above ``floor`` also among persons who are certainly
    different: what agrees only in matches is evidence twice.
    """
    found = np.argwhere((among_matches > limit) & (among_others > floor))
    return [(int(g), int(h)) for g, h in sorted(found.tolist(), key=lambda p: -among_matches[p[0], p[1]])]


def random_shares(patterns: Patterns, sizes: Sequence[int]) -> tuple[Floats, ...]:
    """Share of each category over all pairs: the start of u, for matches are few among all pairs."""
    everything = patterns.candidates + patterns.others
    return tuple(
        _shares(patterns.values[:, g], everything, size, np.full(size, 0.5 / size))
        for g, size in enumerate(sizes)
    )


def with_given_u(p: Parameters, u: Sequence[Floats], given: Sequence[bool]) -> Parameters:
    """The parameters with some comparisons' u replaced.

    One record-level comparison alone cannot tell two classes apart, whatever the number of pairs; once it is
    known how different persons compare, everything beyond is matches.
    """
    return replace(p, u=tuple(new if g else old for old, new, g in zip(p.u, u, given, strict=True)))


def ecm(agreements: NDArray[np.int8], counts: Floats) -> tuple[Floats, Floats, float] | None:
    """m, u and prior of complete binary patterns by recordlinkage's ECMClassifier.

    Parameters
    ----------
    agreements : ndarray of int8, shape (n_patterns, n_comparisons)
        1 agree, 0 not, -1 missing: such patterns are left out, for the classifier refuses gaps.
    counts : ndarray of float, shape (n_patterns,)

    Returns
    -------
    (m, u, prior) or None
        Shares of agreement among matches and others. None where it cannot tell: a comparison never varies,
        fewer than two comparisons, or a class that collapsed.
    """
    import recordlinkage

    complete = (agreements >= 0).all(axis=1) & (counts > 0)
    vectors, number = agreements[complete], counts[complete]
    if vectors.shape[1] < 2 or not len(vectors) or bool((vectors.min(axis=0) == vectors.max(axis=0)).any()):
        return None
    if number.sum() > _ECM_VECTORS:
        number = np.ceil(number * (_ECM_VECTORS / number.sum()))
    frame = pd.DataFrame(np.repeat(vectors, number.astype(np.int64), axis=0))
    classifier = recordlinkage.ECMClassifier(max_iter=500)
    level = logging.getLogger().level
    with np.errstate(all="ignore"):
        classifier.fit(frame)
    assert logging.getLogger().level == level
    columns = range(vectors.shape[1])
    m = np.array([classifier.m_probs[c].get(1, 0.0) for c in columns])
    u = np.array([classifier.u_probs[c].get(1, 0.0) for c in columns])
    prior = float(classifier.p)
    if not (np.isfinite(m).all() and np.isfinite(u).all() and 0.0 < prior < 1.0):
        return None
    if np.log(np.clip(m, 1e-6, 1) / np.clip(u, 1e-6, 1)).sum() < 0:  # it named the classes the other way round
        m, u, prior = u, m, 1.0 - prior
    return m, u, prior


def starting_values(
    patterns: Patterns,
    sizes: Sequence[int],
    scores: Sequence[Floats],
    pairs: float,
    most_matches: float,
    r: Classes = (),
) -> tuple[Parameters, str]:
    """Where the estimation starts: recordlinkage's ECM on binary patterns, or by rule where it cannot tell.

    Parameters
    ----------
    scores : sequence of ndarray, each of shape (n_categories,)
        Agreement of each category from 0 (none) to 1 (identical).
    pairs : float
        All pairs of the two sources.
    most_matches : float
        No more matches than this are possible.
    r : tuple of tuple of ndarray
        Classes of relatives, if known. The binary classifier has no such class and would
        take them for matches, so the start is then by rule.

    Returns
    -------
    (Parameters, str)
        And "recordlinkage" or "rule".
    """
    u = random_shares(patterns, sizes)
    agree = np.full(patterns.values.shape, -1, np.int8)
    for g, score in enumerate(scores):
        known = patterns.values[:, g] >= 0
        agree[known, g] = score[patterns.values[known, g]] >= 0.75
    found = None if r else ecm(agree, patterns.candidates)
    useful = found is not None and bool((found[0] > found[1]).all() and found[0].mean() > 0.5)
    share = found[0] if found is not None and useful else np.full(len(sizes), 0.9)
    m = []
    for g, (size, score) in enumerate(zip(sizes, scores, strict=True)):
        inside = _shares(patterns.values[:, g], patterns.candidates, size, np.full(size, 1e-3)) * np.exp(4 * score)
        high = score >= 0.75
        top = min(max(float(share[g]), 0.05), 0.995)
        shares = np.where(high, top * inside / max(inside[high].sum(), 1e-300), 0.0)
        shares += np.where(high, 0.0, (1 - top) * inside / max(inside[~high].sum(), 1e-300))
        m.append(shares / shares.sum())
    expected = found[2] * float(patterns.candidates.sum()) if found is not None and useful else 0.5 * most_matches
    matches = float(np.clip(expected, 1.0, max(0.95 * most_matches, 1.0)))
    return Parameters(tuple(m), u, matches, pairs, r, (most_matches,) * len(r)), "recordlinkage" if useful else "rule"


def doubts(
    fit: Fit, scores: Sequence[Floats], names: Sequence[str], most_matches: float, candidates: float
) -> Fit:
    """The fit with warnings wherever its match class does not look like matches."""
    p = fit.parameters
    warnings = [] if fit.converged else ["The estimation did not converge."]
    if p.matches < 0.5:
        warnings.append("The model finds no matches.")
    elif p.matches > 1.05 * most_matches:
        warnings.append("The model expects more matches than there are records to match.")
    for g, score in enumerate(scores):
        if p.matches >= 0.5 and float(p.m[g] @ score) <= float(p.u[g] @ score):
            warnings.append(f"Matches agree no more than random pairs in {names[g]!r}.")
    if candidates and p.matches / candidates > 0.98 and candidates > 100:
        warnings.append("Nearly every candidate is taken for a match.")
    return replace(fit, warnings=tuple(warnings))
