"""``python -m benchmarks.attacks.relatives``: whom known pairs give away, by relation to the known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks import results
from benchmarks.attacks import known_pairs
from benchmarks.attacks.encodings import simulated, stolen
from benchmarks.attacks.known_pairs import Bools, Ints
from benchmarks.attacks.populations import Population, demo
from crypto.encoding.profile import default_profile

PERSONS = 5_000
SHARES = (0.2, 0.5)
_HOME = ("house_number", "street", "zip")
#: What a person shares with somebody who is known, nearest first: whoever fits none is a stranger.
RELATIONS: Mapping[str, tuple[str, ...]] = {
    "twin (surname, birth date, address)": ("last_name", "date_of_birth", *_HOME),
    "namesake at one address": ("first_name", "last_name", *_HOME),
    "family (surname and address)": ("last_name", *_HOME),
    "lodger (address)": _HOME,
    "namesake elsewhere": ("first_name", "last_name"),
}
STRANGER = "stranger"


def relations(population: Population, landmarks: Ints, others: Ints) -> dict[str, Bools]:
    """Which of the others are what to those who are known; each is one thing."""
    columns = {name: population.table[name].to_pylist() for name in population.table.column_names}
    left = np.ones(len(others), np.bool_)
    found = {}
    for relation, shared in RELATIONS.items():
        rows = list(zip(*(columns[name] for name in shared), strict=True))
        known = {rows[row] for row in landmarks.tolist()}
        fits = np.array([rows[row] in known for row in others.tolist()], np.bool_) & left
        found[relation], left = fits, left & ~fits
    return {**found, STRANGER: left}


def rows_of(population: Population) -> list[Sequence[str]]:
    """Rows of the table: of each relation the persons, those given away, and their share of all others."""
    profile = default_profile("record-hardened")
    victims, register = stolen(population, profile), simulated(population, profile)
    total = len(population.numbers)
    made: list[Sequence[str]] = []
    for share in SHARES:
        known = round(share * total)
        landmarks, others = known_pairs.draw(total, known, np.random.default_rng([11, total]))
        away = known_pairs.given_away(victims, register, landmarks, others)
        for relation, who in relations(population, landmarks, others).items():
            hits = int((away & who).sum())
            made.append(
                [f"{share:.0%}", relation, f"{who.sum():,}", f"{hits}", f"{100 * hits / len(others):.2f} %"]
            )
        made.append(
            [f"{share:.0%}", "all", f"{len(others):,}", f"{away.sum()}", f"{100 * away.mean():.2f} %"]
        )
    return made


def main() -> None:
    text = (
        f"The hardened default on {PERSONS:,} persons of the demo's population, whole households. By the "
        "nearest relation to anybody who is known: how many others there are, how many of them known pairs "
        "give away, and how much of all others that is.\n\n"
        + results.table(
            ["known", "relation", "others", "given away", "of all others"], rows_of(demo(PERSONS))
        )
    )
    command = "python -m benchmarks.attacks.relatives"
    results.write_section("Attacks on encodings: relatives of known persons", text, command=command)


if __name__ == "__main__":
    main()
