"""Releases: questions and their protected answers."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from app.api.dependencies import PROBLEMS, Body, CallerDep, ServiceDep
from app.errors import ConflictError
from app.flows import publish_release
from app.flows.release_csv import to_csv

router = APIRouter(prefix="/v1", tags=["releases"], responses=PROBLEMS)

Word = Annotated[str, Field(min_length=1, max_length=80)]

LOOK_SECONDS: Final = 0.2
#: How long an answer is waited for by default, and at most.
WAIT_SECONDS: Final = 30.0
MOST_SECONDS: Final = 60.0


class ReleaseRequest(Body):
    """A question: an indicator of a cohort, by dimensions, within one code of each dimension in `where`."""

    indicator: Word = Field(examples=["employed_q4"])
    cohort: Word = Field(examples=["2020-21..2023-24"])
    by: list[Word] = Field(default=[], max_length=20, examples=[["pathway"]])
    where: dict[Word, Any] = Field(default={}, max_length=20)
    min_cell: int | None = Field(default=None, description="A minimum cell above the agreement's.")
    correction: bool = Field(
        default=False,
        description="Make a frozen cohort again from the newest run, if the agreement plans corrections.",
    )


@router.post(
    "/agreements/{agreement}/releases",
    status_code=201,
    responses={202: {"description": "The answer is being prepared; look at `Location` for it."}},
)
async def request(
    agreement: str,
    body: ReleaseRequest,
    service: ServiceDep,
    caller: CallerDep,
    response: Response,
    asker: Request,
    prefer: Annotated[str, Header(description="`wait=SECONDS` to wait for the answer, 0 to 60.")] = "",
) -> dict[str, Any]:
    """Ask for a protected table (partnership). The answer is on record and in the log before it is given.

    201 with the table where the cube exists, or is made while we wait (RFC 7240: `Prefer: wait=…`); else 202.
    """
    question = publish_release.Question(
        body.indicator, body.cohort, tuple(body.by), body.where, body.min_cell, body.correction
    )
    release = await run_in_threadpool(publish_release.request_release, service, caller, agreement, question)
    end = time.monotonic() + _wait(prefer)
    while release["status"] == publish_release.PREPARING and time.monotonic() < end:
        if await asker.is_disconnected():
            break
        await asyncio.sleep(LOOK_SECONDS)
        release = await run_in_threadpool(publish_release.await_release, service, caller, release["id"])
    response.headers["Location"] = f"/v1/releases/{release['id']}"
    if release["status"] == publish_release.PREPARING:
        response.status_code = 202
    return release


def _wait(prefer: str) -> float:
    """Seconds that the caller is ready to wait."""
    for item in prefer.lower().split(","):
        name, _, value = item.strip().partition("=")
        if name == "wait" and value.isdigit():
            return min(float(value), MOST_SECONDS)
    return WAIT_SECONDS


@router.post("/releases/{release}/cancellation", status_code=202)
def cancel(release: str, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """Stop preparing an answer (who asked for it, operator); nothing of it is kept."""
    return publish_release.cancel_release(service, caller, release)


@router.get("/agreements/{agreement}/releases")
def every(agreement: str, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """Releases of an agreement without their tables, refusals included, oldest first."""
    return {"releases": publish_release.list_releases(service, caller, agreement)}


@router.get(
    "/releases/{release}",
    response_class=JSONResponse,
    responses={200: {"description": "The release", "content": {"text/csv": {}}}},
)
def one(
    release: str, service: ServiceDep, caller: CallerDep, accept: Annotated[str | None, Header()] = None
) -> Response:
    """A release with its table (recipients, data owners), as JSON or, where `Accept` prefers it, as CSV."""
    document = publish_release.show_release(service, caller, release)
    if not _prefers_csv(accept or ""):
        return JSONResponse(document, headers={"Vary": "Accept"})
    if document["table"] is None:
        raise ConflictError("NO_TABLE", "This release has no table, or none yet.")
    return Response(
        to_csv(document),
        media_type="text/csv; charset=utf-8",
        headers={"Vary": "Accept", "Content-Disposition": f'attachment; filename="{document["id"]}.csv"'},
    )


def _prefers_csv(accept: str) -> bool:
    """Whether ``Accept`` weighs text/csv above JSON (RFC 9110, 12.5.1)."""
    weights: dict[str, float] = {}
    for item in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in item.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            weights[kind] = float(weight)
        except ValueError:
            weights[kind] = 0.0
    anything = weights.get("*/*", 0.0)
    as_csv = weights.get("text/csv", weights.get("text/*", anything))
    as_json = weights.get("application/json", weights.get("application/*", anything))
    return as_csv > as_json
