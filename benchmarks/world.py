"""A population with families, births, marriages and moves, and the rolls that agencies keep of it.

It shares nothing with the demo's region but the columns: other names, other errors at other rates. What is
measured on it was measured on data that no weight, level or threshold was chosen by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from benchmarks.world_names import (
    CODAS,
    ENGLISH,
    HISPANIC,
    KINDS,
    NICKNAMES,
    ONSETS,
    SHORT,
    STREETS,
    TOWNS,
    VIETNAMESE,
    VOWELS,
    People,
)

Random = np.random.Generator
_TODAY = date(2023, 7, 1)
#: Shares of the peoples in each mix: English, Hispanic, Vietnamese names.
MIXES: Mapping[str, tuple[float, float, float]] = {
    "usual": (0.76, 0.20, 0.04),
    "Garcia": (0.30, 0.68, 0.02),
    "Nguyen": (0.45, 0.10, 0.45),
}
_PEOPLES = (ENGLISH, HISPANIC, VIETNAMESE)


@dataclass
class Person:
    """One person as she truly is at some time."""

    number: int
    people: int
    given: str
    middle: str
    surname: str
    born: date
    woman: bool
    ssn: str
    home: int
    kin: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Roll:
    """How an agency writes persons down: what it asks for, and how often it errs.

    Attributes
    ----------
    columns : tuple of str
    no_ssn, no_birth, no_address : float
        Share of records without.
    noise : float
        Factor on all rates of errors.
    """

    columns: tuple[str, ...]
    no_ssn: float = 0.3
    no_birth: float = 0.2
    no_address: float = 0.05
    noise: float = 1.0


FULL = ("ssn", "first_name", "last_name", "middle_name", "date_of_birth", "sex")
ADDRESS = ("street", "house_number", "city", "zip")
SCHOOL = Roll((*FULL, *ADDRESS))
PROGRAM = Roll(tuple(c for c in SCHOOL.columns if c not in ("ssn", "middle_name")), noise=1.5)
WAGES = Roll(("ssn", "first_name", "last_name", "middle_name"), no_ssn=0.01)


def _pick(rng: Random, names: Sequence[str], steep: float) -> str:
    weights = 1.0 / (np.arange(len(names)) + 2.0) ** steep
    return str(names[int(rng.choice(len(names), p=weights / weights.sum()))])


def _surname(rng: Random, people: People) -> str:
    if rng.random() < people.rare:
        middle = str(rng.choice(ONSETS)).lower() + str(rng.choice(VOWELS)) if rng.random() < 0.5 else ""
        return str(rng.choice(ONSETS)) + str(rng.choice(VOWELS)) + middle + str(rng.choice(CODAS))
    return _pick(rng, people.surnames, people.steep)


class World:
    """Households that grow, marry and move.

    Parameters
    ----------
    size : int
        Persons, about.
    mix : str
        One of `MIXES`.
    seed : int
    """

    def __init__(self, size: int, mix: str, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._mix = MIXES[mix]
        self.persons: list[Person] = []
        self._next_ssn = 100_000_000 + int(self._rng.integers(0, 10**8))
        zips = [f"{int(z):05d}" for z in self._rng.integers(43000, 45999, 60)]
        self._places = [(str(self._rng.choice(TOWNS)), z) for z in zips]
        self.homes: list[tuple[str, str, str, str]] = []
        while len(self.persons) < size:
            self._household()

    def _ssn(self, beside: bool = False) -> str:
        # Numbers of children who are born together, or of families that came together, are neighbours.
        self._next_ssn += 1 if beside else int(self._rng.integers(1, 4000))
        return f"{self._next_ssn % 800_000_000 + 1_000_000:09d}"

    def _home(self) -> int:
        rng = self._rng
        town, code = self._places[int(rng.integers(0, len(self._places)))]
        street = f"{_pick(rng, STREETS, 0.6)} {KINDS[int(rng.integers(0, len(KINDS)))]}"
        number = str(int(rng.integers(1, 9900)))
        if rng.random() < 0.2:  # a block of flats: many households of one number
            number, street = str(int(rng.integers(1, 40)) * 100), f"{_pick(rng, STREETS, 1.5)} {KINDS[0]}"
        self.homes.append((street, number, town, code))
        return len(self.homes) - 1

    def _add(self, people: int, surname: str, age: float, woman: bool, home: int, given: str = "") -> Person:
        rng, kind, junior = self._rng, _PEOPLES[people], bool(given)
        names = kind.women if woman else kind.men
        middle = ("Thi" if woman else "Van") if people == 2 and rng.random() < 0.6 else ""
        if not middle and rng.random() < 0.85:
            middle = _pick(rng, names, 0.4)
        born = _TODAY - timedelta(days=int(age * 365.25) + int(rng.integers(0, 365)))
        taken = {p.given for p in self.persons[-6:] if p.home == home}
        while not given or (given in taken and not junior):
            given = _pick(rng, names, 0.5)
        person = Person(len(self.persons), people, given, middle, surname, born, woman, self._ssn(), home)
        self.persons.append(person)
        return person

    def _household(self) -> None:
        rng = self._rng
        people, home = int(rng.choice(3, p=self._mix)), self._home()
        kind, first = _PEOPLES[people], len(self.persons)
        name = _surname(rng, kind)
        if rng.random() < 0.35:  # alone, or two who share a flat
            self._add(people, name, float(rng.uniform(18, 40)), bool(rng.random() < 0.5), home)
            if rng.random() < 0.3:
                self._add(people, _surname(rng, kind), float(rng.uniform(18, 40)), True, home)
            return
        father = self._add(people, name, float(rng.uniform(38, 60)), False, home)
        other = _surname(rng, kind)
        hers = other if people or rng.random() < 0.2 else name
        self._add(people, hers, float(rng.uniform(36, 58)), True, home)
        theirs = f"{name} {other}" if people == 1 and rng.random() < 0.7 else name
        age, children = float(rng.uniform(19, 30)), int(rng.integers(1, 4))
        for number in range(children):
            woman = bool(rng.random() < 0.5)
            junior = not woman and number == 0 and rng.random() < 0.12
            child = self._add(people, theirs, age, woman, home, father.given if junior else "")
            if rng.random() < 0.03:  # twins: same day, neighbouring numbers, often alike in name
                twin = self._add(people, theirs, age, bool(rng.random() < 0.5), home)
                twin.born, twin.ssn = child.born, self._ssn(beside=True)
            age -= float(rng.uniform(1.5, 4))
            if age < 16:
                break
        for person in self.persons[first:]:
            person.kin = [other.number for other in self.persons[first:] if other is not person]

    def later(self, seed: int, years: float = 2.0) -> list[Person]:
        """The same persons some years later: moved, married, divorced."""
        rng = np.random.default_rng(seed)
        out = []
        for person in self.persons:
            age = (_TODAY - person.born).days / 365.25
            changed = replace(person)
            young = 18 <= age <= 34
            if rng.random() < (0.16 if young else 0.06) * years:
                changed.home = self._home()
            if person.woman and young and rng.random() < 0.06 * years:
                his, how = _surname(rng, _PEOPLES[person.people]), rng.random()
                joined = f"{person.surname}-{his}" if how < 0.12 else f"{person.surname} {his}"
                changed.surname = his if how > 0.2 else joined
            elif person.woman and age > 34 and rng.random() < 0.015 * years:
                changed.surname = _surname(rng, _PEOPLES[person.people])
            out.append(changed)
        return out


_LETTERS = "abcdefghijklmnopqrstuvwxyz"
#: Numbers that stand for none.
_FILLERS = ("999999999", "123456789", "111111111")


def _typo(rng: Random, text: str, alphabet: str = _LETTERS) -> str:
    if len(text) < 2:
        return text
    at, kind, other = int(rng.integers(0, len(text) - 1)), rng.integers(0, 4), str(rng.choice([*alphabet]))
    if kind == 0 or (alphabet != _LETTERS and kind != 3):  # numbers keep their length
        return text[:at] + other + text[at + 1 :]
    if kind == 1:
        return text[:at] + text[at + 1 :]
    if kind == 2:
        return text[:at] + other + text[at:]
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


class Clerk:
    """Writes persons down with an agency's mistakes."""

    def __init__(self, roll: Roll, everybody: Sequence[Person], homes: Sequence[tuple[str, ...]], seed: int):
        self._roll, self._everybody, self._homes = roll, everybody, homes
        self._rng = np.random.default_rng(seed)

    def _chance(self, rate: float) -> bool:
        return bool(self._rng.random() < rate * self._roll.noise)

    def _names(self, person: Person) -> tuple[str, str, str]:
        rng = self._rng
        given, middle, surname = person.given, person.middle, person.surname
        if self._chance(0.07):
            given = NICKNAMES.get(given, given)
        if middle and self._chance(0.012):
            given, middle = middle, given[:1]
        if " " in surname:
            first, _, second = surname.partition(" ")
            how = rng.random()
            surname = first if how < 0.3 else second if how < 0.35 else surname
            surname = surname.replace(" ", "-") if rng.random() < 0.25 else surname
        if "-" in surname and self._chance(0.2):
            surname = surname.split("-")[int(rng.integers(0, 2))]
        surname = surname.replace("'", "") if rng.random() < 0.3 else surname
        given = _typo(rng, given) if self._chance(0.015) else given
        surname = _typo(rng, surname) if self._chance(0.015) else surname
        if self._chance(0.006):
            surname += str(rng.choice([" Jr", " III", " Sr."]))
        if self._chance(0.006):
            given = given[:1]
        if self._chance(0.006):
            given, surname = surname, given
        middle = middle[:1] if rng.random() < 0.6 else middle if rng.random() < 0.6 else ""
        return given[:12], middle, surname[:20]

    def _number(self, person: Person) -> str:
        rng = self._rng
        if rng.random() < self._roll.no_ssn:
            return ""
        number = person.ssn
        if person.kin and self._chance(0.006):  # the spouse's or a parent's
            number = self._everybody[int(rng.choice(person.kin))].ssn
        elif self._chance(0.004):
            number = str(rng.choice(_FILLERS))
        elif self._chance(0.01):
            number = _typo(rng, number, "0123456789")
        return number

    def _birth(self, person: Person) -> str:
        rng, born = self._rng, person.born
        if rng.random() < self._roll.no_birth:
            return ""
        if self._chance(0.02):
            born = date(born.year, 1, 1)
        elif born.day <= 12 and self._chance(0.02):
            born = date(born.year, born.day, born.month)
        elif self._chance(0.01):
            born = date(born.year + int(rng.choice([-1, 1, 10])), born.month, min(born.day, 28))
        elif self._chance(0.01):
            born = date(born.year, born.month, int(rng.integers(1, 29)))
        return born.isoformat()

    def _address(self, person: Person) -> tuple[str, str, str, str]:
        rng = self._rng
        if rng.random() < self._roll.no_address:
            return "", "", "", ""
        street, number, town, code = self._homes[person.home]
        name, _, kind = street.rpartition(" ")
        street = f"{name} {SHORT[kind]}" if rng.random() < 0.5 else street
        street = _typo(rng, street) if self._chance(0.03) else street
        number = _typo(rng, number, "0123456789") if self._chance(0.01) else number
        code = _typo(rng, code, "0123456789") if self._chance(0.01) else code
        return street, number, town, code

    def table(self, persons: Sequence[Person]) -> pa.Table:
        """One record of each person, in the order given; empty text where nothing is known."""
        rows = []
        for person in persons:
            given, middle, surname = self._names(person)
            sex = ("F" if person.woman else "M") if self._rng.random() > 0.02 else ""
            known = (self._number(person), given, surname, middle, self._birth(person), sex)
            rows.append((*known, *self._address(person)))
        columns = dict(zip(SCHOOL.columns, zip(*rows, strict=True), strict=True))
        return pa.table({name: pa.array(columns[name], pa.string()) for name in self._roll.columns})


@dataclass(frozen=True)
class Rolls:
    """Two rolls of one population, and whose record each row is."""

    left: pa.Table
    right: pa.Table
    person_left: np.ndarray
    person_right: np.ndarray


def two_rolls(
    left: int, right: int, overlap: float, kinds: tuple[Roll, Roll], *, mix: str = "usual", seed: int = 1
) -> Rolls:
    """The roll of ``left`` persons and, two years later, one of ``right``; a share of the left is in both."""
    shared = round(left * overlap)
    # Families are torn apart by the draw, as they are in life: a brother is in the other roll.
    world = World(round(1.3 * (left + right - shared)), mix, seed)
    rng = np.random.default_rng([seed, 1])
    order = rng.permutation(len(world.persons))
    ours, theirs = order[:left], np.concatenate([order[:shared], order[left : left + right - shared]])
    ours, theirs = rng.permutation(ours), rng.permutation(theirs)
    now, later = world.persons, world.later(seed + 1)
    tables = [
        Clerk(roll, people, world.homes, seed + 2 + side).table([people[i] for i in rows])
        for side, (roll, people, rows) in enumerate(zip(kinds, (now, later), (ours, theirs), strict=True))
    ]
    return Rolls(tables[0], tables[1], ours, theirs)
