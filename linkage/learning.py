"""Where an estimation starts, what recordlinkage says, and what is learnt inside a source before it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from linkage.comparison import FilterLevels
from linkage.model import (
    Classes,
    Fit,
    Floats,
    Gaps,
    Ints,
    Near,
    Parameters,
    class_log_likelihood,
    random_shares,
    shares_of,
)
from linkage.patterns import Patterns, decode, encode, joint_size
from linkage.smoothing import smoothed

#: Score of a category from which it counts as agreement.
AGREES = 0.75
#: A class of relatives, where it could be one of matches: its mean score over all comparisons is lower, and
#: in so large a share of them so few agree. Matches with many errors have them now here, now there.
_LIKE, _APART, _SELDOM = 0.6, 1 / 3, 0.15

#: Vectors handed to recordlinkage's ECM at most; it takes vectors, not counts.
_ECM_VECTORS = 100_000

#: Pairs from which a class of relatives is started; half as many must be left in the end.
_SEED = 10


def relative_classes(
    patterns: Patterns,
    sizes: Sequence[int],
    scores: Sequence[Floats],
    gaps: Sequence[Gaps] = (),
    *,
    max_iterations: int = 200,
) -> tuple[Classes, tuple[float, ...]]:
    """How pairs that are no matches come to be alike, as latent classes of the pairs inside one source.

    Two classes alone, matches and random pairs, take brothers and sisters at one address for matches.
    Inside a deduplicated source there are no matches, so whatever is alike there by more than chance belongs
    to such a class: one is started from the pairs that agree in each comparison, and all are estimated beside
    the random pairs (Lazarsfeld and Henry, "Latent structure analysis", 1968).

    A class reaches over all pairs, whatever made them candidates: those who live in one town are mostly none.

    Returns
    -------
    (classes, pairs of each)
    """
    values, counts = patterns.values, patterns.candidates + patterns.others

    def shares(weight: Floats) -> tuple[Floats, ...]:
        near = [gap.near for gap in gaps] or [None] * len(sizes)
        found = [
            shares_of(values[:, g], weight, size, np.full(size, 1.0 / size), near[g])
            for g, size in enumerate(sizes)
        ]
        return tuple(gap.even(x) for gap, x in zip(gaps, found, strict=True)) if gaps else tuple(found)

    seeds = [counts * a for a in _seeds(values, scores) if float(counts @ a) >= _SEED]
    u, classes = random_shares(patterns, sizes), [shares(seed) for seed in seeds]
    number = np.array([seed.sum() for seed in seeds])
    total = float(counts.sum())
    for _ in range(max_iterations if len(classes) else 0):
        logs = [class_log_likelihood(values, u) + np.log(max(total - number.sum(), 1.0))]
        logs += [
            class_log_likelihood(values, c) + np.log(max(n, 1e-300))
            for c, n in zip(classes, number, strict=True)
        ]
        member = counts * np.exp(np.array(logs[1:]) - np.logaddexp.reduce(logs))
        before, number = number, member.sum(axis=1)
        classes = [shares(weight) for weight in member]
        u = tuple(
            shares_of(values[:, g], counts - member.sum(axis=0), size, np.full(size, 0.5 / size))
            for g, size in enumerate(sizes)
        )
        if float(np.abs(number - before).max()) < 1e-3 * float(number.max()):
            break
    kept = [i for i in range(len(classes)) if number[i] >= 0.5 * _SEED]
    return tuple(classes[i] for i in kept), tuple(float(number[i]) for i in kept)


def relatives_among_all(
    patterns: Patterns, sizes: Sequence[int], scores: Sequence[Floats], gaps: Sequence[Gaps]
) -> tuple[Classes, tuple[float, ...]]:
    """Classes of relatives where no pairs are known to be different persons, as `relative_classes`.

    Matches are among the classes that are found: those that agree in nearly everything, and those with many
    errors. Relatives are alike in some comparisons and strangers in the others.
    """
    classes, numbers = relative_classes(patterns, sizes, scores, gaps)
    kept = [i for i, shares in enumerate(classes) if _of_relatives(shares, scores)]
    return tuple(classes[i] for i in kept), tuple(numbers[i] for i in kept)


def _of_relatives(shares: Sequence[Floats], scores: Sequence[Floats]) -> bool:
    likeness = [float(share @ score) for share, score in zip(shares, scores, strict=True)]
    agreeing = [float(share[score >= AGREES].sum()) for share, score in zip(shares, scores, strict=True)]
    return float(np.mean(likeness)) < _LIKE and float(np.mean(np.array(agreeing) <= _SELDOM)) >= _APART


def _seeds(values: Ints, scores: Sequence[Floats]) -> Iterator[NDArray[np.bool_]]:
    """Patterns that agree in one comparison (relatives), and in all that are known but one (namesakes).

    A son who bears his father's name agrees in everything but the date of birth, a twin in everything but the
    given name. They are few, and no class of people who merely share a household foresees them.
    """
    agree = np.stack(
        [(values[:, g] >= 0) & (np.append(s, 0.0)[values[:, g]] >= AGREES) for g, s in enumerate(scores)]
    )
    known = (values >= 0).sum(axis=1)
    yield from agree
    if len(scores) < 3:
        return
    for g, column in enumerate(agree):
        yield (values[:, g] >= 0) & ~column & (agree.sum(axis=0) == known - 1) & (known >= 3)


def by_chance(levels: FilterLevels) -> Floats:
    """Share of each level of a diffused filter among strangers by its normal law, shape (levels.count,).

    An output bit is a sum of many secret bits; the similarity of two strangers is a mean over thousands of
    them. For sources in which no pairs are known to be different persons.
    """
    above = (np.array(sorted(levels.thresholds)) - levels.chance) / max(levels.spread, 1e-4)
    edges = np.concatenate([[1.0], ndtr(-above), [0.0]])
    return np.asarray(np.maximum(-np.diff(edges), 1e-12))


def views_of_strangers(levels: Sequence[FilterLevels]) -> Floats:
    """Share of each joint category of diffused views among strangers, by `by_chance`; a gap weighs as one."""
    each = [by_chance(level) for level in levels]
    if len(each) == 1:
        return each[0]
    cells = decode(np.arange(joint_size([len(s) for s in each])), [len(s) for s in each])
    share = np.exp(class_log_likelihood(cells, each))
    return np.asarray(share / share.sum())


def views_by_chance(
    patterns: Patterns, levels: Sequence[FilterLevels], size: int, near: Near = None
) -> Floats:
    """Share of each joint category of several diffused views among different persons, shape (size,).

    Parameters
    ----------
    patterns : Patterns
        Pairs of different persons, views apart, in the order of ``levels``.
    size : int
        Categories of the joint comparison.
    near : csr_array, optional
        What they lend each other.

    Notes
    -----
    What was counted among the pairs is averaged with what latent classes (strangers and relatives, each with
    independent views) foresee: a cell that nobody fell into is rare, not impossible, and how rare decides.
    """
    sizes = [level.count for level in levels]
    classes, numbers = relative_classes(patterns, sizes, [level.scores for level in levels])
    everything = patterns.candidates + patterns.others
    strangers = max(float(everything.sum()) - sum(numbers), 1.0)
    shares = [(random_shares(patterns, sizes), strangers), *zip(classes, numbers, strict=True)]
    counted = np.zeros(size)
    foreseen = np.zeros(size)
    missing = patterns.values < 0
    cells = decode(np.arange(size), sizes) if len(sizes) > 1 else np.arange(size)[:, None]
    absent = cells < 0
    np.add.at(counted, _cell(patterns.values, sizes), np.where(missing.all(axis=1), 0.0, everything))
    # Gaps that no pair here has may be common elsewhere: how cells compare within them is foreseen alone.
    for gap in np.unique(absent[~absent.all(axis=1)], axis=0):
        like = (absent == gap).all(axis=1)
        density = sum(number * np.exp(class_log_likelihood(cells[like], share)) for share, number in shares)
        total = max(float(everything[(missing == gap).all(axis=1)].sum()), 1.0)
        foreseen[like] = density * (total / max(float(np.sum(density)), 1e-300))
    if near is not None:
        counted = smoothed(counted, near)
    both = 0.5 * counted + 0.5 * foreseen + 1e-9
    return np.asarray(both / both.sum())


def _cell(values: Ints, sizes: Sequence[int]) -> Ints:
    """Joint category of each pattern (0 where all views are missing, which the caller leaves out)."""
    if len(sizes) == 1:
        return np.maximum(values[:, 0], 0)
    return encode(values, sizes)


def with_given_u(p: Parameters, u: Sequence[Floats], given: Sequence[bool]) -> Parameters:
    """The parameters with some comparisons' u replaced.

    One record-level comparison alone cannot tell two classes apart, whatever the number of pairs; once it is
    known how different persons compare, everything beyond is matches.
    """
    return replace(p, u=tuple(new if g else old for old, new, g in zip(p.u, u, given, strict=True)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep recordlinkage from writing to, and from configuring, everybody's root log."""
    root, silent = logging.getLogger(), logging.NullHandler()

    def not_its_own(record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("ECM algorithm")

    root.addHandler(silent)
    root.addFilter(not_its_own)
    try:
        yield
    finally:
        root.removeFilter(not_its_own)
        root.removeHandler(silent)


def binary(values: Ints, scores: Sequence[Floats]) -> NDArray[np.int8]:
    """Patterns as agreement (1), disagreement (0) or missing (-1), shape as ``values``."""
    agree = np.full(values.shape, -1, np.int8)
    for g, score in enumerate(scores):
        known = values[:, g] >= 0
        agree[known, g] = score[values[known, g]] >= AGREES
    return agree


def by_recordlinkage(patterns: Patterns, scores: Sequence[Floats]) -> tuple[Fit, Patterns] | None:
    """recordlinkage's ECM as the estimator: binary agreement, prior over the candidates.

    Returns
    -------
    (Fit, Patterns) or None
        With the patterns in their binary form, in the same order. None where the classifier cannot tell.
    """
    agree = binary(patterns.values, scores)
    found = ecm(agree, patterns.candidates)
    if found is None:
        return None
    m, u, prior = found
    number = float(patterns.candidates.sum())
    m, u = np.clip(m, 1e-9, 1 - 1e-9), np.clip(u, 1e-9, 1 - 1e-9)
    parameters = Parameters(
        tuple(np.array([1 - x, x]) for x in m), tuple(np.array([1 - x, x]) for x in u), prior * number, number
    )
    return Fit(parameters, True, 0), Patterns(agree.astype(np.int64), patterns.candidates, patterns.others)


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
    with _quiet(), np.errstate(all="ignore"):  # the logarithms of shares that are zero
        classifier.fit(frame)
    columns = range(vectors.shape[1])
    m = np.array([classifier.m_probs[c].get(1, 0.0) for c in columns])
    u = np.array([classifier.u_probs[c].get(1, 0.0) for c in columns])
    prior = float(classifier.p)
    if not (np.isfinite(m).all() and np.isfinite(u).all() and 0.0 < prior < 1.0):
        return None
    if (
        np.log(np.clip(m, 1e-6, 1) / np.clip(u, 1e-6, 1)).sum() < 0
    ):  # it named the classes the other way round
        m, u, prior = u, m, 1.0 - prior
    return m, u, prior


def starting_values(
    patterns: Patterns,
    sizes: Sequence[int],
    scores: Sequence[Floats],
    pairs: float,
    most_matches: float,
    r: Classes = (),
    relatives: Sequence[float] = (),
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
    relatives : sequence of float
        Pairs of each that are to be expected.

    Returns
    -------
    (Parameters, str)
        And "recordlinkage" or "rule".
    """
    u = random_shares(patterns, sizes)
    found = None if r else ecm(binary(patterns.values, scores), patterns.candidates)
    useful = found is not None and bool((found[0] > found[1]).all() and found[0].mean() > 0.5)
    share = found[0] if found is not None and useful else np.full(len(sizes), 0.9)
    m = []
    for g, (size, score) in enumerate(zip(sizes, scores, strict=True)):
        inside = shares_of(patterns.values[:, g], patterns.candidates, size, np.full(size, 1e-3)) * np.exp(
            4 * score
        )
        high = score >= AGREES
        top = min(max(float(share[g]), 0.05), 0.995)
        shares = np.where(high, top * inside / max(inside[high].sum(), 1e-300), 0.0)
        shares += np.where(high, 0.0, (1 - top) * inside / max(inside[~high].sum(), 1e-300))
        m.append(shares / shares.sum())
    expected = (
        found[2] * float(patterns.candidates.sum()) if found is not None and useful else 0.5 * most_matches
    )
    matches = float(np.clip(expected, 1.0, max(0.95 * most_matches, 1.0)))
    return Parameters(
        tuple(m), u, matches, pairs, r, tuple(relatives), tuple(relatives), most_matches
    ), "recordlinkage" if useful else "rule"
