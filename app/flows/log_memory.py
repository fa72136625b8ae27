"""What this node remembers of the log outside of the database: the newest checkpoint that it signed.

A database that is set back to yesterday's backup is consistent in itself, and a log that went on from there
would have two histories, both signed. So the newest checkpoint also lies in a file beside the log's key. It
is written before anybody can have seen that checkpoint, and nothing is signed that does not extend it.
Back the keys up apart from the database: a backup that sets back both takes this memory with it, and then
only a witness notices.
"""

from __future__ import annotations

from pathlib import Path

from app import private_files
from app.errors import ServiceError
from app.flows import log_keys
from app.flows.service import Service
from crypto.errors import CohortlinkError
from crypto.log.checkpoint import Checkpoint, open_note

NAME = "log-seen"


def recall(service: Service) -> tuple[str, Checkpoint] | None:
    """The remembered note and what it says; None before the first.

    Raises
    ------
    ServiceError
        `LOG_MEMORY_INVALID` for a file that holds anything but a checkpoint that a key of this log signed.
    """
    try:
        note = _path(service).read_bytes().decode("utf-8")
        return note, open_note(note, log_keys.local_keys(service))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, CohortlinkError):
        raise ServiceError(
            "LOG_MEMORY_INVALID",
            500,
            f"{_path(service)} is not a checkpoint of this log: was the key or the log's name changed?",
        ) from None


def remember(service: Service, note: str, size: int) -> None:
    """Keep a checkpoint, unless a larger one is kept; on disk when this returns.

    A crash before the rename leaves the older checkpoint, which the log extends as well.
    """
    known = recall(service)
    if known is not None and known[1].size >= size:
        return
    private_files.put(_path(service), note.encode("utf-8"))


def _path(service: Service) -> Path:
    return service.settings.keys / NAME
