"""Flows of a cohort beside its rate of employment, subtracted from one another, whichever was asked first.

Flows tell how many graduates there are (all rows together) and how many of them have wages in the year (all
rows but the last). Whoever is employed in the fourth quarter after the award is among these.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.outcomes import union
from tests.attacks.region import Analyst, Someone, random_people, region_of

K = 10
FLOWS, RATE = "earnings_percentiles_y1", "employed_q4"
TERMS = {"indicators": [FLOWS, RATE], "dimensions": ["sex"], "max_dimensions": 1}


def graduates(year: int, *, excluded: int = 0, early: int = 0) -> list[Someone]:
    """A cohort: some never work, a few leave late in the next year, a few work in its first quarter alone."""
    people = []
    for at, each in enumerate(random_people(year, 120, rate=0.0, dimensions=("sex",), name=f"of{year}-")):
        someone = replace(each, date=f"{year}-05-15")
        if at < excluded:
            someone = replace(someone, since=f"{year + 1}-10-05")
        elif 30 <= at < 30 + early:
            someone = someone.working(f"{year + 1}Q1", employer=f"e{at % 7}")
        elif at >= 30:
            for quarter in range(1, 5):
                someone = someone.working(f"{year + 1}Q{quarter}", employer=f"e{at % 7}")
        people.append(someone)
    return people


#: By cohort: which is asked first, and who tells the two apart.
COHORTS: dict[str, tuple[tuple[str, str], list[Someone]]] = {
    "2020-21": ((FLOWS, RATE), graduates(2021, early=4)),
    "2021-22": ((RATE, FLOWS), graduates(2022, excluded=3)),
}


def subtraction(answers: dict[str, Any]) -> list[str]:
    """Few persons who are counted by the one and not by the other."""
    if any(row["n"] is None for row in answers[FLOWS]["flows"][-1:]):
        return []
    # Who knows which flows nobody is in, adds up all that are shown.
    told = [row["n"] for row in answers[FLOWS]["flows"] if row["n"] is not None]
    total = answers[RATE]["total"]
    hits = []
    if total["n"] is not None and 0 < abs(total["n"] - sum(told)) < K:
        hits.append(f"{abs(total['n'] - sum(told))} excluded")
    if total["found"] is not None and 0 < sum(told[:-1]) - total["found"] < K:
        hits.append(f"{sum(told[:-1]) - total['found']} with wages in the year and not in the quarter")
    return hits


def asked(folder: Path, migrated: Path) -> dict[str, dict[str, Any]]:
    people = [each for _, cohort in COHORTS.values() for each in cohort]
    with region_of(folder, migrated, people, **TERMS) as region:
        analyst = Analyst(region.partnership)
        return {
            cohort: {indicator: analyst.ask(indicator=indicator, cohort=cohort) for indicator in order}
            for cohort, (order, _) in COHORTS.items()
        }


def test_flows_and_rates_are_subtracted_where_flows_are_no_layer_and_not_where_they_are(
    tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cohort, answers in asked(tmp_path / "on", migrated_sqlite).items():
        first = COHORTS[cohort][0][0]
        assert not subtraction(answers), cohort
        shown = answers[RATE]["total"]["n"] if first == RATE else answers[FLOWS]["flows"][-1]["n"]
        assert shown, "whoever is asked first is answered"
    monkeypatch.setattr(union, "told_by_flows", lambda _: frozenset())
    for cohort, answers in asked(tmp_path / "off", migrated_sqlite).items():
        assert subtraction(answers), cohort
