"""A new cube beside what is published of the same persons: nothing small in the union, not nothing shown."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from app.disclosure.beside import Beside
from app.disclosure.cube import protect_cube
from app.disclosure.errors import DisclosureError
from app.disclosure.finest import FinestCells
from app.disclosure.joint import Entries, Joint
from app.disclosure.policy import Policy
from tests.attacks.cells import axis
from tests.attacks.populations import ABOUT

K = 10
POLICY = Policy(K, b"the attacker does not know this.")
SIZES = (4, 3)
AXES = tuple(axis(f"d{i}", size) for i, size in enumerate(SIZES))


class People:
    """A cohort of which several things are counted."""

    def __init__(self, seed: int, size: int = 700) -> None:
        rng = np.random.default_rng(seed)
        self.codes = np.stack([rng.choice(n, size, p=_skewed(n)) for n in SIZES], axis=1)
        self.keys = [f"person {i}" for i in range(size)]
        self.early = rng.random(size) < 0.6
        self.works = self.early | (rng.random(size) < 0.02)
        self.stays = self.works & (rng.random(size) < 0.9)
        self.late = rng.random(size) < 0.01

    def entries(
        self, name: str, found: np.ndarray, counted: np.ndarray | None = None, **more: Any
    ) -> Entries:
        whole = np.ones(len(self.keys), bool) if counted is None else counted
        return Entries(
            name, AXES, keys=self.keys, codes=self.codes, masks={}, found=found, counted=whole, **more
        )


def _skewed(n: int) -> np.ndarray:
    weights = np.arange(1, n + 1) ** -1.5
    return weights / weights.sum()


def cells(entries: Entries) -> FinestCells:
    inside = entries.counted
    keys, inverse = np.unique(entries.codes[inside], axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    n = np.bincount(inverse)
    found = np.bincount(inverse, weights=entries.found[inside]).astype(int)
    return FinestCells(ABOUT, AXES, keys, n, found)


def documents(entries: Entries, before: Any = ()) -> list[dict[str, Any]]:
    union = Beside(before, entries, POLICY, lambda *_: None) if before else None
    hide = union.hide if union is not None else lambda state: None
    cube = protect_cube(cells(entries), POLICY, 2, beside=hide)
    return [json.loads(json.dumps(cube.table(by).to_document())) for by in cube.plan]


def small(layers: list[tuple[Entries, list[dict[str, Any]]]]) -> int:
    """Columns of all layers together that she who does not know N can bound to fewer than k persons."""
    joint = Joint([entries for entries, _ in layers])
    rows = [joint.published(at, told).toarray() for at, (_, told) in enumerate(layers)]
    matrix = np.vstack(rows)
    hits = 0
    for column in range(len(joint.truth)):
        cost = np.zeros(len(joint.truth))
        cost[column] = -1.0
        found = linprog(cost, A_eq=matrix, b_eq=matrix @ joint.truth, bounds=(0, 1e5), method="highs")
        hits += found.status == 0 and -found.fun < K - 1e-4
    return hits


def published(layers: list[dict[str, Any]]) -> int:
    return sum(row["found"] is not None for table in layers for row in table["rows"])


@pytest.mark.parametrize("seed", [1, 2])
def test_nested_indicator_when_made_beside_the_outer_one_leaves_no_small_group_and_alone_it_does(
    seed: int,
) -> None:
    people = People(seed)
    outer = people.entries("works", people.works)
    inner = people.entries("stays", people.stays, within=("works",))
    before = [(outer, documents(outer))]
    alone, beside = documents(inner), documents(inner, before)
    assert small([*before, (inner, alone)]) > 0
    assert small([*before, (inner, beside)]) == 0
    assert 0 < published(beside) < published(alone)


def test_three_nested_indicators_are_proven_together() -> None:
    people = People(3)
    outer = people.entries("works", people.works)
    inner = people.entries("stays", people.stays, within=("works",))
    before = [(outer, documents(outer))]
    before.append((inner, documents(inner, before)))
    third = people.entries("early", people.early, within=("works",))
    assert small([*before, (third, documents(third, before))]) == 0


def test_indicator_of_the_found_of_another_is_proven_beside_it() -> None:
    people = People(4)
    outer = people.entries("works", people.works)
    before = [(outer, documents(outer))]
    kept = people.entries("kept", people.stays, people.works, of="works", within=("works",))
    beside = documents(kept, before)
    assert small([*before, (kept, beside)]) == 0
    assert beside[0]["total"]["n"] == int(people.works.sum())


def test_correction_when_few_came_late_hides_what_differs_by_few_and_keeps_the_rest() -> None:
    people = People(5)
    first = people.entries("works", people.early, ~people.late)
    second = people.entries("works", people.works)
    before = [(first, documents(first))]
    beside = documents(second, before)
    assert small([*before, (second, documents(second))]) > 0
    assert small([*before, (second, beside)]) == 0


def test_union_when_the_data_do_not_give_what_is_published_proves_nothing() -> None:
    people = People(6)
    outer = people.entries("works", people.works)
    told = documents(outer)
    changed = people.entries("works", people.early)
    with pytest.raises(DisclosureError, match="NOT_IN_PLAN"):
        Beside([(changed, told)], people.entries("stays", people.stays), POLICY, lambda *_: None)


def bounds(layers: list[tuple[Entries, list[dict[str, Any]]]], joint: Joint) -> np.ndarray:
    """Least and most whole number of persons of every column that somebody cannot exclude who knows no N."""
    matrix = np.vstack([joint.published(at, told).toarray() for at, (_, told) in enumerate(layers)])
    ends = []
    for column, sign in product(range(len(joint.truth)), (1, -1)):
        cost = np.zeros(len(joint.truth))
        cost[column] = sign
        found = linprog(cost, A_eq=matrix, b_eq=matrix @ joint.truth, bounds=(0, 1e5), method="highs")
        ends.append(np.ceil(found.fun - 1e-4) if sign > 0 else np.floor(1e-4 - found.fun))
    return np.array(ends).reshape(-1, 2)


def test_cube_beside_figures_that_tell_of_small_groups_leaves_these_as_open_as_they_were() -> None:
    people = People(7, 400)
    outer = people.entries("works", people.works)
    inner = people.entries("stays", people.stays & people.early, within=("works",))
    careless = protect_cube(cells(outer), Policy(3, POLICY.secret), 2)
    before = [(outer, [json.loads(json.dumps(careless.table(by).to_document())) for by in careless.plan])]
    beside = documents(inner, before)
    joint = Joint([outer, inner])
    was, is_now = bounds(before, joint), bounds([*before, (inner, beside)], joint)
    lost = was[:, 1] < K
    assert lost.any()
    assert np.array_equal(was[lost], is_now[lost])
    assert (is_now[~lost, 1] >= K).all()
    assert published(beside) > 0
    alone = bounds([*before, (inner, documents(inner))], joint)
    assert (alone[lost] != was[lost]).any() or (alone[~lost, 1] < K).any()


def test_cube_of_whom_an_outcome_counts_is_made_beside_others_where_it_counts_nobody_of_a_group() -> None:
    people = People(8)
    works = people.works & (people.codes[:, 1] != 2)
    early = people.entries("early", people.early)
    kept = people.entries("kept", people.stays & works, works, of="works")
    made = documents(kept, [(early, documents(early))])
    shown = [row for table in made for row in [*table["rows"], table["total"]] if row["n"] is not None]
    assert shown
    assert all(row["key"].get("d1") != AXES[1].codes[2] for row in shown)
