"""What protection shows, what it withholds, and in which form."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from app.disclosure.errors import DisclosureError
from app.disclosure.policy import Policy
from app.disclosure.protect import protect
from app.disclosure.rounding import per_cent
from app.disclosure.table import Cell, Coverage, Description, Rows, Table

SECRET = b"a secret of 32 bytes for testing"
POLICY = Policy(10, SECRET)
ABOUT = Description(
    "employed_q4",
    "Employed",
    "Found with wages.",
    "2021-22",
    "FINAL",
    Coverage("Wage records of Ohio.", "99.0"),
)


def one_way(name: str, counts: Mapping[str, tuple[int, int]], **more: object) -> Table:
    cells = tuple(Cell(*pair) for pair in counts.values())
    total = Cell(sum(cell.n for cell in cells), sum(cell.found for cell in cells))
    keys = tuple((code,) for code in counts)
    return Table(ABOUT, (name,), keys=keys, labels=tuple(counts), cells=cells, **({"total": total} | more))  # type: ignore[arg-type]


def statuses(table: Table, policy: Policy = POLICY, *others: Table) -> dict[str, str]:
    shown = protect([table, *others], policy).table(table.by)
    return {row.key[0][1]: row.status for row in shown.rows}


def test_everything_large_is_published_with_counts_and_rate() -> None:
    table = one_way("sex", {"Male": (100, 60), "Female": (120, 80)})
    document = protect([table], POLICY).table(["sex"]).to_document()
    assert document["rows"] == [
        {
            "key": {"sex": "Male"},
            "label": "Male",
            "status": "published",
            "n": 100,
            "found": 60,
            "rate": "60.0",
        },
        {
            "key": {"sex": "Female"},
            "label": "Female",
            "status": "published",
            "n": 120,
            "found": 80,
            "rate": "66.7",
        },
    ]
    assert document["total"] == {
        "key": {}, "label": "Total", "status": "published", "n": 220, "found": 140, "rate": "63.6",
    }  # fmt: skip
    assert document["policy"] == {"min_cell": 10, "method": "suppression"}
    assert document["vintage"] == "FINAL"
    assert json.loads(json.dumps(document)) == document


def test_nobody_found_and_everybody_found_show_their_number_only() -> None:
    table = one_way("race", {"a": (40, 0), "b": (50, 50), "c": (200, 100), "d": (300, 150)})
    found = statuses(table)
    assert (found["a"], found["b"]) == ("count_only", "count_only")


def test_row_below_the_minimum_is_withheld_with_a_companion() -> None:
    found = statuses(one_way("race", {"a": (9, 5), "b": (90, 50), "c": (200, 100)}))
    assert found == {"a": "withheld", "b": "withheld", "c": "published"}


def test_empty_small_and_companion_rows_look_alike() -> None:
    table = one_way("race", {"empty": (0, 0), "small": (9, 5), "companion": (90, 50), "c": (200, 100)})
    rows = protect([table], POLICY).table(["race"]).to_document()["rows"]
    shapes = {json.dumps({**row, "key": None, "label": None}) for row in rows[:3]}  # type: ignore[index]
    assert len(shapes) == 1


def test_total_below_the_minimum_withholds_everything() -> None:
    table = one_way("race", {"a": (5, 3), "b": (4, 2)})
    cube = protect([table], POLICY)
    assert {row.status for row in (*cube.table(["race"]).rows, cube.table(["race"]).total)} == {"withheld"}


def test_total_with_few_found_shows_no_numerator_anywhere() -> None:
    table = one_way("race", {"a": (500, 4), "b": (400, 3)})
    shown = protect([table], POLICY).table(["race"])
    assert {row.status for row in (*shown.rows, shown.total)} == {"count_only"}


def test_row_that_another_table_refines_is_hidden_in_both_or_in_neither() -> None:
    pathway = one_way(
        "pathway",
        {"CERT": (300, 200), "ASSOC": (15, 8), "BACH": (400, 300), "HSE": (90, 50)},
        rows=Rows.OVERLAPPING,
    )
    level = one_way(
        "award_level",
        {"01": (180, 120), "02": (120, 80), "03": (15, 8), "05": (400, 300), "NONE": (90, 50)},
        rows=Rows.OVERLAPPING,
        parents={"01": "CERT", "02": "CERT", "03": "ASSOC", "05": "BACH"},
        parent_dimension="pathway",
    )
    cube = protect([pathway, level], POLICY)
    by_pathway = {row.key[0][1]: row.found for row in cube.table(["pathway"]).rows}
    by_level = {row.key[0][1]: row.found for row in cube.table(["award_level"]).rows}
    for code, parent in (("03", "ASSOC"), ("05", "BACH"), ("NONE", "HSE")):
        assert (by_level[code] is None) == (by_pathway[parent] is None)
    assert by_pathway["ASSOC"] is None
    hidden = [code for code, found in by_level.items() if found is None]
    assert len(hidden) >= 2


def test_overlap_of_few_persons_hides_rows_and_overlap_of_many_does_not() -> None:
    counts = {"a": (100, 60), "b": (100, 50), "c": (100, 50)}
    few = one_way("pathway", counts, rows=Rows.OVERLAPPING, total=Cell(297, 158))
    many = one_way("pathway", counts, rows=Rows.OVERLAPPING, total=Cell(270, 147))
    assert list(statuses(few).values()).count("withheld") >= 2
    assert set(statuses(many).values()) == {"published"}


def test_places_hide_one_numerator_where_few_were_found_in_both() -> None:
    def states(both: int) -> dict[str, str]:
        ohio, kentucky = ("state_of_work", "39"), ("state_of_work", "21")
        atoms = {frozenset({ohio}): 60, frozenset({kentucky}): 50, frozenset({ohio, kentucky}): both}
        cells = (Cell(300, 60 + both), Cell(300, 50 + both))
        return statuses(
            Table(
                ABOUT, ("state_of_work",), keys=(("39",), ("21",)), labels=("Ohio", "Kentucky"), cells=cells,
                total=Cell(300, 110 + both), rows=Rows.PLACES, places=atoms,
            )
        )  # fmt: skip

    assert set(states(20).values()) == {"published"}
    assert set(states(0).values()) == {"published"}
    assert sorted(states(3).values()) == ["count_only", "published"]


def test_same_tables_and_secret_give_the_same_answer_and_another_secret_may_choose_otherwise() -> None:
    table = one_way("race", {"small": (5, 3)} | {str(i): (100 + i, 50) for i in range(8)})
    answers = set()
    for number in range(12):
        policy = Policy(10, SECRET + bytes([number]))
        once, again = (protect([table], policy).table(["race"]).to_document() for _ in range(2))
        assert once == again
        answers.add(json.dumps(once))
    assert len(answers) > 1


def test_two_indicators_of_one_cohort_hide_the_same_denominators() -> None:
    about = replace(ABOUT, indicator="employed_q2")
    persons = {"small": 5, "a": 90, "b": 95, "c": 100, "d": 300}
    for seed in range(20):
        hidden = []
        for description, found in ((ABOUT, (3, 50, 89, 50, 150)), (about, (2, 85, 50, 95, 100))):
            counts = dict(zip(persons, zip(persons.values(), found, strict=True), strict=True))
            plain = one_way("race", counts)
            table = Table(
                description,
                plain.by,
                keys=plain.keys,
                labels=plain.labels,
                cells=plain.cells,
                total=plain.total,
            )
            rows = protect([table], Policy(10, SECRET + bytes([seed]))).table(["race"]).rows
            hidden.append([row.label for row in rows if row.n is None])
        assert hidden[0] == hidden[1]


def test_higher_minimum_never_shows_more() -> None:
    table = one_way("race", {"a": (24, 12), "b": (60, 40), "c": (200, 120), "d": (300, 100)})
    shown = [
        sum(row.found is not None for row in protect([table], Policy(k, SECRET)).table(["race"]).rows)
        for k in (5, 10, 15, 25, 50, 150)
    ]
    assert shown == sorted(shown, reverse=True)


@pytest.mark.parametrize("by", [["county"], ["race", "race"], [], ["race", "sex"]])
def test_what_is_not_planned_is_refused_whatever_it_is(by: list[str]) -> None:
    cube = protect([one_way("race", {"a": (100, 50)})], POLICY)
    with pytest.raises(DisclosureError) as caught:
        cube.table(by)
    assert caught.value.code == "NOT_IN_PLAN"


def test_filter_is_refused() -> None:
    cube = protect([one_way("race", {"a": (100, 50)})], POLICY)
    with pytest.raises(DisclosureError) as caught:
        cube.table(["race"], {"institution": "1"})
    assert caught.value.code == "NOT_IN_PLAN"


def test_tables_with_different_totals_are_not_protected_together() -> None:
    with pytest.raises(DisclosureError) as caught:
        protect([one_way("race", {"a": (100, 50)}), one_way("sex", {"a": (101, 50)})], POLICY)
    assert caught.value.code == "PLAN_INCONSISTENT"


def test_csv_carries_definition_vintage_policy_coverage_and_status_flags() -> None:
    table = one_way("race", {"a": (9, 5), "b": (90, 50), "c": (200, 100)})
    text = protect([table], POLICY).table(["race"]).to_csv()
    head = [line for line in text.splitlines() if line.startswith("#")]
    for name in ("definition", "vintage: FINAL", "min_cell 10", "coverage: Wage records of Ohio."):
        assert any(name in line for line in head)
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    assert [(row["race"], row["status"], row["n"], row["rate"]) for row in rows] == [
        ("a", "withheld", "", ""),
        ("b", "withheld", "", ""),
        ("c", "published", "200", "50.0"),
        ("TOTAL", "published", "299", "51.8"),
    ]


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(1, 2000, "0.1"), (1, 2001, "0.0"), (40, 90, "44.4"), (3, 3, "100.0"), (9, 400, "2.3"), (1, 8, "12.5")],
)
def test_percentages_are_rounded_half_up_to_one_decimal(part: int, whole: int, text: str) -> None:
    assert per_cent(part, whole) == text


def test_policy_refuses_a_minimum_that_protects_nobody_and_a_guessable_secret() -> None:
    with pytest.raises(ValueError):
        Policy(1, SECRET)
    with pytest.raises(ValueError):
        Policy(10, b"short")
    assert SECRET.decode() not in repr(POLICY)
