"""The rule for employers: what it protects, and what it leaves to the rules for persons."""

from __future__ import annotations

from datetime import date
from typing import Any

from app.disclosure.policy import Policy
from app.disclosure.treatment import Treatment
from app.outcomes.figures import Source
from app.outcomes.plan import Plan, plan_cube
from tests.app.outcomes.builders import completion, facts, persons, token, wage


def by_county(indicator: str, employers: int) -> dict[str, Any]:
    """Statuses of two counties in which 200 graduates live; 120 are found, with one of some employers."""
    people = [f"p{i}" for i in range(200)]
    county = {person: ("39061", "39017")[at % 2] for at, person in enumerate(people)}
    awards = [completion(person, county_fips=county[person]) for person in people]
    wages = [
        wage(person, "39", quarter, 5000 + at, employer_token=token("employer", at // 2 % employers))
        for quarter in ("2022Q4", "2023Q2")
        for at, person in enumerate(people[:120])
    ]
    given = {
        "completion": [("edu-1", facts("completion", awards))],
        "wage": [("oh-1", facts("wage", wages))],
    }
    source = Source(persons(people, {"edu-1": "edu", "oh-1": "39"}), given, date(2026, 11, 22))
    (_, table) = plan_cube(
        Plan(indicator, "2021-22", ("county",)),
        source,
        Policy(10, b"a secret of the tests, 32 bytes.."),
        Treatment(),
        quality=None,
        published=(),
        progress=lambda *_: None,
    ).documents
    return {row["key"]["county"]: row["status"] for row in table["rows"]}


def test_rate_by_county_of_residence_says_nothing_of_wages_and_is_shown_whoever_employs() -> None:
    for employers in (1, 12):
        shown = by_county("employed_q4", employers)
        assert (shown["39061"], shown["39017"]) == ("published", "published")


def test_median_by_county_of_residence_is_wages_and_is_withheld_where_one_employer_pays_them() -> None:
    one, many = (by_county("median_earnings_q2", employers) for employers in (1, 12))
    assert (one["39061"], one["39017"]) == ("withheld", "withheld")
    assert (many["39061"], many["39017"]) == ("published", "published")
