"""Employers: figures of what one of them pays, by himself or as a competitor's rest (20 CFR 603).

She knows who works where (of a large employer many do), and everything that is public.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.disclosure.table import Employers
from tests.attacks.region import Analyst, Region, Someone, region_of

MEDIAN, YEARLY, EMPLOYED = "median_earnings_q2", "earnings_percentiles_y1", "employed_q4"
TERMS = {
    "indicators": [MEDIAN, YEARLY, EMPLOYED],
    "dimensions": ["institution", "naics_sector"],
    "max_dimensions": 1,
}
SCHOOLS = ("201885", "204024", "205470", "206084")


def employer(school: int, at: int) -> str:
    """One pays nearly all of the first school's graduates, two those of the second, many the others'."""
    if school == 0:
        return "hospital@622110" if at > 1 else f"clinic{at}@621111"
    if school == 1:
        return f"mill{at % 2}@311811"
    return f"shop{at % 9}@445110"


PEOPLE = [
    someone.all_year(employer(school, at), f"{7000 + 150 * at}.00") if at < 45 else someone
    for school in range(len(SCHOOLS))
    for at in range(60)
    for someone in (Someone(f"p{school}.{at}", {"institution": SCHOOLS[school]}),)
]


def few(people: Sequence[Someone]) -> bool:
    """Whether fewer than three employers pay these people, or one of them above 80 per cent of it."""
    paid: Counter[str] = Counter()
    for someone in people:
        for _, _, token, dollars in someone.wages:
            paid[token] += int(float(dollars))
    return bool(paid) and (len(paid) < 3 or max(paid.values()) > 0.8 * paid.total())


def earnings(answers: Sequence[Any]) -> list[str]:
    """Percentiles of what one employer pays, or two of whom each knows the other's as the rest."""
    hits = []
    for answer in answers:
        for row in answer["rows"]:
            inside = [each for each in PEOPLE if each.codes["institution"] == row["key"]["institution"]]
            if row["p50"] is not None and few(inside):
                hits.append(f"{answer['indicator']} {row['key']}: {row['p50']} dollars")
    return hits


def by_sector() -> Mapping[str, list[Someone]]:
    """Sectors by the first digits of their codes, as the tables name them."""
    names = {"62": "62", "31": "31-33", "44": "44-45"}
    found = defaultdict(list)
    for each in PEOPLE:
        if each.wages:
            found[names[each.wages[0][2].partition("@")[2][:2]]].append(each)
    return found


def industries(rows: Sequence[Any], figure: str, total: int | None) -> list[str]:
    """Persons of an industry that is one employer's: its own row, or all that is left of a total shown."""
    # All of these jobs are in one state: of the others' rows there is nothing.
    told: dict[str, int | None] = {}
    for row in rows:
        code = row["key"]["naics_sector"]
        told[code] = row[figure] if told.get(code) is None else told[code]
    hits = [f"{code}: {told[code]}" for code, people in by_sector().items() if told[code] and few(people)]
    hidden = [each for code, people in by_sector().items() if told[code] is None for each in people]
    if total is None:
        return hits
    rest = total - sum(value for value in told.values() if value)
    if hidden and few(hidden) and rest in (0, len(hidden)):
        hits.append(f"all others: {len(hidden)}")
    return hits


def recovered(region: Region, industry: str) -> list[str]:
    """Of earnings, and of industries from the flows or from the table by sector.

    One of these, since of one cohort they are protected beside each other: the second may be withheld for it.
    """
    analyst = Analyst(region.partnership)
    by = ("institution",)
    if industry == "sectors":
        sectors = analyst.ask(("naics_sector",), indicator=EMPLOYED)
        told = industries(sectors["rows"], "found", sectors["total"]["found"])
    told_of = earnings([analyst.ask(by, indicator=MEDIAN), analyst.ask(by, indicator=YEARLY)])
    if industry == "flows":
        flows = analyst.ask(indicator=YEARLY)["flows"]
        told = [f"flow of {hit}" for hit in industries(flows, "n", len(PEOPLE))]
    return told_of + told


@contextmanager
def region(folder: Path, migrated: Path) -> Iterator[Region]:
    with region_of(folder, migrated, PEOPLE, **TERMS) as made:
        yield made


@pytest.mark.parametrize("industry", ["flows", "sectors"])
def test_no_earnings_and_no_industry_of_one_employer_or_two_are_told(
    tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch, industry: str
) -> None:
    with region(tmp_path / "on", migrated_sqlite) as made:
        assert not recovered(made, industry)
        rows = Analyst(made.partnership).ask(("institution",), indicator=MEDIAN)["rows"]
        assert [row["p50"] is not None for row in rows if row["key"]["institution"] in SCHOOLS].count(True)
    monkeypatch.setattr(Employers, "protected", property(lambda _: True))
    with region(tmp_path / "off", migrated_sqlite) as made:
        assert len(recovered(made, industry)) >= 6
