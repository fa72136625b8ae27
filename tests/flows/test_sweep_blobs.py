"""Blobs that no row names are removed, and no other."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from app.errors import ServiceError
from app.flows import housekeeping
from app.flows.housekeeping import go_round, keep_house
from app.flows.service import open_service
from app.flows.sweep_blobs import sweep_blobs
from app.main import create_app
from app.settings import Settings
from app.store import Blobs, batches, runs
from app.store.models import RunState
from tests.world import OPERATOR, World, make_package

ID = "cincinnati-nky"


def paths(world: World) -> list[str]:
    return world.service.store.blobs.list("")


def run_with_blobs(world: World, batch: str, state: RunState) -> tuple[list[str], list[str]]:
    """A run in a state, its two tables, and what an attempt before left; returns (named, orphans)."""
    service = world.service
    with service.store.transaction() as tx:
        rows = [row for row in [batches.find(tx, batch)] if row is not None]
        run = runs.add(tx, f"run-{state.lower()}", ID, 1, OPERATOR, rows, {}, service.now())
        service.plane("links").create_key(tx, run.id, ID, service.now())
    plane = service.plane("links")
    written = [plane.write(run.id, name, [b"x"]) for name in ("persons", "links", "presence") * 2]
    with service.store.transaction() as tx:
        found = runs.lock(tx, run.id)
        assert found is not None
        found.state = state
        if state == RunState.SUCCEEDED:
            found.links_path = written[3]
            found.report = {"links": {"path": written[4]}, "presence": {"path": written[5]}}
            return written[3:], written[:3]
    return [], written


def test_a_sweep_removes_what_no_row_names_and_nothing_else(world: World) -> None:
    world.agree()
    batch = world.submit(world.education, make_package()).json()["id"]
    plane = world.service.plane("facts")
    kept = paths(world)
    orphan = plane.write(batch, "facts-completion.parquet/0", [b"of a request that was killed"])
    named, left = run_with_blobs(world, batch, RunState.SUCCEEDED)
    _, of_failed = run_with_blobs(world, batch, RunState.FAILED)
    _, of_running = run_with_blobs(world, batch, RunState.RUNNING)
    assert sweep_blobs(world.service, remove=False)["orphans"] == 1 + len(left) + len(of_failed)
    assert orphan in paths(world)
    assert sweep_blobs(world.service) == {"orphans": 10, "of_unknown_owners": 0}
    assert paths(world) == sorted([*kept, *named, *of_running])
    assert sweep_blobs(world.service)["orphans"] == 0


def test_a_sweep_leaves_a_batch_alone_that_still_takes_parts(sqlite_world: World) -> None:
    world = sqlite_world
    world.agree()
    batch = world.upload(world.education, make_package())
    # Written, and not yet in the database: the request of another process is about to.
    path = world.service.plane("facts").write(batch, "facts-completion.parquet/0", [b"in flight"])
    assert sweep_blobs(world.service)["orphans"] == 0
    assert path in paths(world)
    assert world.education.post(f"/batches/{batch}/completion").json()["state"] == "ACCEPTED"
    assert sweep_blobs(world.service)["orphans"] == 1


def test_a_sweep_beside_a_database_that_does_not_know_the_owners_removes_nothing(
    sqlite_world: World, sqlite_settings: Settings
) -> None:
    world = sqlite_world
    world.agree()
    world.submit(world.education, make_package())
    before = paths(world)
    other = replace(Settings.for_data(sqlite_settings.data / "other"), blob_url=sqlite_settings.blob_url)
    service = open_service(other)
    assert sweep_blobs(service) == {"orphans": 0, "of_unknown_owners": len(before)}
    service.close()
    assert paths(world) == before


def test_housekeeping_removes_what_a_withdrawal_left_and_survives_an_outage(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = sqlite_world
    world.agree()
    batch = world.submit(world.education, make_package()).json()["id"]
    blobs = world.service.store.blobs
    with monkeypatch.context() as patch:
        patch.setattr(type(blobs), "delete", lambda *_: (_ for _ in ()).throw(OSError("full")))
        assert world.education.call("DELETE", f"/batches/{batch}").status_code == 500
        go_round(world.service)
    assert paths(world) != []
    monkeypatch.setattr(housekeeping, "FIRST_SECONDS", 0.01)
    stop = threading.Event()
    thread = threading.Thread(target=keep_house, args=(world.service, stop))
    thread.start()
    while paths(world):
        assert thread.is_alive()
    stop.set()
    thread.join()
    assert world.education.get(f"/batches/{batch}").json()["state"] == "WITHDRAWN"


def test_a_server_whose_storage_does_not_list_what_was_written_does_not_start(
    sqlite_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Blobs, "list", lambda *_: [])
    with pytest.raises(ServiceError) as refusal:
        create_app(sqlite_settings)
    assert refusal.value.code == "STORAGE_UNUSABLE"
