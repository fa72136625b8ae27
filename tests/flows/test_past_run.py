"""A run that goes on from an earlier one: only what is new is compared, nothing withdrawn is carried on."""

from __future__ import annotations

import io
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from app.api.sessions import COOKIE
from app.auth import Role
from app.errors import ServiceError
from app.flows import (
    destroy_data,
    link_inputs,
    organizations,
    run_linkage,
    run_units,
    run_views,
    sessions,
    show_runs,
    submit_batch,
)
from app.flows.past_run import freeze_past
from app.flows.replay_run import replay_run
from app.flows.run_linkage import RunStoppedError
from app.flows.run_report import coarse_report
from app.flows.service import open_service
from app.flows.sweep_blobs import sweep_blobs
from app.main import create_app
from app.settings import Settings
from app.store import datakeys, log, runs
from app.store.models import Run
from crypto.errors import EnvelopeError
from crypto.log.entry import Entry
from crypto.log.rules import Rules
from tests.faults.processes import Victim
from tests.flows.linkage_world import AGREEMENT, Packages, World, populate
from tests.flows.test_run_units import DIES_AFTER, PATIENCE, wait, work_and_tell

NEW = "riverside-bridges"


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path, packages: Packages) -> World:
    """A region of which all but one agency were linked, and then that one submitted."""
    settings = Settings.for_data(tmp_path_factory.mktemp("grown") / "data", part_size=65_536)
    settings.data.mkdir()
    shutil.copy(migrated_sqlite, settings.data)
    service = open_service(settings)
    world = populate(service, packages, submit=False)
    for organization in packages.folders:
        if organization != NEW:
            world.submit(organization)
    world.batches["first run"] = _done(world, allow_missing=[NEW])
    world.submit(NEW)
    service.close()
    return world


@pytest.fixture
def world(grown: World, tmp_path: Path) -> Iterator[World]:
    """A copy of it."""
    shutil.copytree(grown.service.settings.data, tmp_path / "data")
    service = open_service(Settings.for_data(tmp_path / "data", part_size=65_536))
    yield replace(grown, service=service, batches=dict(grown.batches))
    service.close()


def _first(world: World) -> str:
    return world.batches["first run"]


def _start(world: World, **arguments: Any) -> str:
    return str(run_linkage.start_run(world.service, world.operator, AGREEMENT, **arguments)["id"])


def _linked(world: World, run_id: str, step: run_units.Step = run_units.at_once) -> None:
    service = world.service
    owner = run_linkage.begin(service, run_id, "w")
    assert owner is not None
    planes = service.plane("encodings"), service.plane("links")
    produced = link_inputs.link_inputs(service, *planes, run_id, owner, step=step)
    run_linkage.finish(service, run_id, owner, produced)


def _done(world: World, **arguments: Any) -> str:
    run_id = _start(world, **arguments)
    _linked(world, run_id)
    assert show_runs.show_run(world.service, world.operator, run_id)["state"] == "SUCCEEDED"
    return run_id


def _run(world: World, run_id: str) -> Run:
    with world.service.store.reading() as tx:
        run = runs.find(tx, run_id)
    assert run is not None
    return run


def _links(world: World, run_id: str) -> pa.Table:
    stored = (_run(world, run_id).report or {})["links"]
    data = world.service.plane("links").read_all(run_id, [stored["path"]], sha256=stored["sha256"])
    return pq.read_table(io.BytesIO(data))


def _pairs(table: pa.Table) -> set[tuple[str, ...]]:
    names = ("batch_a", "record_ref_a", "batch_b", "record_ref_b")
    return set(zip(*(table[name].to_pylist() for name in names), strict=True))


def _entries(world: World) -> list[Entry]:
    with world.service.store.reading() as tx:
        return [Entry.parse(row.leaf) for row in log.entries(tx, 0, log.size(tx))]


def _refused(world: World, since: str, **arguments: Any) -> str:
    with pytest.raises(ServiceError) as refused:
        _start(world, since=since, **arguments)
    return f"{refused.value.status} {refused.value.code}"


