"""A compact world of people for the linker's tests: filters straight from numpy, truth known.

Five sources: two education agencies, two workforce agencies (name and SSN only), one nonprofit. The noise is
that of the domain notes: missing and wrong SSNs, typos, nicknames, swapped names, changed and hyphenated
surnames, namesakes, twins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crypto.encoding.types import Encodings, FilterColumn, FilterSpec, LinkSpec

_VOWELS = [*"aeiou", "ea", "ou", "ie", "ee"]
_ONSETS = [*"bcdfghjklmnprstvw", "br", "ch", "cl", "dr", "gr", "sh", "st", "th", "tr", "fr", "sch", "mc"]
_CODAS = [
    "",
    "",
    "n",
    "r",
    "s",
    "l",
    "t",
    "m",
    "ll",
    "ck",
    "rd",
    "ng",
    "son",
    "ton",
    "man",
    "ley",
    "er",
    "ez",
]


def _names(rng: np.random.Generator, count: int, syllables: tuple[int, int]) -> np.ndarray:
    made: dict[str, None] = {}
    while len(made) < count:
        parts = [str(rng.choice(_ONSETS)) + str(rng.choice(_VOWELS)) for _ in range(rng.integers(*syllables))]
        made["".join(parts) + str(rng.choice(_CODAS))] = None
    return np.array(list(made), dtype=object)


def _zipf(count: int, offset: float, power: float = 1.0) -> np.ndarray:
    weights = 1.0 / (np.arange(count) + offset) ** power
    return weights / weights.sum()


@dataclass
class World:
    """Sources by name (encodings) and, per source, the true person of each record."""

    encodings: dict[str, Encodings]
    person: dict[str, np.ndarray]
    plain: dict[str, dict[str, np.ndarray]]

    def truth(self, a: str, b: str) -> set[tuple[str, str]]:
        """True pairs of record_refs of two sources."""
        where = dict(zip(self.person[b].tolist(), self.encodings[b].record_refs.tolist(), strict=True))
        return {
            (ref, where[p])
            for p, ref in zip(self.person[a].tolist(), self.encodings[a].record_refs.tolist(), strict=True)
            if p in where
        }


def field_level_spec(mode: str = "one-to-one") -> LinkSpec:
    """A profile with one filter per field."""
    return LinkSpec(
        (
            FilterSpec("name", 1024, "dice", (), False),
            FilterSpec("given", 512, "dice", (), False),
            FilterSpec("surname", 512, "dice", (), False),
            FilterSpec("ssn", 128, "dice", (), True),
            FilterSpec("birth_date", 512, "dice", (), False),
            FilterSpec("sex", 64, "dice", (), True),
            FilterSpec("address", 1024, "dice", (), False),
        ),
        mode,  # type: ignore[arg-type]
    )


def _population(rng: np.random.Generator, n: int, surnames: int, givens: int) -> dict[str, np.ndarray]:
    family = _names(rng, surnames, (1, 4))
    given = [_names(rng, givens, (1, 4)) for _ in range(2)]
    nick = [_names(rng, givens, (1, 3)) for _ in range(2)]
    sex = rng.integers(0, 2, n)
    surname = rng.choice(surnames, n, p=_zipf(surnames, 8.0))
    first = rng.choice(givens, n, p=_zipf(givens, 6.0))
    birth = rng.integers(0, 30 * 365, n)
    street = rng.integers(0, max(2, n // 3), n)
    ssn = rng.permutation(np.arange(10 * n))[:n] + 100_000_000
    # Households: one in eight shares surname and street with its neighbour; twins share the birth date too.
    kin = np.flatnonzero(rng.random(n - 1) < 0.125)
    surname[kin + 1], street[kin + 1] = surname[kin], street[kin]
    twins = kin[rng.random(len(kin)) < 0.12]
    birth[twins + 1] = birth[twins]
    two = rng.random(n) < 0.06  # people with two surnames
    second = rng.choice(surnames, n, p=_zipf(surnames, 8.0))
    pick = np.where(sex == 0, given[0][first], given[1][first])
    nickname = np.where(sex == 0, nick[0][first], nick[1][first])
    return {
        "given": pick,
        "nickname": nickname,
        "surname": np.where(two, family[surname] + " " + family[second], family[surname]),
        "married": family[rng.choice(surnames, n, p=_zipf(surnames, 8.0))],
        "birth": birth,
        "sex": sex,
        "street": street,
        "ssn": ssn,
        "young_woman": (sex == 0) & (birth % 3 == 0),
    }


def _typo(rng: np.random.Generator, text: str) -> str:
    if len(text) < 2:
        return text
    at = int(rng.integers(0, len(text) - 1))
    kind = rng.integers(0, 4)
    letter = "abcdefghijklmnopqrstuvwxyz"[int(rng.integers(0, 26))]
    if kind == 0:
        return text[:at] + letter + text[at + 1 :]
    if kind == 1:
        return text[:at] + text[at + 1 :]
    if kind == 2:
        return text[:at] + letter + text[at:]
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def _report(
    rng: np.random.Generator, world: dict[str, np.ndarray], ids: np.ndarray, missing_ssn: float, noise: float
) -> dict[str, np.ndarray]:
    """One agency's view of some people, with its own mistakes; SSN 0 is missing."""
    n = len(ids)
    given, surname = world["given"][ids].copy(), world["surname"][ids].copy()
    hit = rng.random(n) < 0.05 * noise
    given[hit] = world["nickname"][ids][hit]
    hit = (rng.random(n) < 0.04 * noise) & world["young_woman"][ids]
    surname[hit] = world["married"][ids][hit]
    double = np.array([" " in s for s in surname])
    drop, split = double & (rng.random(n) < 0.25 * noise), double & (rng.random(n) < 0.5)
    surname = np.array(
        [
            s.split(" ")[0] if d else s.replace(" ", "") if k else s
            for s, d, k in zip(surname, drop, split, strict=True)
        ],
        dtype=object,
    )
    for column in (given, surname):
        for i in np.flatnonzero(rng.random(n) < 0.015 * noise):
            column[i] = _typo(rng, column[i])
    swap = rng.random(n) < 0.004 * noise
    given[swap], surname[swap] = surname[swap], given[swap].copy()
    ssn = world["ssn"][ids].copy()
    wrong = rng.random(n) < 0.005 * noise
    ssn[wrong] = rng.integers(100_000_000, 999_999_999, int(wrong.sum()))
    ssn[rng.random(n) < missing_ssn] = 0
    birth, street = world["birth"][ids].copy(), world["street"][ids].copy()
    wrong = rng.random(n) < 0.01 * noise
    birth[wrong] = birth[wrong] // 365 * 365 + rng.integers(0, 365, int(wrong.sum()))
    moved = rng.random(n) < 0.15
    street[moved] = rng.integers(0, world["street"].max() + 1, int(moved.sum()))
    return {
        "given": np.array([g[:12] for g in given], dtype=object),
        "surname": np.array([s[:20] for s in surname], dtype=object),
        "ssn": ssn,
        "birth": birth,
        "sex": world["sex"][ids].copy(),
        "street": street,
    }


