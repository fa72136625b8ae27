"""Filters of fictitious people, as a linkage unit would see them: bigrams of real names, hashed.

Bits correlate as they do in practice: frequent names and years share them. About 30 % of the bits are set.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

_NAMES = Path(__file__).parent.parent / "app" / "demo" / "names"
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def _weighted(file: str) -> tuple[list[str], NDArray[np.float64]]:
    with (_NAMES / file).open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    weight = np.array([float(row["weight"]) for row in rows])
    return [row["name"].lower() for row in rows], weight / weight.sum()


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """splitmix64's finaliser (Steele et al. 2014): spreads tokens well, and there is no secret."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _encode(texts: NDArray[np.str_], salt: int, width: int, hashes: int) -> Words:
    """One filter per text: ``hashes`` bits for each bigram of the padded text."""
    unique, inverse = np.unique(texts, return_inverse=True)
    words = np.zeros((len(unique), width // 64), dtype=np.uint64)
    for row, text in enumerate(unique):
        codes = np.frombuffer(f" {text} ".encode("latin-1", "replace"), dtype=np.uint8).astype(np.uint64)
        grams = codes[:-1] * np.uint64(256) + codes[1:] + np.uint64(salt << 20)
        rounds = np.arange(hashes, dtype=np.uint64) << np.uint64(40)
        bits = _mix(grams[:, None] + rounds[None, :]).ravel() % np.uint64(width)
        np.bitwise_or.at(words[row], bits // 64, np.uint64(1) << (bits % np.uint64(64)))
    return words[inverse]


def _misspelt(
    texts: NDArray[np.str_], share: float, letters: str, rng: np.random.Generator
) -> NDArray[np.str_]:
    out = texts.astype("<U24")
    for row in np.flatnonzero(rng.random(len(texts)) < share):
        text = str(out[row])
        at = int(rng.integers(0, len(text)))
        out[row] = text[:at] + letters[int(rng.integers(0, len(letters)))] + text[at + 1 :]
    return out


def people_filters(
    n: int, m: int, *, width: int = 1024, hashes: int = 13, seed: int = 7
) -> tuple[Words, Words]:
    """Filters of ``m`` people, and of ``n`` of which half are among them, seen again with errors.

    Returns
    -------
    a, b : uint64, shape (n, width // 64) and (m, width // 64)
    """
    rng = np.random.default_rng(seed)
    given, given_share = _weighted("given_names.csv")
    surname, surname_share = _weighted("surnames.csv")
    total = m + n - n // 2
    days = np.datetime64("1988-01-01") + rng.integers(0, 18 * 365, total)
    fields = [
        (np.array(given)[rng.choice(len(given), total, p=given_share)], _ALPHABET, 0.10),
        (np.array(surname)[rng.choice(len(surname), total, p=surname_share)], _ALPHABET, 0.10),
        (np.char.replace(days.astype(str), "-", ""), "0123456789", 0.03),
        (rng.choice(np.arange(45001, 45280), total).astype(str), "0123456789", 0.15),
    ]
    again = np.concatenate([rng.choice(m, n // 2, replace=False), np.arange(m, total)])
    a = np.zeros((n, width // 64), dtype=np.uint64)
    b = np.zeros((m, width // 64), dtype=np.uint64)
    for salt, (texts, letters, share) in enumerate(fields, start=1):
        b |= _encode(texts[:m], salt, width, hashes)
        a |= _encode(_misspelt(texts[again], share, letters, rng), salt, width, hashes)
    return a, b


def random_words(shape: tuple[int, int], rng: np.random.Generator) -> Words:
    return np.frombuffer(rng.bytes(8 * shape[0] * shape[1]), dtype=np.uint64).reshape(shape)


def diffused_filters(
    n: int, m: int, *, distance: int, width: int = 4096, seed: int = 7
) -> tuple[Words, Words]:
    """Balanced filters: row i < n // 2 of ``a`` is at exactly ``distance`` of row i of ``b``.

    Half of the bits are set. Everybody else agrees with everybody else in half of the bits, give or take.
    """
    rng = np.random.default_rng(seed)
    a, b = random_words((n, width // 64), rng).copy(), random_words((m, width // 64), rng)
    for row in range(n // 2):
        flipped = np.zeros(width, dtype=np.uint8)
        flipped[rng.permutation(width)[:distance]] = 1
        a[row] = b[row] ^ np.packbits(flipped, bitorder="little").view(np.uint64)
    return a, b
