"""Two rules of attachment subtracted from one another: in Ohio whoever keeps ERDC's keeps PSEO's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.outcomes.indicators import INDICATORS
from tests.attacks.region import Analyst, Someone, random_people, region_of

K = 10
WIDE, NARROW = "attached_pseo", "attached_erdc"
TERMS = {"indicators": [WIDE, NARROW], "dimensions": ["sex"], "max_dimensions": 1}
QUARTERS = ("2022Q3", "2022Q4", "2023Q1", "2023Q2")


def graduates() -> list[Someone]:
    """A third works all year, four persons three quarters, the others not at all."""
    people = []
    for at, someone in enumerate(random_people(61, 120, rate=0.0, dimensions=("sex",))):
        for quarter in QUARTERS if at % 3 == 0 else QUARTERS[1:] if at in (1, 2, 4, 5) else ():
            someone = someone.working(quarter, employer=f"e{at % 9}")
        people.append(someone)
    return people


def subtraction(answers: dict[str, Any]) -> list[str]:
    """Groups of which few are attached by the one rule alone."""
    wide, narrow = (
        {str(row["key"]): row["found"] for row in [*answers[name]["rows"], answers[name]["total"]]}
        for name in (WIDE, NARROW)
    )
    steps = {
        key: wide[key] - narrow[key] for key in wide if wide[key] is not None and narrow[key] is not None
    }
    return [f"{key}: {step}" for key, step in steps.items() if 0 < step < K]


def test_rules_of_attachment_are_subtracted_where_they_are_not_nested_and_not_where_they_are(
    tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(folder: Path) -> dict[str, Any]:
        with region_of(folder, migrated_sqlite, graduates(), **TERMS) as region:
            analyst = Analyst(region.partnership)
            return {name: analyst.ask(("sex",), indicator=name) for name in (NARROW, WIDE)}

    answers = asked(tmp_path / "on")
    assert answers[NARROW]["total"]["found"]
    assert not subtraction(answers)
    apart = replace(INDICATORS[NARROW], within=("matched",))
    monkeypatch.setitem(INDICATORS, NARROW, apart)
    assert subtraction(asked(tmp_path / "off"))
