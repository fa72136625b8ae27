"""Graph matching: no pair is known; the two similarity graphs are laid upon each other.

Vidanage, Christen, Ranbaduge and Schnell, "A graph matching attack on privacy-preserving record linkage"
(CIKM 2020), and Schäfer, Armknecht and Heng, "R+R: Revisiting graph matching attacks on privacy-preserving
record linkage" (ACSAC 2024). Both sides are embedded by the leading eigenvectors of their similarities. A
first rotation of the leading axes carries groups of persons whose similarities are distributed alike onto
each other (`cumulants`). It is refined: nearest neighbours that choose each other, by their places and by
what the graph tells of them without axes (`invariants`), give a rotation (orthogonal Procrustes; Schönemann
1966), the rotation gives better neighbours, with more axes each time; at last the clearest partners serve as
known pairs for all others. The attacker starts from several guesses and keeps the one in which the graphs
agree best, which she can see without knowing anybody.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.attacks import cumulants, invariants
from benchmarks.attacks.encodings import Floats, View, likeness, noise_free

Ints = NDArray[np.int64]
Points = NDArray[np.float64]

_MOST_AXES = 96
#: Axes with which places are refined, in order, from the first number that is above the guess's own.
_GROWING = (20, 24, 28, 32, 40, 48, 56, 64, 80, 96)
_STEPS = 3
#: Weight of invariants, in units of their noise, beside places on axes of which the first has unit variance.
_INVARIANT = 0.35
#: Rounds of known pairs, and most pairs in each.
_ROUNDS = 6
_CLEAREST = 400
#: Neighbours whose mean nearness is a hub's discount.
_HUB = 6


def similarities(views: Sequence[View], *, own: bool) -> tuple[Floats, Points]:
    """Sum over views of the similarity graph, centred, and everybody's mean similarity.

    ``own``: noise-free, from the attacker's filters.
    """
    total = sum((noise_free if own else likeness)(view, view) * np.float32(view.width) for view in views)
    out = np.asarray(total, dtype=np.float32)
    np.fill_diagonal(out, np.nan)
    np.nan_to_num(out, copy=False, nan=float(np.nanmean(out)))
    rows = out.mean(axis=1)
    out -= rows[:, None] + rows[None, :] - rows.mean()
    return out, rows.astype(np.float64)


def embed(graph: Floats) -> Points:
    """Persons as points, shape (n, axes): leading eigenvectors times the root of their eigenvalues.

    By subspace iteration from random vectors (Halko, Martinsson and Tropp 2011).
    """
    count = min(_MOST_AXES, len(graph) - 2)
    more = min(count + 64, len(graph))
    basis = np.random.default_rng(0).standard_normal((len(graph), more)).astype(np.float32)
    for _ in range(8):
        basis = np.linalg.qr(graph @ basis)[0]
    values, turn = np.linalg.eigh((basis.T @ (graph @ basis)).astype(np.float64))
    order = np.argsort(-values)[:count]
    # Unit variance times the axis' weight, so that groups of different size have comparable points.
    found = (basis @ turn[:, order]) * np.sqrt(len(graph))
    return np.asarray(found * np.sqrt(np.maximum(values[order], 0) / max(values[order[0]], 1e-9)))


def _choose(score: Floats) -> tuple[Ints, Ints, Floats]:
    """For each row its best column, for each column its best row, and how good the best of a row is.

    Hubs are discounted (CSLS; Conneau et al. 2018).
    """
    across = np.ascontiguousarray(score.T)  # along its rows everything is several times faster
    hub_a = np.partition(score, -_HUB, axis=1)[:, -_HUB:].mean(axis=1)
    hub_b = np.partition(across, -_HUB, axis=1)[:, -_HUB:].mean(axis=1)
    across -= 0.5 * hub_a[None, :]
    score -= 0.5 * hub_b[None, :]
    return score.argmax(axis=1), across.argmax(axis=1), score.max(axis=1) - 0.5 * hub_a


def _nearest(a: Points, b: Points) -> tuple[Ints, Ints, Floats]:
    """By distance."""
    left, right = a.astype(np.float32), b.astype(np.float32)
    score = 2 * left @ right.T
    score -= (left**2).sum(axis=1)[:, None]
    score -= (right**2).sum(axis=1)[None, :]
    return _choose(score)


def _alike(a: Floats, b: Floats) -> tuple[Ints, Ints, Floats]:
    """By direction."""
    left, right = (rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-12) for rows in (a, b))
    return _choose(left @ right.T)


def refine(
    places: tuple[Points, Points],
    marks: tuple[Points, Points],
    graphs: tuple[Floats, Floats],
    turn: Points,
) -> tuple[Ints, float]:
    """Partner of each person of the first side, and how well the graphs then agree among clear partners.

    ``marks``: invariants, in units of their noise.
    """
    a, b = places
    one, other = (_INVARIANT * mark for mark in marks)
    first = len(turn)
    # No more axes than the persons can hold: beyond, any two clouds can be turned into agreement.
    most = min(a.shape[1], b.shape[1], max(first, len(a) // 20))
    steps = [first] * 2 * _STEPS + [n for n in _GROWING if first < n <= most for _ in range(_STEPS)]
    partner = back = np.zeros(0, np.int64)
    score = np.zeros(0, np.float32)
    for axes in steps:
        held = len(turn)
        partner, back, score = _nearest(np.hstack([a[:, :held] @ turn, one]), np.hstack([b[:, :held], other]))
        mutual = np.flatnonzero(back[partner] == np.arange(len(a)))
        if len(mutual) < 4:
            break
        clear = np.maximum(score[mutual] - np.quantile(score[mutual], 0.3), 0)[:, None]
        turn = cumulants.polar((a[mutual, :axes] * clear).T @ b[partner[mutual], :axes])
    for _ in range(_ROUNDS):
        clearest = _clearest(partner, back, score)
        if len(clearest) < 4:
            break
        mine, hers = graphs[0][:, clearest], graphs[1][:, partner[clearest]]
        partner, back, score = _alike(mine - mine.mean(axis=0), hers - hers.mean(axis=0))
    clearest = _clearest(partner, back, score)
    return partner, _agreement(graphs, clearest, partner[clearest])


def _clearest(partner: Ints, back: Ints, score: Floats) -> Ints:
    """Mutual partners that are nearest to each other: seldom persons whose partner is missing."""
    mutual = np.flatnonzero(back[partner] == np.arange(len(partner)))
    return mutual[np.argsort(-score[mutual])[:_CLEAREST]]


def _agreement(graphs: tuple[Floats, Floats], rows: Ints, partners: Ints) -> float:
    """Correlation of the similarities among matched persons on both sides, times the root of their number."""
    if len(rows) < 20:
        return 0.0
    above = np.triu_indices(len(rows), 1)
    one = graphs[0][np.ix_(rows, rows)][above]
    found = np.corrcoef(one, graphs[1][np.ix_(partners, partners)][above])[0, 1]
    return float(found * np.sqrt(len(rows)))


def attack(
    victims: Sequence[View], register: Sequence[View], rehearsal: Sequence[View], truth: Ints
) -> float:
    """Share of the persons on both sides who are re-identified.

    Parameters
    ----------
    victims
        Stolen encodings.
    register, rehearsal
        Of the attacker's register: plain filters under her own keys; encodings as they would be stolen, under
        another key of hers.
    truth : ndarray of int64, shape (n_victims,)
        Row of the register, −1 for those who are not in it; used to count hits only.
    """
    (graph_a, degree_a), (graph_b, degree_b) = (
        similarities(victims, own=False),
        similarities(register, own=True),
    )
    graph_r, degree_r = similarities(rehearsal, own=False)
    seen = invariants.figures(victims, degree_a, graph_a)
    known = invariants.figures(register, degree_b, graph_b)
    lens = invariants.rehearse(invariants.figures(rehearsal, degree_r, graph_r), known)
    del graph_r
    places, marks = (embed(graph_a), embed(graph_b)), (lens.scores(seen), lens.scores(known))
    best, agreed = np.full(len(graph_a), -1), -1.0
    for guess in cumulants.rotations(*places, lens.functions(seen), lens.functions(known)):
        partner, share = refine(places, marks, (graph_a, graph_b), guess)
        if share > agreed:
            best, agreed = partner, share
        if agreed > 0.5 * np.sqrt(min(len(graph_a), _CLEAREST)):
            break  # most persons chose each other, and their graphs are alike: it is solved
    both = truth >= 0
    return float((best[both] == truth[both]).mean())
