"""Named transactions over the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Lock
from typing import Any, TypeVar

from sqlalchemy import inspect, select, text
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from app.store.blobs import Blobs
from app.store.engine import READ_OPTION

Row = TypeVar("Row")


class Tx:
    """One transaction: all that happens through it is committed, or none of it.

    Attributes
    ----------
    name : str
        What is being done, as the flow calls it; for metrics and faults.
    """

    def __init__(self, name: str, session: Session) -> None:
        self.name = name
        self.session = session

    def locked(self, kind: type[Row], key: str) -> Row | None:
        """A row by its key, read anew and locked until the transaction ends."""
        (column,) = inspect(kind).primary_key
        query = select(kind).where(column == key).with_for_update()
        return self.session.scalar(query.execution_options(populate_existing=True))


class Store:
    """Database and blobs.

    Locks are taken in one order, so that flows cannot wait for each other in a circle: agreement,
    then batch or run, then the head of the log, which is always last.
    """

    def __init__(self, engine: Engine, blobs: Blobs) -> None:
        self.engine = engine
        self.blobs = blobs
        self._readers = engine.execution_options(**{READ_OPTION: True})
        # SQLite lets writers of one process knock at its lock again and again; here they queue up instead.
        self._turn: AbstractContextManager[Any] = Lock() if engine.dialect.name == "sqlite" else nullcontext()

    @contextmanager
    def transaction(self, name: str = "unnamed") -> Iterator[Tx]:
        """A writing transaction; on SQLite it holds the only write lock from its first statement.

        Commits when the block ends, rolls back when it raises. A crash inside leaves the old state.
        Objects read in it stay readable afterwards and are no longer connected to anything.
        """
        with self._turn, Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield Tx(name, session)

    @contextmanager
    def reading(self, name: str = "unnamed") -> Iterator[Tx]:
        """A transaction that only reads: it waits for no writer, and is rolled back at the end."""
        with Session(self._readers, expire_on_commit=False, autoflush=False) as session:
            yield Tx(name, session)
            session.expunge_all()
            session.rollback()

    def ping(self) -> None:
        """Raise if the database does not answer."""
        with self.reading("ping") as tx:
            tx.session.execute(text("SELECT 1"))

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()
