"""The migrations make exactly the tables that the models describe, on both databases, both ways."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.engine import Engine

from app.errors import ServiceError
from app.flows.service import open_service
from app.settings import Settings
from app.store import schema
from app.store.engine import create_engine
from tests import postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database."""
    url = None
    if request.param == "postgresql":
        cluster = request.getfixturevalue("postgres_cluster")
        assert isinstance(cluster, postgres.Cluster)
        url = cluster.new_database()
    made = create_engine(Settings.for_data(tmp_path, database_url=url))
    yield made
    made.dispose()


def test_migrated_schema_equals_the_models(engine: Engine) -> None:
    schema.upgrade(engine)
    assert schema.differences(engine) == []
    assert schema.is_current(engine)


def test_migrating_down_leaves_nothing_and_up_again_everything(engine: Engine) -> None:
    schema.migrate(engine, "head")
    schema.migrate(engine, "base")
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    schema.migrate(engine, "0001")
    schema.migrate(engine, schema.head())
    assert schema.differences(engine) == []


def test_an_old_database_with_a_run_in_it_is_upgraded_and_the_run_has_lost_no_worker(engine: Engine) -> None:
    schema.migrate(engine, "0007")
    rows = {
        "organizations": "'o', 'O', CURRENT_TIMESTAMP",
        "agreements": "'a', 'ACTIVE', 1, 'o', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP",
    }
    run = "'r', 'a', 1, 'o', 'RUNNING', '', 0, 0, '{}', CURRENT_TIMESTAMP"
    names = (
        "id, agreement_id, agreement_version, requested_by, state, stage, done, total, parameters, created_at"
    )
    with engine.begin() as connection:
        for table, values in rows.items():
            connection.execute(text(f"INSERT INTO {table} VALUES ({values})"))
        connection.execute(text(f"INSERT INTO runs ({names}) VALUES ({run})"))
    schema.upgrade(engine)
    assert schema.differences(engine) == []
    with engine.connect() as connection:
        assert connection.execute(text("SELECT losses FROM runs")).scalars().all() == [0]


def test_a_missing_column_is_found_as_a_difference(engine: Engine) -> None:
    schema.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE organizations DROP COLUMN name"))
    assert schema.differences(engine) != []


def test_an_unknown_revision_is_refused(engine: Engine) -> None:
    with pytest.raises(ServiceError, match="REVISION_UNKNOWN"):
        schema.migrate(engine, "9999")


def test_sqlite_is_durable_and_keeps_foreign_keys(sqlite_settings: Settings) -> None:
    engine = create_engine(sqlite_settings)
    with engine.connect() as connection:
        found = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in
                 ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")]  # fmt: skip
        assert found == ["wal", 2, 1, 30_000]
        assert connection.execute(text("SELECT unixepoch('subsec') > 1e9")).scalar() == 1
    engine.dispose()


def test_a_server_on_postgresql_does_not_migrate_by_itself(
    tmp_path: Path, postgres_cluster: postgres.Cluster
) -> None:
    settings = Settings.for_data(tmp_path, database_url=postgres_cluster.new_database())
    with pytest.raises(ServiceError, match="MIGRATION_NEEDED"):
        open_service(settings)
