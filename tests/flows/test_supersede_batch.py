"""A batch that takes the place of another, in one step."""

from __future__ import annotations

from typing import Any

from app.flows import run_linkage
from app.store.models import Batch
from tests.world import Member, World, make_package

ID = "cincinnati-nky"


def begin(world: World, member: Member, seed: int, supersedes: str | None) -> Any:
    package = make_package(seed=seed)
    body = member.signed("batch-manifest", package.manifest) | {"supersedes": supersedes}
    return member.post(f"/agreements/{ID}/batches", body)


def replace(world: World, seed: int, supersedes: str) -> Any:
    answer = begin(world, world.education, seed, supersedes)
    assert answer.status_code == 201, answer.text
    return world.submit(world.education, make_package(seed=seed))


def state(world: World, batch: str) -> str:
    return str(world.operator.get(f"/batches/{batch}").json()["state"])


def test_the_new_batch_is_used_and_the_old_one_kept_until_it_is_withdrawn(world: World) -> None:
    world.agree()
    old = world.submit(world.education, make_package()).json()["id"]
    world.submit(world.workforce, make_package(kind="wage", seed=5))
    assert begin(world, world.education, 2, old).status_code == 201
    assert state(world, old) == "ACCEPTED"
    new = world.submit(world.education, make_package(seed=2)).json()
    assert (new["state"], new["supersedes"], state(world, old)) == ("ACCEPTED", old, "SUPERSEDED")
    run = world.operator.post(f"/agreements/{ID}/runs").json()["id"]
    with world.service.store.reading() as tx:
        used = {each.batch_id for each in run_linkage.runs.inputs(tx, run)}
        assert tx.session.get_one(Batch, old).state == "SUPERSEDED"
    assert new["id"] in used and old not in used
    log = world.auditor.get("/log/entries").text
    assert log.count('"kind":"batch.superseded"') == 1
    assert world.education.call("DELETE", f"/batches/{old}").json()["state"] == "WITHDRAWN"


def test_a_batch_is_superseded_once_and_only_by_its_own_agency(sqlite_world: World) -> None:
    world = sqlite_world
    world.agree()
    old = world.submit(world.education, make_package()).json()["id"]
    wage = make_package(kind="wage", seed=5)
    body = world.workforce.signed("batch-manifest", wage.manifest) | {"supersedes": old}
    assert world.workforce.post(f"/agreements/{ID}/batches", body).json()["code"] == "BATCH_UNKNOWN"
    assert begin(world, world.education, 2, "b_0").json()["code"] == "BATCH_UNKNOWN"
    third = begin(world, world.education, 3, old)
    assert third.status_code == 201
    assert replace(world, 2, old).json()["state"] == "ACCEPTED"
    answer = world.submit(world.education, make_package(seed=3))
    assert (answer.status_code, answer.json()["code"]) == (409, "BATCH_STATE")
    assert begin(world, world.education, 4, old).json()["code"] == "BATCH_STATE"


def test_a_predecessor_that_was_withdrawn_meanwhile_is_no_obstacle(sqlite_world: World) -> None:
    world = sqlite_world
    world.agree()
    old = world.submit(world.education, make_package()).json()["id"]
    begin(world, world.education, 2, old)
    world.education.call("DELETE", f"/batches/{old}")
    assert world.submit(world.education, make_package(seed=2)).json()["state"] == "ACCEPTED"
    assert state(world, old) == "WITHDRAWN"
