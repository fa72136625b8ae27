"""Batches: signed manifest, parts, completion."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import anyio.from_thread
from fastapi import APIRouter, Header, Path, Request, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from app.api.dependencies import PROBLEMS, Body, CallerDep, ServiceDep, Signed
from app.flows import receive_parts, show_batches, submit_batch
from app.flows.submit_clks import submit_clks

router = APIRouter(prefix="/v1", tags=["batches"], responses=PROBLEMS)


class Begun(Signed):
    """A signed manifest, and the batch that it is to take the place of."""

    supersedes: str | None = Field(default=None, max_length=64)


@router.post(
    "/agreements/{agreement}/batches",
    status_code=201,
    responses={200: {"description": "The same manifest again: the same batch"}},
)
def begin(
    agreement: str, body: Begun, response: Response, service: ServiceDep, caller: CallerDep
) -> dict[str, Any]:
    """Begin a batch by its manifest, signed for the purpose `batch-manifest`."""
    batch, created = submit_batch.begin(
        service, caller, agreement, body.document, body.signature, body.supersedes
    )
    response.status_code = 201 if created else 200
    return batch


class Clks(Body):
    """What clkhash writes, with facts by place (from 0) in the list."""

    clks: list[str] | None = Field(default=None, examples=[["AhNABwoSSws="]])
    clknblocks: list[list[str]] | None = None
    facts: dict[str, list[dict[str, str | int | None]]] | None = None


@router.post("/agreements/{agreement}/batches/clks", status_code=201)
def clks(agreement: str, body: Clks, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """CLKs as clkhash writes them, accepted in this call, where the agreement's profile is of that family.

    The answer has the receipt and `record_refs`, one per CLK in the order sent. The same body again is the
    same batch.
    """
    return submit_clks(service, caller, agreement, body.model_dump(exclude_none=True))


@router.get("/agreements/{agreement}/batches")
def every(agreement: str, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """The batches of an agreement: an agency sees its own, operator and auditors all."""
    return {"batches": show_batches.list_batches(service, caller, agreement)}


@router.put(
    "/batches/{batch}/files/{name}/parts/{number}",
    status_code=204,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def receive_part(
    batch: str,
    name: str,
    number: Annotated[int, Path(ge=0, le=1_000_000)],
    request: Request,
    service: ServiceDep,
    caller: CallerDep,
    content_digest: Annotated[str | None, Header(description="sha-256=:<base64>: (RFC 9530)")] = None,
) -> Response:
    """Receive one part as it streams in; sending it again changes nothing."""
    chunks = _pull(request.stream())
    await run_in_threadpool(
        receive_parts.receive_part, service, caller, batch, name, number, content_digest, chunks
    )
    return Response(status_code=204)


def _pull(stream: AsyncIterator[bytes]) -> Iterator[bytes]:
    """The request's chunks, one at a time, for a flow that runs in a worker thread.

    Nothing is read ahead, so a slow disk slows the sender down and memory stays at one chunk.
    """

    async def following() -> bytes | None:
        return await anext(stream, None)

    while (chunk := anyio.from_thread.run(following)) is not None:
        yield chunk


@router.post("/batches/{batch}/completion")
def complete(batch: str, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """Check the whole batch and accept it, with a signed receipt; repeatable."""
    return submit_batch.complete(service, caller, batch)


@router.get("/batches/{batch}")
def one(batch: str, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """State, parts that have arrived, receipt or rejection."""
    return show_batches.get_batch(service, caller, batch)


@router.delete("/batches/{batch}")
def withdraw(batch: str, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """Withdraw a batch: its data cannot be decrypted afterwards."""
    return submit_batch.withdraw(service, caller, batch)
