"""What a similarity graph tells of a person without any axis: the same on both sides, but for noise.

How many bits she sets, how alike she is to everybody, and how her similarities are spread. How far each can
be trusted is found by rehearsal: the attacker encodes her own register once more under another key, as it
would be stolen, and sees how its figures differ from the noise-free ones of the same persons. Linear
discriminants (Fisher 1936) of the figures' normal scores have noise of unit variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.special import ndtri

from benchmarks.attacks.encodings import Floats, View

Points = NDArray[np.float64]

_SHARES = (0.02, 0.1, 0.5, 0.9, 0.98, 0.995)
#: Variance of a discriminant, in that of its noise, from which it is used; most that are.
_LEAST_VARIANCE, _MOST = 2.0, 5


def weights(views: Sequence[View]) -> Points:
    """Bits that are set in a person's filters, up to scale; diffused ones tell as little as they do."""
    total = sum(-view.signs.sum(axis=1, dtype=np.float64) for view in views if not view.key)
    return np.asarray(total)


def figures(views: Sequence[View], degree: Points, graph: Floats) -> Points:
    """Figures of every person, shape (n, figures).

    Parameters
    ----------
    views
    degree : ndarray, shape (n,)
        Mean similarity to the others.
    graph : ndarray, shape (n, n)
        Centred similarities.
    """
    count = len(graph)
    spread = graph.std(axis=1, dtype=np.float64)
    third = np.einsum("ij,ij,ij->i", graph, graph, graph, dtype=np.float64) / count / spread**3
    places = [int(share * count) for share in _SHARES] + [count - 10, count - 30]
    ordered = np.partition(graph, sorted(places), axis=1)[:, places].astype(np.float64)
    return np.column_stack([weights(views), degree, spread, third, ordered])


def _scores(found: Points) -> Points:
    """Each figure as the normal score of its rank."""
    ranks = np.argsort(np.argsort(found, axis=0, kind="stable"), axis=0, kind="stable")
    return np.asarray(ndtri((ranks + 0.5) / len(found)))


@dataclass(frozen=True)
class Lens:
    """Discriminants, one a column, and the variance of each in units of its noise; trust in functions."""

    directions: Points
    variance: Points
    trust: Points

    def scores(self, found: Points) -> Points:
        """Discriminants of persons, their noise of unit variance, shape (n, discriminants)."""
        return np.asarray(_scores(found) @ self.directions)

    def functions(self, found: Points) -> Points:
        """Polynomials of the discriminants, each weighted by how far it can be trusted."""
        return np.asarray(_polynomials(self.scores(found) / np.sqrt(self.variance)) * self.trust)


def rehearse(rehearsed: Points, noise_free: Points) -> Lens:
    """Learn from the figures of the same persons, as they would be stolen and without noise."""
    one, other = _scores(rehearsed), _scores(noise_free)
    apart = one - other
    noise = apart.T @ apart / (2 * len(apart)) + 1e-3 * np.eye(apart.shape[1])
    values, vectors = eigh((one.T @ one + other.T @ other) / (2 * len(one)), noise)
    order = np.argsort(-values)[:_MOST]
    kept = order[: max(1, int((values[order] > _LEAST_VARIANCE).sum()))]
    lens = Lens(vectors[:, kept], values[kept], np.ones(1))
    mine, hers = lens.functions(rehearsed), lens.functions(noise_free)
    trust = [max(0.0, np.corrcoef(x, y)[0, 1]) for x, y in zip(mine.T, hers.T, strict=True)]
    return Lens(vectors[:, kept], values[kept], np.array(trust))


def _polynomials(scores: Points) -> Points:
    """Hermite polynomials to the third degree and products of two, of unit variance."""
    z = np.clip(scores, -3, 3)
    pairs = [z[:, i] * z[:, j] for i in range(z.shape[1]) for j in range(i)]
    found = np.column_stack([z, z**2 - 1, z**3 - 3 * z, *pairs])
    return np.asarray(found / np.maximum(found.std(axis=0), 1e-9))
