"""Figures of one cohort of which one implies the other by its definition, though none says so.

Where all work in Ohio whoever keeps ERDC's rule of attachment keeps PSEO's. And those of whom retention tells
how many were kept are employed, hence linked with some wage record; whoever keeps ERDC's rule is among them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.outcomes.indicators import INDICATORS
from tests.attacks.region import Analyst, Someone, random_people, region_of

K = 10
#: By cohort, since what is out of one is a layer of the next.
ASKED = {
    "2019-20": ("attached_erdc", "retained"),
    "2020-21": ("attached_erdc", "attached_pseo"),
    "2021-22": ("retained",),
}
INDICATORS_ASKED = sorted({name for names in ASKED.values() for name in names})
TERMS = {"indicators": INDICATORS_ASKED, "dimensions": ["sex"], "max_dimensions": 1}


def graduates(year: int) -> list[Someone]:
    """Two in five work all year, half of them with one employer; four work three quarters, three before."""
    people = []
    quarters = (f"{year}Q3", f"{year}Q4", f"{year + 1}Q1", f"{year + 1}Q2")
    for at, each in enumerate(random_people(61, 100, rate=0.0, dimensions=("sex",), name=f"of{year}-")):
        someone = replace(each, date=f"{year}-05-15")
        for quarter in quarters if at % 5 < 2 else quarters[:3] if at in (2, 3, 4, 7) else ():
            kept = at % 2 or quarter < quarters[2]
            someone = someone.working(quarter, employer=f"e{at % 9}" if kept else f"f{at % 9}")
        people.append(someone.working("2019Q1", employer="e") if at in (8, 9, 12) else someone)
    return people


def subtraction(total: dict[tuple[str, str], Any]) -> list[str]:
    """Few persons of whom one figure tells, and not the other."""
    first, second, third = ASKED
    kept = total[third, "retained"]
    pairs = {
        "employed, and not attached": (total[first, "retained"]["n"], total[first, "attached_erdc"]["found"]),
        "by PSEO's rule alone": (
            total[second, "attached_pseo"]["found"],
            total[second, "attached_erdc"]["found"],
        ),
        "linked, and not employed": (kept.get("matched", {}).get("found"), kept["n"]),
    }
    return [
        f"{name}: {wide - narrow}"
        for name, (wide, narrow) in pairs.items()
        if wide is not None and narrow is not None and 0 < wide - narrow < K
    ]


def test_what_is_implied_is_subtracted_where_it_is_not_known_and_not_where_it_is(
    tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(folder: Path) -> dict[tuple[str, str], Any]:
        people = [*graduates(2020), *graduates(2021), *graduates(2022)]
        with region_of(folder, migrated_sqlite, people, **TERMS) as region:
            analyst = Analyst(region.partnership)
            return {
                (cohort, name): analyst.ask(indicator=name, cohort=cohort)["total"]
                for cohort, names in ASKED.items()
                for name in names
            }

    answers = asked(tmp_path / "on")
    assert answers["2021-22", "retained"]["found"]
    assert not subtraction(answers)
    for name, within in (("attached_erdc", ("matched",)), ("employed_q2", ())):
        monkeypatch.setitem(INDICATORS, name, replace(INDICATORS[name], within=within))
    assert len(subtraction(asked(tmp_path / "off"))) == 3
