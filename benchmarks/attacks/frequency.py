"""Frequency alignment: the commonest encoding is that of the commonest value, and so on down the ranks.

Niedermeyer, Steinmetzer, Kroll and Schnell, "Cryptanalysis of basic Bloom filters used for privacy
preserving record linkage" (2014): whole filters are ranked by how often they occur, those that occur equally
often by the bits that they set, which long values set more of under any key. It is meant for filters that
repeat, which those of single fields do and those of whole records do not.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from benchmarks.attacks.encodings import View

#: Share of the persons whose filter somebody else has too, from which there is something to rank.
LEAST_REPEATED = 0.01


def _filters(view: View) -> list[bytes]:
    rows = np.flatnonzero(view.present)
    return [row.tobytes() for row in np.packbits(view.signs[rows] < 0, axis=1)]


def repeats(view: View) -> bool:
    """Whether enough persons share a filter for the attack to have a meaning."""
    items = _filters(view)
    times = Counter(items)
    return sum(times[item] > 1 for item in items) >= LEAST_REPEATED * max(1, len(items))


def _ranked(items: list[bytes]) -> list[bytes]:
    def place(entry: tuple[bytes, int]) -> tuple[int, int]:
        return -entry[1], -int.from_bytes(entry[0]).bit_count()

    return [item for item, times in sorted(Counter(items).items(), key=place) if times > 1]


def attack(victims: View, register: View, rng: np.random.Generator) -> float:
    """Share of the persons with a filter whose plain filter's *value* is found; row i of both is person i.

    Ties that are left are broken at random. The register's plain filters, under the attacker's own key, stand
    for the values: equal where those are.
    """
    seen, known = _filters(victims), _filters(register)
    mixed = [known[place] for place in rng.permutation(len(known))]
    guess = dict(zip(_ranked(seen), _ranked(mixed), strict=False))
    hits = sum(guess.get(encoding) == value for encoding, value in zip(seen, known, strict=True))
    return hits / len(seen) if seen else 0.0
