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

#: Vectors handed to recordlinkage's ECM at most; it takes vectors, not counts.
_ECM_VECTORS = 100_000


@dataclass(frozen=True)
class Parameters:
    """What the model knows.

    Attributes
    ----------
    m, u : tuple of ndarray, each of shape (n_categories,)
        Per comparison: the share of each category among matches, and among all other pairs.
    matches : float
        Expected number of matches among the candidates.
    pairs : float
        All pairs of the two sources.
    """

    m: tuple[Floats, ...]
    u: tuple[Floats, ...]
    matches: float
    pairs: float

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


def weights(values: Ints, parameters: Parameters) -> Floats:
    """Match weight of each pattern, log2(m/u) summed over the comparisons that are not missing."""
    total = np.zeros(len(values))
    for column, (m, u) in enumerate(zip(parameters.m, parameters.u, strict=True)):
        ratio = np.append(np.log2(m) - np.log2(u), 0.0)  # the last entry is reached by -1: missing
        total += ratio[values[:, column]]
    return total


def probabilities(weight: Floats, parameters: Parameters) -> Floats:
    """Probability of a match for a weight in log2, by the prior over all pairs."""
    others = max(parameters.pairs - parameters.matches, 1e-300)
    return np.asarray(expit(np.log(2.0) * weight + np.log(max(parameters.matches, 1e-300)) - np.log(others)))


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
    matched = patterns.candidates * probabilities(weights(patterns.values, old), old)
    unmatched = patterns.candidates - matched + patterns.others
    m = tuple(
        _shares(patterns.values[:, g], matched, size, m_pseudo[g]) for g, size in enumerate(sizes)
    )
    u = tuple(
        old.u[g]
        if fixed_u[g]
        else _shares(patterns.values[:, g], unmatched, size, np.full(size, u_pseudo / size))
        for g, size in enumerate(sizes)
    )
    return Parameters(m, u, float(matched.sum()), old.pairs)


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


def random_shares(patterns: Patterns, sizes: Sequence[int]) -> tuple[Floats, ...]:
    """Share of each category over all pairs: the start of u, for matches are few among all pairs."""
    everything = patterns.candidates + patterns.others
    return tuple(
        _shares(patterns.values[:, g], everything, size, np.full(size, 0.5 / size))
        for g, size in enumerate(sizes)
    )


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
    found = ecm(agree, patterns.candidates)
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
    return Parameters(tuple(m), u, matches, pairs), "recordlinkage" if useful else "rule"


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
