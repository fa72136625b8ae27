"""The table of self-sufficiency thresholds that an operator loads; one is in use at a time.

1. **Check** the whole table: columns, values, no gaps. Nothing is half taken.
2. **Record** source, version and digest in the log.
3. **Put** it in place of the one before, in one step. Published cubes keep the amounts that they were made
   with, and name them by digest; by it every table that was ever in use is kept, to repeat them.
"""

from __future__ import annotations

import csv
import io
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.auth import Caller, Role
from app.errors import ServiceError, from_crypto
from app.flows import seal_log
from app.flows.service import Service
from app.outcomes.thresholds import COLUMNS, Thresholds, parse_thresholds
from crypto.errors import CohortlinkError, InputError

_FILE = "thresholds.csv"
_KEPT = "thresholds"
#: Characters.
MAX_SIZE = 20_000_000


def load(service: Service, caller: Caller, text: str) -> dict[str, Any]:
    """Take a CSV with the columns of :data:`COLUMNS` (operator).

    Raises
    ------
    RefusedError
        ``INVALID_ROWS``, ``THRESHOLD_GAP`` … by row and column, never values.
    """
    caller.require(Role.OPERATOR)
    try:
        thresholds = parse_thresholds(read_rows(text))
    except CohortlinkError as error:
        raise from_crypto(error) from None
    about = {"source": thresholds.source, "version": thresholds.version, "sha256": thresholds.digest}
    with service.store.transaction("load thresholds") as tx:
        seal_log.append(tx, "thresholds.loaded", None, caller.organization, about, service.now())
        kept = service.settings.data / _KEPT
        kept.mkdir(exist_ok=True)
        _replace(kept / f"{thresholds.digest}.csv", text)
        _replace(service.settings.data / _FILE, text)
    seal_log.seal(service)
    return {**about, "rows": thresholds.table.num_rows, "counties": len(thresholds.counties)}


def current(service: Service) -> Thresholds | None:
    """The table in use, if any was loaded.

    Raises
    ------
    ServiceError
        ``THRESHOLDS_DAMAGED``: the file was changed by another hand and is no table any more.
    """
    return _read(service.settings.data / _FILE)


def held(service: Service, digest: str) -> Thresholds | None:
    """The table with a digest, in use or not any more; errors as :func:`current`."""
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        return None
    found = _read(service.settings.data / _KEPT / f"{digest}.csv")
    if found is not None and found.digest != digest:
        raise ServiceError("THRESHOLDS_DAMAGED", 500, "Load the threshold table again.")
    return found


def _read(path: Path) -> Thresholds | None:
    if not path.exists():
        return None
    try:
        return parse_thresholds(read_rows(path.read_text(encoding="utf-8")))
    except (CohortlinkError, UnicodeDecodeError):
        raise ServiceError("THRESHOLDS_DAMAGED", 500, "Load the threshold table again.") from None


def read_rows(text: str) -> Sequence[dict[str, str]]:
    """Rows of a CSV as texts.

    Raises
    ------
    InputError
        ``FILE_TOO_LARGE``; ``ROW_LENGTH`` where a row has more or fewer fields than the header.
    """
    if len(text) > MAX_SIZE:
        raise InputError("FILE_TOO_LARGE", "A table of thresholds has at most 20 million characters.")
    rows = []
    for number, row in enumerate(csv.DictReader(io.StringIO(text)), start=1):
        if None in row or None in row.values():
            raise InputError("ROW_LENGTH", f"A row has {len(COLUMNS)} fields.", row=number)
        rows.append({name: value.strip() for name, value in row.items()})
    return rows


def _replace(path: Path, text: str) -> None:
    # A crash leaves the old table or the new one; the log may then name one that was never used.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".thresholds-")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    Path(name).replace(path)
