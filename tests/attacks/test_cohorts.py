"""Cohorts that overlap: academic and calendar years, ranges, asked in turn and at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.attacks import twin
from tests.attacks.region import COHORT, Analyst, Region, random_people, region_of

#: Awards of spring 2022, and four of autumn: those between an academic year and a calendar year.
PEOPLE = [
    *random_people(21, 150, dimensions=("sex",)),
    *(replace(each, date="2022-08-10") for each in random_people(22, 4, dimensions=("sex",), name="late")),
]
OTHERS = ("2022", "2021-22..2022-23", "2022-23")


@pytest.fixture
def region(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Region]:
    with region_of(tmp_path, migrated_sqlite, PEOPLE, dimensions=["sex"], max_dimensions=1) as made:
        yield made


def differences(answers: list[Any]) -> list[str]:
    """Persons of one cohort who are not in another that overlaps it."""
    totals = [answer["total"]["n"] for answer in answers if answer and answer["total"]["n"]]
    return [f"{a} - {b}" for a in totals for b in totals if 0 < a - b < 10]


def test_overlapping_cohorts_are_subtracted_where_protection_is_off(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin.forget_what_is_out(monkeypatch)
    analyst = Analyst(region.partnership)
    assert differences([analyst.ask(cohort=cohort) for cohort in (COHORT, "2022")])


def test_overlapping_cohorts_asked_in_turn_are_refused(region: Region) -> None:
    analyst = Analyst(region.partnership)
    answers = [analyst.ask(cohort=cohort) for cohort in (COHORT, *OTHERS[:2])]
    assert not differences(answers)
    assert analyst.refusals == ["NOT_IN_PLAN", "NOT_IN_PLAN"]


def test_overlapping_cohorts_asked_at_once_are_not_both_answered(region: Region) -> None:
    analyst = Analyst(region.partnership)
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda cohort: analyst.ask(cohort=cohort), (COHORT, *OTHERS[:2])))
    assert sum(answer is not None for answer in answers) == 1
    assert not differences(answers)
