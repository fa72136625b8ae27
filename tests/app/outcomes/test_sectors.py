"""Rows by NAICS sector: the main job of whoever was found, and no row that tells of an employer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from app.disclosure.errors import DisclosureError
from app.disclosure.places import hide_places
from app.disclosure.policy import Policy
from app.disclosure.table import Cell, Coverage, Description, Employers, Place, Rows, Table
from app.disclosure.treatment import Treatment
from app.outcomes.errors import OutcomesError
from app.outcomes.figures import Source
from app.outcomes.finest import finest_cells
from app.outcomes.plan import Out, Plan, plan_cube
from app.outcomes.tabulate import tabulate, tabulate_plan
from tests.app.outcomes.builders import completion, facts, persons, token, wage

AS_OF = date(2026, 11, 22)
POLICY = Policy(10, b"a secret of the tests, 32 bytes..")
BATCHES = {"edu-1": "edu", "oh-1": "39", "ky-1": "21"}
Q = "2023Q2"
Row = Mapping[str, object]


def source(people: Sequence[object], reports: Sequence[Row]) -> Source:
    """Everybody has a degree of 2022-06-01, so the reference quarter is 2023Q2."""
    given = {"completion": [("edu-1", facts("completion", [completion(person) for person in people]))]}
    by_state = (("oh-1", "39"), ("ky-1", "21"))
    batches = [(name, [row for row in reports if row["state_fips"] == state]) for name, state in by_state]
    given["wage"] = [(name, facts("wage", rows)) for name, rows in batches if rows]
    return Source(persons(people, BATCHES), given, AS_OF)


def job(person: object, employer: object, naics: str | None, amount: object, state: str = "39") -> Row:
    marks = {} if naics is None else {"naics": naics}
    return wage(person, state, Q, amount, employer_token=token(employer), **marks)


def sectors_of(*reports: Row, people: Sequence[object] = ("p",)) -> dict[str, int]:
    given = source(people, reports)
    table = tabulate(
        "employed_q4", "2021-22", ("naics_sector",), persons=given.persons, facts=given.facts, as_of=AS_OF
    )
    assert all(cell.n == table.total.n for cell in table.cells)
    assert sum(cell.found for cell in table.cells) == table.total.found
    return {key[0]: cell.found for key, cell in zip(table.keys, table.cells, strict=True) if cell.found}


# ---------------------------------------------------------------- whose row


def test_person_stands_in_the_sector_of_the_employer_that_paid_most_over_states_and_accounts() -> None:
    shop = [job("p", "shop", "445110", 2000), job("p", "shop", "445110", 2500, state="21")]
    assert sectors_of(*shop, job("p", "clinic", "622110", 4000)) == {"44-45": 1}
    assert sectors_of(*shop, job("p", "clinic", "622110", 4501)) == {"62": 1}


def test_employer_of_two_industries_counts_where_it_paid_most() -> None:
    both = [job("p", "group", "445110", 1000), job("p", "group", "311111", 1001, state="21")]
    assert sectors_of(*both) == {"31-33": 1}


@pytest.mark.parametrize("turn", [1, -1])
def test_sector_of_two_employers_that_paid_the_same_is_the_first_by_code_whatever_the_tokens(
    turn: int,
) -> None:
    names = sorted(("a", "b"), key=token)[::turn]
    jobs = [job("p", names[0], "722511", 3000), job("p", names[1], "236115", 3000)]
    assert sectors_of(*jobs) == sectors_of(*reversed(jobs)) == {"23": 1}


def test_sector_of_two_employers_that_paid_the_same_is_that_of_the_larger_part() -> None:
    # A paid 3,000 in two industries, B in one: B's part of 3,000 is the larger.
    jobs = [
        job("p", "a", "236115", 1500),
        job("p", "a", "221110", 1500, state="21"),
        job("p", "b", "722511", 3000),
    ]
    assert sectors_of(*jobs) == {"72": 1}


@pytest.mark.parametrize("naics", ["999999", None])
def test_wages_without_an_industry_stand_in_the_last_row(naics: str | None) -> None:
    assert sectors_of(job("p", "a", naics, 10)) == {"99": 1}


def test_whoever_was_not_found_stands_in_no_sector() -> None:
    minus = {**job("b", "a", "445110", -200), "adjustment": "true"}
    reports = [job("a", "a", "445110", 5000), minus, job("b", "b", "622110", 100)]
    # b's wages are below zero together: not found, though one employer paid.
    assert sectors_of(*reports, people=["a", "b", "c"]) == {"44-45": 1}


def test_grid_is_every_sector_once_in_the_order_of_naics_with_the_unclassified_last() -> None:
    given = source(["p"], [])
    table = tabulate(
        "employed_q4", "2021-22", ("naics_sector",), persons=given.persons, facts=given.facts, as_of=AS_OF
    )
    codes = [key[0] for key in table.keys]
    assert (codes[0], codes[4], codes[-1], len(codes)) == ("11", "31-33", "99", 21)


def test_sectors_are_neither_crossed_nor_asked_of_other_indicators() -> None:
    given = source(["p"], [])
    for indicator, by, code in (
        ("employed_q4", ("sex", "naics_sector"), "DEPTH_NOT_SUPPORTED"),
        ("retained", ("naics_sector",), "UNKNOWN_DIMENSION"),
    ):
        with pytest.raises(OutcomesError) as refusal:
            tabulate(indicator, "2021-22", by, persons=given.persons, facts=given.facts, as_of=AS_OF)
        assert refusal.value.code == code
    with pytest.raises(OutcomesError) as refusal:
        finest_cells(
            "employed_q4", "2021-22", ["naics_sector"], persons=given.persons, facts=given.facts, as_of=AS_OF
        )
    assert refusal.value.code == "DEPTH_NOT_SUPPORTED"


def test_state_and_sector_of_one_plan_are_counted_by_person() -> None:
    reports = [
        job("a", "x", "445110", 100),
        job("a", "y", "622110", 200, state="21"),
        job("b", "x", "445110", 5),
    ]
    given = source(["a", "b", "c"], reports)
    _, states, sectors = tabulate_plan(
        "employed_q4",
        "2021-22",
        ["state_of_work", "naics_sector"],
        persons=given.persons,
        facts=given.facts,
        as_of=AS_OF,
    )
    assert states.places == sectors.places
    assert {tuple(sorted(code for _, code in where)): n for where, n in states.places.items()} == {
        ("21", "39", "62"): 1,
        ("39", "44-45"): 1,
    }
    assert {key[0]: cell.found for key, cell in zip(states.keys, states.cells, strict=True)} == {
        "39": 2,
        "21": 1,
        "OTHER": 0,
    }


# ---------------------------------------------------------------- employers

ABOUT = Description("employed_q4", "t", "d", "2021-22", "FINAL", Coverage("c"))
ENOUGH = Employers(3, Fraction(4, 5))


def by_place(
    name: str, atoms: Mapping[frozenset[Place], int], employers: Mapping[str, Employers] | None = None
) -> Table:
    total = sum(atoms.values())
    codes = sorted({code for where in atoms for dimension, code in where if dimension == name})
    found = {code: sum(n for where, n in atoms.items() if (name, code) in where) for code in codes}
    return Table(
        ABOUT,
        (name,),
        keys=tuple((code,) for code in codes),
        labels=tuple(codes),
        cells=tuple(Cell(100_000, found[code]) for code in codes),
        total=Cell(100_000, total),
        rows=Rows.PLACES,
        places=atoms,
        employers=employers,
    )


def in_sectors(**found: int) -> dict[frozenset[Place], int]:
    return {frozenset({("naics_sector", code)}): n for code, n in found.items()}


@pytest.mark.parametrize(
    ("employers", "hidden"),
    [
        (Employers(2, Fraction(1, 2)), True),
        (Employers(3, Fraction(801, 1000)), True),
        (Employers(3, Fraction(80, 100)), False),
    ],
)
def test_row_of_few_employers_or_a_dominant_one_is_withheld_with_one_more(
    employers: Employers, hidden: bool
) -> None:
    atoms = in_sectors(a=120, b=90, c=40)
    table = by_place("naics_sector", atoms, {"a": employers, "b": ENOUGH, "c": ENOUGH})
    # Alone, the row would be the total minus the others.
    wanted = {("naics_sector", code) for code in "ac"} if hidden else set()
    assert hide_places([table], POLICY) == wanted


def test_row_withheld_for_its_employers_is_not_given_away_by_a_small_companion() -> None:
    # With c's four persons alone beside it, a would be known to four.
    table = by_place("naics_sector", in_sectors(a=120, b=90, c=4), {"b": ENOUGH, "c": ENOUGH})
    assert {code for _, code in hide_places([table], POLICY)} == {"a", "b", "c"}


def test_rows_by_state_do_not_give_away_a_sector() -> None:
    def atom(state: str, sector: str) -> frozenset[Place]:
        return frozenset({("state_of_work", state), ("naics_sector", sector)})

    # Whoever works in Kentucky works in b, c or d; with both tables shown all four sectors would follow.
    atoms = {atom("39", "a"): 60, atom("21", "b"): 50, atom("21", "c"): 40, atom("21", "d"): 3}
    sectors = dict.fromkeys("bcd", ENOUGH)
    plain = by_place("naics_sector", in_sectors(a=60, b=50, c=40, d=3), sectors)
    assert len(hide_places([plain], POLICY)) == 3
    tables = [by_place("state_of_work", atoms), by_place("naics_sector", atoms, sectors)]
    together = hide_places(tables, POLICY)
    # a is Ohio's row: neither state may be shown.
    assert {("state_of_work", "39"), ("state_of_work", "21"), ("naics_sector", "a")} <= together


def test_tables_by_place_of_different_persons_are_no_plan() -> None:
    atoms, others = in_sectors(a=120, b=90), in_sectors(a=119, b=91)
    with pytest.raises(DisclosureError):
        hide_places([by_place("naics_sector", atoms), by_place("naics_sector", others)], POLICY)


# ---------------------------------------------------------------- beside what is out


def region(found: int = 60) -> Source:
    reports = [job(f"p{i}", i % 5, "445110" if i % 2 else "622110", 5000) for i in range(found)]
    return source([f"p{i}" for i in range(100)], reports)


def cube(given: Source, *published: Out) -> list[dict[str, Any]]:
    plan = Plan("employed_q4", "2021-22", ("sex", "naics_sector"), depth=1)
    made = plan_cube(
        plan,
        given,
        POLICY,
        Treatment(),
        quality=None,
        published=published,
        progress=lambda step, done, total: None,
    )
    return made.documents


def test_correction_shows_no_rows_by_sector_beside_those_that_are_out() -> None:
    first = cube(region())
    shown = {row["key"]["naics_sector"]: row["found"] for row in first[-1]["rows"]}
    assert {code: found for code, found in shown.items() if found} == {"44-45": 30, "62": 30}
    out = Out("employed_q4", "2021-22", first, region, same_agreement=True)
    total, *_, again = cube(region(80), out)
    assert (total["total"]["found"], again["by"]) == (80, ["naics_sector"])
    assert {(row["status"], row["n"], row["found"]) for row in again["rows"]} == {("count_only", 100, None)}


def test_correction_without_a_total_shows_none_in_its_rows_by_sector() -> None:
    before = cube(region())[:-1]
    out = Out("employed_q4", "2021-22", before, region, same_agreement=True)
    # Three more persons: the two totals would tell of them, and so would sectors that add up.
    total, *_, rows = cube(region(63), out)
    assert total["total"]["found"] is None
    assert {name: total["total"][name] for name in ("status", "n", "found", "rate")}.items() <= (
        rows["total"].items()
    )
    assert {row["found"] for row in rows["rows"]} == {None}


# ---------------------------------------------------------------- an attacker with all rows by place


def drawn(seed: int) -> tuple[dict[frozenset[Place], int], dict[str, Employers]]:
    """A region of three states and seven sectors, some of one or two employers."""
    chance = Random(seed)
    atoms: dict[frozenset[Place], int] = {}
    for _ in range(chance.choice([60, 200, 900])):
        states = {("state_of_work", chance.choice("ABBBCC")) for _ in range(chance.choice([1, 1, 1, 2]))}
        where = frozenset({*states, ("naics_sector", chance.choice("aaaabbbccddefg"))})
        atoms[where] = atoms.get(where, 0) + 1
    return atoms, {code: Employers(chance.choice([1, 3, 9, 9]), Fraction(1, 2)) for code in "abcdefg"}


@pytest.mark.parametrize("seed", range(12))
def test_attacker_with_all_rows_by_place_narrows_no_group_below_the_minimum_nor_an_employer(
    seed: int,
) -> None:
    atoms, employers = drawn(seed)
    tables = [by_place("state_of_work", atoms), by_place("naics_sector", atoms, employers)]
    hidden = hide_places(tables, POLICY)
    places = sorted({place for where in atoms for place in where})
    listed = sorted(atoms, key=sorted)
    rows = [[1.0] * len(listed)]
    rows += [[float(place in where) for where in listed] for place in places if place not in hidden]
    truth = np.array([atoms[where] for where in listed], float)

    def bounds(members: Sequence[bool]) -> tuple[float, float]:
        cost = np.array(members, float)
        ends = [linprog(sign * cost, A_eq=np.array(rows), b_eq=np.array(rows) @ truth) for sign in (1, -1)]
        return ends[0].fun, -ends[1].fun

    if len(rows) == 1:
        return
    for where in listed:
        assert bounds([where == other for other in listed])[1] >= 10 - 1e-6
    for code, paid_by in employers.items():
        place = ("naics_sector", code)
        found = sum(n for where, n in atoms.items() if place in where)
        if found and not paid_by.protected:
            low, high = bounds([place in where for where in listed])
            assert low <= found / 2 + 1e-6
            assert high >= found + 10 - 1e-6


def test_rows_withheld_that_are_one_employers_together_are_not_all_that_is_left_of_the_total() -> None:
    paid = {
        "a": {"mill": Decimal(100)},
        "b": {"mill": Decimal(90)},
        "c": {"x": Decimal(50), "y": Decimal(40), "z": Decimal(40)},
        "d": {"x": Decimal(50), "y": Decimal(40), "z": Decimal(40)},
    }
    table = by_place(
        "naics_sector",
        in_sectors(a=120, b=90, c=80, d=70),
        {code: Employers.of(of) for code, of in paid.items()},
    )
    hidden = {code for _, code in hide_places([table], POLICY)}
    assert {"a", "b"} < hidden
    assert hidden != set(paid)
    # By the rows alone nothing more would be hidden: each may have half of what both have, or more.
    before = Policy.thaw({"min_cell": POLICY.min_cell}, POLICY.secret)
    assert {code for _, code in hide_places([table], before)} == {"a", "b"}
