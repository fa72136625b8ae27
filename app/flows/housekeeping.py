"""What workers do now and then beside their runs: finish erasing keys, sweep blobs that no row names,
and log which reviews are over.

Each worker does it for itself and needs no lock: every step may be done twice, or at the same time by
another. What one worker leaves undone when it dies, the next hour or the next worker does.
"""

from __future__ import annotations

import threading
from typing import Final

import structlog

from app.flows.erase_keys import erase_noted
from app.flows.service import Service
from app.flows.settle_review import settle_all
from app.flows.sweep_blobs import sweep_blobs

EVERY_SECONDS: Final = 3600.0
FIRST_SECONDS: Final = 60.0

log = structlog.get_logger()


def keep_house(service: Service, stop: threading.Event) -> None:
    """Go round until told to stop; an outage is waited out. Runs in a thread of the worker."""
    wait = FIRST_SECONDS
    while not stop.wait(wait):
        go_round(service)
        wait = EVERY_SECONDS


def go_round(service: Service) -> None:
    """One round. Its log lines hold numbers of keys and blobs, nothing else."""
    try:
        erased = erase_noted(service)
        if erased:
            log.info("keys of withdrawn batches erased", keys=erased)
        found = sweep_blobs(service)
        if any(found.values()):
            log.info("blobs swept", **found)
        settle_all(service)
    except Exception as error:  # noqa: BLE001 (whatever it was, the next round tries again)
        log.error("housekeeping failed", error=type(error).__name__)
