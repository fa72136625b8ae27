"""The database as the durable workflows see it: an engine of their own and nothing else.

Their library begins and serialises its own transactions, so the store's engine, which does the same in its
own way, would begin each one twice. Both point at the same database.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Engine, make_url

from app.settings import Settings
from app.store.engine import BUSY_TIMEOUT_MS


def create_workflow_engine(settings: Settings) -> Engine:
    """Engine for the workflow library, on the settings' database.

    On PostgreSQL its tables live in a schema of their own (``dbos``), on SQLite beside ours.
    """
    url = make_url(settings.database_url)
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_size=5, max_overflow=10, pool_pre_ping=True)
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = sa.create_engine(url, pool_size=5, max_overflow=10)
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # As the library does it for engines of its own making: writers queue up instead of failing.
    connection.isolation_level = "IMMEDIATE"
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        # A step that is reported as done must still be done after a power cut.
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")
    if sqlite3.sqlite_version_info < (3, 42, 0):
        # unixepoch('subsec') came with SQLite 3.42; the library's tables use it as a default value.
        connection.create_function("unixepoch", -1, lambda *_: time.time())
