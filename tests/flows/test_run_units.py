"""A run is done unit by unit: what a killed worker has finished is not done again, and the links stay."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from app.flows import destroy_data, link_inputs, run_linkage, run_units, show_runs
from app.flows.link_inputs import table_bytes
from app.flows.run_units import Units, clear_units
from app.flows.service import Service, open_service
from app.flows.sweep_blobs import sweep_blobs
from app.settings import Settings
from app.store import runs
from crypto.wire import read_encodings
from linkage.run import LinkResult, Source, link
from tests.faults.processes import Victim, work
from tests.flows.linkage_world import AGREEMENT, Packages, World, populate

#: Units after which the first worker dies.
DIES_AFTER = 5
PATIENCE = 90.0


def work_and_tell(environ: dict[str, str], log: str, teller: int, told: str, dies_after: int) -> None:
    """A worker that writes down each unit that it does, and kills itself once so many are finished."""
    original = Units.__call__
    done = 0

    def call(self: Units, name: str, work: Callable[[], bytes]) -> bytes:
        nonlocal done

        def told_work() -> bytes:
            nonlocal done
            done += 1
            with Path(told).open("a") as file:
                file.write(f"{name}\n")
            return work()

        if done == dies_after:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, name, told_work)

    Units.__call__ = call  # type: ignore[method-assign]
    work(environ, log, teller)


@pytest.fixture
def world(settings: Settings, packages: Packages) -> Iterator[World]:
    service = open_service(settings)
    yield populate(service, packages)
    service.close()


@pytest.fixture
def sqlite_world(sqlite_settings: Settings, packages: Packages) -> Iterator[World]:
    service = open_service(sqlite_settings)
    yield populate(service, packages)
    service.close()


def _start(world: World) -> str:
    return str(run_linkage.start_run(world.service, world.operator, AGREEMENT)["id"])


def _shown(world: World, run_id: str) -> dict[str, Any]:
    return show_runs.show_run(world.service, world.operator, run_id)


def wait(what: Callable[[], bool], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end, log.read_text()[-3000:]
        time.sleep(0.05)


def _linked_in_one_go(world: World, run_id: str) -> LinkResult:
    """What the engine makes of the same batches without keeping units."""
    plane, spec = world.service.plane("encodings"), world.packages.profile.link_spec()
    with world.service.store.reading() as tx:
        inputs = runs.inputs(tx, run_id)
    sources = []
    for each in inputs:
        data = link_inputs.stored_encodings(world.service, plane, each.batch_id)
        sources.append(Source(each.batch_id, read_encodings(data, spec), organization=each.organization_id))
    return link(sources, spec)


def _unit_blobs(service: Service, run_id: str) -> list[str]:
    found = service.store.blobs.list(f"links/{run_id}")
    return [path for path in found if path.rsplit("/", 1)[-1].startswith(run_units.PREFIX)]


def _steps(settings: Settings, run_id: str) -> list[str]:
    """Names of the steps that the workflow library has of a run, in their order."""
    engine = sa.create_engine(settings.database_url, poolclass=sa.NullPool)
    table = "operation_outputs" if settings.embedded else "dbos.operation_outputs"
    with engine.connect() as connection:
        query = f"SELECT function_name FROM {table} WHERE workflow_uuid LIKE :run ORDER BY function_id"
        rows = connection.execute(sa.text(query), {"run": f"{run_id}@%"})
        return [str(row[0]) for row in rows]


def test_a_worker_that_dies_between_units_leaves_them_done_and_its_successor_does_the_rest(
    world: World, settings: Settings, tmp_path: Path
) -> None:
    log, first, second = tmp_path / "workers.log", tmp_path / "first", tmp_path / "second"
    second.touch()
    run_id = _start(world)
    one = Victim(work_and_tell, settings, log, str(first), DIES_AFTER)
    one.process.join(PATIENCE)
    assert one.process.exitcode == -signal.SIGKILL, log.read_text()[-3000:]
    assert _shown(world, run_id)["state"] == "RUNNING"
    assert len(_unit_blobs(world.service, run_id)) == DIES_AFTER
    other = Victim(work_and_tell, settings, log, str(second), -1)
    try:
        wait(lambda: _shown(world, run_id)["state"] != "RUNNING", log)
        wait(lambda: _unit_blobs(world.service, run_id) == [], log)
    finally:
        other.stop()
    shown = _shown(world, run_id)
    assert shown["state"] == "SUCCEEDED", log.read_text()[-3000:]
    before, after = first.read_text().split("\n")[:-1], second.read_text().split("\n")[:-1]
    assert len(before) == DIES_AFTER
    assert after and not set(before) & set(after)
    # Each unit is a step of the durable workflow, and writing the result the last.
    assert _steps(settings, run_id) == [*before, *after, "save"]
    with world.service.store.reading() as tx:
        run = runs.find(tx, run_id)
    assert run is not None and run.report is not None
    assert run.links_path is not None
    data = world.service.plane("links").read_all(run_id, [run.links_path], sha256=run.links_sha256)
    persons, once = pq.read_table(pa.BufferReader(data)), _linked_in_one_go(world, run_id)
    assert persons.select(once.persons.column_names).equals(once.persons)
    assert run.report["links"]["sha256"] == hashlib.sha256(table_bytes(once.links)).hexdigest()


def test_a_run_of_which_this_version_has_no_workflow_is_begun_anew(
    sqlite_world: World, sqlite_settings: Settings, tmp_path: Path
) -> None:
    run_id, log = _start(sqlite_world), tmp_path / "worker.log"
    assert run_linkage.begin(sqlite_world.service, run_id, "of-another-version") == "of-another-version#1"

    def owner() -> str:
        with sqlite_world.service.store.reading() as tx:
            run = runs.find(tx, run_id)
        assert run is not None
        return str(run.executor)

    worker = Victim(work, sqlite_settings, log)
    try:
        wait(lambda: owner().endswith("#2"), log)
    finally:
        worker.stop()


def _remembering(memory: dict[str, dict[str, Any]]) -> run_units.Step:
    def step(name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if name not in memory:
            memory[name] = work()
        return memory[name]

    return step


def test_a_unit_that_was_done_is_read_and_one_whose_result_is_gone_is_done_again(
    sqlite_world: World,
) -> None:
    service, run_id = sqlite_world.service, _start(sqlite_world)
    run_linkage.begin(service, run_id, "w")
    links = service.plane("links")
    with service.store.transaction() as tx:
        links.create_key(tx, run_id, AGREEMENT, service.now())
    memory: dict[str, dict[str, Any]] = {}
    calls = []

    def unit(data: bytes) -> Callable[[], bytes]:
        return lambda: calls.append(data) or data  # type: ignore[func-returns-value]

    assert Units(links, run_id, _remembering(memory))("a", unit(b"one")) == b"one"
    assert Units(links, run_id, _remembering(memory))("a", unit(b"two")) == b"one"
    assert calls == [b"one"]
    assert b"one" not in b"".join(service.store.blobs.get(memory["a"]["path"]))
    service.store.blobs.delete([memory["a"]["path"]])
    assert Units(links, run_id, _remembering(memory))("a", unit(b"one")) == b"one"
    assert calls == [b"one", b"one"]


def test_results_of_units_are_kept_while_a_run_is_open_and_removed_when_it_has_ended(
    sqlite_world: World,
) -> None:
    service, run_id = sqlite_world.service, _start(sqlite_world)
    owner = run_linkage.begin(service, run_id, "w")
    assert owner is not None
    produced = link_inputs.link_inputs(
        service, service.plane("encodings"), service.plane("links"), run_id, owner
    )
    kept = _unit_blobs(service, run_id)
    assert kept
    sweep_blobs(service)
    assert _unit_blobs(service, run_id) == kept
    run_linkage.finish(service, run_id, owner, produced)
    # A worker that dies here leaves them to the sweep of any other.
    assert sweep_blobs(service)["orphans"] == len(kept)
    assert _unit_blobs(service, run_id) == []
    late = service.plane("links").write(run_id, "unit", [b"of a worker that slept"])
    clear_units(service, run_id)
    assert late not in service.store.blobs.list("links")
    assert len(service.store.blobs.list(f"links/{run_id}")) == 4  # links, persons, presence, learned


def test_results_of_units_are_destroyed_with_their_run(sqlite_world: World) -> None:
    world, service = sqlite_world, sqlite_world.service
    run_id = _start(world)
    run_linkage.begin(service, run_id, "w")
    links = service.plane("links")
    with service.store.transaction() as tx:
        links.create_key(tx, run_id, AGREEMENT, service.now())
    Units(links, run_id, run_units.at_once)("a", lambda: b"similarities")
    (path,) = _unit_blobs(service, run_id)
    copy = b"".join(service.store.blobs.get(path))
    world.revoke("ohio-education")
    destroy_data.request_or_execute(service, world.callers["ohio-education"], AGREEMENT)
    destroy_data.request_or_execute(service, world.operator, AGREEMENT)
    assert _unit_blobs(service, run_id) == []
    service.store.blobs.put(path, [copy])
    with pytest.raises(KeyError):
        links.read_all(run_id, [path])


def test_results_of_units_when_the_storage_cannot_remove_them_do_not_fail_the_run(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_prefix: str) -> list[str]:
        raise OSError("no storage")

    monkeypatch.setattr(sqlite_world.service.store.blobs, "list", broken)
    clear_units(sqlite_world.service, "run-1")
