"""Places whose figures would tell of an employer: which they are, and that they follow from nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from app.disclosure.cube import protect_cube
from app.disclosure.finest import Axis, FinestCells
from app.disclosure.paid import Paid
from app.disclosure.policy import Policy
from tests.app.disclosure.test_protect import ABOUT

K = 10
SECRET = b"a secret of 32 bytes for testing"
COUNTIES = ("39061", "39017", "39025", "OTHER")
AXES = (
    Axis("sex", ("Female", "Male"), ("Female", "Male")),
    Axis("county", COUNTIES, COUNTIES, places=frozenset(COUNTIES[:3])),
)
#: Persons and found by sex and county.
COUNTS = {
    ("Female", "39061"): (200, 150),
    ("Male", "39061"): (180, 120),
    ("Female", "39017"): (90, 60),
    ("Male", "39017"): (100, 70),
    ("Female", "39025"): (80, 50),
    ("Male", "39025"): (60, 40),
    ("Female", "OTHER"): (50, 30),
    ("Male", "OTHER"): (50, 30),
}


def cells(
    employers: dict[str, Any],
    counts: dict[tuple[str, str], tuple[int, int]] | None = None,
    *,
    all_paid: bool = False,
) -> Any:
    """Everybody found earns 100 dollars; of a county from these employers by turns, else from many.

    With ``all_paid`` everybody does, found or not.
    """
    counts = counts or COUNTS
    codes = [[axis.codes.index(code) for axis, code in zip(AXES, key, strict=True)] for key in counts]
    n, found = (np.array([pair[at] for pair in counts.values()]) for at in (0, 1))

    def paid(some: np.ndarray) -> Paid:
        amounts = []
        for at, ((_, county), working) in enumerate(zip(counts, some, strict=True)):
            names = employers.get(county, [f"shop {i}" for i in range(12)])
            amounts += [(at, names[i % len(names)], 10_000) for i in range(working)]
        return Paid(len(n), amounts)

    counted = paid(n) if all_paid else None
    return FinestCells(ABOUT, AXES, np.array(codes), n, found, paid=paid(found), paid_counted=counted)


def figures(
    made: FinestCells, *, rule: bool = True, depth: int = 2, of: str = "found"
) -> dict[tuple[str, ...], Any]:
    """Numerators, or denominators, by the codes of their group; the total's is that of nothing."""
    cube = protect_cube(made, Policy(K, SECRET, employers_of_places=rule), depth)
    tables = [cube.table(by) for by in cube.plan]
    told = {tuple(code for _, code in row.key): getattr(row, of) for table in tables for row in table.rows}
    return told | {(): getattr(tables[0].total, of)}


def interval(
    made: FinestCells, told: dict[tuple[str, ...], Any], group: tuple[str, ...]
) -> tuple[float, float]:
    """Least and most that somebody who knows every N finds possible of a group's numerator."""

    def columns(key: tuple[str, ...]) -> np.ndarray:
        names = [tuple(axis.codes[at] for axis, at in zip(AXES, row, strict=True)) for row in made.codes]
        return np.array([float(set(key) <= set(name)) for name in names])

    shown = {key: value for key, value in told.items() if value is not None}
    ends = []
    for sign in (1.0, -1.0):
        solved = linprog(
            sign * columns(group),
            A_eq=np.array([columns(key) for key in shown]),
            b_eq=np.array(list(shown.values())),
            bounds=[(0, size) for size in made.n],
        )
        ends.append(sign * solved.fun)
    return ends[0], ends[1]


@pytest.mark.parametrize(
    ("paid", "tells"),
    [
        ([("a", 1), ("b", 1)], True),
        ([("a", 1), ("b", 1), ("c", 1)], False),
        ([("a", 80), ("b", 10), ("c", 10)], False),
        ([("a", 8001), ("b", 1000), ("c", 999)], True),
        ([], False),
    ],
)
def test_sum_tells_of_an_employer_where_fewer_than_three_paid_or_one_more_than_80_per_cent(
    paid: list[tuple[str, int]], tells: bool
) -> None:
    import scipy.sparse as sp

    made = Paid(2, [(at % 2, name, cents) for at, (name, cents) in enumerate(paid)])
    assert made.telling(sp.csr_matrix(np.ones((1, 2)))).tolist() == [tells]


