"""Corrections and second agreements of an agency that numbers its awards anew each time: few are told apart.

Nobody outside has to know that: she subtracts two answers about one cohort, and sees one found person more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.disclosure.policy import Policy
from app.disclosure.treatment import Treatment
from app.outcomes.figures import Source
from app.outcomes.known_again import KnownAgain
from app.outcomes.plan import Out, Plan, plan_cube
from tests.app.outcomes.builders import completion, facts, persons, wage
from tests.attacks.region import Analyst, Region, Someone, random_people
from tests.world import EDUCATION, WORKFORCE

K = 10
COHORT, DIMENSIONS = "2021-22", ("sex", "race_ethnicity")
RATE, EARLIER = "employed_q4", "employed_q2"
POLICY = Policy(K, b"a secret of the tests, 32 bytes..")
BEFORE = replace(POLICY, awards_known_again=False)
SEXES, RACES = ("Female", "Male"), ("White", "Asian", "BlackOrAfricanAmerican")

#: Sex, race, and whether she works in the second quarter, and in the fourth.
Persons = Sequence[tuple[str, str, bool, bool]]


def drawn(seed: int, count: int = 150) -> Persons:
    rng = np.random.default_rng(seed)
    return [
        (SEXES[rng.integers(2)], RACES[rng.integers(3)], bool(rng.random() < 0.6), bool(rng.random() < 0.6))
        for _ in range(count)
    ]


def late(people: Persons, count: int) -> Persons:
    """The same, with late wages of a few for the fourth quarter."""
    some = [at for at, each in enumerate(people) if not each[3]][:count]
    return [(*each[:3], True) if at in some else each for at, each in enumerate(people)]


def source(people: Persons, draw: int) -> Source:
    """What is known of them, under numbers that the draw decides."""
    number = np.random.default_rng(draw).permutation(len(people))
    quarters = (("2022Q4", 2), ("2023Q2", 3))
    awards = [
        completion(at, completion_id=f"c{draw}-{number[at]}", award_date="2022-05-14", sex=sex, race=race)
        for at, (sex, race, *_) in enumerate(people)
    ]
    wages = [wage(at, "39", q, 9000) for at, each in enumerate(people) for q, of in quarters if each[of]]
    given = {"completion": [("edu-1", facts("completion", awards))], "wage": [("oh-1", facts("wage", wages))]}
    linked = persons(range(len(people)), {"edu-1": "edu", "oh-1": "39"})
    return Source(linked, given, date(2026, 11, 22), owners={"edu-1": "oh-education"})


def vintages(some: Sequence[Persons], policy: Policy, earlier: bool = False) -> list[list[Any]]:
    """One cube of each vintage, every one numbered anew; each beside those before."""
    out, made = list[Out](), list[list[Any]]()
    sources = [source(people, draw) for draw, people in enumerate(some)]
    for at, data in enumerate(sources):
        for indicator in (EARLIER, RATE) if earlier and not at else (RATE,):
            beside = [
                replace(each, source=(lambda was=was: was) if was is not data else None) for each, was in out
            ]
            plan = Plan(indicator, COHORT, DIMENSIONS, depth=2)
            told = plan_cube(
                plan,
                data,
                policy,
                Treatment(),
                quality=None,
                published=beside,
                progress=lambda *_: None,
            ).documents
            out.append((Out(indicator, COHORT, told, None, same_agreement=True), data))
            made += [told] if indicator == RATE else []
    return made


def moved(one: Sequence[Any], other: Sequence[Any]) -> list[str]:
    """Groups of which few persons more are found in one of two answers than in the other."""

    def found(documents: Sequence[Any]) -> dict[str, int]:
        rows = [row for each in documents for row in [*each["rows"], each["total"]]]
        return {str(row["key"]): row["found"] for row in rows if row["found"] is not None}

    first, second = found(one), found(other)
    differences = {key: second[key] - first[key] for key in first.keys() & second.keys()}
    return [f"{key}: {more} more" for key, more in differences.items() if 0 < abs(more) < K]


def test_late_wages_of_few_are_told_where_awards_are_not_known_again() -> None:
    people = drawn(1)
    story = (people, late(people, 1), late(people, 3))
    told = vintages(story, POLICY, earlier=True)
    hits = [hit for at in range(3) for before in told[:at] for hit in moved(before, told[at])]
    assert not hits
    assert any(row["found"] is not None for each in told[0] for row in each["rows"])
    assert moved(*vintages(story[:2], BEFORE))


def test_figures_without_changes_are_told_again_though_awards_are_numbered_anew() -> None:
    people = drawn(5)
    first, again = vintages((people, people), POLICY)
    figures = ("key", "status", "n", "found", "rate")
    assert [{name: row[name] for name in figures} for each in first for row in each["rows"]] == [
        {name: row[name] for name in figures} for each in again for row in each["rows"]
    ]
    assert any(row["found"] is not None for each in again for row in each["rows"])


def test_second_agreement_over_awards_numbered_anew_tells_nothing_over_http(
    tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = random_people(31, 150, rate=0.6, skew=0.5, dimensions=DIMENSIONS)
    one = next(each for each in people if not each.works())
    second: list[Someone] = [
        replace(each.working() if each is one else each, name=f"anew-{each.name}") for each in people
    ]

    def both(folder: str) -> list[list[Any]]:
        told = []
        with Region.opened(tmp_path / folder, migrated_sqlite) as region:
            for draw, some in ((1, people), (2, second)):
                terms: dict[str, Any] = {"dimensions": list(DIMENSIONS)}
                terms["min_cell"] = {EDUCATION: K, WORKFORCE: K}
                agreement = region.permit(f"agreement-{draw}", **terms)
                region.enter(agreement, some, draw=draw)
                region.link(agreement)
                told.append(Analyst(region.partnership, agreement).everything(DIMENSIONS))
        return told

    assert not moved(*both("on"))
    monkeypatch.setattr(KnownAgain, "rename", lambda *_: None)
    assert moved(*both("off"))
