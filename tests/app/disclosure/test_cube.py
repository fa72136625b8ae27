"""What a cube shows, and how a question with a filter is answered from its documents alone."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from app.disclosure.cube import derive, protect_cube
from app.disclosure.errors import DisclosureError
from app.disclosure.finest import Axis, FinestCells
from app.disclosure.groups import Groups, plan_margins
from app.disclosure.policy import Policy
from app.disclosure.suppression import suppress
from tests.app.disclosure.test_protect import ABOUT

POLICY = Policy(10, b"a secret of 32 bytes for testing")


def cells(counts: dict[tuple[str, str], tuple[int, int]]) -> FinestCells:
    """Sexes and counties, one county that nobody lives in."""
    axes = (
        Axis("sex", ("Female", "Male"), ("Female", "Male")),
        Axis("county", ("39061", "39017", "39025"), ("Hamilton", "Butler", "Clermont")),
    )
    codes = [[axes[0].codes.index(sex), axes[1].codes.index(county)] for sex, county in counts]
    n, found = (np.array([pair[i] for pair in counts.values()]) for i in (0, 1))
    return FinestCells(ABOUT, axes, np.array(codes), n, found)


LARGE = {
    ("Female", "39061"): (200, 150),
    ("Male", "39061"): (180, 120),
    ("Female", "39017"): (90, 60),
    ("Male", "39017"): (100, 70),
}


def documents(made: FinestCells, depth: int = 2) -> list[dict[str, Any]]:
    cube = protect_cube(made, POLICY, depth)
    return [json.loads(json.dumps(cube.table(by).to_document())) for by in cube.plan]


def test_everything_large_is_published_in_code_list_order_over_the_full_grid() -> None:
    table = documents(cells(LARGE))[-1]
    assert [(row["key"]["sex"], row["key"]["county"], row["n"]) for row in table["rows"]] == [
        ("Female", "39061", 200),
        ("Female", "39017", 90),
        ("Female", "39025", None),
        ("Male", "39061", 180),
        ("Male", "39017", 100),
        ("Male", "39025", None),
    ]


def test_same_cells_policy_and_secret_give_the_same_documents() -> None:
    small = LARGE | {("Male", "39025"): (4, 2), ("Female", "39025"): (30, 20)}
    assert documents(cells(small)) == documents(cells(small))


def test_filter_gives_the_rows_and_the_group_of_the_table_that_crosses_it() -> None:
    answer = derive(documents(cells(LARGE)), ["county"], {"sex": "Male"})
    assert [(row["key"], row["n"]) for row in answer["rows"]] == [
        ({"county": "39061"}, 180),
        ({"county": "39017"}, 100),
        ({"county": "39025"}, None),
    ]
    assert (answer["by"], answer["where"], answer["total"]["n"]) == (["county"], {"sex": "Male"}, 280)


def test_dimensions_in_another_order_are_the_same_table_in_that_order() -> None:
    answer = derive(documents(cells(LARGE)), ["county", "sex"], {})
    assert [list(row["key"].values()) for row in answer["rows"]][:2] == [
        ["39061", "Female"],
        ["39061", "Male"],
    ]
    assert answer["rows"][1]["n"] == 180


def test_unknown_and_absent_codes_are_answered_alike_and_not_repeated() -> None:
    made = documents(cells(LARGE))
    unknown, absent = (derive(made, ["sex"], {"county": code}) for code in ("Miller", "39025"))
    assert unknown["where"] == {"county": None}
    assert unknown | {"where": 0} == absent | {"where": 0}
    assert {row["status"] for row in [*unknown["rows"], unknown["total"]]} == {"withheld"}


@pytest.mark.parametrize(
    ("by", "where"),
    [(["race"], {}), (["sex"], {"race": "a"}), (["sex"], {"sex": "Male"}), (["sex", "sex"], {})],
)
def test_what_is_not_planned_is_refused(by: list[str], where: dict[str, str]) -> None:
    with pytest.raises(DisclosureError) as caught:
        derive(documents(cells(LARGE)), by, where)
    assert caught.value.code == "NOT_IN_PLAN"


def test_cohort_of_nobody_looks_like_a_cohort_of_too_few() -> None:
    nobody, few = documents(cells({})), documents(cells({("Male", "39061"): (4, 2)}))
    assert nobody == few


def test_budget_that_is_spent_drops_tables_and_publishes_what_is_proven() -> None:
    rng = np.random.default_rng(1)
    axes = tuple(Axis(name, ("0", "1", "2", "3"), ("0", "1", "2", "3")) for name in "abc")
    keys = np.array([(i, j, k) for i in range(4) for j in range(4) for k in range(4)])
    n = rng.integers(1, 30, len(keys))
    made = FinestCells(ABOUT, axes, keys, n, rng.binomial(n, 0.7))
    plan = plan_margins(axes, 3)
    rich, poor = (suppress(made, plan, Policy(10, b"x" * 32, work)) for work in (10**8, 200))
    assert not rich.dropped
    assert poor.dropped
    assert poor.found_shown.sum() < rich.found_shown.sum()
    assert poor.n_shown[0]


def test_dimension_is_not_crossed_with_one_that_it_refines() -> None:
    axes = (
        Axis("pathway", ("a",), ("a",)),
        Axis("level", ("b",), ("b",), parent="pathway"),
        Axis("sex", (), ()),
    )
    plan = plan_margins(axes, 3)
    assert ("pathway", "level") not in plan
    assert ("level", "sex") in plan
    assert len(plan) == 1 + 3 + 2


def test_overlapping_dimension_counts_a_person_in_each_code_and_once_in_the_total() -> None:
    axes = (Axis("pathway", ("a", "b"), ("a", "b"), overlapping=True),)
    counted = {frozenset[str](): np.array([True, True, False])}
    made = FinestCells(
        ABOUT, axes, np.array([[0], [1], [1]]), np.array([100, 50, 30]), np.array([60, 30, 15]), counted
    )
    groups = Groups(made, plan_margins(axes, 1))
    assert list(groups.n) == [150, 100, 80]
