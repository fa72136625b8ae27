"""Composite keys: several fields of a person as one short number that is equal or not, and nothing else.

A diffused filter tells by noise how alike two persons are, and needs most of a record to be heard. A key
needs only its own few fields, and between two keys that differ there is nothing to see: no likeness survives,
so neither graphs nor regressions have anything to work on. What it tells is who shares all of its fields with
whom, which is why a key holds fields that hardly any two persons share. ::

    key = the first bits of HMAC-SHA512(K_key, LV(salt, group, value, …, group, value, …))

Groups stand in the order in which the filter's fields first name them, the values of one group ascending: so
swapped given name and surname give the same key. A value is its only token (`tokens`): the whole of it, or
the first characters of a code.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from crypto.encoding.bloom import Column, Keyed
from crypto.encoding.keys import Keys, lv
from crypto.encoding.profile import Profile
from crypto.encoding.profile_parts import Filter
from crypto.encoding.tokens import tokenise


class KeyMaker:
    """One composite key of the profile, for any persons of a file; made and used as `bloom.FilterMaker`."""

    def __init__(self, item: Filter, profile: Profile, keys: Keys, columns: Mapping[str, Column]) -> None:
        self._width = item.width
        self._salt = lv(item.salt.encode())
        self._keyed = Keyed(keys.composite)
        self._held = all(name in columns for name in item.fields)
        names = [name for name in item.fields if name in columns]
        self._codes = [columns[name].codes for name in names]
        #: Of every value its token and, as it enters the message, the token behind its length.
        self._values: list[list[tuple[bytes, bytes]]] = []
        for name in names:
            made = tokenise(columns[name].values, profile.field(name).tokens)
            texts = [text.encode() for text in made.texts]
            framed = [(text, lv(text)) for text in texts]
            self._values.append([framed[place] for place in made.ids[made.starts[:-1]].tolist()])
        groups = [profile.field(name).group for name in names]
        self._groups = [
            (lv(group.encode()), [place for place, other in enumerate(groups) if other == group])
            for group in dict.fromkeys(groups)
        ]

    def present(self, index: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Who has the key: whoever has all of its fields."""
        if not self._held:
            return np.zeros(len(index), np.bool_)
        return np.asarray(np.logical_and.reduce([codes[index] >= 0 for codes in self._codes]))

    def make(self, index: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        """Keys, shape (len(index), width // 64) with bytes in filter order, and who has one; else zero."""
        present = self.present(index)
        out = np.zeros((len(index), self._width // 64), np.uint64)
        if present.any():
            rows = np.stack([codes[index[present]] for codes in self._codes], axis=1)
            distinct, inverse = np.unique(rows, axis=0, return_inverse=True)
            made = b"".join(self._of(row) for row in distinct.tolist())
            out[present] = np.frombuffer(made, np.uint64).reshape(len(distinct), -1)[inverse.ravel()]
        return out, present

    def _of(self, codes: list[int]) -> bytes:
        message = self._salt
        for group, places in self._groups:
            message += group
            if len(places) == 1:
                message += self._values[places[0]][codes[places[0]]][1]
            else:
                # By the tokens themselves: behind their lengths the shorter would come first.
                message += b"".join(
                    framed for _, framed in sorted(self._values[place][codes[place]] for place in places)
                )
        return self._keyed.digest(message)[: self._width // 8]
