"""Known pairs: the attacker knows whose some of the encodings are, and asks for the rest.

Over the bits of an encoding, the records of all persons are a random field whose covariance is the
noise-free likeness C (`encodings.noise_free`). Given the known encodings L, the bits of person u have mean
k C_LL⁻¹ Y_L and variance 1 − k C_LL⁻¹ kᵀ with k = C_uL (kriging; Rasmussen and Williams, "Gaussian processes
for machine learning", 2006, 2.2), which is ridge regression of bits on persons' similarities, that is on
tokens. Each unknown encoding is given to the person under whom it is likeliest, over all views together. The
matched filter, its limit for small C, is tried as well, both with composite keys and without them (which an
agency may have moved), and the best one reported: the attacker may choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from benchmarks.attacks.encodings import Floats, View, likeness, noise_free
from benchmarks.attacks.populations import Population

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

#: Encodings that are asked for at most; of larger populations so many are drawn, which tells the share to a
#: tenth of a per cent, and holds the scores in memory.
_ASKED = 8_000


def _part(view: View, rows: Ints) -> View:
    return replace(view, signs=view.signs[rows], present=view.present[rows])


def _kriging(k: Floats, among: Floats, width: int) -> tuple[Floats, Floats]:
    """Factors (x, c) such that the log-likelihood of encoding e under person u is c[u] + x[u] · seen[e]."""
    ridge = np.float32(1.0 / width + 1e-3)
    solved = cho_solve(cho_factor(among + ridge * np.eye(len(among), dtype=np.float32)), k.T).T
    explained = np.minimum((solved * k).sum(axis=1), 0.999)
    variance = 1 - explained
    x = width * solved / variance[:, None]
    constant = -0.5 * width * ((1 + explained) / variance + np.log(variance))
    return x.astype(np.float32), constant.astype(np.float32)


def _matched(k: Floats, width: int) -> tuple[Floats, Floats]:
    centred = k - k.mean(axis=0)
    constant = -0.5 * width * (centred**2).sum(axis=1)
    return width * centred, constant.astype(np.float32)


def draw(total: int, known: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Rows of the known persons and of the others."""
    drawn = rng.permutation(total)
    return drawn[:known], drawn[known:]


def given_away(
    victims: Sequence[View],
    register: Sequence[View],
    landmarks: Ints,
    others: Ints,
    asked: Ints | None = None,
) -> Bools:
    """Which of the others are re-identified; the arguments as of :func:`attack`.

    ``asked``: places in ``others`` of the encodings that are asked for, by default all; candidates are all.
    """
    rows = np.arange(len(others)) if asked is None else asked
    # Summed view by view: the factors of all views at once are twenty times as large as these.
    kriging = np.zeros((len(rows), len(others)), np.float32)
    matched = np.zeros_like(kriging)
    found = []
    # Keys last, so that the sums without them are seen on the way.
    for view, plain in sorted(zip(victims, register, strict=True), key=lambda pair: pair[0].key):
        if view.key and not found:
            found = [scores.argmax(axis=1) == rows for scores in (kriging, matched)]
        mine = _part(plain, landmarks)
        k = noise_free(_part(plain, others), mine)
        seen = likeness(_part(view, others[rows]), _part(view, landmarks))
        x, constant = _kriging(k, noise_free(mine, mine), view.width)
        kriging += seen @ x.T
        kriging += constant
        x, constant = _matched(k, view.width)
        matched += (seen - seen.mean(axis=0)) @ x.T
        matched += constant
    found += [scores.argmax(axis=1) == rows for scores in (kriging, matched)]
    return max(found, key=lambda each: each.sum())


def attack(victims: Sequence[View], register: Sequence[View], known: int, rng: np.random.Generator) -> float:
    """Share of the other persons who are re-identified, if ``known`` of all are known.

    Row i of ``register`` (plain filters under the attacker's key) is the person of row i of ``victims``; the
    attack uses that for the known rows only.
    """
    landmarks, others = draw(len(victims[0].signs), known, rng)
    asked = np.sort(rng.permutation(len(others))[:_ASKED])
    return float(given_away(victims, register, landmarks, others, asked).mean())


def leak_snr(register: Sequence[View], population: Population) -> float:
    """Root of the sum over diffused views of the squared leak-SNR, over at most 2,000 persons."""
    rows = np.arange(min(2000, len(population.numbers)))
    total = 0.0
    for plain in register:
        if plain.key:
            continue
        part = _part(plain, rows)
        pairs = noise_free(part, part)[np.triu_indices(len(rows), 1)]
        total += float(pairs.std()) ** 2 * plain.width
    return float(np.sqrt(total))
