"""Three vintages of one cohort (late wages, a batch more, one withdrawn), and two agreements over it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.attacks import adversary, twin
from tests.attacks.adversary import FOUND, MISSED, Layer, System
from tests.attacks.region import Q4, Analyst, Region, Someone, published_codes, random_people
from tests.world import EDUCATION, WORKFORCE

DIMENSIONS = ("sex", "race_ethnicity")
PEOPLE = random_people(31, 150, rate=0.6, skew=0.5, dimensions=DIMENSIONS)
MORE = random_people(32, 40, rate=0.6, skew=0.5, dimensions=DIMENSIONS, name="m")
LATE = [each.working(Q4) for each in PEOPLE if not each.works()]
TERMS: dict[str, Any] = {"dimensions": list(DIMENSIONS)}
Persons = Sequence[Someone]

#: Who comes with each further vintage: late wages of one who is there, then a batch of new graduates.
STORY: tuple[Persons, Persons] = (LATE[:1], MORE)


def layer(people: dict[str, Someone], documents: list[Any]) -> Layer:
    return Layer(
        documents,
        {name: FOUND if each.works() else MISSED for name, each in people.items()},
        {name: published_codes(each, DIMENSIONS) for name, each in people.items()},
    )


def three_vintages(region: Region) -> list[Layer]:
    """The frozen cube and two planned corrections, each after one more batch."""
    agreement = region.permit(**TERMS, disclosure={"corrections": 2})
    analyst, people = Analyst(region.partnership), {each.name: each for each in PEOPLE}
    region.enter(agreement, PEOPLE)
    layers = []
    for draw, more in enumerate(((), *STORY), start=1):
        if more and more[0].name in people:
            region.late_wages(agreement, more, draw=draw)
        elif more:
            region.enter(agreement, more, draw=draw)
        people = people | {each.name: each for each in more}
        region.link(agreement)
        layers.append(layer(people, analyst.everything(DIMENSIONS, correction=draw > 1)))
    assert all(each.documents for each in layers)
    return layers


def two_agreements(region: Region) -> list[Layer]:
    """Two partnerships of the same owners pool their answers; the second has another k, and late wages."""
    layers, late = [], {each.name: each for each in LATE[:2]}
    for draw, k in ((1, 10), (2, 15)):
        people = {each.name: late.get(each.name, each) if draw == 2 else each for each in PEOPLE}
        agreement = region.permit(f"agreement-{draw}", **TERMS, min_cell={EDUCATION: k, WORKFORCE: 10})
        region.enter(agreement, list(people.values()), draw=draw)
        region.link(agreement)
        layers.append(layer(people, Analyst(region.partnership, agreement).everything(DIMENSIONS)))
    return layers


def recovered(layers: Sequence[Layer]) -> list[str]:
    below = [hit for each in layers for hit in adversary.small(each.documents)]
    moved = System(layers, adversary.later).at_most()
    return below + moved + System(layers, adversary.later).pinned()


@pytest.mark.parametrize("answers", [three_vintages, two_agreements])
def test_vintages_and_agreements_give_nothing_away_and_would_without_protection(
    tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch, answers: Any
) -> None:
    with Region.opened(tmp_path / "on", migrated_sqlite) as region:
        layers = answers(region)
    assert any(row["found"] is not None for each in layers[0].documents for row in each["rows"])
    assert not recovered(layers)
    twin.forget_what_is_out(monkeypatch)
    with Region.opened(tmp_path / "off", migrated_sqlite) as region:
        assert System(answers(region), adversary.later).at_most()


def test_withdrawn_graduate_changes_no_answer_that_is_out(tmp_path: Path, migrated_sqlite: Path) -> None:
    with Region.opened(tmp_path, migrated_sqlite) as region:
        agreement, analyst = region.permit(**TERMS), Analyst(region.partnership)
        batches = region.enter(agreement, PEOPLE)
        region.link(agreement)
        before = analyst.everything(DIMENSIONS)
        for batch in batches:
            for member in (region.education, region.workforce):
                member.call("DELETE", f"/batches/{batch}")
        region.enter(agreement, PEOPLE[1:], draw=2)
        region.link(agreement)
        assert analyst.everything(DIMENSIONS) == before
        analyst.ask(("sex",), correction=True)
        assert analyst.refusals == ["CORRECTION_NOT_PLANNED"]


def test_nothing_more_is_published_beside_figures_whose_data_were_withdrawn(
    tmp_path: Path, migrated_sqlite: Path
) -> None:
    with Region.opened(tmp_path, migrated_sqlite) as region:
        both = ["employed_q4", "employed_q2"]
        agreement = region.permit(**TERMS, indicators=both, disclosure={"corrections": 1})
        analyst = Analyst(region.partnership)
        batches = region.enter(agreement, PEOPLE)
        region.link(agreement)
        before = analyst.ask(("sex",))
        region.education.call("DELETE", f"/batches/{batches[0]}")
        analyst.ask((), indicator="employed_q2")
        region.enter(agreement, PEOPLE[1:], draw=2)
        region.link(agreement)
        # A new run does not bring back what the published figures were counted from.
        analyst.ask(("sex",), correction=True)
        analyst.ask((), indicator="employed_q2")
        assert analyst.refusals == ["RUN_OUTDATED", "PUBLISHED_DATA_GONE", "PUBLISHED_DATA_GONE"]
        assert analyst.ask(("sex",)) == before
