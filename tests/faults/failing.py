"""Storage that fails once, before or after it took effect: blobs, and the commits of the database."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from app.store import Store
from app.store.blobs import Blobs, Semantics

#: What storage says when it fails, in turn.
ERRORS: tuple[Callable[[], OSError], ...] = (
    lambda: OSError(errno.ENOSPC, "No space left on device"),
    lambda: OSError(errno.EIO, "Input/output error"),
    lambda: TimeoutError("timed out"),
    lambda: ConnectionResetError("connection reset"),
)


class Fault:
    """Fails the call with this number (from 0), once; counts all calls.

    Parameters
    ----------
    at : int or None
        None never fails, and only counts.
    after : bool
        Whether the call takes effect before it fails.

    Attributes
    ----------
    disguise : callable
        Makes of an error of storage what the program sees of it.
    """

    def __init__(self, at: int | None, *, after: bool = False) -> None:
        self.at, self.after = at, after
        self.calls: list[str] = []
        self.fired = False
        self.disguise: Callable[[OSError], Exception] = lambda error: error

    def around(self, name: str, effect: Callable[[], Any]) -> Any:
        number = len(self.calls)
        self.calls.append(name)
        if number != self.at or self.fired:
            return effect()
        self.fired = True
        error = self.disguise(ERRORS[number % len(ERRORS)]())
        if self.after:
            effect()
        raise error


class FailingBlobs:
    """Blobs whose every call passes by a fault."""

    def __init__(self, inner: Blobs, fault: Fault) -> None:
        self._inner, self._fault = inner, fault
        self.root = inner.root

    def put(self, path: str, chunks: Iterable[bytes]) -> None:
        self._fault.around("blobs.put", lambda: self._inner.put(path, chunks))

    def get(self, path: str) -> Iterator[bytes]:
        yield from self._fault.around("blobs.get", lambda: list(self._inner.get(path)))

    def delete(self, paths: Iterable[str]) -> None:
        # One by one, so that a removal of many also fails in the middle.
        for path in paths:
            self._fault.around("blobs.delete", lambda path=path: self._inner.delete([path]))

    def list(self, prefix: str) -> list[str]:
        found: list[str] = self._fault.around("blobs.list", lambda: self._inner.list(prefix))
        return found

    def probe(self) -> Semantics:
        return self._inner.probe()


def install(store: Store, fault: Fault, *, statements: bool = False) -> Callable[[], None]:
    """Put a fault around storage calls of a store; returns what takes it away again.

    Parameters
    ----------
    statements : bool
        Around each SQL statement, instead of around blobs and commits.
    """
    blobs, dialect = store.blobs, store.engine.dialect
    commit, execute = dialect.do_commit, dialect.do_execute

    def remove() -> None:
        store.blobs = blobs
        dialect.do_commit, dialect.do_execute = commit, execute  # type: ignore[method-assign]

    if statements:
        # A driver tells whatever befell it in its own words. (A TimeoutError out of a statement would mean to
        # SQLAlchemy that the program itself gave up waiting.)
        fault.disguise = lambda error: dialect.loaded_dbapi.OperationalError(str(error))
        dialect.do_execute = lambda *call: fault.around(  # type: ignore[method-assign]
            f"sql {call[1].split()[0]}", lambda: execute(*call)
        )
        return remove
    store.blobs = FailingBlobs(blobs, fault)  # type: ignore[assignment]
    dialect.do_commit = lambda connection: fault.around("commit", lambda: commit(connection))  # type: ignore[method-assign]
    return remove