def _told(steps: list[str]) -> run_units.Step:
    def step(name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        steps.append(name)
        return work()

    return step


def test_run_that_goes_on_compares_only_the_new_batch_and_gives_the_links_of_one_from_scratch(
    world: World,
) -> None:
    run_id, steps = _start(world, since=_first(world)), list[str]()
    _linked(world, run_id, _told(steps))
    new = world.batches[NEW]
    assert steps[-1] == "save" and all(new in name for name in steps[:-1])

    # The old links are there as they were; with the new ones they are those of a run from scratch.
    scratch = _done(world)
    went_on, whole = _links(world, run_id), _links(world, scratch)
    assert _pairs(_links(world, _first(world))) <= _pairs(went_on)
    assert len(_pairs(went_on) ^ _pairs(whole)) <= 0.01 * whole.num_rows

    quality = show_runs.run_quality(world.service, world.operator, run_id)
    told = quality["incremental"]
    assert (told["since"], told["taken_over"], told["compared"]) == (_first(world), 6, 4)
    assert set(told["drift"]) and all(isinstance(by, str) for by in told["drift"].values())
    assert [new in pair["batches"] for pair in quality["pairs"]] == [
        not pair["taken_over"] for pair in quality["pairs"]
    ]
    assert "incremental" not in show_runs.run_quality(world.service, world.operator, scratch)


def test_log_of_a_run_that_goes_on_names_the_earlier_one_and_what_it_left_and_keeps_the_rules(
    world: World,
) -> None:
    run_id = _done(world, since=_first(world))
    entries = _entries(world)
    bodies = {(entry.kind, entry.body["run"]): entry.body for entry in entries if "run" in entry.body}
    before: Any = bodies["run.finished", _first(world)]
    since = {name: before[name] for name in ("run", "links_sha256", "learned_sha256")}
    for kind in ("run.started", "run.finished"):
        parameters: Any = bodies[kind, run_id]["parameters"]
        assert parameters["since"] == since
    rules = Rules()
    for entry in entries:
        rules.feed(entry)
    assert rules.broken == {}
    view = run_views.run_view(world.service, world.operator, run_id)
    assert view.run["since"] == _first(world)


def test_replay_of_a_run_that_went_on_repeats_the_earlier_one_from_its_own_inputs(world: World) -> None:
    run_id = _done(world, since=_first(world))
    result = replay_run(world.service, run_id)
    assert result["same"]
    what = {check["what"] for check in result["checks"]}
    assert {"persons", "links", "presence", f"links of {_first(world)}"} <= what


def test_run_is_refused_that_would_go_on_from_nothing_that_fits(world: World) -> None:
    assert _refused(world, "run-0") == _refused(world, "\x00") == "404 RUN_UNKNOWN"
    with world.service.store.reading() as tx, pytest.raises(ServiceError, match="PAST_OTHER_AGREEMENT"):
        freeze_past(tx, _first(world), "another-region", {}, [])
    waiting = _start(world)
    assert _refused(world, waiting) == "409 RUN_NOT_FINISHED"
    with world.service.store.transaction() as tx:
        run = runs.lock(tx, _first(world))
        assert run is not None and run.report is not None
        kept, parameters = dict(run.report), dict(run.parameters)
        run.parameters = parameters | {"profile": "0" * 64}
    assert _refused(world, _first(world)) == "409 PAST_OTHER_TERMS"
    with world.service.store.transaction() as tx:
        run = runs.lock(tx, _first(world))
        assert run is not None
        run.parameters = parameters | {"options": parameters["options"] | {"threshold": "0.9"}}
    assert _refused(world, _first(world)) == "409 PAST_OTHER_TERMS"
    with world.service.store.transaction() as tx:
        run = runs.lock(tx, _first(world))
        assert run is not None
        # As a run of before, which kept its tables and not what it had learnt.
        run.parameters, run.report = parameters, {n: v for n, v in kept.items() if n != "learned"}
    assert _refused(world, _first(world)) == "409 PAST_NOT_KEPT"
    assert _offered(world) == []


def test_run_is_refused_that_would_have_nothing_new_or_nothing_to_take_over(world: World) -> None:
    run_id = _done(world, since=_first(world))
    assert _refused(world, run_id) == "409 PAST_NOTHING_NEW"
    for organization in ("ohio-education", "ohio-workforce", "kentucky-education"):
        world.submit(organization, supersedes=world.batches[organization])
    assert _refused(world, _first(world)) == "409 PAST_NOTHING_SHARED"
    # Batches that were replaced are held: of the two that are left, links are taken over.
    again = _done(world, since=run_id)
    told = show_runs.run_quality(world.service, world.operator, again)["incremental"]
    assert (told["taken_over"], told["compared"]) == (1, 9)


def _offered(world: World) -> list[str]:
    found = run_linkage.offered_pasts(world.service, world.operator, AGREEMENT)
    return [each["run"] for each in found]


def test_run_is_refused_that_would_carry_on_a_batch_that_was_withdrawn(world: World) -> None:
    second = _done(world, since=_first(world))
    assert _offered(world) == [_first(world)]
    _withdraw(world, world.batches["ohio-workforce"])
    for since in (_first(world), second):
        assert _refused(world, since, allow_missing=["ohio-workforce"]) == "409 PAST_BATCH_GONE"
    assert _offered(world) == []


def _withdraw(world: World, batch: str, organization: str = "ohio-workforce") -> None:
    submit_batch.withdraw(world.service, world.callers[organization], batch)


def test_withdrawal_takes_what_runs_found_with_the_batch_out_of_reach_and_out_of_backups(
    world: World,
) -> None:
    service, first, links = world.service, _first(world), world.service.plane("links")
    batch = world.batches["ohio-workforce"]
    world.submit("ohio-workforce", supersedes=batch)
    second = _done(world, since=first)
    with service.store.reading() as tx:
        wrapped = datakeys.find(tx, first, "links")
    assert wrapped is not None
    report = _run(world, first).report or {}
    copies = {
        path: b"".join(service.store.blobs.get(path)) for path in service.store.blobs.list(f"links/{first}")
    }
    _withdraw(world, batch)

    # The first run read the batch: nothing of it is left, nor opens when blobs and row come out of a backup.
    left = service.store.blobs.list(f"links/{first}")
    assert [path for path in left if "/unit-" not in path] == []
    for path, data in copies.items():
        service.store.blobs.put(path, [data])
    with pytest.raises(KeyError):
        links.read_all(first, [report["learned"]["path"]])
    with service.store.transaction() as tx:
        datakeys.add(tx, first, "links", AGREEMENT, wrapped.key_id, wrapped.wrapped, service.now())
    with pytest.raises(EnvelopeError):
        links.read_all(first, [report["learned"]["path"]])
    # The second did not, and keeps its links; what it learnt rests on the batch all the same.
    assert _links(world, second).num_rows
    left = service.store.blobs.list(f"links/{second}")
    assert left and not [path for path in left if "learned-" in path]
    assert _refused(world, second) == "409 PAST_BATCH_GONE"


def test_run_stops_when_a_batch_behind_the_earlier_run_is_withdrawn_while_it_goes_on(world: World) -> None:
    # Replaced, so that the new run does not read it; and then withdrawn.
    before = world.batches["ohio-workforce"]
    world.submit("ohio-workforce", supersedes=before)
    run_id = _start(world, since=_first(world))
    owner = run_linkage.begin(world.service, run_id, "w")
    assert owner is not None
    _withdraw(world, before)
    planes = world.service.plane("encodings"), world.service.plane("links")
    with pytest.raises(RunStoppedError) as stopped:
        link_inputs.link_inputs(world.service, *planes, run_id, owner)
    assert stopped.value.code == "PAST_BATCH_GONE"


def test_run_that_dies_in_the_middle_goes_on_and_gives_the_same_bytes(world: World) -> None:
    once = _done(world, since=_first(world))
    memory: dict[str, dict[str, Any]] = {}
    done: list[str] = []

    def remembering(dies_after: int) -> run_units.Step:
        def step(name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
            if len(done) == dies_after:
                raise KeyboardInterrupt
            if name not in memory:
                memory[name] = work()
                done.append(name)
            return memory[name]

        return step

    run_id = _start(world, since=_first(world))
    with pytest.raises(KeyboardInterrupt):
        _linked(world, run_id, remembering(3))
    _linked(world, run_id, remembering(-1))
    assert len(done) == len(set(done)) > 4
    one, other = _run(world, once), _run(world, run_id)
    assert one.links_sha256 == other.links_sha256
    for name in ("links", "presence", "learned"):
        assert (one.report or {})[name]["sha256"] == (other.report or {})[name]["sha256"]


def test_run_that_goes_on_is_taken_over_from_a_killed_worker_by_another_process(
    world: World, tmp_path: Path
) -> None:
    log_file, first, second = tmp_path / "workers.log", tmp_path / "first", tmp_path / "second"
    settings, run_id = world.service.settings, _start(world, since=_first(world))
    one = Victim(work_and_tell, settings, log_file, str(first), DIES_AFTER)
    one.process.join(PATIENCE)
    assert one.process.exitcode == -signal.SIGKILL, log_file.read_text()[-3000:]
    assert _run(world, run_id).state == "RUNNING"
    other = Victim(work_and_tell, settings, log_file, str(second), -1)
    try:
        wait(lambda: _run(world, run_id).state != "RUNNING", log_file)
    finally:
        other.stop()
    before, after = first.read_text().splitlines(), second.read_text().splitlines()
    assert len(before) == DIES_AFTER and after and not set(before) & set(after)
    assert all(world.batches[NEW] in name for name in before + after)
    once = _run(world, _done(world, since=_first(world)))
    taken_over = _run(world, run_id)
    assert taken_over.links_sha256 == once.links_sha256
    assert (taken_over.report or {})["learned"]["sha256"] == (once.report or {})["learned"]["sha256"]


def test_run_fails_when_what_the_earlier_one_left_is_not_what_was_frozen(world: World) -> None:
    run_id = _start(world, since=_first(world))
    with world.service.store.transaction() as tx:
        run = runs.lock(tx, run_id)
        assert run is not None
        run.parameters = run.parameters | {"since": run.parameters["since"] | {"learned_sha256": "0" * 64}}
    with pytest.raises(RunStoppedError) as stopped:
        _linked(world, run_id)
    assert stopped.value.code == "PAST_ALTERED"


def test_what_a_run_learnt_is_kept_by_the_sweep_and_destroyed_with_the_agreement(world: World) -> None:
    service, first = world.service, _first(world)
    sweep_blobs(service)
    stored = (_run(world, first).report or {})["learned"]
    links = service.plane("links")
    assert b"cohortlink-learned/1" in links.read_all(first, [stored["path"]], sha256=stored["sha256"])
    copy = b"".join(service.store.blobs.get(stored["path"]))
    assert b"cohortlink-learned" not in copy
    world.revoke("ohio-education")
    destroy_data.request_or_execute(service, world.callers["ohio-education"], AGREEMENT)
    document = destroy_data.request_or_execute(service, world.operator, AGREEMENT)
    assert document["state"] == "DESTROYED"
    assert not [path for path in service.store.blobs.list("links") if "learned-" in path]
    service.store.blobs.put(stored["path"], [copy])
    with pytest.raises(KeyError):
        links.read_all(first, [stored["path"]])
    certificate: Any = _entries(world)[-1].body
    assert certificate["derivatives"][0]["learned_sha256"] == stored["sha256"]


@pytest.mark.parametrize(("new", "told"), [(9, {}), (10, {"zip": "0.124"})])
def test_drift_of_fewer_new_records_than_the_minimum_cell_is_not_told(new: int, told: dict[str, str]) -> None:
    counts = {"a": 500, "b": 500, "c": new}
    report: dict[str, Any] = {
        "sources": [{"name": n, "organization": n, "records": count} for n, count in counts.items()],
        "pairs": [],
        "persons": 900,
        "links": 100,
        "doubts": [],
        "incremental": {
            "reused": [["a", "b"]],
            "computed": [["a", "c"], ["b", "c"]],
            "drift": {"zip": 0.1236},
        },
    }
    assert coarse_report(report, 10, since="run-1")["incremental"]["drift"] == told


class Page:
    """Somebody who has signed in to the pages."""

    def __init__(self, world: World, api_key: str) -> None:
        token = sessions.sign_in(world.service, api_key)
        self.csrf = sessions.resume(world.service, token).csrf
        self.client = TestClient(create_app(world.service.settings), follow_redirects=False)
        self.client.cookies.set(COOKIE, token)
        self.headers = {"Accept": "text/html", "Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}

    def get(self, path: str) -> str:
        return self.client.get(path, headers=self.headers).text

    def post(self, path: str, **form: str) -> Any:
        return self.client.post(path, headers=self.headers, data={"csrf": self.csrf} | form)


def test_pages_offer_the_earlier_run_and_show_what_was_taken_over_and_the_drift(world: World) -> None:
    operator = Page(world, world.operator_key)
    path = f"/operator/agreements/{AGREEMENT}"
    assert f'value="{_first(world)}"' in operator.get(path)
    assert "4 batches stay, 1 is new" in operator.get(path)
    answer = operator.post(f"{path}/runs", since=_first(world))
    run_id = answer.headers["location"].partition("/runs/")[2].partition("?")[0]
    _linked(world, run_id)

    organizations.create_organization(world.service, world.operator, "state-auditor", "The auditor")
    made = organizations.create_api_key(world.service, world.operator, "state-auditor", Role.AUDITOR, None)
    page = Page(world, made["api_key"]).get(f"/auditor/runs/{run_id}")
    assert f'href="/auditor/runs/{_first(world)}"' in page
    assert (page.count("<td>taken over</td>"), page.count("<td>compared</td>")) == (6, 4)
    assert "Drift by filter" in page
    scratch = Page(world, made["api_key"]).get(f"/auditor/runs/{_first(world)}")
    assert "Match rates by pair of sources" in scratch and "What was taken over" not in scratch
