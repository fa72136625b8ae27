"""Names, streets and places of a fictitious population.

Written from general knowledge of name frequencies in the United States; weights are relative within a pool
and sex, in no unit. No row describes a person. The long tail of German and English compounds stands for the
many rare surnames of the region, so that namesakes are about as frequent as they are in life.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

POOLS = ("general", "black", "hispanic", "east_asian", "south_asian")
"""Name pools. Surnames of ``black`` are those of ``general``."""


@dataclass(frozen=True)
class WeightedNames:
    """Names with cumulative weights, ready to be drawn from uniform numbers.

    Attributes
    ----------
    names
        shape (n,), object dtype.
    cumulative
        shape (n,), float64, increasing, last element 1.
    """

    names: NDArray[np.object_]
    cumulative: NDArray[np.float64]

    def draw(self, uniform: NDArray[np.float64]) -> NDArray[np.object_]:
        """Return one name per uniform number in [0, 1)."""
        at = np.searchsorted(self.cumulative, uniform, side="right")
        drawn: NDArray[np.object_] = self.names[np.minimum(at, len(self.names) - 1)]
        return drawn


@dataclass(frozen=True)
class Place:
    """A postal place of the region."""

    county_fips: str
    city: str
    zip_code: str
    weight: int


def _rows(file: str) -> list[dict[str, str]]:
    text = resources.files(__package__).joinpath(file).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _weighted(pairs: list[tuple[str, int]]) -> WeightedNames:
    weights = np.array([weight for _, weight in pairs], dtype=np.float64)
    names = np.array([name for name, _ in pairs], dtype=object)
    return WeightedNames(names, np.cumsum(weights) / weights.sum())


@cache
def given_names(pool: str, sex: str) -> WeightedNames:
    """Given names of a pool (see `POOLS`) and a sex (``Female`` or ``Male``)."""
    rows = [row for row in _rows("given_names.csv") if row["pool"] == pool and row["sex"] == sex]
    return _weighted([(row["name"], int(row["weight"])) for row in rows])


@cache
def surnames(pool: str) -> WeightedNames:
    """Surnames of a pool; ``black`` draws from the general pool."""
    wanted = "general" if pool == "black" else pool
    rows = [row for row in _rows("surnames.csv") if row["pool"] == wanted]
    return _weighted([(row["name"], int(row["weight"])) for row in rows])


def _grouped(file: str, value: str) -> dict[str, tuple[str, ...]]:
    groups: dict[str, tuple[str, ...]] = {}
    for row in _rows(file):
        groups[row["name"]] = (*groups.get(row["name"], ()), row[value])
    return groups


@cache
def nicknames() -> Mapping[str, tuple[str, ...]]:
    """Given name → its short forms."""
    return _grouped("nicknames.csv", "nickname")


@cache
def romanisations() -> Mapping[str, tuple[str, ...]]:
    """Romanised name → other spellings of the same name."""
    return _grouped("romanisation.csv", "variant")


@cache
def streets() -> NDArray[np.object_]:
    """Street names."""
    return np.array([row["street"] for row in _rows("streets.csv")], dtype=object)


@cache
def places() -> tuple[Place, ...]:
    """Postal places of the seven counties."""
    return tuple(
        Place(row["county_fips"], row["city"], row["zip"], int(row["weight"])) for row in _rows("places.csv")
    )
