"""County in state: one cube, in which a county refines its state."""

from __future__ import annotations

from datetime import date
from typing import Any

from app.disclosure.cube import protect_cube
from app.disclosure.policy import Policy
from app.outcomes.finest import finest_cells
from app.outcomes.tabulate import tabulate
from tests.app.outcomes.builders import completion, facts, persons, wage

POLICY = Policy(10, bytes(range(32)))
#: Residence, persons, of these found. Indiana reports no wages here; one county of Kentucky is small.
RESIDENCES = {
    "39061": (60, 40),
    "39017": (40, 20),
    "21117": (50, 30),
    "21015": (4, 2),
    "18029": (30, 15),
    None: (20, 10),
}


def given() -> dict[str, Any]:
    awards, wages, people = [], [], ["somebody in Kentucky's wage records"]
    for county, (n, found) in RESIDENCES.items():
        for at in range(n):
            name = f"{county} {at}"
            people.append(name)
            awards.append(completion(name, county_fips=county, award_date="2022-05-15"))
            if at < found:
                wages.append(wage(name, "39", "2023Q2", 900))
    batches = {"edu-1": "edu", "oh-1": "39", "ky-1": "21"}
    kentucky = facts("wage", [wage(people[0], "21", "2021Q1", 1)])
    return {
        "persons": persons(people, batches),
        "facts": {
            "completion": [("edu-1", facts("completion", awards))],
            "wage": [("oh-1", facts("wage", wages)), ("ky-1", kentucky)],
        },
        "as_of": date(2026, 11, 22),
    }


def test_rows_by_state_hold_their_counties_and_all_others_stand_elsewhere() -> None:
    table = tabulate("employed_q4", "2021-22", ("state",), **given())
    counted = {key[0]: (cell.n, cell.found) for key, cell in zip(table.keys, table.cells, strict=True)}
    assert counted == {"21": (54, 32), "39": (100, 60), "OTHER": (50, 25)}


def test_county_refines_the_state_and_the_rest_of_one_the_rest_of_the_other() -> None:
    table = tabulate("employed_q4", "2021-22", ("county",), **given())
    assert table.parent_dimension == "state"
    assert {table.parents[key[0]] for key in table.keys if key != ("OTHER",)} == {"21", "39"}
    assert "OTHER" not in table.parents


def test_cube_of_state_and_county_crosses_neither_with_the_other_and_protects_them_together() -> None:
    cells = finest_cells("employed_q4", "2021-22", ["state", "county", "sex"], **given())
    cube = protect_cube(cells, POLICY, 2)
    assert {("state",), ("county",), ("county", "sex")} <= set(cube.plan)
    assert ("state", "county") not in cube.plan
    rows = {row.key[0][1]: row for by in (("state",), ("county",)) for row in cube.table(by).rows}
    assert rows["21015"].n is None
    # Kentucky less its one other populated county would be the small one.
    assert rows["21"].n is None or rows["21117"].n is None
    assert any(row.found is not None for row in rows.values())
