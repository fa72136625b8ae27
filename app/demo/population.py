"""Who lives in the demo's region: names, birth dates, numbers and addresses of fictitious persons.

Everything is drawn from uniform numbers of a seeded PCG64, by tables and whole numbers, so that one seed
gives the same people on every platform. Identity numbers have an area of 9xx and a group of 01–49, which
were issued neither as Social Security nor as taxpayer numbers: none of them is anybody's.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from app.demo import names, plan

Objects = NDArray[np.object_]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

NUMBERS_AVAILABLE = 100 * 49 * 9_999
HOUSEHOLD_SIZES = ((1, 0.42), (2, 0.28), (3, 0.17), (4, 0.13))
SHARE_TWINS = 0.010
SHARE_NAMESAKE_SONS = 0.012


@dataclass
class Persons:
    """True attributes, one element a person; an agency's record is a noisy view of them.

    Attributes
    ----------
    born : int64, days since 1970-01-01
    female : bool
    race : int64, index into `plan.RACES`
    last, last2 : object, str
        First and second surname; ``last2`` is empty for most.
    hyphenated : bool
        The two surnames are written with a hyphen.
    later_last : object, str
        Surname after a change of name, empty for most.
    number : object, str
        Nine digits.
    """

    born: Ints
    female: Flags
    race: Ints
    first: Objects
    middle: Objects
    last: Objects
    last2: Objects
    hyphenated: Flags
    later_last: Objects
    suffix: Objects
    number: Objects
    house_number: Objects
    street: Objects
    city: Objects
    zip_code: Objects
    county: Objects

    def __len__(self) -> int:
        return len(self.born)

    def take(self, at: Ints) -> Persons:
        """Copy of the persons at positions ``at``."""
        return Persons(**{f.name: getattr(self, f.name)[at].copy() for f in fields(self)})


def pick(uniform: NDArray[np.float64], shares: tuple[float, ...]) -> Ints:
    """Index of the share into which each uniform number falls; shares need not sum to exactly one."""
    edges = np.cumsum(np.array(shares, dtype=np.float64))
    chosen: Ints = np.minimum(np.searchsorted(edges / edges[-1], uniform, side="right"), len(shares) - 1)
    return chosen.astype(np.int64)


def identity_numbers(n: int, rng: np.random.Generator) -> Objects:
    """Draw ``n`` distinct nine-digit numbers that were never issued to anybody."""
    drawn = np.unique(rng.integers(0, NUMBERS_AVAILABLE, size=int(n * 1.05) + 64))
    drawn = drawn[np.argsort(rng.random(len(drawn)), kind="stable")][:n]
    area, rest = np.divmod(drawn, 49 * 9_999)
    group, serial = np.divmod(rest, 9_999)
    return np.array(
        [f"9{a:02d}{g + 1:02d}{s + 1:04d}" for a, g, s in zip(area, group, serial, strict=True)], dtype=object
    )


def make_persons(born: Ints, home: Ints, rng: np.random.Generator) -> Persons:
    """Give names, numbers and addresses to persons whose birth dates and home states are decided.

    Parameters
    ----------
    born
        Days since 1970-01-01, shape (n,).
    home
        `plan.OHIO` or `plan.KENTUCKY`, shape (n,).
    rng
        Source of all chance.

    Returns
    -------
    Persons
        Grouped in households that share address and mostly surname; with twins, and with sons who bear
        their father's name.
    """
    n = len(born)
    household = _households(home, rng)
    n_households = int(household.max()) + 1
    own = rng.random(n) < 0.06
    household_race = pick(rng.random(n_households), tuple(share for _, share, _ in plan.RACES))
    race = np.where(
        own, pick(rng.random(n), tuple(share for _, share, _ in plan.RACES)), household_race[household]
    )
    female = rng.random(n) < 0.53
    persons = Persons(
        born=born.copy(),
        female=female,
        race=race,
        first=_given(race, female, rng),
        middle=_given(race, female, rng),
        last=_surnames(race, household, household_race, own, rng),
        last2=np.full(n, "", dtype=object),
        hyphenated=np.zeros(n, dtype=np.bool_),
        later_last=np.full(n, "", dtype=object),
        suffix=np.full(n, "", dtype=object),
        number=identity_numbers(n, rng),
        **_addresses(household, home, n_households, rng),
    )
    persons.middle[rng.random(n) < 0.12] = ""
    _second_surnames(persons, rng)
    _twins(persons, household, rng)
    _sons_named_after_fathers(persons, household, rng)
    _name_changes(persons, rng)
    return persons


def _households(home: Ints, rng: np.random.Generator) -> Ints:
    """Household of each person; members live in the same state (but for a seam)."""
    n = len(home)
    order = np.lexsort((rng.random(n), home))
    sizes = 1 + pick(rng.random(n), tuple(share for _, share in HOUSEHOLD_SIZES))
    starts = np.concatenate(([0], np.cumsum(sizes)))
    household = np.empty(n, dtype=np.int64)
    household[order] = np.searchsorted(starts, np.arange(n), side="right") - 1
    return household


def _given(race: Ints, female: Flags, rng: np.random.Generator) -> Objects:
    """Given names by pool and sex; half of the Asian and Hispanic persons bear a name of the general pool."""
    n = len(race)
    uniform, general = rng.random(n), rng.random(n)
    share_general = {"general": 1.0, "black": 0.62, "hispanic": 0.35, "east_asian": 0.45, "south_asian": 0.12}
    drawn = np.empty(n, dtype=object)
    for index, (_, _, pool) in enumerate(plan.RACES):
        for sex, is_female in (("Female", True), ("Male", False)):
            mine = (race == index) & (female == is_female)
            common = mine & (general < share_general[pool])
            special = mine & ~common
            drawn[common] = names.given_names("general", sex).draw(uniform[common])
            drawn[special] = names.given_names(pool, sex).draw(uniform[special])
    return drawn


def _draw_surnames(race: Ints, rng: np.random.Generator) -> Objects:
    uniform = rng.random(len(race))
    drawn = np.empty(len(race), dtype=object)
    for index, (_, _, pool) in enumerate(plan.RACES):
        mine = race == index
        drawn[mine] = names.surnames(pool).draw(uniform[mine])
    return drawn


def _surnames(
    race: Ints, household: Ints, household_race: Ints, own: Flags, rng: np.random.Generator
) -> Objects:
    shared = _draw_surnames(household_race, rng)[household]
    different = own | (rng.random(len(race)) < 0.18)
    last: Objects = np.where(different, _draw_surnames(race, rng), shared)
    return last


def _addresses(
    household: Ints, home: Ints, n_households: int, rng: np.random.Generator
) -> dict[str, Objects]:
    state = np.zeros(n_households, dtype=np.int64)
    state[household] = home
    uniform = rng.random(n_households)
    at = np.zeros(n_households, dtype=np.int64)
    places = names.places()
    for which, counties in enumerate(plan.COUNTIES):
        share = dict(counties)
        mine = [i for i, place in enumerate(places) if place.county_fips in share]
        total = {c: sum(places[i].weight for i in mine if places[i].county_fips == c) for c in share}
        weights = tuple(
            share[places[i].county_fips] * places[i].weight / total[places[i].county_fips] for i in mine
        )
        here = state == which
        at[here] = np.array(mine, dtype=np.int64)[pick(uniform[here], weights)]
    streets = names.streets()
    numbers = 1 + np.floor(9_800 * rng.random(n_households) ** 2).astype(np.int64)
    at, street = at[household], rng.integers(0, len(streets), n_households)[household]
    return {
        "house_number": np.array([str(v) for v in numbers[household]], dtype=object),
        "street": streets[street],
        "city": np.array([place.city for place in places], dtype=object)[at],
        "zip_code": np.array([place.zip_code for place in places], dtype=object)[at],
        "county": np.array([place.county_fips for place in places], dtype=object)[at],
    }


def move(persons: Persons, moved: Flags, home: Ints, rng: np.random.Generator) -> None:
    """Give those who ``moved`` a new address, each a household of its own (in place)."""
    at = np.flatnonzero(moved)
    if len(at) == 0:
        return
    new = _addresses(np.arange(len(at)), home[at], len(at), rng)
    for field, values in new.items():
        getattr(persons, field)[at] = values


def _second_surnames(persons: Persons, rng: np.random.Generator) -> None:
    """Two surnames for four of ten Hispanic persons; a hyphenated pair for three of a hundred others."""
    n = len(persons)
    hispanic = np.array([pool == "hispanic" for _, _, pool in plan.RACES])[persons.race]
    chance = rng.random(n)
    second = _draw_surnames(persons.race, rng)
    double = hispanic & (chance < 0.40)
    hyphenated = ~hispanic & (chance < np.where(persons.female, 0.04, 0.015))
    distinct = second != persons.last
    has_two = (double | hyphenated) & distinct
    persons.last2[has_two] = second[has_two]
    persons.hyphenated |= hyphenated & distinct


def _pairs_in_households(household: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Disjoint pairs of persons of one household, in random order."""
    order = np.lexsort((rng.random(len(household)), household))
    same = household[order][1:] == household[order][:-1]
    rank = np.arange(len(order)) - np.searchsorted(household[order], household[order], side="left")
    start = np.flatnonzero(same & (rank[:-1] % 2 == 0))
    start = start[np.argsort(rng.random(len(start)), kind="stable")]
    return order[start], order[start + 1]


