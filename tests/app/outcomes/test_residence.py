"""The rule for employers, in rates and medians by county of residence."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from app.disclosure.groups import Groups
from app.disclosure.policy import Policy
from app.disclosure.table import PLACES_RULE
from app.disclosure.telling import telling_groups
from app.disclosure.treatment import Treatment
from app.outcomes.figures import Source
from app.outcomes.finest import finest_cells
from app.outcomes.plan import Plan, plan_cube
from tests.app.outcomes.builders import completion, facts, persons, token, wage

POLICY = Policy(10, b"a secret of the tests, 32 bytes..")
COUNTIES = ("39061", "39017", "39025", "39165")
RESTS_ON_WAGES = ("employed_q4", "employed_q2", "attached_kystats", "retained")


def by_county(
    indicator: str, *, alone: bool, policy: Policy = POLICY, treatment: Treatment | None = None
) -> dict[str, Any]:
    """Statuses of counties in which 400 graduates live; in the first of them one employer pays, or many."""
    people = [f"p{i}" for i in range(400)]
    county = {person: COUNTIES[at % len(COUNTIES)] for at, person in enumerate(people)}
    awards = [completion(person, county_fips=county[person]) for person in people]
    wages = [
        wage(person, "39", quarter, 5000 + at, employer_token=token("employer", employer))
        for quarter in ("2022Q4", "2023Q1", "2023Q2")
        for at, person in enumerate(people[:240])
        if quarter != "2023Q2" or at % 5
        for employer in (0 if alone and county[person] == COUNTIES[0] else at // 4 % 12,)
    ]
    given = {
        "completion": [("edu-1", facts("completion", awards))],
        "wage": [("oh-1", facts("wage", wages))],
    }
    source = Source(persons(people, {"edu-1": "edu", "oh-1": "39"}), given, date(2026, 11, 22))
    (_, table) = plan_cube(
        Plan(indicator, "2021-22", ("county",), depth=1),
        source,
        policy,
        treatment or Treatment(),
        quality=None,
        published=(),
        progress=lambda *_: None,
    ).documents
    noisy = treatment is not None and treatment.method == "differential_privacy"
    holds = indicator in RESTS_ON_WAGES and policy.employers_of_places and not noisy
    assert (PLACES_RULE in table["notes"]) is holds
    return {row["key"]["county"]: row["status"] for row in table["rows"]}


@pytest.mark.parametrize("indicator", RESTS_ON_WAGES)
def test_rate_by_county_that_rests_on_wages_is_withheld_where_one_employer_pays_them(indicator: str) -> None:
    one, many = (by_county(indicator, alone=alone) for alone in (True, False))
    # Of those who are kept even the denominator is of persons whom somebody pays.
    assert one["39061"] == ("withheld" if indicator == "retained" else "count_only")
    assert list(many.values()).count("published") == len(COUNTIES)
    # One more is withheld, so that it does not follow.
    assert 1 <= [one[code] for code in COUNTIES].count("published") <= len(COUNTIES) - 2


def test_employed_of_a_county_of_whom_some_are_kept_do_not_follow_from_the_other_counties() -> None:
    told = by_county("retained", alone=True)
    assert [told[code] for code in COUNTIES].count("withheld") >= 2


def test_rate_by_county_that_rests_on_awards_alone_has_no_employers_to_protect() -> None:
    assert by_county("continued_education", alone=True) == by_county("continued_education", alone=False)


def test_cube_that_was_published_before_the_rule_is_made_again_without_it() -> None:
    before = Policy.thaw({"min_cell": 10, "work": 10**8}, POLICY.secret)
    assert by_county("employed_q4", alone=True, policy=before)["39061"] == "published"


@pytest.mark.parametrize(
    ("treatment", "status"),
    [
        (Treatment("cell_key"), "count_only"),
        (Treatment("controlled_rounding", rounding_base=5), "count_only"),
        # Whatever is withheld by what was counted would tell of it without noise.
        (Treatment("differential_privacy", epsilon="4"), "published"),
    ],
)
def test_other_methods_withhold_it_as_well_but_where_noise_protects(
    treatment: Treatment, status: str
) -> None:
    assert by_county("employed_q4", alone=True, treatment=treatment)["39061"] == status
    kept = "withheld" if status == "count_only" else status
    assert by_county("retained", alone=True, treatment=treatment)["39061"] == kept


def test_median_by_county_of_residence_is_wages_and_is_withheld_where_one_employer_pays_them() -> None:
    one, many = (by_county("median_earnings_q2", alone=alone) for alone in (True, False))
    assert one["39061"] == "withheld"
    assert many["39061"] == "published"


def test_employers_of_a_row_are_those_of_its_own_awards_quarter_and_of_a_county_those_of_the_highest() -> (
    None
):
    people = [f"p{at}" for at in range(30)]
    awards = [completion(person, county_fips="39061") for person in people]
    # Half of them have another award of the year, whose own quarter counts in its rows.
    awards += [
        completion(person, county_fips="39061", award_level="03", award_date="2021-12-01")
        for person in people[:15]
    ]
    wages = [
        wage(person, "39", quarter, 5000, employer_token=token("employer", at % 3 if of_three else 0))
        for at, person in enumerate(people)
        for quarter, of_three in (("2023Q2", True), ("2022Q4", False))
    ]
    cells = finest_cells(
        "employed_q4",
        "2021-22",
        ["pathway", "county"],
        persons=persons(people, {"edu-1": "edu", "oh-1": "39"}),
        facts={
            "completion": [("edu-1", facts("completion", awards))],
            "wage": [("oh-1", facts("wage", wages))],
        },
        as_of=date(2026, 11, 22),
    )
    groups = Groups(cells, [("county",), ("pathway", "county")])
    telling = telling_groups(cells, groups, cells.paid)
    pathways = [cells.axes[0].codes[key[0]] for key in groups.keys[1]]
    assert dict(zip(["all", *pathways], telling.tolist(), strict=True)) == {
        "all": False,
        "ASSOCIATE": True,
        "BACHELOR": False,
    }
