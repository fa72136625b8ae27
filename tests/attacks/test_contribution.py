"""A contribution beside the rates of its cohort: participants who are nearly a group, strata of a few."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from app.disclosure.beside import Beside
from app.disclosure.policy import Policy
from app.disclosure.suppression import Suppression
from app.disclosure.treatment import Treatment
from app.outcomes import contributed, union
from app.outcomes.figures import Source
from app.outcomes.plan import Out, Plan, plan_cube
from tests.app.outcomes.builders import completion, facts, participation, persons, wage
from tests.attacks.bounds import told_by

K = 10
COHORT, AS_OF = "2021-22", date(2026, 11, 22)
POLICY = Policy(K, b"a secret of the tests, 32 bytes..")
#: Institution, age, whether she takes part: how many, and how many of them work.
Cells = Mapping[tuple[str, str, bool], tuple[int, int]]
HERE, THERE, ELSEWHERE = "201885", "204024", "206084"
DIMENSIONS = ("institution", "age_band")
#: Graduates of one institution, each in a stratum of her own: two columns each, so the union is a large one.
CROWD: Cells = {(ELSEWHERE, "20-24", False): (3_050, 2_100)}
#: A union of more columns is a large one.
LARGE = 6_000
_FAMILIES = (11, 13, 14, 15, 16, 19, 22, 23, 24, 26, 27, 30, 31, 40, 42, 43, 45, 50, 51, 52)

#: All of one institution take part, but three of them.
NEARLY_ALL: Cells = {
    (HERE, "20-24", True): (67, 41),
    (HERE, "20-24", False): (3, 2),
    (THERE, "20-24", False): (80, 50),
}
#: Of the older, four are compared with forty.
FEW_COMPARED: Cells = {
    (HERE, "20-24", True): (40, 25),
    (HERE, "20-24", False): (100, 72),
    (HERE, "25-34", True): (40, 26),
    (HERE, "25-34", False): (4, 1),
}
#: Enough of each.
MANY: Cells = {
    (HERE, "20-24", True): (60, 35),
    (HERE, "20-24", False): (100, 72),
    (THERE, "25-34", True): (50, 26),
    (THERE, "25-34", False): (80, 41),
}


def source(cells: Cells) -> Source:
    people, awards, wages, spells = [], [], [], []
    for (school, age, takes_part), (n, found) in cells.items():
        for at in range(n):
            person = f"{school}-{age}-{takes_part}-{at}"
            people.append(person)
            codes = {"age_band": age, "institution_id": school, "id_system": "UNITID"}
            codes |= apart(at) if school == ELSEWHERE else {}
            awards.append(completion(person, award_date="2022-05-14", **codes))
            wages += [wage(person, "39", "2023Q2", 5000)] if at < found else []
            spells += [participation(person)] if takes_part else []
    given = {
        "completion": [("edu-1", facts("completion", awards))],
        "wage": [("oh-1", facts("wage", wages))],
        "participation": [("np-1", facts("participation", spells))],
    }
    linked = persons(people, {"edu-1": "edu", "oh-1": "39", "np-1": "np"})
    return Source(linked, given, AS_OF, owners={"edu-1": "oh-education"})


def apart(at: int) -> dict[str, str]:
    """A stratum for each person of a crowd: family of the award, county and sex."""
    rest, family = divmod(at, len(_FAMILIES))
    male, county = divmod(rest, 88)
    return {
        "cip_code": f"{_FAMILIES[family]}.0101",
        "cip_version": "2020",
        "county_fips": f"39{2 * county + 1:03}",
        "sex": "Male" if male else "Female",
    }


def cube(data: Source, indicator: str, made: Mapping[str, list[Any]], policy: Policy = POLICY) -> list[Any]:
    """A figure of the cohort beside those that are made already."""
    dimensions = () if indicator == "contribution" else DIMENSIONS
    out = [Out(name, COHORT, told, None, same_agreement=True) for name, told in made.items()]
    asked = Plan(indicator, COHORT, dimensions, depth=2, permitted=DIMENSIONS)
    return plan_cube(
        asked, data, policy, Treatment(), quality=None, published=out, progress=lambda *_: None
    ).documents


def answers(cells: Cells, order: Sequence[str]) -> dict[str, list[Any]]:
    """Both figures of the cohort, one made beside the other."""
    data, made = source(cells), dict[str, list[Any]]()
    for indicator in order:
        made[indicator] = cube(data, indicator, made)
    return made


def rows(documents: Sequence[Any]) -> list[tuple[Mapping[str, str], Any]]:
    every = [(row["key"], row) for document in documents for row in document["rows"]]
    return [*every, ({}, documents[0]["total"])]


def inside(cell: tuple[str, str, bool], key: Mapping[str, str]) -> bool:
    return all(dict(zip(DIMENSIONS, cell[:2], strict=True))[name] == code for name, code in key.items())


def nearly_a_group(cells: Cells, made: Mapping[str, list[Any]]) -> list[str]:
    """Groups that hold everybody who takes part, and few others. Who stands where is known."""
    total = made["contribution"][0]["total"]
    if total["n"] is None:
        return []
    takes_part = [cell for cell, (n, _) in cells.items() if cell[2] and n]
    return [
        f"{key}: {row['n'] - total['n']} more"
        for key, row in rows(made["employed_q4"])
        if row["n"] is not None and all(inside(cell, key) for cell in takes_part)
        if 0 < row["n"] - total["n"] < K
    ]


def strata(cells: Cells, made: Mapping[str, list[Any]]) -> list[str]:
    """Those found in cells of a few, by linear programs, with every number of persons known."""
    total = made["contribution"][0]["total"]
    if total["found"] is None:
        return []
    names = [cell for cell, (n, _) in cells.items() if n]
    n = np.array([cells[cell][0] for cell in names], float)
    left = [[float(inside(c, key)) for c in names] for key, r in rows(made["employed_q4"]) if r["found"]]
    right = [row["found"] for _, row in rows(made["employed_q4"]) if row["found"]]
    left.append([float(cell[2]) for cell in names])
    right.append(total["found"])
    weights = np.array([0.0 if c[2] else cells.get((*c[:2], True), (0, 0))[0] / cells[c][0] for c in names])
    told = float(total["standardised_rate"]) / 100 * total["n"]
    off = 0.0005 * total["n"]
    hits = []
    for at, cell in enumerate(names):
        ends = []
        for sign in (1, -1):
            cost = np.zeros(len(names))
            cost[at] = sign
            solved = linprog(
                cost,
                A_eq=np.array(left),
                b_eq=right,
                A_ub=np.array([weights, -weights]),
                b_ub=[told + off, off - told],
                bounds=list(zip(np.zeros(len(names)), n, strict=True)),
            )
            assert solved.status == 0
            ends.append(sign * solved.fun)
        words = told_by(int(np.ceil(ends[0] - 1e-6)), int(np.floor(ends[1] + 1e-6)), int(n[at]), K)
        hits += [f"{cell}: {words}"] if words else []
    return hits


ORDERS = (("employed_q4", "contribution"), ("contribution", "employed_q4"))


@pytest.mark.parametrize(("cells", "attack"), [(NEARLY_ALL, nearly_a_group), (FEW_COMPARED, strata)])
@pytest.mark.parametrize("order", ORDERS)
def test_contribution_gives_away_few_where_it_is_no_layer_and_none_where_it_is(
    cells: Cells,
    attack: Callable[[Cells, Mapping[str, list[Any]]], list[str]],
    order: Sequence[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not attack(cells, answers(cells, order))
    monkeypatch.setattr(union, "_told_by_contribution", lambda _: [])
    monkeypatch.setattr(contributed, "_stands", lambda *_, **__: True)
    assert attack(cells, answers(cells, order))


@pytest.mark.parametrize("order", ORDERS)
def test_contribution_of_many_is_told_beside_the_rate_of_the_cohort(order: Sequence[str]) -> None:
    made = answers(MANY, order)
    assert made["contribution"][0]["total"]["found"] is not None
    assert made["employed_q4"][0]["total"]["found"] is not None
    assert not nearly_a_group(MANY, made) + strata(MANY, made)


@pytest.mark.parametrize(("cells", "attack"), [(NEARLY_ALL, nearly_a_group), (FEW_COMPARED, strata)])
def test_contribution_in_a_large_union_gives_away_few_where_it_is_no_layer_and_none_where_it_is(
    cells: Cells,
    attack: Callable[[Cells, Mapping[str, list[Any]]], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crowded, sizes = {**cells, **CROWD}, []
    data = source(crowded)
    asked = Beside.hide

    def hide(beside: Beside, state: Suppression, *, whole: bool = False) -> None:
        sizes.append(beside.columns)
        asked(beside, state, whole=whole)

    monkeypatch.setattr(Beside, "hide", hide)
    made = {"employed_q4": cube(data, "employed_q4", {})}
    beside = cube(data, "contribution", made)
    assert sizes and sizes[-1] > LARGE
    assert not attack(crowded, {**made, "contribution": beside})
    monkeypatch.setattr(contributed, "_stands", lambda *_, **__: True)
    assert attack(crowded, {**made, "contribution": cube(data, "contribution", made)})


def test_contribution_that_differs_by_few_is_withheld_without_any_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few, many = source(NEARLY_ALL), source(MANY)
    beside_few, beside_many = ({"employed_q4": cube(data, "employed_q4", {})} for data in (few, many))

    def proves(*_: Any, **__: Any) -> None:
        raise AssertionError("something is proven")

    monkeypatch.setattr(Beside, "_prove", proves)
    assert cube(few, "contribution", beside_few)[0]["total"]["found"] is None
    with pytest.raises(AssertionError, match="something is proven"):
        cube(many, "contribution", beside_many)


def test_contribution_in_a_large_union_is_shown_within_a_small_part_of_its_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Nobody who is in no table of few is told apart from others, so there is little to prove.
    data = source({**MANY, **CROWD})
    made = {"employed_q4": cube(data, "employed_q4", {})}
    monkeypatch.setattr(contributed, "MOST_WORK", 10_000)
    assert cube(data, "contribution", made)[0]["total"]["found"] is not None


def test_contribution_is_withheld_where_the_budget_ends_before_its_proof() -> None:
    # Of groups that are a few persons, the truth alone is no world that serves them.
    few: Cells = {(THERE, "20-24", False): (9, 5), (HERE, "25-34", False): (8, 3)}
    data = source({**MANY, **few})
    made = {"employed_q4": cube(data, "employed_q4", {})}
    assert cube(data, "contribution", made)[0]["total"]["found"] is not None
    spent = Policy(K, POLICY.secret, work=0)
    assert cube(data, "contribution", made, spent)[0]["total"]["found"] is None
