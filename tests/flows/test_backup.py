"""Backups as docs/operations.md makes them, restored: what was acknowledged before is all there."""

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
from tests import postgres
from tests.world import World, make_package


def test_a_backup_of_a_running_service_restored_elsewhere_holds_all_of_it(
    world: World, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    world.agree()
    batch = world.submit(world.education, make_package()).json()
    backup = tmp_path / "backup"
    backup.mkdir()
    url = make_url(world.settings.database_url)
    if world.settings.embedded:
        with (
            contextlib.closing(sqlite3.connect(str(url.database))) as live,
            contextlib.closing(sqlite3.connect(backup / "cohortlink.db")) as kept,
        ):
            live.backup(kept)
        restored = None
    else:
        cluster: postgres.Cluster = request.getfixturevalue("postgres_cluster")
        tools = postgres.binaries()
        assert tools is not None
        at = ["-h", str(cluster.socket), "-U", "cohortlink"]
        dump = backup / "dump"
        subprocess.run([tools / "pg_dump", *at, "-Fc", "-f", dump, str(url.database)], check=True, timeout=60)
        restored = cluster.new_database()
        name = str(make_url(restored).database)
        subprocess.run([tools / "pg_restore", *at, "-d", name, dump], check=True, timeout=60)
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
