"""Percentiles stepped through, few persons at a time: over vintages and agreements, from group to group."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from app.disclosure import percentiles
from app.outcomes import plan
from tests.attacks.region import Analyst, Region, Someone, published_codes, region_of

MEDIAN, YEARLY = "median_earnings_q2", "earnings_percentiles_y1"
NAMES = ("p25", "p50", "p75")
DIMENSIONS = ("sex", "county")
COUNTIES = ("39061", "39017", "39165")
TERMS: dict[str, Any] = {
    "indicators": [MEDIAN, YEARLY],
    "dimensions": list(DIMENSIONS),
    "max_dimensions": 1,
    "disclosure": {"corrections": 2},
}


def paid(someone: Someone, at: int) -> Someone:
    return someone.all_year(f"e{at % 12}", f"{5000 + 300 * at}.00")


#: Every third has no wages; the few men earn most.
PEOPLE = [
    paid(someone, at) if at % 3 else someone
    for at in range(150)
    for someone in (
        Someone(f"p{at}", {"sex": "Male" if at >= 140 else "Female", "county": COUNTIES[at % 7 % 3]}),
    )
]


def later(step: int) -> list[Someone]:
    """The next vintages: one person more earns much, then two more earn little."""
    late = {0: paid(PEOPLE[0], 200)}
    if step > 1:
        late |= {3: paid(PEOPLE[3], 0), 6: paid(PEOPLE[6], 1)}
    return [late.get(at, each) for at, each in enumerate(PEOPLE)]


def moved(answers: Sequence[Any]) -> list[str]:
    """Percentiles that differ between two answers about the same persons, of whom few have come or gone."""
    rows = [
        {str(row["key"]): row for row in [*answer["rows"], answer["total"]]} for answer in answers if answer
    ]
    return [
        f"{key} {name}: {one[key][name]} and {two[key][name]}"
        for one, two in combinations(rows, 2)
        for key in one.keys() & two.keys()
        for name in NAMES
        if None not in (one[key].get(name), two[key].get(name)) and one[key][name] != two[key][name]
    ]


def three_vintages(region: Region) -> list[list[Any]]:
    agreement, analyst = region.permit(**TERMS), Analyst(region.partnership)
    region.enter(agreement, PEOPLE)
    region.link(agreement)
    first = [analyst.ask(("sex",), indicator=name) for name in (MEDIAN, YEARLY)]
    answers = [[each] for each in first]
    for step in (1, 2):
        before = PEOPLE if step == 1 else later(1)
        new = [now for now, old in zip(later(step), before, strict=True) if now != old]
        region.late_wages(agreement, new, draw=step + 1)
        region.link(agreement)
        for at, name in enumerate((MEDIAN, YEARLY)):
            answers[at].append(analyst.ask(("sex",), indicator=name, correction=True))
    return answers


def two_agreements(region: Region) -> list[list[Any]]:
    answers: list[list[Any]] = [[], []]
    for draw, (name, people) in enumerate((("first", PEOPLE), ("second", later(1))), start=1):
        region.permit(name, **TERMS)
        region.enter(name, people, draw=draw)
        region.link(name)
        for at, indicator in enumerate((MEDIAN, YEARLY)):
            answers[at].append(Analyst(region.partnership, name).ask(("sex",), indicator=indicator))
    return answers


@pytest.mark.parametrize("situation", [three_vintages, two_agreements])
def test_percentiles_are_stepped_over_vintages_where_protection_is_off_and_not_where_it_is_on(
    tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch, situation: Any
) -> None:
    with Region.opened(tmp_path / "on", migrated_sqlite) as region:
        answers = situation(region)
    assert all(each[0]["total"]["p50"] is not None for each in answers)
    assert not [hit for each in answers for hit in moved(each)]
    monkeypatch.setattr(plan, "_require_first_of_its_kind", lambda *_: None)
    with Region.opened(tmp_path / "off", migrated_sqlite) as region:
        assert all(moved(each) for each in situation(region))


def beside(answers: Sequence[Any]) -> list[str]:
    """Pairs of groups, few persons apart, of which both tell a percentile."""
    told: dict[str, tuple[Any, frozenset[str]]] = {}
    for answer in answers:
        for row in [*answer["rows"], answer["total"]]:
            inside = frozenset(
                each.name
                for each in PEOPLE
                if each.wages and row["key"].items() <= published_codes(each, DIMENSIONS).items()
            )
            if row["p50"] is not None:
                told[str(row["key"])] = (row, inside)
    return [
        f"{len(one ^ two)} persons between {a} and {b}: {first['p50']} and {second['p50']}"
        for (a, (first, one)), (b, (second, two)) in combinations(told.items(), 2)
        if 0 < len(one ^ two) < 10 and first["p50"] != second["p50"]
    ]


def test_percentiles_are_stepped_from_group_to_group_where_protection_is_off_and_not_where_it_is_on(
    tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers() -> list[Any]:
        with region_of(tmp_path / str(len(made)), migrated_sqlite, PEOPLE, **TERMS) as region:
            analyst = Analyst(region.partnership)
            made.append([analyst.ask((name,), indicator=MEDIAN) for name in DIMENSIONS])
        return made[-1]

    made: list[list[Any]] = []
    assert not beside(answers())
    assert made[0][0]["total"]["p50"] is not None
    monkeypatch.setattr(percentiles, "_next_to_hide", lambda *_, **__: None)
    assert beside(answers())
