"""Bring the schema up to date, and say whether it is.

The migrations travel with the package (`migrations/`), so an installed service can migrate itself. On
both databases DDL is transactional: a crash in here leaves the old schema. What migrates loads Alembic;
a server that only looks whether its schema is current stays small.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection, Engine

import migrations
from app.errors import ServiceError
from app.store.models import Base

if TYPE_CHECKING:
    from alembic.config import Config

# Two nodes that start at once must not migrate at once (PostgreSQL advisory lock; any fixed number).
_LOCK = 7_266_305_110
_FOLDER = Path(migrations.__file__).parent


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Migrate up to a revision, all steps in one transaction."""
    from alembic import command

    _run(engine, lambda config: command.upgrade(config, revision))


def downgrade(engine: Engine, revision: str) -> None:
    """Migrate down to a revision (`base`: nothing left)."""
    from alembic import command

    _run(engine, lambda config: command.downgrade(config, revision))


def migrate(engine: Engine, revision: str) -> None:
    """Migrate up or down, whichever way the revision lies (`head`, `base` or an id).

    Raises
    ------
    ServiceError
        `REVISION_UNKNOWN`.
    """
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    if revision == "head":
        upgrade(engine)
        return
    script = ScriptDirectory.from_config(_config())
    applied: set[str] = set()
    try:
        if revision != "base":
            script.get_revision(revision)
        now = current(engine)
        applied = {item.revision for item in script.iterate_revisions(now, "base")} if now else set()
    except CommandError:
        raise ServiceError("REVISION_UNKNOWN", 400, "There is no such revision.") from None
    if revision == "base" or revision in applied:
        downgrade(engine, revision)
    else:
        upgrade(engine, revision)


def head() -> str:
    """The newest revision that this program knows: files of migrations begin with their number."""
    return max(path.name for path in (_FOLDER / "versions").glob("[0-9]*.py")).partition("_")[0]


def current(engine: Engine) -> str | None:
    """The revision that the database is at; None if it was never migrated."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return found


def is_current(engine: Engine) -> bool:
    """Whether the database is at the newest revision."""
    return current(engine) == head()


def differences(engine: Engine) -> list[Any]:
    """What autogenerate would change to reach the models: nothing, if the migrations are right.

    Tables of others in the same database (the durable workflows') are left out.
    """
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    ours = set(Base.metadata.tables)

    def include(_object: Any, name: str | None, kind: str, _reflected: bool, _compare_to: Any) -> bool:
        return kind != "table" or name in ours

    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True, "include_object": include}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, Base.metadata))


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return config


def _run(engine: Engine, step: Any) -> None:
    with engine.begin() as connection:
        _lock(connection)
        config = _config()
        config.attributes["connection"] = connection
        step(config)


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