def _twins(persons: Persons, household: Ints, rng: np.random.Generator) -> None:
    one, other = _pairs_in_households(household, rng)
    near = np.abs(persons.born[one] - persons.born[other]) < 3 * 365
    wanted = round(SHARE_TWINS * len(persons) / 2)
    one, other = one[near][:wanted], other[near][:wanted]
    persons.born[other] = persons.born[one]
    persons.last[other] = persons.last[one]
    persons.race[other] = persons.race[one]
    # Twins are often registered together: their numbers differ in the last digit.
    taken = set(persons.number)
    for a, b in zip(one, other, strict=True):
        neighbour = f"{persons.number[a][:8]}{int(persons.number[a][8]) % 9 + 1}"
        if neighbour not in taken:
            taken.add(neighbour)
            persons.number[b] = neighbour


def _sons_named_after_fathers(persons: Persons, household: Ints, rng: np.random.Generator) -> None:
    one, other = _pairs_in_households(household, rng)
    father = np.where(persons.born[one] < persons.born[other], one, other)
    son = np.where(persons.born[one] < persons.born[other], other, one)
    fits = ~persons.female[father] & ~persons.female[son]
    fits &= persons.born[son] - persons.born[father] > 18 * 365
    wanted = round(SHARE_NAMESAKE_SONS * len(persons))
    father, son = father[fits][:wanted], son[fits][:wanted]
    for attribute in ("first", "middle", "last", "last2", "hyphenated", "race"):
        values = getattr(persons, attribute)
        values[son] = values[father]
    persons.suffix[father] = "Sr"
    persons.suffix[son] = np.where(rng.random(len(son)) < 0.8, "Jr", "III").astype(object)


def _name_changes(persons: Persons, rng: np.random.Generator) -> None:
    """Surname change of women aged 22 to 34 in mid 2022."""
    years = (np.datetime64("2022-07-01").astype(np.int64) - persons.born) / 365.25
    chance = plan.NOISE.surname_change * np.array(plan.NAME_CHANGE_FACTOR)[persons.race]
    changes = persons.female & (years >= 22) & (years < 35) & (rng.random(len(persons)) < chance)
    changes &= persons.last2 == ""
    persons.later_last[changes] = _draw_surnames(persons.race, rng)[changes]
