"""The golden cases that fall within `employed_q4`, with exactly their inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial

import pyarrow as pa
import pytest

from app.disclosure.policy import Policy
from app.disclosure.protect import ProtectedRow, ProtectedTable, protect
from app.disclosure.table import Table
from app.outcomes.quarters import Quarter
from app.outcomes.tabulate import tabulate, tabulate_plan
from tests.app.outcomes.builders import completion, facts, persons, token, wage

POLICY = Policy(10, b"a secret of the tests, 32 bytes..")
AS_OF = date(2026, 11, 22)
BATCHES = {"edu-1": "edu", "oh-1": "39", "ky-1": "21"}


@pytest.mark.parametrize(
    ("award", "reference"),
    [
        ("2022-06-30", "2023Q2"),
        ("2022-07-01", "2023Q3"),
        ("2022-12-17", "2023Q4"),
        ("2024-02-29", "2025Q1"),
        ("2022-06", "2023Q2"),
    ],
)
def test_reference_quarter_of_an_award_is_four_quarters_after_its_own(award: str, reference: str) -> None:
    assert str(Quarter.of_award(award) + 4) == reference


def archetypes() -> tuple[Sequence[str], dict[str, list[tuple[str, pa.Table]]]]:
    """Golden case 2: ten archetypes, ten persons each."""
    people = [f"{archetype}{i}" for archetype in "ABCDEFGHIJ" for i in range(10)]
    awards, ohio, kentucky = [], [], []
    for person in people:
        died = {"exclusion_reason": "DECEASED", "exclusion_date": "2023-01-10"} if person[0] == "I" else {}
        awards.append(completion(person, award_date="2022-05-14", **died))
        q = "2023Q2"
        # Rows by state of work keep to persons, however few employers there are.
        paid = partial(wage, employer_token=token("employer", person[0]))
        match person[0]:
            case "A":
                ohio.append(paid(person, "39", q, 9000))
            case "B":
                kentucky.append(paid(person, "21", q, 7500))
            case "C":
                ohio.append(paid(person, "39", q, 4000))
                kentucky.append(paid(person, "21", q, 3000))
            case "D":
                ohio.append(paid(person, "39", q, 0))
            case "E":
                ohio.append(paid(person, "39", q, 5000))
                ohio.append(paid(person, "39", q, 0, report_version=2))
            case "F":
                ohio.append(paid(person, "39", "2023Q1", 5000))
            case "H":
                kentucky.append(paid(person, "21", q, 1))
            case "I":
                ohio.append(paid(person, "39", q, 5000))
            case "J":
                ohio.append(paid(person, "39", q, -200, adjustment="true", account_token="a" * 64))
                ohio.append(paid(person, "39", q, 200, account_token="b" * 64))
    return people, {
        "completion": [("edu-1", facts("completion", awards))],
        "wage": [("oh-1", facts("wage", ohio)), ("ky-1", facts("wage", kentucky))],
    }


def row(table: ProtectedTable, code: str) -> ProtectedRow:
    return next(row for row in table.rows if row.key[0][1] == code)


def test_ten_archetypes_across_two_states_give_44_4_per_cent() -> None:
    people, given = archetypes()
    tables = tabulate_plan(
        "employed_q4",
        "2021-22",
        ["state_of_work"],
        persons=persons(people, BATCHES),
        facts=given,
        as_of=AS_OF,
    )
    total, places = tables
    assert (total.total.n, total.total.found) == (90, 40)
    cube = protect(tables, POLICY)
    assert cube.table(()).total.rate == "44.4"
    ohio, kentucky = row(cube.table(["state_of_work"]), "39"), row(cube.table(["state_of_work"]), "21")
    assert (ohio.n, ohio.found, ohio.rate) == (90, 20, "22.2")
    assert (kentucky.n, kentucky.found, kentucky.rate) == (90, 30, "33.3")
    assert not cube.table(["state_of_work"]).additive
    assert places.about.vintage == "FINAL"


def by_race(groups: Mapping[str, tuple[int, int]]) -> Sequence[Table]:
    people = [f"{race}-{i}" for race, (n, _) in groups.items() for i in range(n)]
    awards, wages = [], []
    for race, (n, found) in groups.items():
        marks = {"hispanic": "Yes"} if race == "HispanicOrLatino" else {"race": race, "hispanic": "No"}
        awards += [completion(f"{race}-{i}", **marks) for i in range(n)]
        wages += [wage(f"{race}-{i}", "39", "2023Q2", 5000) for i in range(found)]
    return tabulate_plan(
        "employed_q4",
        "2021-22",
        ["race_ethnicity"],
        persons=persons(people, {"edu-1": "edu", "oh-1": "39"}),
        facts={
            "completion": [("edu-1", facts("completion", awards))],
            "wage": [("oh-1", facts("wage", wages))],
        },
        as_of=AS_OF,
    )


def test_races_of_which_one_is_small_hide_that_one_and_one_more() -> None:
    groups = {
        "White": (120, 90),
        "BlackOrAfricanAmerican": (60, 42),
        "HispanicOrLatino": (24, 18),
        "Asian": (30, 19),
    }
    table = protect(by_race(groups), POLICY).table(["race_ethnicity"])
    assert (table.total.n, table.total.found, table.total.rate) == (234, 169, "72.2")
    assert row(table, "White").rate == "75.0"
    assert row(table, "BlackOrAfricanAmerican").rate == "70.0"
    # The figure is withheld: found and rate. N stands, since R1 shows N where N is at least k.
    for code, n in (("HispanicOrLatino", 24), ("Asian", 30)):
        shown = row(table, code)
        assert (shown.status, shown.n, shown.found, shown.rate) == ("count_only", n, None, None)


def test_certificate_and_associate_of_one_person_count_one_in_each_and_one_in_total() -> None:
    awards = [
        completion("p", award_level="01", award_date="2022-01-15"),
        completion("p", award_level="03", award_date="2022-05-15"),
    ]
    table = tabulate(
        "employed_q4",
        "2021-22",
        ("pathway",),
        persons=persons(["p"], {"edu-1": "edu"}),
        facts={"completion": [("edu-1", facts("completion", awards))]},
        as_of=AS_OF,
    )
    assert table.total.n == 1
    assert {key[0]: cell.n for key, cell in zip(table.keys, table.cells, strict=True) if cell.n} == {
        "CERTIFICATE": 1,
        "ASSOCIATE": 1,
    }
    assert not table.additive


def test_late_reports_move_a_preliminary_rate_and_the_first_vintage_still_reproduces() -> None:
    people = [f"p{i}" for i in range(200)]
    awards = facts("completion", [completion(person) for person in people])
    first = facts("wage", [wage(person, "39", "2023Q2", 5000) for person in people[:150]])
    late = facts("wage", [wage(person, "39", "2023Q2", 4000) for person in people[150:158]])
    linked = persons(people, {"edu-1": "edu", "oh-1": "39", "oh-2": "39"})

    def release(wages: list[tuple[str, pa.Table]], as_of: date) -> dict[str, object]:
        given = {"completion": [("edu-1", awards)], "wage": wages}
        table = tabulate("employed_q4", "2021-22", (), persons=linked, facts=given, as_of=as_of)
        return protect([table], POLICY).table(()).to_document()

    then = release([("oh-1", first)], date(2023, 9, 1))
    assert then["total"]["rate"] == "75.0"  # type: ignore[index]
    assert then["vintage"] == "PRELIMINARY"
    now = release([("oh-1", first), ("oh-2", late)], date(2024, 3, 1))
    assert now["total"]["rate"] == "79.0"  # type: ignore[index]
    assert now["vintage"] == "FINAL"
    assert release([("oh-1", first)], date(2023, 9, 1)) == then


def test_cell_of_twelve_is_withheld_where_a_party_asks_for_fifteen() -> None:
    groups = {"White": (120, 90), "BlackOrAfricanAmerican": (60, 40), "Asian": (12, 6)}
    table = protect(by_race(groups), Policy(15, POLICY.secret)).table(["race_ethnicity"])
    assert row(table, "Asian").status == "withheld"
    assert row(table, "Asian").n is None
