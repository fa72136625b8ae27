"""A contribution's points beside its difference: how many persons the cohort has; and what is withheld late.

The points are the difference times the participants' share. Whoever has both divides, and subtracts from the
persons of another figure of the cohort: whoever was excluded between two quarters is a group of few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from fractions import Fraction
from math import ceil, floor
from typing import Any

import pyarrow as pa
import pytest

from app.disclosure.policy import Policy
from app.disclosure.treatment import Treatment
from app.outcomes.contributed import NO_POINTS
from app.outcomes.figures import Source
from app.outcomes.plan import Out, Plan, plan_cube
from tests.app.outcomes.builders import completion, facts, participation, persons, wage

K = 10
COHORT = "2021-22"
POLICY = Policy(K, b"a secret of the tests, 32 bytes..")
BEFORE = replace(POLICY, figures_by_persons=False)
RATE, EARLIER, CONTRIBUTION = "employed_q4", "employed_q2", "contribution"
#: Age and whether she takes part: how many, how many work in the second quarter, and in the fourth.
Cells = Mapping[tuple[str, bool], tuple[int, int, int]]
FAR_APART: Cells = {
    ("20-24", True): (40, 30, 32),
    ("20-24", False): (60, 20, 18),
    ("25-34", True): (30, 18, 20),
    ("25-34", False): (50, 12, 13),
}
NEAR: Cells = {**FAR_APART, ("20-24", False): (60, 40, 45), ("25-34", False): (50, 28, 36)}
#: Too few take part.
FEW: Cells = {**FAR_APART, ("20-24", True): (8, 4, 4), ("25-34", True): (4, 2, 2)}
#: Of a stratum, four are compared with forty.
FEW_COMPARED: Cells = {
    ("20-24", True): (40, 25, 25),
    ("20-24", False): (100, 72, 72),
    ("25-34", True): (40, 26, 26),
    ("25-34", False): (4, 1, 1),
}


def source(cells: Cells, excluded: int = 0, unlinked: int = 0) -> Source:
    """Graduates; some died between the two quarters, and the wage records of some are another's."""
    people, awards, wages, spells = [], [], [], []
    for (age, takes_part), (n, second, fourth) in cells.items():
        for at in range(n):
            person = f"{age}-{takes_part}-{at}"
            people.append(person)
            awards.append(completion(person, award_date="2022-05-14", age_band=age))
            wages += [wage(person, "39", "2022Q4", 5000)] if at < second else []
            wages += [wage(person, "39", "2023Q2", 5000)] if at < fourth else []
            spells += [participation(person)] if takes_part else []
    for at in range(excluded):
        people.append(f"excluded-{at}")
        died = {"exclusion_reason": "DECEASED", "exclusion_date": "2023-02-01"}
        awards.append(completion(people[-1], award_date="2022-05-14", age_band="20-24", **died))
    given = {
        "completion": [("edu-1", facts("completion", awards))],
        "wage": [("oh-1", facts("wage", wages))],
        "participation": [("np-1", facts("participation", spells))],
    }
    linked = persons(people, {"edu-1": "edu", "oh-1": "39", "np-1": "np"}).to_pylist()
    paid = {row["record_ref"] for row in wages}
    alone = [row for row in linked if row["batch"] == "oh-1" and row["record_ref"] not in paid][:unlinked]
    for at, row in enumerate(alone):
        row["person"] = len(people) + at
    schema = persons([], {}).schema
    table = pa.Table.from_pylist(linked, schema=schema)
    return Source(table, given, date(2026, 11, 22), owners={"edu-1": "oh-education"})


def answers(data: Source, order: Sequence[str], policy: Policy) -> dict[str, Any]:
    """Documents of totals, each made beside those before."""
    made: dict[str, list[Any]] = {}
    for indicator in order:
        out = [Out(name, COHORT, told, None, same_agreement=True) for name, told in made.items()]
        made[indicator] = plan_cube(
            Plan(indicator, COHORT, (), depth=0),
            data,
            policy,
            Treatment(),
            quality=None,
            published=out,
            progress=lambda *_: None,
        ).documents
    return {name: told[0] for name, told in made.items()}


def divided(total: Mapping[str, Any]) -> tuple[int, int] | None:
    """Between how many persons a cohort has, by points and difference."""
    if total["contributed_points"] is None:
        return None
    off = Fraction(1, 20)
    difference, points = (abs(Fraction(total[f"{name}_points"])) for name in ("difference", "contributed"))
    least = total["n"] * (difference - off) / (points + off)
    return ceil(least), floor(total["n"] * (difference + off) / (points - off))


def excluded_between(told: Mapping[str, Any]) -> list[str]:
    """How many of the earlier rate's persons are none of the contribution's."""
    ends, n = divided(told[CONTRIBUTION]["total"]), told[EARLIER]["total"]["n"]
    if ends is None or n is None:
        return []
    few = 0 < n - ends[1] <= n - ends[0] < K
    return [f"between {n - ends[1]} and {n - ends[0]} were excluded"] if few else []


ORDERS = ((EARLIER, CONTRIBUTION), (CONTRIBUTION, EARLIER))


@pytest.mark.parametrize("order", ORDERS)
def test_points_tell_how_few_were_excluded_where_they_count_as_telling_nothing(order: Sequence[str]) -> None:
    data = source(FAR_APART, excluded=3)
    told = answers(data, order, POLICY)
    assert told[CONTRIBUTION]["total"]["difference_points"] is not None
    assert not excluded_between(told)
    assert excluded_between(answers(data, order, BEFORE))


def test_contribution_whose_points_would_tell_of_few_is_shown_without_them() -> None:
    told = answers(source(FAR_APART, excluded=3), ORDERS[0], POLICY)[CONTRIBUTION]
    assert (told["total"]["contributed_points"], told["total"]["status"]) == (None, "published")
    assert NO_POINTS in told["notes"]
    for cells, excluded in ((FAR_APART, 0), (NEAR, 3)):
        whole = answers(source(cells, excluded), ORDERS[0], POLICY)[CONTRIBUTION]
        assert whole["total"]["contributed_points"] is not None
        assert NO_POINTS not in whole["notes"]


def test_contribution_that_is_withheld_beside_others_looks_like_one_of_too_few() -> None:
    totals = {}
    for policy in (POLICY, BEFORE):
        for cells in (FEW, FEW_COMPARED):
            told = answers(source(cells, unlinked=15), (RATE, CONTRIBUTION), policy)
            assert told[RATE]["total"]["matched"]["n"] is not None
            totals[policy, cells is FEW] = told[CONTRIBUTION]["total"]
    assert totals[POLICY, True]["status"] == "withheld"
    assert totals[POLICY, True] == totals[POLICY, False]
    assert totals[BEFORE, True] != totals[BEFORE, False]
