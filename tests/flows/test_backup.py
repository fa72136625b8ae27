"""Backups as docs/operations.md makes them, restored: what was acknowledged before is all there, and what was
destroyed is in none."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from app.flows.check_log import check_log
from app.flows.service import open_service
from app.settings import Settings
from app.store import batches
from crypto.errors import EnvelopeError
from tests import postgres
from tests.world import World, make_package

ID = "cincinnati-nky"
FILES = {"encodings": "encodings.parquet", "facts": "facts-completion.parquet"}


def back_up_database(world: World, folder: Path, request: pytest.FixtureRequest) -> str | None:
    """The database, as operations make it, restored into a new one; its address, None for SQLite's own."""
    folder.mkdir()
    url = make_url(world.settings.database_url)
    if world.settings.embedded:
        with (
            contextlib.closing(sqlite3.connect(str(url.database))) as live,
            contextlib.closing(sqlite3.connect(folder / "cohortlink.db")) as kept,
        ):
            live.backup(kept)
        return None
    cluster: postgres.Cluster = request.getfixturevalue("postgres_cluster")
    tools = postgres.binaries()
    assert tools is not None
    at = ["-h", str(cluster.socket), "-U", "cohortlink"]
    dump = folder / "dump"
    subprocess.run([tools / "pg_dump", *at, "-Fc", "-f", dump, str(url.database)], check=True, timeout=60)
    restored = cluster.new_database()
    name = str(make_url(restored).database)
    subprocess.run([tools / "pg_restore", *at, "-d", name, dump], check=True, timeout=60)
    return restored


def parts_of(world: World, batch: str) -> dict[str, str]:
    """Where a part of the batch lies in each plane."""
    with world.service.store.reading() as tx:
        return {plane: batches.parts(tx, batch, name)[0].path for plane, name in FILES.items()}


def opened_with(
    folder: Path, database: str | None, keys: Path, batch: str, paths: dict[str, str]
) -> set[str]:
    """Planes of which a blob of the batch opens in a restored backup with these keys."""
    shutil.rmtree(folder / "keys", ignore_errors=True)
    shutil.copytree(keys, folder / "keys")
    service, found = open_service(Settings.for_data(folder, database_url=database)), set()
    try:
        for plane, path in paths.items():
            with contextlib.suppress(KeyError, EnvelopeError):
                assert b"".join(service.plane(plane).read(batch, path))  # type: ignore[arg-type]
                found.add(plane)
    finally:
        service.close()
    return found


def destroy(world: World) -> None:
    body = world.workforce.state(ID, "agreement-revocation")
    world.workforce.post(f"/agreements/{ID}/revocations", body)
    world.workforce.post(f"/agreements/{ID}/destruction")
    assert world.operator.post(f"/agreements/{ID}/destruction").json()["state"] == "DESTROYED"


@pytest.mark.parametrize("how", ["destroyed", "withdrawn"])
def test_what_is_gone_opens_in_no_backup_of_the_database_from_before_or_after(
    world: World, tmp_path: Path, request: pytest.FixtureRequest, how: str
) -> None:
    world.agree()
    batch = str(world.submit(world.education, make_package()).json()["id"])
    paths = parts_of(world, batch)
    before = back_up_database(world, tmp_path / "before", request)
    shutil.copytree(world.settings.data / "blobs", tmp_path / "before" / "blobs")
    old_keys = shutil.copytree(world.settings.keys, tmp_path / "old-keys")
    if how == "destroyed":
        destroy(world)
    else:
        assert world.education.call("DELETE", f"/batches/{batch}").json()["state"] == "WITHDRAWN"
    after = back_up_database(world, tmp_path / "after", request)
    # Whoever restores puts the old blobs beside either database.
    shutil.copytree(tmp_path / "before" / "blobs", tmp_path / "after" / "blobs")
    live = world.settings.keys
    assert opened_with(tmp_path / "before", before, live, batch, paths) == set()
    assert opened_with(tmp_path / "after", after, live, batch, paths) == set()
    # It is the keys that are missing, and nothing else: a copy of them from before undoes it.
    assert opened_with(tmp_path / "before", before, old_keys, batch, paths) == {"encodings", "facts"}
    # From a database of after not even they do: the wrapped keys are gone from its rows.
    assert opened_with(tmp_path / "after", after, old_keys, batch, paths) == set()


def test_a_backup_of_a_running_service_restored_elsewhere_holds_all_of_it(
    world: World, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    world.agree()
    batch = world.submit(world.education, make_package()).json()
    backup = tmp_path / "backup"
    restored = back_up_database(world, backup, request)
    # In this order (database, blobs, keys) every row of the backup finds its blob.
    shutil.copytree(world.settings.data / "blobs", backup / "blobs")
    shutil.copytree(world.settings.keys, backup / "keys")
    world.submit(world.workforce, make_package(kind="wage", seed=2))

    service = open_service(Settings.for_data(backup, database_url=restored))
    try:
        with service.store.reading() as tx:
            data = batches.read_file(tx, service.plane("encodings"), batch["id"], "encodings.parquet")
            row = batches.find(tx, batch["id"])
        assert data == make_package().files["encodings.parquet"]
        assert row is not None
        assert row.receipt is not None
        assert row.receipt["document"] == batch["receipt"]["document"]
        report = check_log(service)
        assert all(check.ok for check in report.checks), report
    finally:
        service.close()