def _bigrams(text: str) -> list[str]:
    return [f"_{text}_"[i : i + 2] for i in range(len(text) + 1)] if text else []


def _filters(tokens: list[list[str]], salt: int, width: int, k: int) -> FilterColumn:
    distinct = {t: i for i, t in enumerate(dict.fromkeys(t for row in tokens for t in row))}
    seeds = [hash_of(t, salt) for t in distinct]
    positions = np.array([np.random.default_rng(s).integers(0, width, k) for s in seeds]).reshape(-1, k)
    rows = np.repeat(np.arange(len(tokens)), [len(r) for r in tokens])
    which = np.array([distinct[t] for row in tokens for t in row], np.int64)
    bits = positions[which].ravel()
    words = np.zeros((len(tokens), width // 64), np.uint64)
    np.bitwise_or.at(
        words, (np.repeat(rows, k), bits // 64), np.uint64(1) << (63 - bits % 64).astype(np.uint64)
    )
    return FilterColumn(words, np.array([len(r) > 0 for r in tokens]))


def hash_of(token: str, salt: int) -> int:
    """A stable number for a token; the tests need no secrecy."""
    value = 1469598103934665603 ^ salt
    for byte in token.encode():
        value = (value ^ byte) * 1099511628211 % (1 << 64)
    return value


def encode(view: dict[str, np.ndarray], fields: tuple[str, ...], rng: np.random.Generator) -> Encodings:
    """Field-level filters of one agency's view."""
    n = len(view["ssn"])
    given = [_bigrams(g) for g in view["given"]]
    surname = [[t for part in s.split(" ") for t in _bigrams(part)] for s in view["surname"]]
    makers = {
        "name": lambda: _filters([g + s for g, s in zip(given, surname, strict=True)], 1, 1024, 20),
        "given": lambda: _filters(given, 2, 512, 20),
        "surname": lambda: _filters(surname, 3, 512, 20),
        "ssn": lambda: _filters([[str(s)] if s else [] for s in view["ssn"]], 4, 128, 40),
        "birth_date": lambda: _filters(
            [[f"y{d // 365}", f"m{d % 365 // 31}", f"d{d % 365 % 31}"] for d in view["birth"]], 5, 512, 80
        ),
        "sex": lambda: _filters([[str(s)] for s in view["sex"]], 6, 64, 20),
        "address": lambda: _filters(
            [_bigrams(f"{s * 7919 % 99991} st{s}") for s in view["street"]], 7, 1024, 20
        ),
    }
    refs = np.array(
        [f"{int(x):016x}{i:016x}" for i, x in enumerate(rng.integers(0, 1 << 62, n))], dtype="<U32"
    )
    return Encodings(refs, {f: makers[f]() for f in fields})


_EDUCATION = ("name", "given", "surname", "ssn", "birth_date", "sex", "address")
_WAGE = ("name", "given", "surname", "ssn")


def make_world(
    scale: float = 0.05, *, seed: int = 1, noise: float = 1.0, surnames: int = 6000, givens: int = 500
) -> World:
    """Five sources; at scale 1: 24,000 + 9,600 education, 60,000 + 25,000 wage, 900 nonprofit."""
    rng = np.random.default_rng(seed)
    size = {k: max(20, int(v * scale)) for k, v in {"oh": 24_000, "ky": 9_600, "np": 900}.items()}
    wage = {"oh": int(60_000 * scale), "ky": int(25_000 * scale)}
    people = _population(rng, int(130_000 * scale), surnames, givens)
    everyone = rng.permutation(len(people["ssn"]))
    oh, ky = everyone[: size["oh"]], everyone[size["oh"] : size["oh"] + size["ky"]].copy()
    both = int(0.015 * len(ky)) + 1
    ky[:both] = oh[:both]
    graduates, rest = np.concatenate([oh, ky[both:]]), everyone[size["oh"] + size["ky"] :]
    in_oh = np.concatenate([oh[rng.random(len(oh)) < 0.68], ky[rng.random(len(ky)) < 0.35]])
    in_ky = np.concatenate([oh[rng.random(len(oh)) < 0.12], ky[rng.random(len(ky)) < 0.61]])
    in_oh, in_ky = np.unique(in_oh), np.unique(in_ky)
    in_oh = np.concatenate([in_oh, rng.permutation(rest)[: max(0, wage["oh"] - len(in_oh))]])
    in_ky = np.concatenate([in_ky, rng.permutation(rest)[: max(0, wage["ky"] - len(in_ky))]])
    served = np.unique(
        np.concatenate(
            [
                rng.permutation(graduates)[: int(size["np"] * 0.6)],
                rng.permutation(rest)[: int(size["np"] * 0.4)],
            ]
        )
    )
    parts = {
        "edu-ky": (ky, 0.06, _EDUCATION),
        "edu-oh": (oh, 0.06, _EDUCATION),
        "np": (served, 0.35, _EDUCATION),
        "ui-ky": (in_ky, 0.002, _WAGE),
        "ui-oh": (in_oh, 0.002, _WAGE),
    }
    encodings, person, plain = {}, {}, {}
    for name, (ids, missing, fields) in parts.items():
        ids = rng.permutation(ids)
        plain[name] = _report(rng, people, ids, missing, noise)
        encodings[name] = encode(plain[name], fields, rng)
        person[name] = ids
    return World(encodings, person, plain)
