"""Of the employed, how many were kept: who knows all graduates reads off how many are not employed."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from app.disclosure import joint
from app.disclosure.policy import Policy
from app.disclosure.treatment import Treatment
from app.outcomes import union
from app.outcomes.figures import Source
from app.outcomes.plan import Plan, plan_cube
from tests.app.outcomes.builders import completion, facts, persons, token, wage

K = 10
#: Graduates by sex and age: how many, how many employed after two quarters, how many kept.
GROUPS = {
    ("Female", "20-24"): (60, 53, 30),
    ("Female", "25-34"): (90, 60, 30),
    ("Male", "20-24"): (100, 60, 30),
    ("Male", "25-34"): (80, 50, 25),
}


def source() -> Source:
    people = [f"{sex}.{age}.{at}" for (sex, age), (n, _, _) in GROUPS.items() for at in range(n)]
    awards, wages = [], []
    for person in people:
        sex, age, at = person.split(".")
        _, employed, kept = GROUPS[sex, age]
        awards.append(completion(person, sex=sex, age_band=age))
        for quarter in ("2022Q4", "2023Q2") if int(at) < employed else ():
            stays = quarter == "2022Q4" or int(at) < kept
            wages.append(wage(person, "39", quarter, 5000, employer_token=token(stays, int(at) % 9)))
    given = {
        "completion": [("edu-1", facts("completion", awards))],
        "wage": [("oh-1", facts("wage", wages))],
    }
    return Source(persons(people, {"edu-1": "edu", "oh-1": "39"}), given, date(2026, 11, 22))


def tables() -> list[Any]:
    return plan_cube(
        Plan("retained", "2021-22", ("sex", "age_band"), depth=2),
        source(),
        Policy(K, b"a secret of the tests, 32 bytes.."),
        Treatment(),
        quality=None,
        published=(),
        progress=lambda *_: None,
    ).documents


def not_employed(answers: list[Any]) -> list[str]:
    """Fewer than the minimum of a group who are not employed, by its row or by those of its parents."""
    told = {frozenset(row["key"].values()): row["n"] for table in answers for row in table["rows"]}
    hits = []
    for (sex, age), (n, _, _) in GROUPS.items():
        others = [told[frozenset(key)] for key in GROUPS if key != (sex, age) and sex in key]
        whole = told[frozenset([sex])]
        rest = None if None in (whole, *others) else whole - sum(others)
        employed = told[frozenset([sex, age])] or rest
        if employed and 0 < n - employed < K:
            hits.append(f"{sex} {age}: {n - employed} of {n}")
    return hits


def test_employed_of_whom_some_are_kept_do_not_tell_of_few_who_are_not_employed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = tables()
    assert not not_employed(made)
    assert any(row["found"] for table in made for row in table["rows"])
    monkeypatch.setattr(union, "union", lambda *_: None)
    assert not_employed(tables())


def test_employed_of_whom_some_are_kept_are_no_less_protected_where_the_union_is_too_large_to_be_proven(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(joint, "MAX_COLUMNS", 3)
    made = tables()
    assert not not_employed(made)
    assert any(row["found"] for table in made for row in table["rows"])
