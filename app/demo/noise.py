"""What agencies do to names and numbers on their way into a record.

Each function takes texts and a mask of the records to be changed, changes copies of them, and is a pure
function of its arguments and the generator. Rates are in `app.demo.plan`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.demo import names, plan
from app.demo.population import Flags, Objects, Persons

NEIGHBOURS = {
    "a": "sqz", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj", "i": "uo",
    "j": "hk", "k": "jl", "l": "k", "m": "n", "n": "bm", "o": "ip", "p": "o", "q": "wa", "r": "et",
    "s": "ad", "t": "ry", "u": "yi", "v": "cb", "w": "qe", "x": "zc", "y": "tu", "z": "xa",
}  # fmt: skip
"""Keys beside a key on a US keyboard."""

UI_LAST_LENGTH, UI_FIRST_LENGTH = 20, 12
"""Characters of a surname and of a given name that a wage report has room for."""

Records = dict[str, Objects]
Counts = dict[str, int]


def typo(text: str, uniform: NDArray[np.float64]) -> str:
    """One slip of the keyboard: a letter replaced, dropped, doubled or swapped with the next.

    Parameters
    ----------
    text
        A name; shorter than two letters stays as it is.
    uniform
        Three numbers in [0, 1): which slip, where, which neighbour.
    """
    if len(text) < 2:
        return text
    at = int(uniform[1] * len(text))
    kind = int(uniform[0] * 4)
    letter = text[at]
    if kind == 0:
        near = NEIGHBOURS.get(letter.lower(), "e")
        return text[:at] + near[int(uniform[2] * len(near))] + text[at + 1 :]
    if kind == 1:
        return text[:at] + text[at + 1 :]
    if kind == 2:
        return text[:at] + letter + text[at:]
    at = min(at, len(text) - 2)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def wrong_number(number: str, uniform: NDArray[np.float64]) -> str:
    """Another identity number: mostly one digit off or two swapped, sometimes somebody else's."""
    # Area and serial only: the group keeps the number among those that nobody has.
    at = (1, 2, 5, 6, 7, 8)[int(uniform[1] * 6)]
    digits = list(number)
    if uniform[0] < 0.65:
        digits[at] = str((int(digits[at]) + 1 + int(uniform[2] * 9)) % 10)
    elif uniform[0] < 0.85 and at not in (1, 5) and digits[at - 1] != digits[at]:
        digits[at - 1], digits[at] = digits[at], digits[at - 1]
    else:
        other = int(uniform[2] * 4_900_000)
        digits[1:] = f"{other % 100:02d}{1 + other % 49:02d}{1 + other % 9_999:04d}"
    return "".join(digits)


def choose(rng: np.random.Generator, eligible: Flags, rate: float | NDArray[np.float64]) -> NDArray[np.int64]:
    """Positions of the eligible records that are hit; one uniform number a record, whoever is eligible."""
    return np.flatnonzero(eligible & (rng.random(len(eligible)) < rate))


