"""Random cohorts of which few employers pay some places, and who reads an employer's number off (20 CFR 603).

She knows which finest cells are empty, who pays where, and in the second attack how many persons every cell
holds. Of a group that names a place and is paid by fewer than three employers, or by one above 80 per cent,
and of every set of such groups that is, she asks how many were found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np

from app.disclosure.finest import Axis, FinestCells
from app.disclosure.paid import Paid
from tests.attacks.bounds import Bounds
from tests.attacks.cells import Document, K, Told, axis, figures, told
from tests.attacks.populations import ABOUT

#: Sets of so many places are asked about, in so many groups that tell of an employer.
MAX_PLACES, MAX_SETS = 3, 150
STATE, COUNTY = "state", "county"
Payrolls = list[Counter[str]]


@dataclass(frozen=True)
class Paying:
    """A cohort with what employers paid in each finest cell: those found, and everybody counted."""

    cells: FinestCells
    found: Payrolls
    counted: Payrolls | None

    def tells(self, members: np.ndarray, *, counted: bool = False) -> bool:
        """Whether the persons of these finest cells are few employers', as the attacker counts them."""
        payrolls = self.counted if counted else self.found
        paid: Counter[str] = Counter()
        for cell in np.flatnonzero(members):
            paid += payrolls[cell] if payrolls is not None else Counter()
        return few(paid)


def few(paid: Counter[str]) -> bool:
    """Whether fewer than three employers paid, or one of them above 80 per cent."""
    whole = paid.total()
    return bool(paid) and (len(paid) < 3 or Fraction(max(paid.values()), whole) > Fraction(4, 5))


def random_paying(rng: np.random.Generator) -> Paying:
    """Some counties with one employer, or one that pays nearly all, or those of the county beside it."""
    persons, counties = int(rng.integers(40, 900)), int(rng.integers(2, 7))
    others = [int(size) for size in rng.choice([2, 3], rng.integers(0, 3))]
    weights = rng.dirichlet(np.full(counties, 2.0))
    county = rng.choice(counties, persons, p=weights)
    codes = np.column_stack([county, *(rng.integers(size, size=persons) for size in others)])
    somewhere = frozenset(f"{COUNTY}{at}" for at in range(counties - int(rng.random() < 0.3)))
    axes = [axis(COUNTY, counties, places=somewhere)]
    axes += [axis(f"d{at}", size) for at, size in enumerate(others)]
    if rng.random() < 0.4:
        # Counties lie in two states; what names no county names a state all the same.
        axes = [_within(axes[0]), *axes[1:], axis(STATE, 2, places=frozenset({f"{STATE}0", f"{STATE}1"}))]
        codes = np.column_stack([codes, codes[:, 0] % 2])
    found = rng.random(persons) < rng.choice([0.3, 0.6, 0.8])
    payer = payers(rng, county, counties)
    cents = (np.exp(rng.normal(0.0, 0.7, persons)) * 1e5).astype(int) + 1
    return _paying(tuple(axes), codes, found, payer, cents, all_paid=bool(rng.random() < 0.25))


def _within(county: Axis) -> Axis:
    return Axis(county.name, county.codes, county.labels, parent=STATE, places=county.places)


def payers(rng: np.random.Generator, place: np.ndarray, places: int) -> np.ndarray:
    """The employer of each person, if anybody pays her; some places have one alone, or two."""
    employers = rng.choice(12, len(place), p=rng.dirichlet(np.full(12, 0.8)))
    for at in range(places):
        kind, inside = rng.random(), np.flatnonzero(place == at)
        if kind < 0.45:
            # One pays them all, or nearly all; the same one perhaps as elsewhere.
            alone = inside[rng.random(len(inside)) < rng.choice([0.92, 1.0])]
            employers[alone] = 12 + int(rng.integers(2))
        elif kind < 0.6:
            employers[inside] = 12 + rng.integers(2, size=len(inside))
    return employers


def _paying(
    axes: tuple[Axis, ...],
    codes: np.ndarray,
    found: np.ndarray,
    payer: np.ndarray,
    cents: np.ndarray,
    *,
    all_paid: bool,
) -> Paying:
    keys, at, n = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    at = at.reshape(-1)

    def payrolls(some: np.ndarray) -> Payrolls:
        made: Payrolls = [Counter() for _ in keys]
        for cell, employer, amount in zip(at[some], payer[some], cents[some], strict=True):
            made[cell][f"e{employer}"] += int(amount)
        return made

    def paid(made: Payrolls) -> Paid:
        amounts = [(cell, name, sum_) for cell, each in enumerate(made) for name, sum_ in each.items()]
        return Paid(len(keys), amounts)

    of_found, of_all = payrolls(found), payrolls(np.ones(len(found), np.bool_)) if all_paid else None
    hits = np.bincount(at, weights=found, minlength=len(keys)).astype(np.int64)
    counted = paid(of_all) if of_all is not None else None
    cells = FinestCells(ABOUT, axes, keys, n, hits, paid=paid(of_found), paid_counted=counted)
    return Paying(cells, of_found, of_all)


