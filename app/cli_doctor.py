"""`cohortlink doctor`: is everything there that this node needs, and what to do where it is not."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import typer

from app.cli_options import AsJson, Data
from app.errors import ServiceError
from app.settings import Settings
from crypto.errors import CohortlinkError

#: Below this, intake of a large batch and the log's own growth are at risk.
DISK_MINIMUM = 1024**3
#: Receipts, checkpoints and expiry are told by this clock; tokens allow about as much.
CLOCK_TOLERANCE = 60.0


#: What to do where the check's own advice would mislead.
_ADVICE = {"DATABASE_UNREACHABLE": "Start the database, or check COHORTLINK_DATABASE_URL."}


class Finding(NamedTuple):
    """One thing that was looked at: what, whether it is right, what was seen, and what to do if not."""

    name: str
    ok: bool
    seen: str
    advice: str = ""


def doctor(data: Data = None, as_json: AsJson = False) -> None:
    """Check configuration, migrations, clock, keys, storage, database, disk and log, and say what to do."""
    found = list(examine(data))
    if as_json:
        checks = [item._asdict() for item in found]
        sys.stdout.write(json.dumps({"ok": all(item.ok for item in found), "checks": checks}) + "\n")
    else:
        for item in found:
            sys.stdout.write(f"{'ok  ' if item.ok else 'FAIL'} {item.name:16} {item.seen}\n")
            if not item.ok:
                sys.stdout.write(f"     {'':16} {item.advice}\n")
    if not all(item.ok for item in found):
        raise typer.Exit(1)


def examine(data: Path | None) -> Iterator[Finding]:
    """Look at everything, in the order in which one thing needs another."""
    try:
        settings = Settings.from_env(data=data)
    except ServiceError as error:
        yield Finding(
            "configuration", False, error.detail, "See the table of settings in docs/operations.md."
        )
        return
    database = "sqlite" if settings.embedded else "postgresql"
    blobs = urlsplit(settings.blob_url).scheme
    yield Finding("configuration", True, f"data {settings.data}, {database}, blobs by {blobs}")
    yield _looked("disk", lambda: _disk(settings), "Free or add space before agencies submit.")
    yield _looked("key files", lambda: _key_files(settings), "chmod 700 on the key folder, 600 on its files.")
    yield _looked("comparison", _scans, "Reinstall: the compiler (numba) does not load.")
    if settings.embedded and not Path(settings.database_url.removeprefix("sqlite:///")).exists():
        # To open it would be to make it, and whoever mistyped a folder would be told that all is well.
        yield Finding("database", True, "none yet: made at the first start")
        return
    yield _looked("clock", lambda: _clock(settings), "Set the clock (NTP) here or on the database's host.")
    yield from _opened(settings)


def _looked(name: str, look: Callable[[], str], advice: str) -> Finding:
    try:
        return Finding(name, True, look())
    except (ServiceError, CohortlinkError) as error:
        return Finding(name, False, error.detail, _ADVICE.get(error.code, advice))
    except Exception as error:  # noqa: BLE001 (a check reports whatever is wrong)
        # The kind only: a driver's message may hold the address and the password of the database.
        return Finding(name, False, f"{type(error).__name__}.", advice)


def _scans() -> str:
    from linkage.scan.backends import in_words

    return in_words()


def _disk(settings: Settings) -> str:
    folder = next(path for path in (settings.data, *settings.data.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    if free < DISK_MINIMUM:
        raise ServiceError("DISK_FULL", 500, f"only {free // 2**20} MiB are free at {folder}.")
    return f"{free / 2**30:.1f} GiB free"


def _key_files(settings: Settings) -> str:
    if not settings.keys.exists():
        return "none yet: made at the first start"
    exposed = [
        path
        for path in (settings.keys, *settings.keys.rglob("*"))
        if stat.S_IMODE(path.stat().st_mode) & 0o077 and path.name != ".rotation"
    ]
    if exposed:
        raise ServiceError("KEYS_EXPOSED", 500, f"others may read or change {exposed[0]}.")
    if not os.access(settings.keys, os.W_OK):
        raise ServiceError("KEYS_READ_ONLY", 500, "new agreements need keys, and the folder is read-only.")
    return f"{sum(path.suffix == '.json' for path in settings.keys.rglob('*'))} files, for their owner alone"


def _clock(settings: Settings) -> str:
    if settings.embedded:
        if time.time() < 1_760_000_000:
            raise ServiceError("CLOCK_WRONG", 500, "the clock stands before this program was written.")
        return "this host's own"
    from app.store.engine import create_engine, database_time

    engine = create_engine(settings, pool_size=1)
    try:
        off = abs(database_time(engine) - time.time())
    finally:
        engine.dispose()
    if off > CLOCK_TOLERANCE:
        raise ServiceError("CLOCK_WRONG", 500, f"{off:.0f} seconds apart from the database's clock.")
    return f"{off:.1f} seconds apart from the database's clock"


def _opened(settings: Settings) -> Iterator[Finding]:
    from app.flows import queries
    from app.flows.service import open_service

    try:
        service = open_service(settings)
    except (ServiceError, CohortlinkError) as error:
        yield Finding("start", False, error.detail, "The service does not start before this is done.")
        return
    except Exception as error:  # noqa: BLE001 (as above)
        yield Finding(
            "start", False, f"{type(error).__name__}.", "Check COHORTLINK_DATABASE_URL and _BLOB_URL."
        )
        return
    try:
        for name, problem in queries.checks(service):
            yield Finding(name, problem is None, problem or "ok", "The log of the service says more.")
        try:
            seen = service.store.blobs.probe()
        except Exception:  # noqa: BLE001 (told above, as the check of blobs)
            return
        conditional = "honoured" if seen.conditional_put else "ignored (not needed here)"
        yield Finding(
            "storage", True, f"{seen.kind}: reads and lists its writes; If-None-Match {conditional}"
        )
    finally:
        service.close()
