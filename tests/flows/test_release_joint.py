"""Cubes over persons of whom something is out already: audited together with it, whatever it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from app.flows.publish_release import Question, request_release
from app.flows.replay_run import replay_run
from app.flows.service import Service, open_service
from app.settings import Settings
from app.store import log, releases, runs
from crypto.log.entry import Entry
from crypto.log.rules import Rules
from tests.flows.linkage_world import AGREEMENT, COHORTS, Packages, World, populate
from tests.flows.test_release import link_once, refused

K = 10
INDICATORS = ["employed_q2", "employed_q4", "retained"]


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory, packages: Packages) -> Iterator[World]:
    """A linked region whose agreement crosses two dimensions, names a third and plans one correction."""
    service = open_service(Settings.for_data(tmp_path_factory.mktemp("joint")))
    made = populate(
        service,
        packages,
        indicators=INDICATORS,
        max_dimensions=2,
        disclosure={"tables": [["pathway", "sex", "cohort_year"]], "corrections": 1},
    )
    link_once(made)
    with pytest.MonkeyPatch.context() as patch:
        # It draws which of two groups is withheld for the other.
        patch.setattr(Service, "release_secret", lambda _: b"one of the secrets of a service.")
        yield made
    service.close()


def ask(region: World, indicator: str, *by: str, **more: Any) -> dict[str, Any]:
    question = Question(indicator, COHORTS, by, **more)
    return request_release(region.service, region.partnership, AGREEMENT, question)["table"]


def test_indicator_of_the_found_of_another_is_answered_beside_it_and_gives_no_small_group(
    region: World,
) -> None:
    second = ask(region, "employed_q2", "sex")
    kept = ask(region, "retained", "sex")
    pairs = [*zip(second["rows"], kept["rows"], strict=True), (second["total"], kept["total"])]
    for outer, inner in pairs:
        if outer["found"] is not None and inner["n"] is not None:
            assert outer["found"] == inner["n"] or abs(outer["found"] - inner["n"]) >= K
    assert any(row["n"] is not None for row in [*kept["rows"], kept["total"]])


def test_table_that_the_agreement_names_is_answered_though_it_is_deeper(region: World) -> None:
    table = ask(region, "employed_q4", "pathway", "sex", "cohort_year")
    assert len(table["rows"]) > 50
    within = ask(region, "employed_q4", "pathway", where={"sex": "Female", "cohort_year": "2021-22"})
    cells = {
        row["key"]["pathway"]: row["n"]
        for row in table["rows"]
        if (row["key"]["sex"], row["key"]["cohort_year"]) == ("Female", "2021-22")
    }
    assert {row["key"]["pathway"]: row["n"] for row in within["rows"]} == cells


def test_correction_when_planned_is_a_vintage_of_its_own_and_further_ones_are_refused(region: World) -> None:
    frozen = ask(region, "employed_q4", "sex")
    # No later run yet: what is frozen answers.
    assert ask(region, "employed_q4", "sex", correction=True) == frozen
    link_once(region)
    corrected = ask(region, "employed_q4", "sex", correction=True)
    assert corrected["total"] == frozen["total"]
    assert [row["n"] for row in corrected["rows"]] == [row["n"] for row in frozen["rows"]]
    assert ask(region, "employed_q4", "sex") == corrected
    # Asked again, as by somebody who heard nothing: the same, though no further one is planned.
    assert ask(region, "employed_q4", "sex", correction=True) == corrected
    link_once(region)
    again = Question("employed_q4", COHORTS, ("sex",), correction=True)
    assert refused(region, again) == "CORRECTION_NOT_PLANNED"
    with region.service.store.reading() as tx:
        vintages = [(entry.indicator, entry.vintage) for entry in releases.ledger_of_agreement(tx, AGREEMENT)]
        rules = Rules()
        for leaf in log.leaves(tx, 0, log.size(tx)):
            rules.feed(Entry.parse(leaf))
        first = runs.of_agreement(tx, AGREEMENT)[0].id
    # Whatever was asked before, in the same region.
    assert sorted(each for each in vintages if each[0] == "employed_q4") == [
        ("employed_q4", 1),
        ("employed_q4", 2),
    ]
    assert rules.broken == {}
    replayed = replay_run(region.service, first)
    assert [check["what"] for check in replayed["checks"] if not check["same"]] == []
