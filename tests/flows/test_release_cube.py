"""Crossed tables and filters over the whole way; the adversary over HTTP against all that may be asked."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.flows import population, sign_agreement
from app.main import create_app
from app.settings import Settings
from app.store import releases, runs
from crypto.canonical import digest_of
from tests.flows.linkage_world import AGREEMENT, COHORTS, Packages, World, agreement_document, populate
from tests.flows.test_release import link_once

DIMENSIONS = ["pathway", "cohort_year", "sex"]
K = 10


@pytest.fixture(scope="module")
def region(
    tmp_path_factory: pytest.TempPathFactory, packages: Packages
) -> Iterator[tuple[World, TestClient]]:
    settings = Settings.for_data(tmp_path_factory.mktemp("crossed"))
    with TestClient(create_app(settings)) as client:
        world = populate(client.app.state.service, packages, max_dimensions=2)  # type: ignore[attr-defined]
        link_once(world)
        yield world, client


def post(region: tuple[World, TestClient], by: list[str], where: dict[str, Any] | None = None) -> Any:
    world, client = region
    return client.post(
        f"/v1/agreements/{AGREEMENT}/releases",
        json={"indicator": "employed_q4", "cohort": COHORTS, "by": by, "where": where or {}},
        headers={"Authorization": f"Bearer {world.partnership_key}"},
    )


def table(region: tuple[World, TestClient], by: list[str], where: dict[str, Any] | None = None) -> Any:
    answer = post(region, by, where)
    assert answer.status_code == 201, answer.text
    return answer.json()["table"]


def test_crossed_table_when_permitted_is_answered_and_a_filter_gives_the_same_figures(
    region: tuple[World, TestClient],
) -> None:
    crossed = table(region, ["pathway", "sex"])
    within = table(region, ["pathway"], {"sex": "Female"})
    cells = {row["key"]["pathway"]: row for row in crossed["rows"] if row["key"]["sex"] == "Female"}
    for row in within["rows"]:
        assert (row["status"], row["n"]) == tuple(cells[row["key"]["pathway"]][x] for x in ("status", "n"))
    assert within["where"] == {"sex": "Female"}
    assert table(region, [], {"sex": "Female"})["total"]["n"] == within["total"]["n"]
    # Both kinds of answers read one ledger entry.
    assert table(region, ["pathway"], {"sex": "Female"}) == within


def test_filter_by_unknown_code_looks_like_one_whose_rows_are_withheld(
    region: tuple[World, TestClient],
) -> None:
    unknown = table(region, ["pathway"], {"sex": "Miller"})
    known = table(region, ["pathway"], {"sex": "Female"})
    assert [row["key"] for row in unknown["rows"]] == [row["key"] for row in known["rows"]]
    assert {row["status"] for row in [*unknown["rows"], unknown["total"]]} == {"withheld"}
    assert "Miller" not in str(unknown)


@pytest.mark.parametrize(
    ("by", "where"),
    [
        (["pathway", "sex", "cohort_year"], {}),
        (["pathway", "sex"], {"cohort_year": "2021-22"}),
        (["pathway"], {"sex": ["Female", "Male"]}),
        (["pathway"], {"cohort_year": {"from": "2020-21"}}),
        (["sex"], {"sex": "Female"}),
    ],
)
def test_depth_lists_ranges_and_contradictions_are_not_in_the_plan(
    region: tuple[World, TestClient], by: list[str], where: dict[str, Any]
) -> None:
    answer = post(region, by, where)
    assert (answer.status_code, answer.json()["code"]) == (422, "NOT_IN_PLAN")


def test_everything_that_may_be_asked_holds_no_small_figure_and_no_small_difference_of_partitions(
    region: tuple[World, TestClient],
) -> None:
    margins = [list(m) for size in range(3) for m in combinations(DIMENSIONS, size)]
    answers = [table(region, by) for by in margins]
    answers += [
        table(region, [], {name: row["key"][name]})
        for name in DIMENSIONS
        for row in table(region, [name])["rows"]
    ]
    shown = 0
    for answer in answers:
        for row in [*answer["rows"], answer["total"]]:
            shown += row["status"] == "published"
            assert row["n"] is None or row["n"] >= K
            assert row["found"] is None or K <= row["found"] <= row["n"] - K
            assert row["rate"] is None or row["found"] is not None
        if answer["additive"] and answer["rows"] and answer["total"]["found"] is not None:
            hidden = [row for row in answer["rows"] if row["found"] is None]
            rest = answer["total"]["found"] - sum(row["found"] or 0 for row in answer["rows"])
            assert not rest or rest >= K
            assert hidden or not rest
    assert shown > 10


def test_csv_of_a_filtered_table_says_what_it_is_within(region: tuple[World, TestClient]) -> None:
    world, client = region
    release = post(region, ["pathway"], {"sex": "Female"}).json()
    headers = {"Authorization": f"Bearer {world.partnership_key}", "Accept": "text/csv"}
    text = client.get(f"/v1/releases/{release['id']}", headers=headers).text
    assert "# where: sex is Female" in text


def test_cohort_whose_persons_another_agreement_published_is_made_beside_that(
    region: tuple[World, TestClient],
) -> None:
    world, _ = region
    other = agreement_document(world.packages, id="second-region")
    sign_agreement.propose(world.service, world.partnership, other)
    now = world.service.now()
    with world.service.store.transaction("charge the other") as tx:
        run = runs.latest_succeeded(tx, AGREEMENT)
        assert run is not None
        cube: dict[str, Any] = {"tables": []}
        releases.charge(
            tx, "led-other", "second-region", run.id, "employed_q2", "2030-31", K, cube, digest_of(cube), now
        )
    with world.service.store.transaction("look for it") as tx:
        terms = sign_agreement.in_force(tx, AGREEMENT, now).terms
        for cohort, out in (("2035-36", []), ("2030-31", ["led-other"]), ("2029-30..2034-35", ["led-other"])):
            assert [entry.id for entry in population.published(tx, AGREEMENT, terms, cohort)] == out
        assert [entry.id for entry in population.published(tx, AGREEMENT, terms, "2031")] == ["led-other"]