def test_county_of_one_employer_is_withheld_and_neither_margins_nor_crossed_cells_tell_its_number() -> None:
    made = cells({"39025": ["mill"]})
    without, told = figures(made, rule=False), figures(made)
    assert without["39025",] == 90
    assert told["39025",] is None
    least, most = interval(made, told, ("39025",))
    assert least <= 90 // 2
    assert most >= 90 + K
    # What the rule alone would leave follows by subtraction.
    naive = without | {key: None for key in without if "39025" in key}
    assert interval(made, naive, ("39025",)) == pytest.approx((90, 90))


def test_counties_that_one_employer_pays_together_are_not_all_that_is_left_of_the_total() -> None:
    # Each of them has one employer, the same one: so does what is left when others are subtracted.
    told = figures(cells({"39025": ["mill"], "39017": ["mill"]}), depth=1)
    hidden = {code for code in COUNTIES if told[code,] is None}
    assert {"39025", "39017"} < hidden
    assert told[()] is not None


def test_denominator_of_those_whom_one_employer_pays_is_withheld_and_does_not_follow() -> None:
    made = cells({"39025": ["mill"]}, all_paid=True)
    told = figures(made, of="n")
    assert told["39025",] is None
    assert told[()] == 810
    assert {"39025"} < {code for code in COUNTIES if told[code,] is None}
    assert figures(cells({"39025": ["mill"]}), of="n")["39025",] == 140


def test_code_that_names_no_place_needs_no_employers() -> None:
    told = figures(cells({"OTHER": ["mill"]}), depth=1)
    assert told["OTHER",] == 60


def test_cohort_of_one_county_whose_total_would_tell_its_number_shows_no_numerator() -> None:
    counts = {("Female", "39025"): (80, 50), ("Male", "39025"): (60, 40)}
    made = cells({"39025": ["mill"]}, counts)
    assert set(figures(made).values()) == {None}
    assert figures(made, rule=False)[()] == 90


def test_where_no_place_tells_of_an_employer_all_is_as_without_the_rule() -> None:
    made = cells({})
    assert figures(made) == figures(made, rule=False)


def test_policy_of_before_the_rule_is_thawed_without_it() -> None:
    before = Policy.thaw({"min_cell": K, "employers_of_places": True}, SECRET)
    assert before.employers_of_places and not before.sums_of_places
    assert not Policy.thaw({"min_cell": K}, SECRET).employers_of_places
    now = Policy.thaw(Policy(K, SECRET).frozen(), SECRET)
    assert now.employers_of_places and now.sums_of_places


@pytest.mark.parametrize("seed", range(8))
def test_random_cohorts_leave_every_place_that_tells_of_an_employer_open(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = {}
    for key in COUNTS:
        n = int(rng.integers(1, 150))
        counts[key] = (n, int(rng.binomial(n, rng.choice([0.3, 0.7]))))
    few = {code: ["mill", "shop 1"] for code in rng.choice(COUNTIES[:3], 2, replace=False)}
    made = cells(few, counts)
    told = figures(made)
    whole = sum(found for _, found in counts.values())
    for code in few:
        keys = [key for key in counts if key[1] == code]
        n, found = (sum(counts[key][at] for key in keys) for at in (0, 1))
        assert told[code,] is None
        if n >= K and any(value is not None for value in told.values()):
            least, most = interval(made, told, (code,))
            others = sum(n for n, _ in counts.values()) - n
            assert least <= max(found // 2, whole - others) + 1e-6
            assert most >= min(found + K, n, whole) - 1e-6


def test_county_in_which_nearly_all_work_who_work_at_all_costs_no_total_where_that_leaves_enough() -> None:
    counts = {("Female", "39025"): (60, 12), ("Male", "OTHER"): (100, 3)}
    told = figures(cells({"39025": ["mill"]}, counts), depth=1)
    assert told[()] == 15
    assert told["39025",] is None
