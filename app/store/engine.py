"""One way to open the database, for the store and for the durable workflows alike.

SQLite: WAL, every commit synced, foreign keys on, and transactions that take the write lock when they
begin (BEGIN IMMEDIATE), because a read transaction that turns into a writer can fail with "database is
locked" whatever the time-out. Read transactions say so by the execution option `cohortlink_read`.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, make_url

from app.errors import ServiceError
from app.settings import Settings

BUSY_TIMEOUT_MS = 30_000
READ_OPTION = "cohortlink_read"


def create_engine(settings: Settings, *, pool_size: int = 10) -> Engine:
    """Engine of the settings' database; callers may make several, one per user of a pool."""
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite":
        if url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        engine = sa.create_engine(
            url, pool_size=pool_size, max_overflow=40, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000}
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    return sa.create_engine(url, pool_size=pool_size, max_overflow=40, pool_pre_ping=True)


def database_time(engine: Engine) -> float:
    """The time of PostgreSQL's clock, in seconds since 1970.

    Raises
    ------
    ServiceError
        ``DATABASE_UNREACHABLE``, without the driver's words: they may hold address and password.
    """
    try:
        with engine.connect() as connection:
            found = connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one()
    except sa.exc.DBAPIError:
        raise ServiceError(
            "DATABASE_UNREACHABLE", 503, "the database does not answer or refuses us."
        ) from None
    return float(found)


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # The driver must not begin transactions on its own: _begin_sqlite does.
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")
    if sqlite3.sqlite_version_info < (3, 42, 0):
        # The workflows' tables ask for unixepoch('subsec'), which SQLite knows since 3.42.
        connection.create_function("unixepoch", -1, _unixepoch)


def _unixepoch(*arguments: str) -> float:
    now = time.time()
    return now if "subsec" in arguments else float(int(now))


def _begin_sqlite(connection: Connection) -> None:
    read = connection.get_execution_options().get(READ_OPTION, False)
    connection.exec_driver_sql("BEGIN" if read else "BEGIN IMMEDIATE")
