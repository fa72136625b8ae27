"""Fixtures for all: the service on both databases."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.flows.service import Service, open_service
from app.settings import Settings
from app.store import schema
from app.store.engine import create_engine
from tests import postgres
from tests.world import Clock, World


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[postgres.Cluster]:
    """One throw-away cluster per test process; one database per test."""
    folder = postgres.binaries()
    if folder is None:
        message = "PostgreSQL's initdb and postgres are not installed: its tests did NOT run"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    with postgres.running_cluster(folder) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty database file: migrating for every test would be most of the tests' time."""
    settings = Settings.for_data(tmp_path_factory.mktemp("template"))
    engine = create_engine(settings)
    schema.upgrade(engine)
    with engine.connect() as connection:
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return settings.data / "cohortlink.db"


@pytest.fixture(scope="session")
def migrated_postgres(tmp_path_factory: pytest.TempPathFactory, postgres_cluster: postgres.Cluster) -> str:
    """Name of a migrated, empty database to copy."""
    url = postgres_cluster.new_database()
    engine = create_engine(Settings.for_data(tmp_path_factory.mktemp("template"), database_url=url))
    schema.upgrade(engine)
    name = engine.url.database
    engine.dispose()
    assert name is not None
    return name


@pytest.fixture
def sqlite_settings(tmp_path: Path, migrated_sqlite: Path) -> Settings:
    """The embedded default in a fresh folder."""
    settings = Settings.for_data(tmp_path / "data", part_size=65_536)
    settings.data.mkdir()
    shutil.copy(migrated_sqlite, settings.data)
    return settings


@pytest.fixture
def postgres_settings(tmp_path: Path, postgres_cluster: postgres.Cluster, migrated_postgres: str) -> Settings:
    """A fresh, migrated database on PostgreSQL; blobs and keys in a fresh folder."""
    url = postgres_cluster.new_database(template=migrated_postgres)
    return Settings.for_data(tmp_path / "data", database_url=url, part_size=65_536)


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest) -> Settings:
    """Settings on both databases: a test that asks for it runs twice."""
    name = "sqlite_settings" if request.param == "sqlite" else "postgres_settings"
    found = request.getfixturevalue(name)
    assert isinstance(found, Settings)
    return found


@pytest.fixture
def service(settings: Settings) -> Iterator[Service]:
    """The service over both databases."""
    opened = open_service(settings)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until it is moved."""
    return Clock()


@pytest.fixture
def world(settings: Settings, clock: Clock) -> Iterator[World]:
    """The application on both databases, with an operator, over HTTP."""
    with World(settings, clock) as made:
        yield made


@pytest.fixture
def sqlite_world(sqlite_settings: Settings, clock: Clock) -> Iterator[World]:
    """The application on SQLite only, for tests in which the database does not matter."""
    with World(sqlite_settings, clock) as made:
        yield made
