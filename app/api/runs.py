"""Linkage runs: started, watched, cancelled."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from app.api.dependencies import PROBLEMS, Body, CallerDep, ServiceDep
from app.auth import Caller
from app.flows import run_linkage, show_runs
from app.flows.service import Service

router = APIRouter(prefix="/v1", tags=["runs"], responses=PROBLEMS)

LOOK_SECONDS: Final = 0.5
#: A comment now and then, so that no proxy takes a slow stage for a dead connection.
KEEP_ALIVE_SECONDS: Final = 15.0
ENDED: Final = {"SUCCEEDED", "FAILED", "CANCELLED"}


class RunRequest(Body):
    """What a run may do without, which earlier one it goes on from, and from which probability it links."""

    allow_missing: list[Annotated[str, Field(max_length=64)]] = Field(
        default=[],
        max_length=200,
        description="Organizations that the agreement expects data of and that the run may do without.",
    )
    since: str | None = Field(
        default=None,
        max_length=64,
        description="An earlier run that succeeded: links between batches that both runs read are taken "
        "over, and only pairs with a new batch are compared.",
    )
    threshold: str | None = Field(
        default=None,
        max_length=4,
        description="Probability from which two records count as one person, as 0.35; without it 0.5. What "
        "other thresholds are expected to give is in the figures of quality of a run.",
    )


@router.post("/agreements/{agreement}/runs", status_code=202)
def start(
    agreement: str, service: ServiceDep, caller: CallerDep, body: RunRequest | None = None
) -> dict[str, Any]:
    """Freeze the accepted batches and queue a run over them, from scratch or going on (operator)."""
    asked = body or RunRequest()
    return run_linkage.start_run(
        service, caller, agreement, asked.allow_missing, asked.since, asked.threshold
    )


@router.get("/agreements/{agreement}/runs")
def every(agreement: str, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """The runs of an agreement, oldest first (operator, auditor)."""
    return {"runs": show_runs.list_runs(service, caller, agreement)}


@router.get("/runs/{run}")
def one(run: str, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """State and progress of a run (operator, auditor)."""
    return show_runs.show_run(service, caller, run)


@router.get("/runs/{run}/quality")
def quality(run: str, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """Figures of quality, counts rounded down to multiples of the minimum cell (operator, auditor)."""
    return show_runs.run_quality(service, caller, run)


@router.post("/runs/{run}/cancellation", status_code=202)
def cancel(run: str, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """Stop a run; nothing of it is kept (operator)."""
    return run_linkage.cancel_run(service, caller, run)


@router.get(
    "/runs/{run}/events",
    response_class=StreamingResponse,
    responses={200: {"description": "Server-sent events", "content": {"text/event-stream": {}}}},
)
async def events(run: str, request: Request, service: ServiceDep, caller: CallerDep) -> StreamingResponse:
    """State and progress as server-sent events, one when something changed, until the run ends.

    Every event is the whole state, so a reader that reconnects has missed nothing.
    """
    # Asked before the stream begins: a refusal must still be a problem document with its status.
    first = await run_in_threadpool(show_runs.show_run, service, caller, run)
    return StreamingResponse(
        _changes(request, service, caller, run, first),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _changes(
    request: Request, service: Service, caller: Caller, run: str, state: dict[str, Any]
) -> AsyncIterator[str]:
    shown: dict[str, Any] | None = None
    quiet_since = time.monotonic()
    while True:
        if state != shown:
            yield f"event: run\ndata: {json.dumps(state)}\n\n"
            shown, quiet_since = state, time.monotonic()
        elif time.monotonic() - quiet_since > KEEP_ALIVE_SECONDS:
            yield ": still here\n\n"
            quiet_since = time.monotonic()
        if state["state"] in ENDED or await request.is_disconnected():
            return
        await asyncio.sleep(LOOK_SECONDS)
        state = await run_in_threadpool(show_runs.show_run, service, caller, run)
