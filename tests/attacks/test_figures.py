"""Figures that are no shares of persons: flows and percentiles of two vintages and two agreements."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from app.outcomes import plan, union
from tests.attacks.region import YEAR, Analyst, Region, Someone, random_people

FLOWS = "earnings_percentiles_y1"
PEOPLE = random_people(41, 180, rate=0.0, dimensions=("sex",))


def employed(someone: Someone, at: int, employers: int = 12) -> Someone:
    """Wages in every quarter of the first full year."""
    for quarter in YEAR:
        someone = someone.working(quarter, employer=f"e{at % employers}", paid=f"{6000 + 37 * at}.00")
    return someone


BEFORE = [employed(each, at) if at % 3 else each for at, each in enumerate(PEOPLE)]
AFTER = [employed(BEFORE[0], 500), *BEFORE[1:]]


def flows(answer: Any) -> dict[str, int]:
    return {str(row["key"]): row["n"] for row in answer["flows"] if row["n"] is not None}


def moved(answers: Sequence[Any]) -> list[str]:
    """Persons who changed their flow between two answers: fewer than the minimum."""
    if None in answers:
        return []
    first, second = map(flows, answers)
    steps = {key: second[key] - first[key] for key in first.keys() & second}
    return [f"{key}: {step}" for key, step in steps.items() if 0 < abs(step) < 10]


def two_vintages(region: Region) -> list[Any]:
    """Flows, and their correction when one person's wages have come late."""
    terms = {"indicators": [FLOWS], "dimensions": ["sex"], "max_dimensions": 1}
    agreement = region.permit(**terms, disclosure={"corrections": 1})
    analyst = Analyst(region.partnership)
    region.enter(agreement, BEFORE)
    region.link(agreement)
    answers = [analyst.ask(indicator=FLOWS)]
    region.late_wages(agreement, AFTER[:1], draw=2)
    region.link(agreement)
    return [*answers, analyst.ask(indicator=FLOWS, correction=True)]


def two_agreements(region: Region) -> list[Any]:
    """Flows of the same persons under two agreements, one of which has the late wages."""
    answers = []
    for name, people in (("first", BEFORE), ("second", AFTER)):
        terms = {"indicators": [FLOWS], "dimensions": ["sex"], "max_dimensions": 1}
        region.permit(name, **terms)
        region.enter(name, people, draw=1 if name == "first" else 2)
        region.link(name)
        answers.append(Analyst(region.partnership, name).ask(indicator=FLOWS))
    return answers


@pytest.mark.parametrize("situation", [two_vintages, two_agreements])
def test_flows_are_differenced_where_protection_is_off_and_not_where_it_is_on(
    tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch, situation: Any
) -> None:
    with Region.opened(tmp_path / "on", migrated_sqlite) as region:
        answers = situation(region)
    assert answers[0] is not None
    assert not moved(answers)
    monkeypatch.setattr(plan, "_require_first_of_its_kind", lambda *_: None)
    monkeypatch.setattr(union, "told_by_flows", lambda _: frozenset())
    with Region.opened(tmp_path / "off", migrated_sqlite) as region:
        assert moved(situation(region))
