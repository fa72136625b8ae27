"""Match rates: who was linked with any wage record, beside who was found in the quarter asked about."""

from __future__ import annotations

from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from app.disclosure.policy import Policy
from app.disclosure.treatment import Treatment
from app.flows.release_sheets import sheets
from app.outcomes import match_rates
from app.outcomes.crossed_matches import crossed_matches
from app.outcomes.figures import Source
from app.outcomes.match_rates import NOT_GIVEN, OF_ALL, OF_SINGLE, published_matches, with_matches
from app.outcomes.plan import Out, Plan, plan_cube
from tests.app.outcomes.builders import completion, facts, persons, wage

POLICY = Policy(10, b"a secret of the tests, 32 bytes..")
AS_OF = date(2026, 11, 22)

#: Persons, linked with the wage file, found in Q4 by sex.
GROUPS = {"Female": (300, 270, 220), "Male": (200, 150, 120)}


def source(groups: dict[str, tuple[int, int, int]] = GROUPS) -> Source:
    people = [f"{sex}-{i}" for sex, (n, _, _) in groups.items() for i in range(n)]
    linked = {f"{sex}-{i}" for sex, (_, matched, _) in groups.items() for i in range(matched)}
    rows = persons(people, {"edu-1": "edu", "oh-1": "39"}).to_pylist()
    for row in rows:
        if row["batch"] == "oh-1" and people[row["person"]] not in linked:
            row["person"] += len(people)
    awards = [completion(person, sex=person.split("-")[0]) for person in people]
    wages = [
        wage(f"{sex}-{i}", "39", "2023Q2" if i < found else "2019Q1", 5000)
        for sex, (_, matched, found) in groups.items()
        for i in range(matched)
    ]
    given = {
        "completion": [("edu-1", facts("completion", awards))],
        "wage": [("oh-1", facts("wage", wages))],
    }
    return Source(pa.Table.from_pylist(rows), given, AS_OF)


