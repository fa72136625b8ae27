"""Keys at rest are replaced while everything goes on, and nothing is lost by it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from app.errors import ServiceError
from app.flows import rotate_keys as flow
from app.flows.rotate_keys import rotate_keys
from app.flows.service import open_service
from app.store import batches, datakeys
from app.store.keystore import PLANES, KeyStore
from app.store.planes import context
from crypto.envelope import WrappedKey
from crypto.errors import EnvelopeError
from tests.world import World, make_package

ID = "cincinnati-nky"


def submitted(world: World) -> str:
    world.agree()
    return str(world.submit(world.education, make_package()).json()["id"])


def readable(world: World, batch: str, plane: str = "encodings") -> bytes:
    name = "encodings.parquet" if plane == "encodings" else "facts-completion.parquet"
    with world.service.store.reading() as tx:
        return batches.read_file(tx, world.service.plane(plane), batch, name)  # type: ignore[arg-type]


def key_material(world: World) -> set[bytes]:
    found: set[bytes] = set()
    for plane in PLANES:
        keys = world.service.keys(plane)
        own = keys.agreement(ID)
        found |= set(keys.master().keys.values()) | (set(own.keys.values()) if own else set())
    return found


def test_rotation_replaces_every_key_and_the_data_stay_readable(world: World) -> None:
    batch = submitted(world)
    before, data = key_material(world), readable(world, batch)
    old = {plane: world.service.keys(plane).master().current for plane in PLANES}
    done = rotate_keys(world.service)
    assert readable(world, batch) == data
    assert not before & key_material(world), "no old key is kept"
    assert done["data_keys"] == 2
    assert {item["plane"]: item["dropped"] for item in done["planes"]} == {p: [k] for p, k in old.items()}
    entry = json.loads(world.auditor.get("/log/entries").text.splitlines()[-1])
    assert (entry["kind"], entry["body"]) == ("keys.rotated", done)


def test_rotation_wakes_a_plane_that_was_opened_before(world: World) -> None:
    batch = submitted(world)
    plane = world.service.plane("encodings")
    rotate_keys(world.service)
    path = plane.write(batch, "later", [b"x"])
    assert b"".join(plane.read(batch, path)) == b"x"
    assert world.submit(world.workforce, make_package(kind="wage", seed=2)).json()["state"] == "ACCEPTED"


def test_rotation_ends_what_old_backups_of_the_database_could_open(sqlite_world: World) -> None:
    world = sqlite_world
    batch = submitted(world)
    with world.service.store.reading() as tx:
        row = datakeys.find(tx, batch, "encodings")
    assert row is not None
    rotate_keys(world.service)
    with pytest.raises(EnvelopeError, match="MASTER_KEY_UNKNOWN"):
        world.service.keys("encodings").opening(ID).unwrap(
            WrappedKey(row.key_id, row.wrapped), context(batch, "encodings")
        )


@pytest.mark.parametrize("place", ["renew", "_drop_agreement", "_drop_master", "append"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_rotation_that_breaks_off_anywhere_loses_nothing_and_the_next_one_tidies_up(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch, place: str, after: bool
) -> None:
    world = sqlite_world
    batch = submitted(world)
    data, original = readable(world, batch), getattr(flow, place)

    def broken(*arguments: Any, **named: Any) -> Any:
        if after:
            original(*arguments, **named)
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(flow, place, broken)
        with pytest.raises(OSError, match="killed"):
            rotate_keys(world.service)
    assert readable(world, batch) == data
    rotate_keys(world.service)
    assert readable(world, batch) == data
    for plane in PLANES:
        assert len(world.service.keys(plane).master().keys) == 1


def test_submissions_go_on_while_keys_are_rotated(world: World) -> None:
    batch = submitted(world)
    other, stop, failures = open_service(world.settings), threading.Event(), []

    def rotate() -> None:
        while not stop.is_set():
            try:
                rotate_keys(other)
            except Exception as error:  # noqa: BLE001 (told by the test)
                failures.append(error)

    thread = threading.Thread(target=rotate)
    thread.start()
    try:
        made = [
            world.submit(world.workforce, make_package(kind="wage", seed=seed)).json() for seed in range(2, 6)
        ]
        for _ in range(20):
            readable(world, batch)
    finally:
        stop.set()
        thread.join()
        other.close()
    assert failures == []
    assert {item["state"] for item in made} == {"ACCEPTED"}, made
    for item in made:
        with world.service.store.reading() as tx:
            batches.read_file(tx, world.service.plane("encodings"), item["id"], "encodings.parquet")


def test_two_rotations_at_once_are_one(sqlite_world: World) -> None:
    with flow._alone(sqlite_world.service), pytest.raises(ServiceError) as refusal:
        rotate_keys(sqlite_world.service)
    assert refusal.value.code == "ROTATION_IN_PROGRESS"


def test_rotation_without_an_agreements_key_file_stops_before_it_loses_anything(sqlite_world: World) -> None:
    submitted(sqlite_world)
    path = sqlite_world.settings.keys / "facts" / f"{ID}.json"
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(ServiceError) as refusal:
        rotate_keys(sqlite_world.service)
    assert (refusal.value.code, path.name in str(refusal.value)) == ("KEYS_MISSING", True)
    answer = sqlite_world.begin(sqlite_world.workforce, make_package(kind="wage", seed=3))
    assert answer.status_code == 500, "no new key beside data that the lost one wrapped"
    path.write_bytes(content)
    path.chmod(0o600)
    rotate_keys(sqlite_world.service)


def test_data_keys_of_before_agreements_had_keys_are_read_and_rotated(sqlite_world: World) -> None:
    world = sqlite_world
    batch = submitted(world)
    data = readable(world, batch)
    with world.service.store.transaction() as tx:
        for row in datakeys.of_agreement(tx, ID):
            keys = world.service.keys(row.plane)  # type: ignore[arg-type]
            where = context(batch, row.plane)
            data_key = keys.opening(ID).unwrap(WrappedKey(row.key_id, row.wrapped), where)
            wrapped = keys.master().wrap(data_key, where)
            row.key_id, row.wrapped = wrapped.key_id, wrapped.blob
    for plane in PLANES:
        world.service.keys(plane).erase_agreement(ID)
    assert readable(world, batch) == data
    rotate_keys(world.service)
    assert readable(world, batch) == data
    with world.service.store.reading() as tx:
        rows = datakeys.of_agreement(tx, ID)
    for row in rows:
        assert row.key_id not in world.service.keys(row.plane).master().keys  # type: ignore[arg-type]


def test_a_key_store_names_no_file_outside_its_folder(sqlite_world: World) -> None:
    keys = KeyStore(sqlite_world.settings.keys, "facts")
    calls: list[Callable[[str], object]] = [keys.agreement, keys.add_key, keys.erase_agreement]
    for call in calls:
        with pytest.raises(ValueError, match="agreement"):
            call("../links")
