"""Unions of crossed tables: worlds in which one layer moves, and figures that are not hidden for nothing."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from app.disclosure import beside
from app.disclosure.alike import Alike
from app.disclosure.beside import Beside
from app.disclosure.cube import protect_cube
from app.disclosure.finest import FinestCells
from app.disclosure.goals import Goals, Work
from app.disclosure.joint import FOUND, Entries, Joint
from app.disclosure.one_layer import serve_by_layer
from app.disclosure.policy import Policy
from tests.attacks.cells import axis
from tests.attacks.populations import ABOUT

K = 10
POLICY = Policy(K, b"the attacker does not know this.")


class People:
    """A cohort who are linked, of whom some work."""

    def __init__(self, seed: int, size: int, sizes: tuple[int, ...]) -> None:
        random = np.random.default_rng(seed)
        self.axes = tuple(axis(f"d{i}", n) for i, n in enumerate(sizes))
        shares = [np.arange(1, n + 1) ** -1.0 for n in sizes]
        self.codes = np.stack([random.choice(len(s), size, p=s / s.sum()) for s in shares], axis=1)
        self.linked = random.random(size) < 0.9
        self.works = self.linked & (random.random(size) < 0.93)

    def entries(self, name: str, found: np.ndarray, within: tuple[str, ...] = ()) -> Entries:
        size = len(self.codes)
        every = np.ones(size, np.bool_)
        return Entries(
            name,
            self.axes,
            keys=[f"p{i}" for i in range(size)],
            codes=self.codes,
            masks={frozenset(): every},
            found=found,
            counted=every,
            within=within,
        )

    def documents(self, found: np.ndarray, depth: int, **more: Any) -> list[dict[str, Any]]:
        keys, inverse = np.unique(self.codes, axis=0, return_inverse=True)
        n, m = (np.bincount(inverse.reshape(-1), weights=w) for w in (np.ones(len(found)), found))
        cells = FinestCells(ABOUT, self.axes, keys, n.astype(np.int64), m.astype(np.int64))
        cube = protect_cube(cells, POLICY, depth, **more)
        return [json.loads(json.dumps(cube.table(by).to_document())) for by in cube.plan]


def test_what_goals_reach_where_one_layer_moves_lies_within_what_they_can_be() -> None:
    people = People(1, 120, (3, 2, 2))
    joint = Joint(
        [people.entries("works", people.works, ("linked",)), people.entries("linked", people.linked)]
    )
    figures = sp.vstack([joint.sums(layer, ("d0",))[2] for layer in (0, 1)]).tocsr()
    cells = int(joint.cell.max()) + 1
    size = len(joint.truth)
    rows = [
        sp.csr_matrix((np.ones(size), (joint.cell, np.arange(size))), shape=(cells, size)).multiply(
            sp.csr_matrix((joint.pattern[:, layer] == FOUND).astype(float))
        )
        for layer in (0, 1)
    ]
    sums = sp.vstack(rows).tocsr()
    asked = sums.shape[0]

    def goals() -> Goals:
        return Goals(sums, np.full(asked, np.inf), np.full(asked, -np.inf), np.zeros(asked))

    reached, work = goals(), Work(10**9)
    reached.highest[:], reached.lowest[:] = -np.inf, np.inf
    reached.span[:] = 2.0
    serve_by_layer(joint, figures, reached, work, 1, lambda done, total: None)
    numbers = np.arange(1, figures.shape[0] + 1)
    exact = Alike(figures, numbers, joint.truth, joint.pattern, joint.cell, goals(), work, 1000.0)
    ends = np.array([exact.ends(goal)[:2] for goal in range(asked)])
    assert (reached.low >= ends[:, 0] - 1e-5).all()
    assert (reached.high <= ends[:, 1] + 1e-5).all()
    # Both layers have moved.
    moved = reached.high - reached.low > 1
    assert moved[:cells].any()
    assert moved[cells:].any()


def few_between(works: list[dict[str, Any]], linked: list[dict[str, Any]]) -> list[str]:
    """Groups of whom few are linked and do not work, by subtraction."""
    tables = {tuple(table["by"]): table for table in works}
    hits = []
    for table in linked:
        other = tables[tuple(table["by"])]
        for inner, outer in zip(
            [*other["rows"], other["total"]], [*table["rows"], table["total"]], strict=True
        ):
            if None not in (inner["found"], outer["found"]) and 0 < outer["found"] - inner["found"] < K:
                hits.append(f"{outer['key']}: {outer['found'] - inner['found']}")
    return hits


def test_match_rates_beside_a_crossed_cube_tell_of_no_few_and_are_not_withheld_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    people = People(3, 1500, (8, 6, 12))
    works = people.documents(people.works, 2)
    layer = people.entries("works", people.works, ("linked",))
    assert few_between(works, people.documents(people.linked, 1))
    # As in a union of tens of thousands of columns: worlds for many goals, and no program is asked.
    monkeypatch.setattr(beside, "_SMALL", 0)
    monkeypatch.setattr(beside, "_EXACT_COLUMNS", 0)
    monkeypatch.setattr(beside, "_EXACT_FIGURES", 0)
    union = Beside([(layer, works)], people.entries("linked", people.linked), POLICY, lambda *_: None)
    linked = people.documents(people.linked, 1, beside=union.hide)
    assert not few_between(works, linked)
    assert linked[0]["total"]["found"] is not None
    assert sum(row["found"] is not None for table in linked for row in table["rows"]) >= 10
