"""Withdrawn and rejected batches stay shut in backups of the database from before; the others open."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from app.flows import erase_keys
from app.flows.erase_keys import erase_noted
from app.flows.service import Service, open_service
from app.settings import Settings
from app.store import batches, datakeys, erasures
from app.store.keystore import PLANES
from app.store.planes import rewrap
from crypto.errors import EnvelopeError
from tests.world import World, make_package

ID = "cincinnati-nky"
WAGE = "facts-wage.parquet"


def back_up(world: World, folder: Path) -> Path:
    """Database and blobs as a thief, or an operator, keeps them; never the keys."""
    with world.service.store.engine.connect() as connection:
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copytree(world.settings.data, folder, ignore=shutil.ignore_patterns("keys"))
    return folder


def openable(folder: Path, keys: Path, batch: str, facts: str) -> list[str]:
    """Which planes of a batch open in a restored backup with these keys."""
    service = open_service(Settings.for_data(folder, keys=keys))
    found = []
    try:
        for plane, name in (("encodings", "encodings.parquet"), ("facts", facts)):
            try:
                with service.store.reading() as tx:
                    batches.read_file(tx, service.plane(plane), batch, name)  # type: ignore[arg-type]
                found.append(plane)
            except EnvelopeError:
                continue
    finally:
        service.close()
    return found


def two_batches(world: World) -> tuple[str, str]:
    world.agree()
    first = world.submit(world.education, make_package()).json()["id"]
    return first, world.submit(world.workforce, make_package(kind="wage", seed=2)).json()["id"]


def own_keys(service: Service) -> int:
    return sum(len(service.keys(plane).rings(ID)) for plane in PLANES)


def noted(service: Service) -> int:
    with service.store.reading() as tx:
        return len(erasures.of_agreement(tx, ID))


def test_a_withdrawn_batch_does_not_open_in_a_backup_from_before_and_the_others_do(
    sqlite_world: World, tmp_path: Path
) -> None:
    world = sqlite_world
    gone, stays = two_batches(world)
    backup = back_up(world, tmp_path / "backup")
    assert openable(backup, world.settings.keys, gone, "facts-completion.parquet") == ["encodings", "facts"]
    assert world.education.call("DELETE", f"/batches/{gone}").json()["state"] == "WITHDRAWN"
    assert openable(backup, world.settings.keys, gone, "facts-completion.parquet") == []
    assert openable(backup, world.settings.keys, stays, WAGE) == ["encodings", "facts"]
    assert (own_keys(world.service), noted(world.service)) == (2, 0)


def test_a_rejected_batch_leaves_no_key_and_the_last_withdrawal_no_key_file(sqlite_world: World) -> None:
    world = sqlite_world
    world.agree()
    package = make_package(encodings=b"no parquet")
    answer = world.submit(world.education, package)
    assert answer.json()["code"] == "FILE_UNREADABLE"
    assert own_keys(world.service) == 0
    assert not list((world.settings.keys / "encodings").iterdir())
    assert world.submit(world.education, make_package(seed=3)).json()["state"] == "ACCEPTED"


def test_a_withdrawal_that_breaks_off_before_the_keys_are_dropped_is_finished_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, _ = two_batches(world)
    original = erase_keys._erase

    def broken(*_: Any) -> int:
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(erase_keys, "_erase", broken)
        assert world.education.call("DELETE", f"/batches/{gone}").status_code == 500
    assert erase_keys._erase is original
    assert world.education.get(f"/batches/{gone}").json()["state"] == "WITHDRAWN"
    assert (own_keys(world.service), noted(world.service)) == (4, 2)
    assert erase_noted(world.service) == 2
    assert (own_keys(world.service), noted(world.service)) == (2, 0)
    assert erase_noted(world.service) == 0


def test_a_batch_that_shared_its_key_with_others_is_shut_and_they_get_keys_of_their_own(
    sqlite_world: World, tmp_path: Path
) -> None:
    """As earlier versions made them: one key of the agreement for all its data keys."""
    world = sqlite_world
    gone, stays = two_batches(world)
    with world.service.store.transaction() as tx:
        for plane in PLANES[:2]:
            keys = world.service.keys(plane)
            shared = next(iter(keys.rings(ID).values()))
            for row in datakeys.of_agreement(tx, ID):
                if row.plane == plane:
                    rewrap(row, keys.opening(ID), shared)
    backup = back_up(world, tmp_path / "backup")
    assert world.education.call("DELETE", f"/batches/{gone}").json()["state"] == "WITHDRAWN"
    assert openable(backup, world.settings.keys, gone, "facts-completion.parquet") == []
    with world.service.store.reading() as tx:
        for plane, name in (("encodings", "encodings.parquet"), ("facts", WAGE)):
            batches.read_file(tx, world.service.plane(plane), stays, name)  # type: ignore[arg-type]
