"""Percentiles by whoever knows how many persons each group has: which are shown tells of whom they differ by.

The rules for percentiles are public. Who knows them concludes from two medians that are shown that the groups
differ by nobody with wages or by the minimum cell, and compares that with how many persons they differ by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.disclosure.policy import Policy
from app.disclosure.treatment import Treatment
from app.outcomes.figures import Source
from app.outcomes.plan import Out, Plan, plan_cube
from tests.app.outcomes.builders import completion, facts, persons, token, wage
from tests.attacks.region import Analyst, Someone, published_codes, region_of

K = 10
MEDIAN, RATE, COHORT, DIMENSIONS = "median_earnings_q2", "employed_q2", "2021-22", ("sex", "county")
COUNTIES = ("39061", "39017", "39165")
POLICY = Policy(K, b"a secret of the tests, 32 bytes..")
BEFORE = replace(POLICY, figures_by_persons=False)

#: Sex, county, and whether she has wages.
Persons = Sequence[tuple[str, str, bool]]


def source(people: Persons) -> Source:
    awards = [
        completion(at, award_date="2022-05-14", sex=sex, county_fips=county)
        for at, (sex, county, _) in enumerate(people)
    ]
    wages = [
        wage(at, "39", "2022Q4", 5000 + 37 * (at % 90), employer_token=token("employer", at % 7))
        for at, (*_, works) in enumerate(people)
        if works
    ]
    given = {"completion": [("edu-1", facts("completion", awards))], "wage": [("oh-1", facts("wage", wages))]}
    linked = persons(range(len(people)), {"edu-1": "edu", "oh-1": "39"})
    return Source(linked, given, date(2026, 11, 22), owners={"edu-1": "oh-education"})


def medians(people: Persons, policy: Policy) -> list[Any]:
    asked = Plan(MEDIAN, COHORT, DIMENSIONS, permitted=DIMENSIONS)
    return plan_cube(
        asked, source(people), policy, Treatment(), quality=None, published=[], progress=lambda *_: None
    ).documents


def concluded(answers: Sequence[Any], people: Sequence[Mapping[str, str]]) -> list[str]:
    """Groups of whom it follows that nobody has wages, or all have, by who is in which group alone."""
    told = {
        str(row["key"]): frozenset(
            at for at, codes in enumerate(people) if row["key"].items() <= codes.items()
        )
        for answer in answers
        for row in [*answer["rows"], answer["total"]]
        if row["p50"] is not None
    }
    return [
        f"of {len(one ^ two)} persons between {a} and {b} none or all have wages"
        for (a, one), (b, two) in combinations(told.items(), 2)
        if 0 < len(one ^ two) <= K
    ]


def drawn(seed: int) -> Persons:
    """A population in which some county has women alone, but for a few men, most without wages."""
    rng = np.random.default_rng(seed)
    few, people = int(rng.integers(1, K + 1)), list[tuple[str, str, bool]]()
    for county in COUNTIES:
        people += [("Female", county, bool(rng.random() < 0.6)) for _ in range(int(rng.integers(40, 90)))]
    rate = rng.choice([0.0, 0.1, 1.0])
    return [*people, *(("Male", COUNTIES[0], bool(rng.random() < rate)) for _ in range(few))]


def test_medians_tell_of_few_without_wages_where_groups_are_kept_apart_by_wages_alone() -> None:
    hits = {POLICY: 0, BEFORE: 0}
    shown = 0
    for seed in range(6):
        people = drawn(seed)
        codes = [{"sex": sex, "county": county} for sex, county, _ in people]
        for policy in hits:
            answers = medians(people, policy)
            hits[policy] += bool(concluded(answers, codes))
            shown += policy is POLICY and answers[0]["total"]["p50"] is not None
    assert hits[POLICY] == 0
    assert hits[BEFORE] >= 2
    assert shown >= 5


@pytest.mark.parametrize("working", [0, 1])
def test_median_over_http_is_shown_alike_whether_any_of_three_men_works(
    tmp_path: Path, migrated_sqlite: Path, working: int
) -> None:
    def someone(at: int) -> Someone:
        man = at >= 147
        graduate = Someone(f"p{at}", {"sex": "Male" if man else "Female", "county": COUNTIES[at % 3]})
        works = at < 147 + working if man else at % 3 != at // 50
        return graduate.all_year(f"e{at % 12}", f"{5000 + 30 * at}.00") if works else graduate

    people = [someone(at) for at in range(150)]
    terms: dict[str, Any] = {"indicators": [MEDIAN], "dimensions": list(DIMENSIONS), "max_dimensions": 1}
    with region_of(tmp_path, migrated_sqlite, people, **terms) as region:
        analyst = Analyst(region.partnership)
        answers = [analyst.ask((name,), indicator=MEDIAN) for name in DIMENSIONS]
    told = {str(row["key"]): row["p50"] is not None for each in answers for row in each["rows"]}
    assert answers[0]["total"]["p50"] is not None
    assert not told["{'sex': 'Female'}"] and any(told.values())
    assert not concluded(answers, [published_codes(each, DIMENSIONS) for each in people])


#: In the second county few are without wages: its rate is withheld, and that of a companion.
BESIDE: Persons = [
    ("Female", county, at >= without)
    for county, count, without in zip(COUNTIES, (61, 30, 60), (12, 3, 12), strict=True)
    for at in range(count)
]


def both(order: Sequence[str], policy: Policy) -> dict[str, list[Any]]:
    """Medians and rate of the same persons by county, one made beside the other."""
    made: dict[str, list[Any]] = {}
    data = source(BESIDE)
    for indicator in order:
        made[indicator] = plan_cube(
            Plan(indicator, COHORT, ("county",), permitted=("county",)),
            data,
            policy,
            Treatment(),
            quality=None,
            published=[Out(name, COHORT, told, None, same_agreement=True) for name, told in made.items()],
            progress=lambda *_: None,
        ).documents
    return made


def without_wages(made: Mapping[str, Sequence[Any]]) -> list[str]:
    """Counties in which few have no wages, by the total, the other rates, and which medians are shown."""
    total, rows = made[RATE][0]["total"], {row["key"]["county"]: row for row in made[RATE][1]["rows"]}
    size = {county: sum(each[1] == county for each in BESIDE) for county in COUNTIES}
    if total["found"] is None:
        return []
    withheld = [county for county in COUNTIES if rows[county]["found"] is None]
    left = total["n"] - total["found"]
    left -= sum(size[county] - rows[county]["found"] for county in COUNTIES if county not in withheld)
    told = {row["key"]["county"] for row in made[MEDIAN][1]["rows"] if row["p50"] is not None}
    most = {county: left - K * len(told & set(withheld) - {county}) for county in withheld}
    return [f"at most {n} of {size[county]} in {county}" for county, n in most.items() if n < K]


@pytest.mark.parametrize("order", [(RATE, MEDIAN), (MEDIAN, RATE)])
def test_median_of_a_group_whose_rate_is_withheld_tells_of_its_companion(order: Sequence[str]) -> None:
    hits = {True: 0, False: 0}
    shown = 0
    for seed in range(2):
        for by_persons in hits:
            policy = Policy(K, bytes([seed] * 16), figures_by_persons=by_persons)
            made = both(order, policy)
            hits[by_persons] += bool(without_wages(made))
            shown += by_persons and any(row["p50"] for row in made[MEDIAN][1]["rows"])
    assert hits[True] == 0
    assert hits[False] > 0
    assert shown
