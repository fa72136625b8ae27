"""Health and metrics."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from app.api import metrics
from app.api.dependencies import ServiceDep
from app.flows import queries

router = APIRouter(tags=["health"])


@router.get("/healthz", response_class=PlainTextResponse)
def healthz() -> str:
    """The process answers."""
    return "ok\n"


@router.get("/readyz", responses={503: {"description": "Something that requests need is missing"}})
def readyz(service: ServiceDep) -> Response:
    """Database, migrations, blobs, keys and log are there. Says which is not, and nothing more."""
    found: dict[str, Any] = {
        name: "ok" if problem is None else "failed" for name, problem in queries.checks(service)
    }
    ready = all(state == "ok" for state in found.values())
    return JSONResponse({"ready": ready, "checks": found}, 200 if ready else 503)


@router.get("/metrics", response_class=PlainTextResponse)
def prometheus(service: ServiceDep) -> Response:
    """Prometheus metrics: requests by route and status, and how many things there are."""
    return Response(metrics.render(queries.counts(service)), media_type=metrics.CONTENT_TYPE)
