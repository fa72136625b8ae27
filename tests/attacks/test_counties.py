"""Counties whose graduates work for one employer: how many, from everything that is told (20 CFR 603).

She knows who lives where, and which employers pay whom. What she is after is how many of a county's residents
one employer has: their number is a figure of that employer's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.disclosure.paid import Paid
from tests.attacks.adversary import FOUND, MISSED, Layer, System
from tests.attacks.region import Q2, Q4, Analyst, Region, Someone, published_codes, region_of

K = 10
BY = ("county", "sex")
ASKED = {"employed_q4": Q4, "employed_q2": Q2}
TERMS = {"indicators": list(ASKED), "dimensions": list(BY), "max_dimensions": 2}
#: One employer pays all of the second county in the fourth quarter, and of the third in the second.
COUNTIES = ("39061", "39017", "39165", "39025")
ALONE = {"employed_q4": "39017", "employed_q2": "39165"}
#: Of each county and sex.
MANY = 56


def people() -> list[Someone]:
    made = []
    for county in COUNTIES:
        for sex in ("Female", "Male"):
            for at in range(MANY):
                someone = Someone(f"{county}{sex}{at}", {"county": county, "sex": sex})
                for indicator, quarter in ASKED.items():
                    if at % (5 if sex == "Male" else 4) and at < MANY - 4:
                        alone = ALONE[indicator] == county
                        someone = someone.working(quarter, employer="mill" if alone else f"shop{at % 9}")
                # Some of the others were paid long before, and are linked.
                made.append(someone if someone.wages or at % 3 else someone.working("2019Q1"))
    return made


PEOPLE = people()


def answers(region: Region) -> dict[str, list[Any]]:
    analyst = Analyst(region.partnership)
    return {name: analyst.everything(BY, indicator=name) for name in ASKED}


def interval(told: Mapping[str, Sequence[Any]], indicator: str) -> tuple[int, int]:
    """Least and most residents of the county that its one employer may have, with every N known."""
    codes = {each.name: published_codes(each, BY) for each in PEOPLE}
    layers = [
        Layer(list(told[name]), {p.name: FOUND if p.works(quarter) else MISSED for p in PEOPLE}, codes)
        for name, quarter in ASKED.items()
    ]
    linked = {p.name: FOUND if p.wages else MISSED for p in PEOPLE}
    layers.append(Layer(match_rates(told["employed_q4"]), linked, codes))
    system = System(layers, lambda p: 0 not in p and (FOUND not in p or p[-1] == FOUND))
    system.know_denominators()
    at = list(ASKED).index(indicator)
    return system.bounds().whole(
        system.sum({"county": ALONE[indicator]}, lambda pattern: pattern[:, at] == FOUND)
    )


def match_rates(tables: Sequence[Any]) -> list[Any]:
    """Those that stand in the rows of tables, as tables of their own."""
    return [
        {
            "rows": [{"key": row["key"], **row["matched"]} for row in table["rows"]],
            "total": table["total"]["matched"],
        }
        for table in tables
        if "matched" in table["total"]
    ]


def recovered(told: Mapping[str, Sequence[Any]]) -> list[str]:
    """Numbers of an employer's that are known to within fewer than the minimum."""
    hits = []
    for indicator in ASKED:
        low, high = interval(told, indicator)
        if high - low < K:
            hits.append(f"{indicator} {ALONE[indicator]}: {low} to {high}")
    return hits


def without_rows(told: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """The same, the rows alone withheld that are the employer's."""

    def closed(table: Any, code: str) -> Any:
        of_it = table.get("where", {}).get("county") == code
        rows = [
            {**row, "found": None} if of_it or row["key"].get("county") == code else row
            for row in table["rows"]
        ]
        return {**table, "rows": rows, "total": table["total"] | ({"found": None} if of_it else {})}

    return {name: [closed(table, ALONE[name]) for table in tables] for name, tables in told.items()}


@contextmanager
def region(folder: Path, migrated: Path) -> Iterator[Region]:
    with region_of(folder, migrated, PEOPLE, **TERMS) as made:
        yield made


def test_number_of_a_countys_one_employer_is_told_nowhere_and_follows_from_nothing(
    tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with region(tmp_path / "on", migrated_sqlite) as made:
        told = answers(made)
        assert not recovered(told)
        # Which companions are withheld is the service's secret, but not all that there is.
        assert any(row["found"] for table in told["employed_q4"] for row in table["rows"])
        assert match_rates(told["employed_q4"])
        assert any("at least 3 employers" in note for note in told["employed_q4"][1]["notes"])
    monkeypatch.setattr(Paid, "telling", lambda self, members: np.zeros(members.shape[0], np.bool_))
    with region(tmp_path / "off", migrated_sqlite) as made:
        told = answers(made)
        assert len(recovered(told)) == len(ASKED)
        assert len(recovered(without_rows(told))) == len(ASKED)
