"""``python -m benchmarks.attacks.relatives``: whom known pairs give away, by relation to the known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks import results
from benchmarks.attacks import known_pairs
from benchmarks.attacks.encodings import secret, simulated, stolen
from benchmarks.attacks.known_pairs import Bools, Ints
from benchmarks.attacks.populations import Population, demo
from crypto.encoding import risk
from crypto.encoding.encode import Encoder, prepare
from crypto.encoding.keys import Keys
from crypto.encoding.profile import Profile, default_profile
from crypto.encoding.stronger import stronger

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


def proposed(population: Population, profile: Profile) -> Profile:
    """What ``cohortlink-agency profile check --stronger`` proposes for these persons."""
    prepared = prepare(population.table, profile)
    rows = np.arange(prepared.rows)
    leaks = risk.assess(Encoder(prepared, profile, Keys(secret(1), profile)), profile, rows)
    made = stronger(profile, leaks)
    assert made is not None
    return made


def given_away(population: Population, profile: Profile) -> list[Bools]:
    """Of the others, whom known pairs give away, at each of :data:`SHARES`."""
    victims, register = stolen(population, profile), simulated(population, profile)
    return [known_pairs.given_away(victims, register, *_drawn(population, share)) for share in SHARES]


def _drawn(population: Population, share: float) -> tuple[Ints, Ints]:
    total = len(population.numbers)
    return known_pairs.draw(total, round(share * total), np.random.default_rng([11, total]))


def rows_of(population: Population, profiles: Sequence[Profile]) -> list[Sequence[str]]:
    """Rows of the table: of each relation the persons, and for each profile those whom it gives away."""
    found = [given_away(population, profile) for profile in profiles]
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
    needed = proposed(population, default)
    t = ", ".join(f"{item.name} t = {item.hardening.t}" for item in needed.filters if item.hardening)
    head = ["known", "relation", "others", "the default gives away", "the proposed profile"]
    text = (
        f"{PERSONS:,} persons of the demo's population, whole households. By the nearest relation to anybody "
        "who is known: how many others there are, and how many of them known pairs give away (of all). "
        "`encode` refuses these persons under the hardened default and `profile check --stronger` proposes "
        f"another ({t}).\n\n" + results.table(head, rows_of(population, [default, needed]))
    )
    command = "python -m benchmarks.attacks.relatives"
    results.write_section("Attacks on encodings: relatives of known persons", text, command=command)


if __name__ == "__main__":
    main()
