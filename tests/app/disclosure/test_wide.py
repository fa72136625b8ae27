"""What tells of an employer at a place, beside what is out: of published cubes as well as of the new one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import linprog

from app.disclosure import wide
from app.disclosure.alternatives import finest
from app.disclosure.beside import Beside
from app.disclosure.cube import protect_cube
from app.disclosure.finest import Axis
from app.disclosure.joint import Entries, Joint
from app.disclosure.paid import Paid
from app.disclosure.policy import Policy
from tests.app.disclosure.test_protect import ABOUT

K = 10
POLICY = Policy(K, b"the attacker does not know this.")
COUNTIES = ("39061", "39017", "39025", "39165")
AXES = (Axis("county", COUNTIES, COUNTIES, places=frozenset(COUNTIES)),)
#: Of each county: graduates; employed two quarters later, by one employer in the first; kept by theirs.
MANY, EMPLOYED, KEPT = 80, 40, 25
#: Linked with a wage record, but not employed then.
LINKED = {county: 2 + 11 * at for at, county in enumerate(COUNTIES)}

Layer = tuple[Entries, list[dict[str, Any]]]


def layer(indicator: str, found: np.ndarray, counted: np.ndarray | None = None, **more: Any) -> Entries:
    return Entries(
        indicator,
        AXES,
        keys=[f"p{at}" for at in range(MANY * len(COUNTIES))],
        codes=np.repeat(np.arange(len(COUNTIES)), MANY)[:, None],
        masks={frozenset(): np.ones(MANY * len(COUNTIES), np.bool_)},
        found=found,
        counted=np.ones(MANY * len(COUNTIES), np.bool_) if counted is None else counted,
        about=ABOUT,
        **more,
    )


def published(entries: Entries, before: Sequence[Layer], policy: Policy = POLICY) -> Layer:
    hide = Beside(before, entries, policy, lambda *_: None).hide if before else lambda state: None
    cube = protect_cube(finest(entries, ABOUT), policy, 1, beside=hide)
    return entries, [json.loads(json.dumps(cube.table(by).to_document())) for by in cube.plan]


def most_employed(layers: Sequence[Layer]) -> float:
    """Most employed of the first county, by everything that is published and every number of graduates."""
    joint = Joint([entries for entries, _ in layers])
    cells = sp.csr_matrix(
        (np.ones(len(joint.cell)), (joint.cell, np.arange(len(joint.cell)))),
    )
    rows = sp.vstack([*(joint.published(at, told) for at, (_, told) in enumerate(layers)), cells]).toarray()
    employed = joint.sums_of(0, ("county",), np.array([[0]]))[0].toarray().ravel()
    solved = linprog(-employed, A_eq=rows, b_eq=rows @ joint.truth, bounds=(0, None))
    assert solved.status == 0
    return float(-solved.fun)


def layers() -> list[Layer]:
    """Who was kept, of the employed; then who was linked at all."""
    place, number = (part.ravel() for part in np.divmod(np.arange(MANY * len(COUNTIES)), MANY))
    employed = number < EMPLOYED
    paid = [(int(at), "mill" if place[at] == 0 else f"shop {at % 9}", 100) for at in np.flatnonzero(employed)]
    kept = layer(
        "retained",
        number < KEPT,
        employed,
        of="employed_q2",
        of_within=("matched",),
        within=("matched",),
        paid=Paid(len(place), [each for each in paid if number[each[0]] < KEPT]),
        paid_counted=Paid(len(place), paid),
    )
    linked = number < EMPLOYED + np.array([LINKED[county] for county in COUNTIES])[place]
    first = published(kept, [])
    return [first, published(layer("matched", linked), [first])]


def test_denominator_that_tells_of_an_employer_does_not_follow_from_a_later_cube(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = layers()
    told = {row["key"]["county"]: row["n"] for row in made[0][1][1]["rows"]}
    assert told[COUNTIES[0]] is None
    assert most_employed(made) >= EMPLOYED + K
    assert any(row["found"] is not None for row in made[1][1][1]["rows"])
    monkeypatch.setattr(wide, "_of_table", lambda *_, **__: [])
    assert most_employed(layers()) < EMPLOYED + K


def of_one_employer(*, sums_of_places: bool = True) -> list[Layer]:
    """The same rates twice, under two secrets: one employer pays the first two counties."""
    place, number = (part.ravel() for part in np.divmod(np.arange(MANY * len(COUNTIES)), MANY))
    employed = number < np.array([40, 44, 42, 41])[place]
    paid = [(int(at), "mill" if place[at] < 2 else f"shop {at % 9}", 100) for at in np.flatnonzero(employed)]
    made: list[Layer] = []
    for secret in (b"secret number 0000", b"secret number 0001"):
        entries = layer("employed_q4", employed, paid=Paid(len(place), paid))
        made.append(published(entries, made, Policy(K, secret, sums_of_places=sums_of_places)))
    return made


def together(layers: Sequence[Layer]) -> float:
    """How far apart least and most employed of the first two counties are, for whoever knows every N."""
    joint = Joint([entries for entries, _ in layers])
    cells = sp.csr_matrix((np.ones(len(joint.cell)), (joint.cell, np.arange(len(joint.cell)))))
    rows = sp.vstack([*(joint.published(at, told) for at, (_, told) in enumerate(layers)), cells]).toarray()
    both = joint.sums_of(0, ("county",), np.array([[0], [1]]))[1].toarray().sum(axis=0)
    ends = [
        sign * linprog(sign * both, A_eq=rows, b_eq=rows @ joint.truth, bounds=(0, None)).fun
        for sign in (1, -1)
    ]
    return float(ends[1] - ends[0])


def test_two_counties_of_one_employer_do_not_follow_from_cubes_that_hide_different_companions() -> None:
    made = of_one_employer()
    assert together(made) >= 2 * K
    assert [row["found"] for row in made[0][1][1]["rows"]].count(None) == 3
    assert together(of_one_employer(sums_of_places=False)) < 1
