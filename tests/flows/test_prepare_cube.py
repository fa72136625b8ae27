"""Cubes as durable work: waited for, killed, taken over, cancelled, made by two processes at one moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from app.errors import ServiceError
from app.flows import cube_here, prepare_cube, publish_release
from app.flows.cube_here import Bystander
from app.flows.publish_release import PREPARING, Question
from app.flows.service import Service, open_service
from app.main import create_app
from app.settings import Settings
from app.store import cubes, releases
from app.store.models import Cube, LedgerEntry, Release, RunState
from tests.flows.linkage_world import AGREEMENT, COHORTS, Packages, World, populate
from tests.flows.test_release import link_once
from tests.flows.test_worker import wait_for, worker_process

QUESTION = Question("employed_q4", COHORTS, ("sex",), {"pathway": "Miller"})


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory, packages: Packages) -> Iterator[World]:
    """A linked region where workers make cubes, if there are any."""
    settings = Settings.for_data(tmp_path_factory.mktemp("durable"))
    service = replace(open_service(settings), makes_cubes=False)
    indicators = ["employed_q4", "employed_q2", "retained"]
    region = populate(service, packages, max_dimensions=2, indicators=indicators)
    link_once(region)
    yield region
    service.close()


def request(region: World, question: Question = QUESTION) -> dict[str, Any]:
    return publish_release.request_release(region.service, region.partnership, AGREEMENT, question)


def shown(region: World, release: str) -> dict[str, Any]:
    return publish_release.show_release(region.service, region.partnership, release)


def cube_of(service: Service, release: str) -> Cube:
    with service.store.reading() as tx:
        row = releases.find(tx, release)
        assert row is not None
        assert row.cube_id is not None
        found = cubes.find(tx, row.cube_id)
    assert found is not None
    return found


def test_release_waits_for_its_cube_and_keeps_no_code_that_may_be_anything(linked: World) -> None:
    first, second = request(linked), request(linked, replace(QUESTION, by=(), where={"sex": "Female"}))
    assert (first["status"], first["table"], first["progress"]["stage"]) == (PREPARING, None, "waiting")
    with linked.service.store.reading() as tx:
        waiting = tx.session.get_one(Release, first["id"])
        assert "Miller" not in json.dumps([waiting.query, waiting.waiting])
    cube = cube_of(linked.service, first["id"])
    assert cube.id == cube_of(linked.service, second["id"]).id
    Bystander(linked.service, cube.id).look()
    answer = shown(linked, first["id"])
    assert answer["status"] == "GRANTED"
    assert answer["table"]["where"] == {"pathway": None}
    assert {row["status"] for row in answer["table"]["rows"]} == {"withheld"}
    assert shown(linked, second["id"])["table"]["where"] == {"sex": "Female"}
    assert request(linked)["table"] == answer["table"]


def test_question_that_is_asked_again_while_its_answer_is_made_is_the_same_release(linked: World) -> None:
    question = Question("employed_q2", COHORTS, ("pathway",))
    first = request(linked, question)
    assert first["status"] == PREPARING
    assert request(linked, question)["id"] == first["id"]
    # Another one is not, though it waits for the same cube.
    other = request(linked, replace(question, by=("sex",)))
    assert other["id"] != first["id"]
    for waiting in (first, other):
        publish_release.cancel_release(linked.service, linked.partnership, waiting["id"])
    again = request(linked, question)
    assert again["id"] not in (first["id"], other["id"])
    publish_release.cancel_release(linked.service, linked.partnership, again["id"])


def test_release_when_cancelled_is_refused_and_its_cube_is_not_made(linked: World) -> None:
    waiting = request(linked, Question("employed_q2", COHORTS))
    answer = publish_release.cancel_release(linked.service, linked.partnership, waiting["id"])
    assert (answer["status"], answer["code"]) == ("REFUSED", "CANCELLED")
    cube = cube_of(linked.service, waiting["id"])
    assert cube.state == RunState.CANCELLED
    Bystander(linked.service, cube.id).look()
    with pytest.raises(ServiceError, match="NOT_PREPARING"):
        publish_release.cancel_release(linked.service, linked.partnership, waiting["id"])


def test_cube_when_its_agreement_is_suspended_meanwhile_charges_nothing_and_says_why(linked: World) -> None:
    waiting = request(linked, Question("employed_q2", COHORTS))
    cube = cube_of(linked.service, waiting["id"])
    owner = prepare_cube.begin(linked.service, cube.id, "w")
    assert owner is not None
    facts, links = linked.service.plane("facts"), linked.service.plane("links")
    produced = prepare_cube.protect(linked.service, facts, links, cube.id, owner)
    with linked.service.store.transaction() as tx:
        tx.session.get_one(Cube, cube.id).cancel_requested_at = linked.service.now()
    prepare_cube.finish(linked.service, links, cube.id, owner, produced)
    with pytest.raises(ServiceError, match="CANCELLED"):
        publish_release.await_release(linked.service, linked.partnership, waiting["id"])
    with linked.service.store.reading() as tx:
        assert releases.ledger(tx, AGREEMENT, "employed_q2", COHORTS) is None


def test_cube_when_something_came_out_meanwhile_is_made_again_beside_it(
    linked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = request(linked, Question("employed_q2", COHORTS))
    cube = cube_of(linked.service, waiting["id"])
    tried: list[str] = []
    finish = prepare_cube.finish

    def stale_once(*given: Any) -> None:
        tried.append("finish")
        if len(tried) == 1:
            raise prepare_cube.CubeStaleError
        finish(*given)

    monkeypatch.setattr(prepare_cube, "finish", stale_once)
    owner = prepare_cube.begin(linked.service, cube.id, "w")
    assert owner is not None
    cube_here.make(linked.service, cube.id, owner)
    assert len(tried) == 2
    assert shown(linked, waiting["id"])["status"] == "GRANTED"


def test_ledger_can_grow_and_nothing_else_whoever_asks_the_database(linked: World) -> None:
    with linked.service.store.reading() as tx:
        assert tx.session.scalars(sa.select(LedgerEntry)).all()
    engine = linked.service.store.engine
    for statement in ("UPDATE ledger SET min_cell = 1", "DELETE FROM ledger"):
        with pytest.raises(sa.exc.DatabaseError, match="only grows"), engine.begin() as connection:
            connection.execute(sa.text(statement))


def test_higher_minimum_cell_of_whoever_waits_is_kept_or_refused_and_never_undercut(linked: World) -> None:
    question = Question("retained", COHORTS, ("sex",))
    plain, careful = request(linked, question), request(linked, replace(question, min_cell=20))
    assert careful["id"] != plain["id"]
    assert request(linked, replace(question, min_cell=20))["id"] == careful["id"]
    cube = cube_of(linked.service, plain["id"])
    assert cube_of(linked.service, careful["id"]).id == cube.id
    owner = prepare_cube.begin(linked.service, cube.id, "w")
    assert owner is not None
    late = request(linked, replace(question, min_cell=30))
    facts, links = linked.service.plane("facts"), linked.service.plane("links")
    produced = prepare_cube.protect(linked.service, facts, links, cube.id, owner)
    prepare_cube.finish(linked.service, links, cube.id, owner, produced)
    tables = [shown(linked, each["id"])["table"] for each in (plain, careful)]
    assert [table["policy"]["min_cell"] for table in tables] == [20, 20]
    assert shown(linked, late["id"])["code"] == "NOT_IN_PLAN"


def test_ledger_on_postgresql_can_grow_and_nothing_else(postgres_settings: Settings) -> None:
    service = open_service(postgres_settings)
    for statement in ("UPDATE ledger SET min_cell = 1", "DELETE FROM ledger", "TRUNCATE ledger CASCADE"):
        with (
            pytest.raises(sa.exc.DatabaseError, match="only grows"),
            service.store.engine.begin() as connection,
        ):
            connection.execute(sa.text(statement))
    service.close()


def test_worker_when_killed_over_a_cube_and_replaced_answers_all_who_wait_over_http(
    settings: Settings, packages: Packages, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    with TestClient(create_app(settings, workers=True)) as client:
        service: Service = client.app.state.service  # type: ignore[attr-defined]
        region = populate(service, packages, max_dimensions=3)
        link_once(region)
        headers = {"Authorization": f"Bearer {region.partnership_key}", "Prefer": "wait=0"}
        body = {"indicator": "employed_q4", "cohort": COHORTS, "by": ["sex"]}
        path = f"/v1/agreements/{AGREEMENT}/releases"
        answer = client.post(path, json=body, headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (202, PREPARING)
        where = answer.headers["Location"]
        with worker_process(settings, log) as first:
            wait_for(lambda: bool(cube_of(service, answer.json()["id"]).stage), log)
            first.send_signal(signal.SIGKILL)
            first.wait()
        assert client.get(where, headers=headers).json()["status"] == PREPARING
        with worker_process(settings, log):
            wait_for(lambda: client.get(where, headers=headers).json()["status"] != PREPARING, log)
        document = client.get(where, headers=headers).json()
        assert (document["status"], document["progress"]) == ("GRANTED", None), log.read_text()[-2000:]
        assert client.post(path, json=body, headers=headers).status_code == 201


def test_two_processes_that_release_at_one_moment_give_one_answer_and_one_charge(
    settings: Settings, packages: Packages
) -> None:
    service = open_service(settings)
    region = populate(service, packages, indicators=["employed_q2", "employed_q4", "retained"])
    link_once(region)
    program = (
        "import sys, json\n"
        "from app.flows.publish_release import Question, request_release\n"
        "from app.flows.organizations import authenticate\n"
        "from app.flows.service import open_service\n"
        "from app.settings import Settings\n"
        "service = open_service(Settings.from_env())\n"
        "caller = authenticate(service, 'Bearer ' + sys.argv[1])\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "question = Question(sys.argv[2], sys.argv[4], ('sex',))\n"
        "print(request_release(service, caller, sys.argv[3], question)['table_sha256'], flush=True)\n"
    )
    environment = {**os.environ, **settings.to_environ()}
    # Two of one question; a third beside whichever of them is first.
    asked = ("employed_q2", "employed_q2", "retained")
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, region.partnership_key, indicator, AGREEMENT, COHORTS],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for indicator in asked
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    digests = [process.communicate(timeout=300)[0].strip().split("\n")[-1] for process in running]
    assert digests[0] == digests[1] != digests[2]
    assert all(len(digest) == 64 for digest in digests)
    with service.store.reading() as tx:
        charged = {entry.indicator: entry for entry in releases.ledger_of_agreement(tx, AGREEMENT)}
        assert len(releases.ledger_of_agreement(tx, AGREEMENT)) == 2
    beside = [(entry.proof or {})["beside"] for entry in charged.values()]
    # One of the two was made beside the other, whichever came first.
    assert sorted(map(len, beside)) == [0, 1]
    service.close()
