"""Rows by state of work: found in the region, but not in a state; and what they add to a later vintage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.outcomes import by_place
from app.outcomes.publishable import one_way
from tests.attacks.region import Q4, Analyst, Region, random_people

PEOPLE = [
    each.working(Q4, state="21") if each.works() and at % 3 == 0 else each
    for at, each in enumerate(random_people(51, 160, rate=0.6, dimensions=("sex",)))
]
LATE = [each.working(Q4) for each in PEOPLE if not each.works()][:1]
TERMS = {"dimensions": ["sex", "state_of_work"], "max_dimensions": 2, "disclosure": {"corrections": 1}}


def two_vintages(region: Region) -> list[Any]:
    """Rows by state before and after one person's wages came late."""
    agreement, analyst = region.permit(**TERMS), Analyst(region.partnership)
    region.enter(agreement, PEOPLE)
    region.link(agreement)
    answers = [analyst.ask(("state_of_work",))]
    region.late_wages(agreement, LATE, draw=2)
    region.link(agreement)
    return [*answers, analyst.ask(("state_of_work",), correction=True)]


def moved(answers: list[Any]) -> list[str]:
    """Persons found in a state, or at all, in one answer and not in the other: fewer than the minimum."""
    if None in answers:
        return []
    first, second = ([*answer["rows"], answer["total"]] for answer in answers)
    return [
        f"{one['key']}: {two['found'] - one['found']}"
        for one, two in zip(first, second, strict=True)
        if None not in (one["found"], two["found"]) and 0 < abs(two["found"] - one["found"]) < 10
    ]


def test_rows_by_state_of_two_vintages_are_differenced_where_protection_is_off_and_not_where_it_is_on(
    tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Region.opened(tmp_path / "on", migrated_sqlite) as region:
        answers = two_vintages(region)
    assert any(row["found"] is not None for row in answers[0]["rows"])
    assert not moved(answers)

    def by_themselves(asked: Any, names: Any, source: Any, policy: Any, *_: Any) -> Any:
        return one_way(asked.indicator, asked.cohort, names, source, policy)[1:]

    monkeypatch.setattr(by_place, "by_place", by_themselves)
    with Region.opened(tmp_path / "off", migrated_sqlite) as region:
        assert moved(two_vintages(region))