def documents(
    source: Source, indicator: str = "employed_q4", *before: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """One-way tables of an indicator, beside others that are published."""
    out = [Out(tables[0]["indicator"], "2021-22", tables, None, same_agreement=True) for tables in before]
    return plan_cube(
        Plan(indicator, "2021-22", ("sex",)),
        source,
        POLICY,
        Treatment(),
        quality=None,
        published=out,
        progress=lambda step, done, total: None,
    ).documents


def rows(document: dict[str, Any]) -> dict[str, Any]:
    return {row["key"]["sex"]: row["matched"] for row in document["rows"]}


def test_every_group_has_its_match_rate_beside_its_figure() -> None:
    total, by_sex = documents(source())
    assert total["total"]["matched"] == {"status": "published", "n": 500, "found": 420, "rate": "84.0"}
    assert rows(by_sex)["Female"]["rate"] == "90.0"
    assert rows(by_sex)["Male"]["rate"] == "75.0"
    assert {row["rate"] for row in by_sex["rows"][:2]} == {"73.3", "60.0"}


def test_match_rate_that_leaves_few_linked_without_work_is_withheld_with_its_companion() -> None:
    # Four women are linked and not found: with both figures shown anybody could subtract.
    total, by_sex = documents(source({"Female": (300, 224, 220), "Male": (200, 150, 120)}))
    assert total["total"]["matched"]["found"] == 374
    shown = rows(by_sex)
    assert shown["Female"]["found"] is None
    assert shown["Male"]["found"] is None
    assert {row["found"] for row in by_sex["rows"] if row["key"]["sex"] != "NotSelected"} == {220, 120}


def test_later_figure_of_the_cohort_repeats_the_match_rates_that_are_out() -> None:
    region = source()
    first = documents(region)
    later = documents(region, "attached_kystats", first)
    assert [row["matched"] for row in later[1]["rows"]] == [row["matched"] for row in first[1]["rows"]]
    assert published_matches([later]) == published_matches([first])


def test_later_figure_that_withholds_a_row_withholds_the_match_rate_that_is_out_of_it_too() -> None:
    first = documents(source())
    bare = [{**each, "rows": [row | {"status": "withheld"} for row in each["rows"]]} for each in first]
    (_, by_sex) = with_matches(bare, published_matches([first]))
    assert any(row["matched"]["found"] is not None for row in first[1]["rows"])
    assert {tuple(row["matched"].items()) for row in by_sex["rows"]} == {
        (("status", "withheld"), ("n", None), ("found", None), ("rate", None))
    }


def made(indicator: str, depth: int) -> list[dict[str, Any]]:
    plan = Plan(indicator, "2021-22", ("sex", "pathway"), depth=depth)
    return plan_cube(
        plan,
        source(),
        POLICY,
        Treatment(),
        quality=None,
        published=(),
        progress=lambda step, done, total: None,
    ).documents


def test_figure_without_match_rates_says_that_there_are_none() -> None:
    for document in made("median_earnings_q2", 1):
        assert NOT_GIVEN in document["notes"]
        assert not any("matched" in row for row in [*document["rows"], document["total"]])


@pytest.mark.parametrize("indicator", ["employed_q4", "continued_education"])
def test_figure_that_has_match_rates_or_needs_none_does_not_speak_of_them(indicator: str) -> None:
    assert not any(NOT_GIVEN in document["notes"] for document in made(indicator, 1))


@pytest.mark.parametrize("indicator", ["median_earnings_q2", "earnings_percentiles_y1", "contribution"])
def test_figure_that_is_no_share_repeats_match_rates_that_are_out_where_it_shows_anything(
    indicator: str,
) -> None:
    region = source()
    out = documents(region)
    known = {tuple(each["by"]): each for each in published_matches([out])}
    for document in documents(region, indicator, out):
        matched = known[tuple(document["by"])]
        assert matched["total"]["rate"] == "84.0"
        pairs = zip([*document["rows"], document["total"]], [*matched["rows"], matched["total"]], strict=True)
        for row, told in pairs:
            assert row["matched"]["rate"] == (None if row["status"] == "withheld" else told["rate"])
        assert OF_ALL in document["notes"]


def crossed() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A table by sex and pathway, and match rates proven beside it."""
    shares = made("employed_q4", 2)
    matches, proof = crossed_matches(
        "employed_q4", "2021-22", shares, [], source(), POLICY, lambda step, done, total: None
    )
    assert proof["columns"] > 0
    return with_matches(shares, matches), matches


def test_crossed_table_carries_the_match_rates_of_its_single_dimensions() -> None:
    tables = {tuple(document["by"]): document for document in crossed()[0]}
    assert tables[()]["total"]["matched"]["rate"] == "84.0"
    assert rows(tables[("sex",)])["Female"]["rate"] == "90.0"
    both = tables[("sex", "pathway")]
    assert [each["by"] for each in both["match_rates"]] == [[], ["sex"], ["pathway"]]
    by_sex = {row["label"]: row["rate"] for row in both["match_rates"][1]["rows"]}
    assert (by_sex["Female"], by_sex["Male"]) == ("90.0", "75.0")
    assert both["match_rates"][0]["total"]["found"] == 420
    assert OF_SINGLE in both["notes"]
    assert not any("matched" in row for row in [*both["rows"], both["total"]])
    # What is out of a crossed cube is known again by the next one.
    again = published_matches([list(tables.values())])
    assert {tuple(each["by"]) for each in again} == {(), ("sex",), ("pathway",)}


def test_every_answer_of_a_crossed_cube_has_match_rates_and_no_crossed_row_has() -> None:
    for document in made("employed_q4", 2):
        assert NOT_GIVEN not in document["notes"]
        single = len(document["by"]) < 2
        assert ("matched" in document["total"]) is single
        assert ("match_rates" in document) is not single


@pytest.mark.parametrize(
    ("treatment", "given"),
    [
        (Treatment("cell_key"), True),
        (Treatment("controlled_rounding", rounding_base=5), True),
        (Treatment("differential_privacy", epsilon="1"), False),
    ],
)
def test_other_methods_treat_match_rates_as_they_do_the_figure_but_for_differential_privacy(
    treatment: Treatment, given: bool
) -> None:
    plan = Plan("employed_q4", "2021-22", ("sex", "pathway"), depth=2)
    made_ = plan_cube(
        plan,
        source(),
        POLICY,
        treatment,
        quality=None,
        published=(),
        progress=lambda step, done, total: None,
    ).documents
    for document in made_:
        single = len(document["by"]) < 2
        assert ("matched" in document["total"]) is (given and single)
        assert ("match_rates" in document) is (given and not single)
        assert (NOT_GIVEN in document["notes"]) is not given
    if given:
        rate = float(made_[0]["total"]["matched"]["rate"])
        assert 80.0 <= rate <= 88.0  # 84.0 as counted


def test_crossed_match_rate_that_leaves_few_linked_without_work_is_withheld() -> None:
    region = source({"Female": (300, 224, 220), "Male": (200, 150, 120)})
    shares = documents(region)
    plain = [
        {**document, "rows": [{k: v for k, v in row.items() if k != "matched"} for row in document["rows"]]}
        for document in shares
    ]
    # Everybody's total and both sexes are out: four women are linked and were not found.
    assert {row["found"] for row in plain[1]["rows"]} >= {220, 120}
    matches, _ = crossed_matches(
        "employed_q4", "2021-22", plain, [], region, POLICY, lambda step, done, total: None
    )
    told = {row["key"]["sex"]: row["found"] for row in matches[1]["rows"]} if matches else {}
    assert (told.get("Female"), told.get("Male")) == (None, None)


def test_crossed_cube_too_large_to_be_proven_with_match_rates_says_that_there_are_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.outcomes.crossed_matches.MOST_COLUMNS", 1)
    shares = [{"by": ["sex"], "rows": [], "total": {}, "notes": []}]
    matches, proof = crossed_matches(
        "employed_q4", "2021-22", shares, [], source(), POLICY, lambda step, done, total: None
    )
    assert (matches, proof) == ([], {})
    assert with_matches(shares, matches)[0]["notes"] == [NOT_GIVEN]


def test_sheet_of_match_rates_stands_beside_a_crossed_table() -> None:
    both = next(document for document in crossed()[0] if len(document["by"]) == 2)
    linked = next(sheet for sheet in sheets({"table": both}) if sheet.name == "linked")
    told = {record["label"]: record["linked_rate"] for record in linked.records()}
    assert (told["Sex: Female"], told["Total"]) == ("90.0", "84.0")


def test_match_rate_of_a_row_that_is_withheld_is_withheld_with_it() -> None:
    shown = {"status": "count_only", "n": 41, "found": None, "rate": None}
    match = {
        "by": ["sex"],
        "rows": [{"key": {"sex": each}} | shown for each in "MF"],
        "total": {"key": {}} | shown,
    }
    rows = [{"key": {"sex": "M"}, "status": "withheld"}, {"key": {"sex": "F"}, "status": "count_only"}]
    figure = {"by": ["sex"], "rows": rows, "total": {"key": {}, "status": "published"}}
    (closed,) = match_rates.as_withheld_as([match], [figure])
    nothing = {"status": "withheld", "n": None, "found": None, "rate": None}
    assert closed["rows"] == [{"key": {"sex": "M"}} | nothing, {"key": {"sex": "F"}} | shown]
    assert closed["total"] == match["total"]
