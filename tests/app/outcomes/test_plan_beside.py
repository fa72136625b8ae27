"""A plan beside what another agreement has published of the same persons, linked and counted anew."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from app.disclosure.policy import Policy
from app.disclosure.treatment import Treatment
from app.outcomes.entries import entries
from app.outcomes.errors import OutcomesError
from app.outcomes.figures import Source
from app.outcomes.indicators import INDICATORS
from app.outcomes.plan import Made, Out, Plan, plan_cube
from tests.app.outcomes.builders import completion, facts, persons, wage

K = 10
POLICY = Policy(K, b"a secret of the tests, 32 bytes..")
AS_OF = date(2026, 11, 22)
COUNTIES = ("39061", "39017", "21117")
SIZES = {
    ("Female", 0): 120,
    ("Female", 1): 60,
    ("Female", 2): 14,
    ("Male", 0): 90,
    ("Male", 1): 41,
    ("Male", 2): 12,
}


def source(batch: str, *, late: int = 0) -> Source:
    """The same graduates as some agreement has them; ``late`` more of each group are found."""
    people = [f"{sex}-{county}-{i}" for (sex, county), n in SIZES.items() for i in range(n)]
    awards, wages = [], []
    for person in people:
        sex, county, number = person.split("-")
        size = SIZES[(sex, int(county))]
        award = completion(person, sex=sex, county_fips=COUNTIES[int(county)])
        # The agency's own number of the award is the same, whatever agreement it is submitted under.
        awards.append(award | {"completion_id": f"a-1-{person}"})
        if int(number) < 0.7 * size + late:
            wages.append(wage(person, "39", "2023Q2", 5000))
    given = {
        "completion": [(batch, facts("completion", awards))],
        "wage": [("oh-1", facts("wage", wages))],
    }
    linked = persons(people, {batch: "edu", "oh-1": "39"})
    return Source(linked, given, AS_OF, owners={batch: "oh-education"})


def make(source: Source, published: list[Out], *, depth: int = 2, cohort: str = "2021-22") -> Made:
    plan = Plan("employed_q4", cohort, ("sex", "county"), depth=depth)
    return plan_cube(
        plan,
        source,
        POLICY,
        Treatment(),
        quality=None,
        published=published,
        progress=lambda step, done, total: None,
    )


def out(made: Made, source: Source, cohort: str = "2021-22") -> Out:
    return Out("employed_q4", cohort, made.documents, lambda: source, same_agreement=False)


def rows(made: Made) -> dict[str, Any]:
    return {
        f"{table['by']} {sorted(row['key'].items())}": row
        for table in made.documents
        for row in [*table["rows"], table["total"]]
    }


def test_same_award_is_the_same_entry_under_another_agreement() -> None:
    one, other = (
        entries(INDICATORS["employed_q4"], "2021-22", ["sex"], source(batch)) for batch in ("edu-1", "edu-9")
    )
    assert one.keys == other.keys
    assert one.persons == other.persons
    assert len(set(one.keys)) == sum(SIZES.values())


@pytest.mark.parametrize("cohort", ["2021-22", "2022"])
def test_second_agreement_over_the_same_persons_gives_no_difference_of_few(cohort: str) -> None:
    first_source = source("edu-1")
    first = make(first_source, [])
    second = make(source("edu-9", late=3), [out(first, first_source)], cohort=cohort)
    alone = make(source("edu-9", late=3), [], cohort=cohort)
    before, after = rows(first), rows(second)
    shown = [name for name, row in after.items() if row["found"] is not None]
    few = [
        name
        for name, row in rows(alone).items()
        if None not in (row["found"], before[name]["found"]) and 0 < row["found"] - before[name]["found"] < K
    ]
    assert few, "by itself the second would give differences of a few persons"
    for name in shown:
        if before[name]["found"] is not None:
            assert abs(after[name]["found"] - before[name]["found"]) not in range(1, K), name
    assert second.proof["beside"]["columns"] > 0


def test_one_way_tables_of_another_agreement_are_made_as_a_cube_beside_it() -> None:
    first_source = source("edu-1")
    first = make(first_source, [], depth=1)
    second = make(source("edu-9"), [out(first, first_source)], depth=1)
    before, after = rows(first), rows(second)
    for name, row in after.items():
        assert row["found"] in (None, before[name]["found"]) or before[name]["found"] is None
    assert any(row["found"] is not None for row in after.values())


def test_published_cube_whose_data_changed_under_it_is_not_published_beside() -> None:
    first = make(source("edu-1"), [])
    with pytest.raises(Exception, match="NOT_IN_PLAN"):
        make(source("edu-9"), [out(first, source("edu-1", late=20))])
    with pytest.raises(OutcomesError, match="UNKNOWN_INDICATOR"):
        plan_cube(
            Plan("nothing", "2021-22", ()),
            source("edu-1"),
            POLICY,
            Treatment(),
            quality=None,
            published=[],
            progress=lambda step, done, total: None,
        )