def groups_of_places(cells: FinestCells) -> list[list[np.ndarray]]:
    """Every group that names a place, in any table; those that differ by the place alone stand together."""
    names = [each.name for each in cells.axes]
    sets: list[list[np.ndarray]] = []
    for place in (each for each in cells.axes if each.places):
        others = [at for at, name in enumerate(names) if name != place.name]
        named = np.isin(
            cells.codes[:, names.index(place.name)], [place.codes.index(code) for code in place.places]
        )
        for size in range(len(others) + 1):
            for margin in combinations(others, size):
                for key in np.unique(cells.codes[:, margin], axis=0):
                    inside = named & (cells.codes[:, margin] == key).all(axis=1)
                    here = cells.codes[:, names.index(place.name)]
                    sets.append([inside & (here == code) for code in np.unique(here[inside])])
    return sets


def _nameless(cells: FinestCells) -> set[bytes]:
    """The groups of all tables that name no place."""
    named = set()
    for size in range(len(cells.axes) + 1):
        for margin in combinations(range(len(cells.axes)), size):
            for key in np.unique(cells.codes[:, margin], axis=0):
                codes = [cells.axes[at].codes[code] for at, code in zip(margin, key, strict=True)]
                if not any(code in cells.axes[at].places for at, code in zip(margin, codes, strict=True)):
                    named.add((cells.codes[:, margin] == key).all(axis=1).tobytes())
    return named


def exposed(paying: Paying, *, counted: bool = False) -> Iterator[np.ndarray]:
    """Groups, and sets of up to three that differ by the place alone, that tell of an employer; each once.

    Places that are all that there is of a group without places are that group, told by its own name.
    """
    seen = _nameless(paying.cells)
    most = len(seen) + MAX_SETS
    for together in groups_of_places(paying.cells):
        for size in range(1, MAX_PLACES + 1):
            for some in combinations(together, size):
                members = np.any(some, axis=0)
                if members.tobytes() in seen or len(seen) >= most:
                    continue
                if paying.tells(members, counted=counted):
                    seen.add(members.tobytes())
                    yield members


def recovered(paying: Paying, documents: Sequence[Document], *, know_n: bool) -> list[str]:
    """What employers at places have, of those found, that she learns to within fewer than k.

    As far as the total tells it by itself, it is no place's figure: she leaves that out.
    """
    cells = paying.cells
    total = [{**document, "by": [], "rows": []} for document in documents[:1]]
    rows, alone = (told(cells, *figures(cells, some), know_n=know_n) for some in (documents, total))
    size = len(cells.n)
    asked = [
        (np.concatenate([members, 0 * members]), int(members @ cells.found), int(members @ cells.n), members)
        for members in (each.astype(float) for each in exposed(paying))
    ]
    hits = _narrow(rows, alone, 2 * size, asked, "found")
    if paying.counted is not None and not know_n:
        # Of those whom somebody pays, how many there are is a figure of their employers' as well.
        wanted = [
            (np.concatenate([members, members]), int(members @ cells.n), int(cells.n.sum()), members)
            for members in (each.astype(float) for each in exposed(paying, counted=True))
        ]
        hits += _narrow(rows, alone, 2 * size, wanted, "counted")
    return hits


def _narrow(rows: Told, alone: Told, size: int, asked: Sequence[Any], words: str) -> list[str]:
    if not asked or not rows[0]:
        return []
    bounds, before, hits = Bounds(*rows, size), Bounds(*alone, size), []
    for cost, truth, most, members in asked:
        # Half of it to k more, as far as there are persons: less than k of that is too little.
        need = min(K, min(truth + K, most) - truth // 2)
        low, high = bounds.range_seen(cost)
        if high - low >= need or most < K:
            continue
        low, high = bounds.whole(cost)
        if high - low < need and np.subtract(*before.whole(cost)[::-1]) >= need:
            hits.append(f"{words} in cells {np.flatnonzero(members).tolist()}: {low} to {high}")
    return hits
