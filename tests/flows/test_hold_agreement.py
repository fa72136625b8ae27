"""Suspended agreements, and editions that would leave somebody out, over HTTP."""

from __future__ import annotations

import pytest

from tests.world import (
    EDUCATION,
    OPERATOR,
    WORKFORCE,
    Clock,
    World,
    agreement_document,
    completion_table,
    make_package,
    make_refs,
)

ID = "cincinnati-nky"
COMPLETIONS = {"organization": EDUCATION, "kind": "completion"}
HOLD = f"/agreements/{ID}/suspension"


def test_an_agreement_is_suspended_while_anybody_holds_it(world: World) -> None:
    world.agree()
    assert world.workforce.post(HOLD).json()["state"] == "SUSPENDED"
    assert world.operator.post(HOLD).json()["state"] == "SUSPENDED"
    held = world.operator.post(HOLD).json()["suspended_by"]
    assert {item["organization"] for item in held} == {WORKFORCE, OPERATOR}
    assert len(held) == 2
    answer = world.begin(world.education, make_package())
    assert (answer.status_code, answer.json()["code"]) == (409, "AGREEMENT_SUSPENDED")
    answer = world.education.call("DELETE", HOLD)
    assert (answer.status_code, answer.json()["code"]) == (409, "NOT_YOUR_HOLD")
    assert world.workforce.call("DELETE", HOLD).json()["state"] == "SUSPENDED"
    assert world.operator.call("DELETE", HOLD).json()["state"] == "ACTIVE"
    assert world.begin(world.education, make_package()).status_code == 201
    answer = world.operator.call("DELETE", HOLD)
    assert (answer.status_code, answer.json()["code"]) == (409, "AGREEMENT_STATE")
    log = world.auditor.get("/log/entries").text
    assert (log.count("agreement.suspended"), log.count("agreement.resumed")) == (2, 2)


def test_only_owners_and_operator_suspend(sqlite_world: World) -> None:
    world = sqlite_world
    world.agree()
    assert world.partnership.post(HOLD).status_code == 403
    assert world.auditor.post(HOLD).status_code == 403


def test_a_suspended_agreement_can_be_revoked_and_expires(sqlite_world: World, clock: Clock) -> None:
    world = sqlite_world
    world.agree()
    world.workforce.post(HOLD)
    clock.advance(days=500)
    assert world.auditor.get(f"/agreements/{ID}").json()["state"] == "EXPIRED"
    clock.advance(days=-500)
    body = world.education.state(ID, "agreement-revocation")
    assert world.education.post(f"/agreements/{ID}/revocations", body).json()["state"] == "REVOKED"


def test_a_draft_over_data_that_are_here_can_be_revoked(sqlite_world: World) -> None:
    world = sqlite_world
    world.agree()
    world.submit(world.education, make_package())
    world.partnership.post(f"/agreements/{ID}/versions", agreement_document(purpose="Another"))
    body = world.education.state(ID, "agreement-revocation")
    assert world.education.post(f"/agreements/{ID}/revocations", body).json()["state"] == "REVOKED"


def test_an_edit_may_not_leave_out_whose_data_are_here(sqlite_world: World) -> None:
    world = sqlite_world
    world.agree()
    world.submit(world.workforce, make_package(kind="wage"))
    document = agreement_document(min_cell=10)
    without = {
        "parties": [party for party in document["parties"] if party["organization"] != WORKFORCE],
        "datasets": [item for item in document["datasets"] if item["organization"] != WORKFORCE],
    }
    path = f"/agreements/{ID}/versions"
    answer = world.partnership.post(path, document | without)
    assert (answer.status_code, answer.json()["code"]) == (409, "DATASET_IN_USE")
    narrowed = {"datasets": [document["datasets"][0], document["datasets"][1] | {"periods": ["2023"]}]}
    assert world.partnership.post(path, document | narrowed).json()["code"] == "DATASET_IN_USE"
    batch = world.workforce.get(f"/agreements/{ID}/batches").json()["batches"][0]["id"]
    world.workforce.call("DELETE", f"/batches/{batch}")
    assert world.partnership.post(path, document | without).status_code == 201


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"datasets": [COMPLETIONS | {"periods": ["2023Q5"]}]}, "datasets.0.periods"),
        ({"datasets": [COMPLETIONS] * 2}, "datasets.1"),
        ({"geography_floor": "state", "dimensions": ["pathway", "county"]}, "dimensions.1"),
        ({"geography_floor": "street"}, "geography_floor"),
    ],
)
def test_periods_and_places_that_contradict_are_refused(
    sqlite_world: World, changes: dict[str, object], place: str
) -> None:
    answer = sqlite_world.partnership.post("/agreements", agreement_document(**changes))
    assert answer.json()["code"] == "AGREEMENT_INVALID"
    assert place in [item["column"] for item in answer.json()["problems"]]


def test_a_row_outside_of_the_permitted_periods_is_refused_by_row(sqlite_world: World) -> None:
    world = sqlite_world
    datasets = agreement_document()["datasets"]
    world.agree(datasets=[datasets[0] | {"periods": ["2021-22", "2023"]}, datasets[1]])
    refs = make_refs(60)
    dates = ["2022-05-15"] * 60
    dates[7], dates[9] = "2022-07-01", "2023-02"
    package = make_package(facts=completion_table(refs, award_date=dates))
    answer = world.submit(world.education, package)
    assert (answer.status_code, answer.json()["code"]) == (422, "PERIOD_NOT_PERMITTED")
    found = [(item["row"], item["column"]) for item in answer.json()["problems"]]
    assert found == [(8, "award_date")]
    assert "2022-07" not in answer.text
