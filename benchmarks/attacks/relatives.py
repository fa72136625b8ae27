"""``python -m benchmarks.attacks.relatives``: whom known pairs give away, by relation to the known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmarks import results
from benchmarks.attacks import known_pairs
from benchmarks.attacks.encodings import simulated, stolen
from benchmarks.attacks.known_pairs import Bools, Ints
from benchmarks.attacks.populations import Population, demo
from crypto.encoding.profile import Profile, default_profile

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


def given_away(population: Population, profile: Profile, *, apart: bool = False) -> list[Bools]:
    """Of the others, whom known pairs give away, at each of :data:`SHARES`.

    ``apart``: those who are known are in one agency's file, the others in another's; else all in one.
    """
    register, found = simulated(population, profile), []
    for share in SHARES:
        drawn = _drawn(population, share)
        victims = stolen(population, profile, files=drawn if apart else None)
        found.append(known_pairs.given_away(victims, register, *drawn))
    return found


def _drawn(population: Population, share: float) -> tuple[Ints, Ints]:
    total = len(population.numbers)
    return known_pairs.draw(total, round(share * total), np.random.default_rng([11, total]))


def rows_of(population: Population, found: Sequence[Sequence[Bools]]) -> list[Sequence[str]]:
    """Rows of the table: of each relation the persons, and of each attack those whom it gives away."""
    made: list[Sequence[str]] = []
    for at, share in enumerate(SHARES):
        landmarks, others = _drawn(population, share)
        everybody = np.ones(len(others), np.bool_)
        for relation, who in {**relations(population, landmarks, others), "all": everybody}.items():
            hits = [int((away[at] & who).sum()) for away in found]
            told = (f"{hit} ({100 * hit / len(others):.2f} %)" for hit in hits)
            made.append([f"{share:.0%}", relation, f"{who.sum():,}", *told])
    return made


def main() -> None:
    population, default = demo(PERSONS), default_profile("record-hardened")
    kept = replace(default, mode="many-to-one")
    found = [given_away(population, kept), given_away(population, default)]
    found.append(given_away(population, default, apart=True))
    head = ["known", "relation", "others", "keys left where they were", "the default"]
    text = (
        f"{PERSONS:,} persons of the demo's population, whole households. By the nearest relation to anybody "
        "who is known: how many others there are, and how many of them known pairs give away (of all). *Keys "
        "left where they were*: as by a profile for files that hold a person several times. *Two files*: all "
        "who are known are in one agency's, all others in another's, so that no file shows who shares a "
        "key; linking rests on just that.\n\n"
        + results.table([*head, "the default, two files"], rows_of(population, found))
    )
    command = "python -m benchmarks.attacks.relatives"
    results.write_section("Attacks on encodings: relatives of known persons", text, command=command)


if __name__ == "__main__":
    main()
