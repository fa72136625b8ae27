"""Graph matching: no pair is known; the two similarity graphs are laid upon each other.

Vidanage, Christen, Ranbaduge and Schnell, "A graph matching attack on privacy-preserving record linkage"
(CIKM 2020), and Schäfer, Armknecht and Heng, "R+R: Revisiting graph matching attacks on privacy-preserving
record linkage" (ACSAC 2024). Both sides are embedded by the leading eigenvectors of their similarities. A
first rotation of the leading axes carries groups of persons whose similarities are distributed alike onto
each other. It is refined: nearest neighbours that choose each other give a rotation (orthogonal Procrustes;
Schönemann 1966), the rotation gives better neighbours, with more axes each time; at last the
clearest partners serve as known pairs for all others, round after round. The attacker starts from several
guesses and keeps the one in which the graphs agree best, which she can see without knowing anybody.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import eigsh

from benchmarks.attacks.cumulants import rotations
from benchmarks.attacks.encodings import Floats, View, likeness, noise_free

Ints = NDArray[np.int64]

_AXES = (6, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128)
#: Rounds of known pairs, and most pairs in each.
_ROUNDS = 12
_CLEAREST = 400
#: Axes of the first guesses.
_FIRST = (4, 8, 16, 32)


def similarities(views: Sequence[View], *, own: bool) -> Floats:
    """Sum over views of the similarity graph, centred; ``own``: noise-free, from the attacker's filters."""
    total = sum((noise_free if own else likeness)(view, view) * np.float32(view.width) for view in views)
    out = np.asarray(total, dtype=np.float32)
    np.fill_diagonal(out, np.nan)
    np.nan_to_num(out, copy=False, nan=float(np.nanmean(out)))
    rows = out.mean(axis=1, keepdims=True)
    out -= rows + rows.T - out.mean()
    return out


def weights(views: Sequence[View]) -> NDArray[np.float64]:
    """Bits that are set in a person's filters, up to scale; diffused ones tell as little as they do."""
    total = sum(-view.signs.sum(axis=1, dtype=np.float64) for view in views if not view.key)
    return np.asarray(total)


def embed(graph: Floats) -> NDArray[np.float64]:
    """Persons as points, shape (n, axes): leading eigenvectors times the root of their eigenvalues."""
    count = min(max(_AXES), len(graph) - 2)
    start = np.random.default_rng(0).standard_normal(len(graph)).astype(np.float32)
    values, vectors = eigsh(graph, k=count, which="LA", v0=start, tol=1e-3)
    order = np.argsort(-values)
    # Unit variance times the axis' weight, so that groups of different size have comparable points.
    found = vectors[:, order].astype(np.float64) * np.sqrt(len(graph))
    return np.asarray(found * np.sqrt(np.maximum(values[order], 0) / max(values[order[0]], 1e-9)))


def _nearest(a: NDArray[np.floating], b: NDArray[np.floating]) -> tuple[Ints, Ints, Floats]:
    """For each point of either side its nearest on the other, and how near it is to those of ``a``.

    Hubs are discounted (CSLS; Conneau et al. 2018).
    """
    left = (a / (np.linalg.norm(a, axis=1, keepdims=True) + 1e-12)).astype(np.float32)
    right = (b / (np.linalg.norm(b, axis=1, keepdims=True) + 1e-12)).astype(np.float32)
    score = left @ right.T
    near = 10
    hub_a = np.partition(score, -near, axis=1)[:, -near:].mean(axis=1)
    hub_b = np.partition(score, -near, axis=0)[-near:].mean(axis=0)
    score -= 0.5 * hub_a[:, None]
    score -= 0.5 * hub_b[None, :]
    return score.argmax(axis=1), score.argmax(axis=0), score.max(axis=1)


