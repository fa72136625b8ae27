"""A package appears whole or not at all: it is made in a hidden folder beside its place, then renamed.

A program that is killed leaves that folder behind. It holds a lock file that the system releases with the
program, so that the next run tells a dead one's folder from a living one's, and removes it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from pathlib import Path
from typing import IO, Final, Self

from crypto.errors import InputError
from crypto.wire import flush

_LOCK: Final = "lock"
_MOMENTS_SECONDS: Final = 3600.0


class Partial:
    """A private hidden folder beside ``out``; a context that removes it in the end, unless published.

    Attributes
    ----------
    path : Path
    """

    def __init__(self, out: Path) -> None:
        out.parent.mkdir(parents=True, exist_ok=True)
        self._out = out
        self.path = out.with_name(f"{_prefix(out)}{secrets.token_hex(6)}")
        self.path.mkdir(mode=0o700)
        self._lock = (self.path / _LOCK).open("xb")
        _lock(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def publish(self) -> None:
        """Give the finished folder its name, durably."""
        self._lock.close()  # Windows renames no folder in which a file is open
        (self.path / _LOCK).unlink()
        flush(self.path)
        if self._out.exists():
            self._out.rmdir()  # fails, rightly, if something was put there meanwhile
        self.path.rename(self._out)
        # Without this a power cut could take the finished package's name away again.
        flush(self._out.parent)


def check_out(out: Path) -> None:
    """Refuse a place that is taken.

    Raises
    ------
    InputError
        ``OUT_NOT_EMPTY``.
    """
    taken = out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir())))
    if taken:
        raise InputError("OUT_NOT_EMPTY", f"{out} exists and is not an empty folder; nothing is overwritten")


def clean_stale(out: Path) -> int:
    """Remove what killed runs for the same place left behind; returns how many folders that was."""
    if not out.parent.is_dir():
        return 0
    stale = [
        path
        for path in out.parent.iterdir()
        if path.name.startswith(_prefix(out)) and path.is_dir() and not path.is_symlink() and _is_dead(path)
    ]
    for path in stale:
        shutil.rmtree(path, ignore_errors=True)
    return len(stale)


def _prefix(out: Path) -> str:
    return f".{out.name}.partial-"


def _lock(file: IO[bytes]) -> None:
    """Take the lock while the file is open. Windows deletes no open file, which is lock enough."""
    if os.name == "posix":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_dead(folder: Path) -> bool:
    path = folder / _LOCK
    try:
        if os.name != "posix":
            path.unlink()
            return True
        with path.open("rb") as file:
            _lock(file)
    except FileNotFoundError:
        # Without lock for the moments in which a program begins or publishes: only an old one is dead.
        return time.time() - folder.stat().st_mtime > _MOMENTS_SECONDS
    except OSError:
        return False
    return True
