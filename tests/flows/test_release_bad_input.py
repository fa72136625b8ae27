"""Questions that are refused, over HTTP: each by a code of its own, in the log, without a value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.flows import sign_agreement
from app.main import create_app
from app.settings import Settings
from crypto.canonical import digest_of
from tests.flows.linkage_world import AGREEMENT, COHORTS, Packages, World, agreement_document, populate
from tests.flows.test_release import link_once, newest

#: Recipients may ask for as much as any agreement can permit.
ASKED = {"asked_min_cell": 1_000}


@pytest.fixture(scope="module")
def region(
    tmp_path_factory: pytest.TempPathFactory, packages: Packages
) -> Iterator[tuple[World, TestClient]]:
    settings = Settings.for_data(tmp_path_factory.mktemp("refusals"))
    with TestClient(create_app(settings)) as client:
        world = populate(client.app.state.service, packages, max_dimensions=2, disclosure=ASKED)  # type: ignore[attr-defined]
        link_once(world)
        yield world, client


def post(region: tuple[World, TestClient], **question: Any) -> Any:
    world, client = region
    return client.post(
        f"/v1/agreements/{AGREEMENT}/releases",
        json={"indicator": "employed_q4", "cohort": COHORTS} | question,
        headers={"Authorization": f"Bearer {world.partnership_key}"},
    )


@pytest.mark.parametrize(
    ("question", "status", "code"),
    [
        ({"by": ["county"]}, 403, "DIMENSION_NOT_PERMITTED"),
        ({"by": ["last_name"]}, 403, "DIMENSION_NOT_PERMITTED"),
        ({"where": {"institution": "Miller"}}, 403, "DIMENSION_NOT_PERMITTED"),
        ({"indicator": "self_sufficient"}, 403, "INDICATOR_NOT_PERMITTED"),
        ({"by": ["pathway", "sex", "cohort_year"]}, 422, "NOT_IN_PLAN"),
        ({"by": ["pathway", "sex"], "where": {"cohort_year": "2021-22"}}, 422, "NOT_IN_PLAN"),
        ({"where": {"sex": ["Female", "Miller"]}}, 422, "NOT_IN_PLAN"),
        ({"where": {"cohort_year": {"from": "2020-21", "to": "2021-22"}}}, 422, "NOT_IN_PLAN"),
        ({"where": {"sex": None}}, 422, "NOT_IN_PLAN"),
        ({"by": ["sex"], "where": {"sex": "Female"}}, 422, "NOT_IN_PLAN"),
        ({"by": ["sex", "sex"]}, 422, "NOT_IN_PLAN"),
        ({"cohort": "2020-22"}, 422, "BAD_COHORT"),
        ({"min_cell": 5}, 422, "MIN_CELL_TOO_SMALL"),
        ({"min_cell": 1_001}, 422, "MIN_CELL_TOO_LARGE"),
    ],
)
def test_question_that_is_not_permitted_or_planned_is_refused_by_its_code_and_logged(
    region: tuple[World, TestClient], question: dict[str, Any], status: int, code: str
) -> None:
    answer = post(region, **question)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    entry = newest(region[0])
    assert (entry.kind, entry.body["code"]) == ("release.refused", code)
    assert not any(word in str(entry.to_document()) + answer.text for word in ("Miller", "last_name"))


def test_unknown_code_is_answered_exactly_as_a_group_that_is_withheld(
    region: tuple[World, TestClient],
) -> None:
    unknown = post(region, where={"sex": "Miller"}).json()["table"]
    shape = post(region, where={"sex": "Female"}).json()["table"]
    assert (unknown["total"]["label"], unknown["total"]["status"]) == ("Total", "withheld")
    assert unknown.keys() == shape.keys()
    # One of too few, and one that nobody has: not a word between them, match rates included.
    groups = {row["key"]["sex"]: row for row in post(region, by=["sex"]).json()["table"]["rows"]}
    withheld = [row for row in groups.values() if row["status"] == "withheld"]
    assert withheld
    for row in withheld:
        assert {**row, "key": {}, "label": "Total"} == unknown["total"]
    crossed = post(region, by=["pathway"], where={"sex": "Miller"}).json()["table"]
    assert {row["status"] for row in crossed["rows"]} == {"withheld"}


def test_cohort_of_nobody_looks_like_one_of_too_few(region: tuple[World, TestClient]) -> None:
    nobody = post(region, cohort="2016-17", by=["sex"])
    assert nobody.status_code == 201, nobody.text
    table = nobody.json()["table"]
    assert {row["status"] for row in [*table["rows"], table["total"]]} == {"withheld"}
    assert [row["n"] for row in [*table["rows"], table["total"]]] == [None] * (len(table["rows"]) + 1)


def test_minimum_cell_rises_and_does_not_reopen_what_is_published_below_it(
    region: tuple[World, TestClient],
) -> None:
    # A cohort larger than 10 and smaller than 1,000: nothing of it is shown at that minimum cell.
    few = post(region, indicator="employed_q2", min_cell=1_000)
    assert few.json()["table"]["total"]["status"] == "withheld"
    assert few.json()["table"]["policy"]["min_cell"] == 1_000
    # At the agreement's own the cube that is frozen answers: asking for less brings nothing back.
    assert post(region, indicator="employed_q2").json()["table"] == few.json()["table"]
    first = post(region, indicator="employed_q4")
    again = post(region, indicator="employed_q4", min_cell=20)
    if first.json()["table"]["policy"]["min_cell"] < 20:
        assert (again.status_code, again.json()["code"]) == (422, "NOT_IN_PLAN")
    else:
        assert again.json()["table"] == first.json()["table"]


def test_release_when_the_agreement_raises_its_minimum_cell_is_not_asked_again(
    region: tuple[World, TestClient],
) -> None:
    world, _ = region
    assert post(region, cohort="2016-17").status_code == 201
    raised = agreement_document(world.packages, max_dimensions=2, min_cell=25)
    sign_agreement.edit(world.service, world.partnership, AGREEMENT, raised)
    sign_agreement.review(world.service, world.partnership, AGREEMENT)
    for slug in world.packages.folders:
        statement = {"agreement": AGREEMENT, "version": 2, "hash": digest_of(raised), "organization": slug}
        signature = world.signers[slug].sign("agreement-approval", statement)
        sign_agreement.approve(world.service, world.callers[slug], AGREEMENT, statement, signature)
    assert post(region, cohort="2016-17").json()["code"] == "NOT_IN_PLAN"
