"""Frequency alignment: the commonest encoding is that of the commonest value, and so on down the ranks.

Niedermeyer, Steinmetzer, Kroll and Schnell, "Cryptanalysis of basic Bloom filters used for privacy
preserving record linkage" (2014), in its simplest form: whole filters are ranked. It needs filters that
repeat, which those of single fields do and those of whole records do not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from benchmarks.attacks.encodings import View


def _ranked(items: Sequence[Hashable]) -> list[Hashable]:
    return [item for item, times in Counter(items).most_common() if times > 1]


def attack(victims: View, register: View, rng: np.random.Generator) -> float:
    """Share of the persons with a filter whose plain filter's *value* is found; row i of both is person i.

    Ties are broken at random. The register's plain filters, under the attacker's own key, stand for the
    values: equal where those are.
    """
    rows = np.flatnonzero(victims.present)
    seen = [victims.signs[row].tobytes() for row in rows]
    known = [register.signs[row].tobytes() for row in rows]
    mixed = [known[place] for place in rng.permutation(len(known))]
    guess = dict(zip(_ranked(seen), _ranked(mixed), strict=False))
    hits = sum(guess.get(encoding) == value for encoding, value in zip(seen, known, strict=True))
    return hits / len(rows) if len(rows) else 0.0