def _rotation(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    u, _, vt = np.linalg.svd(a.T @ b)
    return np.asarray(u @ vt)


def refine(
    a: NDArray[np.float64], b: NDArray[np.float64], graphs: tuple[Floats, Floats], turn: NDArray[np.float64]
) -> tuple[Ints, float]:
    """Partner of each point of ``a``, and how well the two graphs then agree among mutual partners."""
    first = axes = len(turn)
    # No more axes than the persons can hold: beyond, any two clouds can be turned into agreement.
    growing = [n for n in _AXES if first < n <= min(a.shape[1], b.shape[1], len(a) // 20)]
    partner, back, score = _nearest(a[:, :axes] @ turn, b[:, :axes])
    for axes in [first] * 6 + growing + growing[-1:] * 3:
        mutual = np.flatnonzero(back[partner] == np.arange(len(a)))
        if len(mutual) < 4:
            break
        clear = np.maximum(score[mutual] - np.quantile(score[mutual], 0.3), 0)[:, None]
        turn = _rotation(a[mutual, :axes] * clear, b[partner[mutual], :axes])
        partner, back, score = _nearest(a[:, :axes] @ turn, b[:, :axes])
    for _ in range(_ROUNDS):
        clearest = _clearest(partner, back, score)
        if len(clearest) < 4:
            break
        one, other = graphs[0][:, clearest], graphs[1][:, partner[clearest]]
        partner, back, score = _nearest(one - one.mean(axis=0), other - other.mean(axis=0))
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


def _features(graph: Floats) -> NDArray[np.float64]:
    """What the graph tells of a person without any axis: moments of her similarities, and her nearest."""
    rows = graph.astype(np.float64)
    spread = rows.std(axis=1)
    third = ((rows - rows.mean(axis=1, keepdims=True)) ** 3).mean(axis=1) / spread**3
    quantiles = np.quantile(rows, (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98), axis=1)
    near = np.partition(rows, -8, axis=1)[:, -8:]
    return np.column_stack([spread, third, *quantiles, near.mean(axis=1), near.min(axis=1)])


def _centroids(points: NDArray[np.float64], features: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """Mean point of each bin of each feature, weighted by the root of its size."""
    found = []
    for feature in features.T:
        rank = np.argsort(np.argsort(feature, kind="stable"), kind="stable")
        place = rank * bins // len(rank)
        sums = np.stack([np.bincount(place, axis, minlength=bins) for axis in points.T], axis=1)
        found.append(sums / np.sqrt(np.bincount(place, minlength=bins))[:, None] / np.sqrt(len(points)))
    return np.concatenate(found)


def _guesses(
    a: NDArray[np.float64], b: NDArray[np.float64], own_a: NDArray[np.float64], own_b: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Rotations of the first axes that carry the mean point of each bin of a feature to its like."""
    bins = int(np.clip(len(a) // 25, 8, 40))
    centres = [(_centroids(a[:, :n], own_a, bins), _centroids(b[:, :n], own_b, bins)) for n in _FIRST]
    return [_rotation(one, other) for one, other in centres]


def attack(victims: Sequence[View], register: Sequence[View], truth: Ints) -> float:
    """Share of the persons on both sides who are re-identified.

    Parameters
    ----------
    victims, register
        Stolen encodings; plain filters of the attacker's register under her own key.
    truth : ndarray of int64, shape (n_victims,)
        Row of the register, −1 for those who are not in it; used to count hits only.
    """
    graph_a, graph_b = similarities(victims, own=False), similarities(register, own=True)
    a, b = embed(graph_a), embed(graph_b)
    best, agreed = np.full(len(a), -1), -1.0
    guesses = rotations(a, b, weights(victims), weights(register))
    for guess in guesses + _guesses(a, b, _features(graph_a), _features(graph_b)):
        partner, share = refine(a, b, (graph_a, graph_b), guess)
        if share > agreed:
            best, agreed = partner, share
        if agreed > 0.5 * np.sqrt(min(len(a), _CLEAREST)):
            break  # most persons chose each other, and their graphs are alike: it is solved
    both = truth >= 0
    return float((best[both] == truth[both]).mean())
