"""What a file holds, counted while it streams by: cells filled, distinct values, a sample. No value is kept.

Distinct values are counted by keyed hashes. Up to :data:`_KEPT` the count is exact; beyond, it is estimated
from the smallest hashes (k minimum values), within half a percent.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crypto.agency.report import SAMPLE
from crypto.encoding.encode import Prepared, prepare
from crypto.encoding.profile import Profile
from crypto.tabular import as_text

_KEPT: Final = 1 << 16
_ABSENT: Final = np.uint64(0)


class Survey:
    """Statistics of a file of persons, piece by piece."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._key = secrets.token_bytes(32)
        self._smallest: dict[str, NDArray[np.uint64]] = {}
        self._sources: dict[str, str] = {}
        self._unusable: dict[str, int] = {}
        self._sample: pa.Table | None = None
        self._draws = np.zeros(0, np.uint64)
        self.rows = 0

    def see(self, piece: pa.Table, prepared: Prepared) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Count a piece.

        Returns
        -------
        said : ndarray of uint64, shape (n,)
            A keyed hash of everything that the profile reads of a row: equal where rows encode alike.
        filled : ndarray of uint64, shape (n,)
            Bit ``i``: the profile's i-th field holds something.
        """
        said = np.zeros(prepared.rows, np.uint64)
        filled = np.zeros(prepared.rows, np.uint64)
        for place, field in enumerate(self._profile.fields):
            found = prepared.fields.get(field.name)
            if found is None:
                continue
            codes = found.column.codes
            hashes = self._hashes(field.name, found.column.values)
            self._count(field.name, hashes)
            self._sources[field.name] = found.source
            self._unusable[field.name] = self._unusable.get(field.name, 0) + found.unusable
            said ^= np.append(hashes, _ABSENT)[codes]
            filled |= (codes >= 0).astype(np.uint64) << np.uint64(place)
        self.rows += prepared.rows
        self._draw(piece, sorted(set(self._sources.values())))
        return said, filled

    def _hashes(self, field: str, values: list[str]) -> NDArray[np.uint64]:
        keyed = hashlib.blake2b(field.encode() + b"\0", key=self._key, digest_size=8)
        out = bytearray()
        for value in values:
            one = keyed.copy()
            one.update(value.encode())
            out += one.digest()
        return np.frombuffer(out, np.uint64)

    def _count(self, field: str, hashes: NDArray[np.uint64]) -> None:
        known = self._smallest.get(field, np.zeros(0, np.uint64))
        self._smallest[field] = np.union1d(known, hashes)[: _KEPT + 1]

    def distinct(self, field: str) -> int:
        """Distinct values of a field."""
        smallest = self._smallest.get(field, np.zeros(0, np.uint64))
        if len(smallest) <= _KEPT:
            return len(smallest)
        return round((len(smallest) - 1) / (float(smallest[-1]) / 2.0**64))

    def _draw(self, piece: pa.Table, columns: list[str]) -> None:
        """Keep a uniform sample: the rows with the smallest random numbers so far."""
        draws = np.frombuffer(secrets.token_bytes(8 * piece.num_rows), np.uint64)
        chosen = np.argsort(draws)[:SAMPLE]
        texts = pa.table({name: as_text(piece.take(pa.array(chosen)), name) for name in columns})
        both = texts if self._sample is None else pa.concat_tables([self._sample, texts])
        self._draws = np.concatenate([self._draws, draws[chosen]])
        kept = np.argsort(self._draws)[:SAMPLE]
        self._draws = self._draws[kept]
        self._sample = both.take(pa.array(kept)).combine_chunks()

    def sample(self) -> Prepared:
        """At most :data:`SAMPLE` rows of the file, drawn at random."""
        if self._sample is None:
            raise ValueError("nothing was seen")
        return prepare(self._sample, self._profile)

    def fields(self, filled: NDArray[np.int64], of: int) -> list[dict[str, Any]]:
        """What each field of the profile found: ``filled`` of ``of`` persons have it."""
        found: list[dict[str, Any]] = []
        for place, field in enumerate(self._profile.fields):
            source = self._sources.get(field.name)
            one: dict[str, Any] = {"field": field.name, "column": source, "filled": 0, "share": 0.0}
            if source is not None:
                one["filled"] = int(filled[place])
                one["share"] = round(int(filled[place]) / of, 4) if of else 0.0
                one["distinct"] = self.distinct(field.name)
                one["unusable"] = self._unusable[field.name]
            found.append(one)
        return found

    @property
    def absent(self) -> list[str]:
        """Fields of the profile for which the file has no column."""
        return [field.name for field in self._profile.fields if field.name not in self._sources]


def count_filled(filled: NDArray[np.uint64], fields: int) -> NDArray[np.int64]:
    """How many rows have each of the profile's fields, from the bits that :meth:`Survey.see` returned."""
    return np.array(
        [int(np.count_nonzero(filled & (np.uint64(1) << np.uint64(place)))) for place in range(fields)],
        np.int64,
    )
