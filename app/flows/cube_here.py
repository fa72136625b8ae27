"""Cubes made in the process that was asked, for installations and programs that run no worker.

The same steps, under the same ownership: a worker that is there after all, or the next who asks, takes over
what a process leaves behind when it dies.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

import structlog

from app.errors import ServiceError
from app.flows import prepare_cube
from app.flows.prepare_cube import CubeLostError, CubeStaleError
from app.flows.service import Service
from app.store import cubes, run_ownership
from app.store.models import Cube, RunState
from crypto.errors import CohortlinkError

BEAT_SECONDS: Final = 1.0
#: Seconds without a sign of life after which an owner counts as dead.
SILENCE: Final = 6.0

log = structlog.get_logger()


class Bystander:
    """Whoever waits for a cube, and makes it where nobody does.

    Parameters
    ----------
    service : Service
    cube_id : str
    """

    def __init__(self, service: Service, cube_id: str) -> None:
        self._service, self._cube_id = service, cube_id
        self._name = f"here-{secrets.token_hex(6)}"
        self._sign: tuple[str | None, datetime | None] = (None, None)
        self._since = time.monotonic()

    def look(self) -> None:
        """Make the cube if it is queued; take it over if its owner has been silent for too long."""
        with self._service.store.reading("cube that is waited for") as tx:
            cube = cubes.find(tx, self._cube_id)
        if cube is None or cube.state not in cubes.OPEN:
            return
        sign = (cube.executor, cube.heartbeat_at)
        if cube.state == RunState.QUEUED:
            self._make(only_queued=True)
        elif sign != self._sign:
            self._sign, self._since = sign, time.monotonic()
        elif time.monotonic() - self._since > SILENCE:
            seen, beat_at = sign
            with self._service.store.transaction("claim cube") as tx:
                now = self._service.clock()
                claimed = run_ownership.claim(
                    tx, self._cube_id, seen=seen, beat_at=beat_at, now=now, job=Cube
                )
            if claimed:
                self._make(only_queued=False)

    def _make(self, *, only_queued: bool) -> None:
        owner = prepare_cube.begin(self._service, self._cube_id, self._name, only_queued=only_queued)
        if owner is not None:
            with _alive(self._service, owner):
                make(self._service, self._cube_id, owner)


def make(service: Service, cube_id: str, owner: str) -> None:
    """Protect and finish, again where something came out meanwhile; record why it failed."""
    facts, links = service.plane("facts"), service.plane("links")
    try:
        while True:
            produced = prepare_cube.protect(service, facts, links, cube_id, owner)
            try:
                prepare_cube.finish(service, links, cube_id, owner, produced)
            except CubeStaleError:
                continue
            return
    except CubeLostError:
        return
    except Exception as error:
        prepare_cube.fail(service, cube_id, owner, *prepare_cube.refusal_of(error))
        if not isinstance(error, ServiceError | CohortlinkError):
            raise


@contextmanager
def _alive(service: Service, owner: str) -> Iterator[None]:
    """Say every second that this owner is alive, so that nobody takes its work."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT_SECONDS):
            try:
                with service.store.transaction("beat") as tx:
                    run_ownership.beat(tx, [owner], service.clock(), Cube)
            except Exception as error:  # noqa: BLE001 (one sign that fails is no reason to fall silent)
                log.warning("sign of life failed", error=type(error).__name__)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
