"""Health and metrics."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from app.api import metrics
from app.api.dependencies import ServiceDep
from app.flows import queries

PROBE_SECONDS: Final = 20.0


class Remembered:
    """A check whose outcome stands for a while, however often strangers ask for it."""

    def __init__(self, check: Callable[[], object]) -> None:
        self._check = check
        self._guard = threading.Lock()
        self._until = 0.0
        self._error: Exception | None = None

    def __call__(self) -> None:
        """Raise what the check raised when it was last made."""
        with self._guard:
            if time.monotonic() >= self._until:
                try:
                    self._check()
                    self._error = None
                except Exception as error:  # noqa: BLE001 (whatever it is, it is what the check found)
                    self._error = error
                self._until = time.monotonic() + PROBE_SECONDS
            if self._error is not None:
                raise self._error


router = APIRouter(tags=["health"])


@router.get("/healthz", response_class=PlainTextResponse)
def healthz() -> str:
    """The process answers."""
    return "ok\n"


@router.get("/readyz", responses={503: {"description": "Something that requests need is missing"}})
def readyz(request: Request, service: ServiceDep) -> Response:
    """Database, migrations, blobs, keys and log are there. Says which is not, and nothing more.

    Blobs are tried by writing one, at most every 20 seconds; all else is looked at each time.
    """
    found: dict[str, Any] = {
        name: "ok" if problem is None else "failed"
        for name, problem in queries.checks(service, probe_blobs=request.app.state.blob_probe)
    }
    ready = all(state == "ok" for state in found.values())
    return JSONResponse({"ready": ready, "checks": found}, 200 if ready else 503)


@router.get("/metrics", response_class=PlainTextResponse)
def prometheus(service: ServiceDep) -> Response:
    """Prometheus metrics: requests by route and status, and how many things there are."""
    return Response(
        metrics.render(queries.counts(service), queries.runs_by_state(service)),
        media_type=metrics.CONTENT_TYPE,
    )