def as_held(persons: Persons, kind: str, hse: Flags, rng: np.random.Generator) -> tuple[Records, Counts]:
    """Records of one agency about ``persons``, one a person, and how often each kind of noise struck.

    Parameters
    ----------
    persons
        The persons of the agency, in its order; may be changed in place.
    kind
        ``education``, ``workforce`` or ``nonprofit``: decides what is held and what is cut.
    hse
        Persons of a high-school equivalency program, who lack the number more often.
    rng
        Source of all chance.
    """
    n = len(persons)
    counts: Counts = {}
    first, middle, suffix = persons.first.copy(), persons.middle.copy(), persons.suffix.copy()
    last = _surnames_as_held(persons, kind, rng, counts)

    short = names.nicknames()
    everybody = np.ones(n, dtype=np.bool_)
    has_short = np.array([name in short for name in first], dtype=np.bool_)
    # The rate is of all records; only names that have a short form can take part.
    rate = min(0.5, plan.NOISE.nickname * n / max(1, int(has_short.sum())))
    for i in _hit(counts, "nickname", choose(rng, has_short, rate)):
        options = short[first[i]]
        first[i] = options[int(rng.random() * len(options))]
    variants = names.romanisations()
    asian = np.array([pool in {"east_asian", "south_asian"} for _, _, pool in plan.RACES])[persons.race]
    has_variant = asian & np.array([a in variants or b in variants for a, b in zip(first, last, strict=True)])
    for i in _hit(counts, "romanisation", choose(rng, has_variant, plan.NOISE.romanisation)):
        field = last if last[i] in variants else first
        field[i] = variants[field[i]][0]
    for i in _hit(counts, "typo", choose(rng, everybody, plan.NOISE.typo)):
        field = last if rng.random() < 0.6 else first
        field[i] = typo(field[i], rng.random(3))
    with_suffix = suffix != ""
    rate = min(1.0, plan.NOISE.suffix_in_surname * n / max(1, int(with_suffix.sum())))
    for i in _hit(counts, "suffix_in_surname", choose(rng, with_suffix, rate)):
        last[i], suffix[i] = f"{last[i]} {suffix[i]}", ""
    swapped = _hit(counts, "swapped", choose(rng, everybody, plan.NOISE.swapped))
    first[swapped], last[swapped] = last[swapped], first[swapped]

    number = _numbers_as_held(persons, kind, hse, rng, counts)
    if kind == "workforce":
        cut = np.array(
            [len(a) > UI_FIRST_LENGTH or len(b) > UI_LAST_LENGTH for a, b in zip(first, last, strict=True)]
        )
        counts["truncated"] = int(cut.sum())
        return {
            "ssn": number,
            "last_name": np.array([name[:UI_LAST_LENGTH] for name in last], dtype=object),
            "first_name": np.array([name[:UI_FIRST_LENGTH] for name in first], dtype=object),
            "middle_name": np.array([name[:1] for name in middle], dtype=object),
        }, counts
    unknown_middle = rng.random(n) < (0.6 if kind == "nonprofit" else 0.1)
    middle[unknown_middle] = ""
    return {
        "first_name": first,
        "middle_name": middle,
        "last_name": last,
        "suffix": suffix,
        "date_of_birth": persons.born.astype("datetime64[D]").astype(str).astype(object),
        "sex": np.where(persons.female, "Female", "Male").astype(object),
        "ssn": number,
        "house_number": persons.house_number,
        "street": persons.street,
        "city": persons.city,
        "zip": persons.zip_code,
    }, counts


def _hit(counts: Counts, kind: str, at: NDArray[np.int64]) -> NDArray[np.int64]:
    counts[kind] = len(at)
    return at


def _surnames_as_held(persons: Persons, kind: str, rng: np.random.Generator, counts: Counts) -> Objects:
    """Whole surname as this agency writes it: one of two dropped, hyphen lost, or changed since."""
    n = len(persons)
    last = persons.last.copy()
    has_two = persons.last2 != ""
    dropped = np.zeros(n, dtype=np.bool_)
    dropped[
        _hit(
            counts,
            "second_surname_dropped",
            choose(rng, has_two & ~persons.hyphenated, plan.NOISE.second_surname_dropped),
        )
    ] = True
    split = np.zeros(n, dtype=np.bool_)
    split[
        _hit(counts, "hyphen_split", choose(rng, has_two & persons.hyphenated, plan.NOISE.hyphen_split))
    ] = True
    for i in np.flatnonzero(has_two & ~dropped):
        mark = "-" if persons.hyphenated[i] and not split[i] else " "
        last[i] = f"{last[i]}{mark}{persons.last2[i]}"
    # Schools know the name at graduation, employers the one of today.
    renamed = (persons.later_last != "") & (kind == "workforce")
    last[renamed] = persons.later_last[renamed]
    counts["surname_change"] = int(renamed.sum())
    return last


def _numbers_as_held(
    persons: Persons, kind: str, hse: Flags, rng: np.random.Generator, counts: Counts
) -> Objects:
    """Identity numbers with gaps and errors; wage reports are filed by number, so there none is missing."""
    n = len(persons)
    number = persons.number.copy()
    for i in _hit(counts, "ssn_wrong", choose(rng, np.ones(n, dtype=np.bool_), plan.NOISE.ssn_wrong)):
        number[i] = wrong_number(number[i], rng.random(3))
    base = {
        "education": plan.NOISE.ssn_missing,
        "nonprofit": plan.NOISE.ssn_missing_nonprofit,
        "workforce": 0.0,
    }[kind]
    rate = np.where(hse & (kind == "education"), plan.NOISE.ssn_missing_hse, base)
    factor = np.array(plan.MISSING_SSN_FACTOR)[persons.race]
    gone = _hit(
        counts, "ssn_missing", choose(rng, np.ones(n, dtype=np.bool_), np.minimum(rate * factor, 0.9))
    )
    number[gone] = ""
    return number
