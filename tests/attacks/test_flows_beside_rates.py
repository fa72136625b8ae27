"""Flows of a cohort beside its rate of employment, subtracted from one another, whichever was asked first.

Flows tell how many graduates there are (all rows together) and how many of them have wages in the year (all
rows but the last); each share tells the first number as well. Whoever is employed in the fourth quarter after
the award is among these. Numbers alone are looked at wherever they go: files, pages, drawings.
"""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from app.api.sessions import COOKIE
from app.flows import sessions
from app.outcomes import union
from tests.attacks.region import Analyst, Region, Someone, random_people, region_of

K = 10
FLOWS, RATE = "earnings_percentiles_y1", "employed_q4"
TERMS = {"indicators": [FLOWS, RATE], "dimensions": ["sex"], "max_dimensions": 1}


def graduates(year: int, *, excluded: int = 0, early: int = 0, past: int = 0) -> list[Someone]:
    """A cohort: some never work, or did long ago; a few leave late in the next year, some work early."""
    people = []
    for at, each in enumerate(random_people(year, 120, rate=0.0, dimensions=("sex",), name=f"of{year}-")):
        someone = replace(each, date=f"{year}-05-15")
        if at < excluded:
            someone = replace(someone, since=f"{year + 1}-10-05")
        elif 30 - past <= at < 30:
            someone = someone.working("2019Q1", employer=f"e{at % 7}")
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
    "2021-22": ((RATE, FLOWS), graduates(2022, excluded=3, early=20, past=12)),
    "2022-23": ((FLOWS, RATE), graduates(2023, excluded=3, early=20, past=12)),
    "2019-20": ((RATE, FLOWS), graduates(2020, excluded=3)),
}
#: Both are answered, the flows by numbers alone.
IN_NUMBERS = ("2021-22", "2022-23")
#: Of these: persons of the flows, those not in the data, and what shares of them would be.
SECRETS = {"117", "27", "76.9", "23.1"}


def subtraction(answers: dict[str, Any]) -> list[str]:
    """Few persons who are counted by the one and not by the other."""
    # Who knows which flows nobody is in, adds up all that are shown.
    rows = [row for row in answers[FLOWS]["flows"] if row["n"] is not None]
    if not rows:
        return []
    missing = answers[FLOWS]["flows"][-1]["n"]
    found = sum(row["n"] for row in rows) - (missing or 0)
    of_all = {round(100 * row["n"] / float(row["share"])) for row in rows if row["share"] is not None}
    of_all |= {found + missing} if missing is not None else set()
    total = answers[RATE]["total"]
    hits = []
    if total["n"] is not None and of_all and all(0 < abs(total["n"] - each) < K for each in of_all):
        hits.append(f"{sorted(of_all)} of {total['n']} not excluded")
    if total["found"] is not None and 0 < found - total["found"] < K:
        hits.append(f"{found - total['found']} with wages in the year and not in the quarter")
    return hits


def asked(region: Region) -> dict[str, dict[str, Any]]:
    analyst = Analyst(region.partnership)
    return {
        cohort: {indicator: analyst.ask(indicator=indicator, cohort=cohort) for indicator in order}
        for cohort, (order, _) in COHORTS.items()
    }


def taken_away(region: Region, cohort: str) -> dict[str, str]:
    """The flows of a cohort as the interface, files, drawing and page have them: texts."""
    member, cookie = region.partnership, sessions.sign_in(region.service, region.partnership.api_key)
    wanted = {"indicator": FLOWS, "cohort": cohort}
    listed = member.get("/agreements/cincinnati-nky/releases").json()["releases"]
    release = next(each["id"] for each in listed if wanted.items() <= each["question"].items())

    def get(path: str) -> Any:
        answer = region.client.get(f"/releases/{release}{path}", headers={"Cookie": f"{COOKIE}={cookie}"})
        assert answer.status_code == 200, answer.text
        return answer

    book = openpyxl.load_workbook(io.BytesIO(get("/workbook.xlsx").content))
    sheet = "\n".join(str(row) for row in book["Flows"].values)
    page = get("").text
    texts = {"csv": get("/flows.csv").text, "drawing": get("/flows.svg").text, "workbook": sheet}
    rows = page[page.index('id="flows"') : page.index("How to read this")]
    return {**texts, "page": rows, "answer": str(member.get(f"/releases/{release}").json()["table"])}


def numbers(text: str) -> set[str]:
    """Every number that stands in a text, tags, styles and identifiers left out."""
    words = re.sub(r"(?s)<style.*?</style>|<[^>]*>", " ", text)
    return set(re.findall(r"(?<![\w.-])\d+(?:\.\d+)?\b(?!\.\d)", words))


def test_flows_and_rates_are_subtracted_where_flows_are_no_layer_and_not_where_they_are(
    tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [each for _, cohort in COHORTS.values() for each in cohort]
    with region_of(tmp_path / "on", migrated_sqlite, people, **TERMS) as region:
        for cohort, answers in asked(region).items():
            first = COHORTS[cohort][0][0]
            assert not subtraction(answers), cohort
            rows = answers[FLOWS]["flows"]
            shown = answers[RATE]["total"]["n"] if first == RATE else any(row["n"] for row in rows)
            assert shown, "whoever is asked first is answered"
            if cohort in IN_NUMBERS:
                assert answers[RATE]["total"]["rate"] == "58.3"
                assert [row["n"] for row in rows if row["n"] is not None] == [90]
                for name, text in taken_away(region, cohort).items():
                    assert numbers(text) & {"90", *SECRETS} == {"90"}, name
    monkeypatch.setattr(union, "told_by_flows", lambda _: frozenset())
    with region_of(tmp_path / "off", migrated_sqlite, people, **TERMS) as region:
        for cohort, answers in asked(region).items():
            assert subtraction(answers), cohort
        # What is looked for in files would be there.
        for name, text in taken_away(region, "2021-22").items():
            assert numbers(text) & SECRETS, name
