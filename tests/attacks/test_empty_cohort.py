"""A cohort of nobody and one of a few: every answer about them is the same, to the byte, in every form."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.attacks import twin
from tests.attacks.region import Region, Someone, random_people, region_of

INDICATORS = ("employed_q4", "earnings_percentiles_y1", "contribution")
TERMS = {"indicators": list(INDICATORS), "dimensions": ["sex", "institution"], "max_dimensions": 2}
DIMENSIONS = ("sex", "institution")
#: Spelled with the same digits, so that texts differ in nothing else.
EMPTY, SMALL, LARGE = "2018-19", "2019-20", "2021-22"
_FORMS = ("application/json", "text/csv")


def graduates(year: int, count: int) -> list[Someone]:
    people = random_people(year, count, rate=0.0, dimensions=DIMENSIONS, name=f"of{year}-")
    return [
        replace(each, date=f"{year}-05-15").working(f"{year + 1}Q2", employer=f"e{at % 5}")
        for at, each in enumerate(people)
    ]


def answers(region: Region, cohort: str, indicators: tuple[str, ...] = INDICATORS) -> dict[str, Any]:
    """All that is told of a cohort, but ids and digests; the cohort itself is blotted out."""
    told = {}
    for indicator in indicators:
        for by in ((), ("sex", "institution")):
            body = {"indicator": indicator, "cohort": cohort, "by": list(by)}
            answer = region.partnership.post("/agreements/cincinnati-nky/releases", body)
            told[f"{indicator} {by}"] = shape(answer, cohort)
            for form in _FORMS if answer.status_code == 201 else ():
                place = f"/releases/{answer.json()['id']}"
                shown = region.partnership.get(place, headers={"Accept": form})
                told[f"{indicator} {by} {form}"] = shape(shown, cohort)
    return told


def shape(answer: Any, cohort: str) -> tuple[Any, ...]:
    headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    text = answer.text.replace(cohort, "<cohort>")
    text = re.sub(r"\b(rel|run|cube)-[0-9a-f]+|\b[0-9a-f]{32,64}\b|urn:request:\w+", "<id>", text)
    text = re.sub(r'"log_index":\d+', "", text)
    headers = {name: re.sub(r"[0-9a-f]{16,}", "<id>", value) for name, value in headers.items()}
    headers.pop("content-length", None)  # Of log indices with more digits.
    return answer.status_code, json.dumps(headers, sort_keys=True), text


def test_cohort_of_nobody_and_of_a_few_are_answered_alike(tmp_path: Path, migrated_sqlite: Path) -> None:
    people = [*graduates(2020, 7), *graduates(2022, 60)]
    with region_of(tmp_path, migrated_sqlite, people, **TERMS) as region:
        empty, small = answers(region, EMPTY), answers(region, SMALL)
    assert {name for name in empty if empty[name] != small[name]} == set()
    assert any(told[0] == 201 for told in small.values())


def test_cohorts_are_told_apart_where_protection_is_off(
    tmp_path: Path, migrated_sqlite: Path, monkeypatch: Any
) -> None:
    twin.show_everything(monkeypatch)
    with region_of(tmp_path, migrated_sqlite, graduates(2020, 7), **TERMS) as region:
        assert answers(region, EMPTY, INDICATORS[:1]) != answers(region, SMALL, INDICATORS[:1])
