"""The log: checkpoint, keys and hashes for everybody, proofs for every caller, entries for auditors."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import PlainTextResponse, Response
from pydantic import AwareDatetime, Field

from app.api.dependencies import PROBLEMS, Body, CallerDep, ServiceDep
from app.flows import audit_views, log_keys, seal_log, witness_log

router = APIRouter(prefix="/v1/log", tags=["log"], responses=PROBLEMS)

Size = Annotated[int, Query(ge=0, le=2**53)]


@router.get("/checkpoint", response_class=PlainTextResponse)
def checkpoint(service: ServiceDep) -> str:
    """The newest checkpoint, a C2SP signed note, with the cosignatures that it has so far. Public."""
    return seal_log.newest_checkpoint(service)


@router.get("/checkpoint/witnessed", response_class=PlainTextResponse)
def witnessed_checkpoint(service: ServiceDep) -> str:
    """The newest checkpoint that a witness cosigned. Public."""
    return witness_log.witnessed_checkpoint(service)


@router.get("/key", response_class=PlainTextResponse)
def key(service: ServiceDep) -> str:
    """The key that signs checkpoints and receipts, as C2SP vkey text. Public."""
    return seal_log.verifier_key(service) + "\n"


@router.get("/keys", response_class=PlainTextResponse)
def keys(service: ServiceDep) -> str:
    """All keys that the log has had, and the signed statements that lead from one to the next. Public."""
    return log_keys.log_keys(service).to_text()


class Cosigned(Body):
    """A checkpoint of this log with a witness's signature line on it."""

    checkpoint: str = Field(max_length=100_000)


@router.post("/cosignatures", status_code=201)
def cosignatures(body: Cosigned, service: ServiceDep) -> dict[str, Any]:
    """Take a witness's cosignature (C2SP tlog-cosignature); only registered keys are taken."""
    return witness_log.receive_cosignature(service, body.checkpoint)


@router.get(
    "/entries",
    response_class=Response,
    responses={200: {"content": {"application/jsonl": {"schema": {"type": "string"}}}}},
)
def entries(service: ServiceDep, caller: CallerDep, start: Size = 0, end: Size | None = None) -> Response:
    """Exact leaves of [start, end), one per line, at most 1000 (auditor, operator)."""
    leaves = audit_views.read_entries(service, caller, start, end)
    return Response(b"".join(leaf + b"\n" for leaf in leaves), media_type="application/jsonl")


@router.get(
    "/tile/entries/{path:path}",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {"schema": {"type": "string"}}}}},
)
def bundle(path: str, service: ServiceDep, caller: CallerDep) -> Response:
    """The entry bundle `entries/<N>[.p/<W>]` of C2SP tlog-tiles (auditor, operator)."""
    data = audit_views.read_bundle(service, caller, f"entries/{path}")
    # What a tile holds never changes. It was given to one caller, so no cache may give it to another.
    headers = {"Cache-Control": "private, max-age=31536000, immutable"}
    return Response(data, media_type="application/octet-stream", headers=headers)


@router.get(
    "/tile/{path:path}",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {"schema": {"type": "string"}}}}},
)
def tile(path: str, service: ServiceDep) -> Response:
    """A tile `<L>/<N>[.p/<W>]` of hashes (C2SP tlog-tiles). Public: entries are salted."""
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(
        audit_views.read_tile(service, path), media_type="application/octet-stream", headers=headers
    )


def get_selection(
    agreement: Annotated[str | None, Query(max_length=64)] = None,
    kind: Annotated[str | None, Query(max_length=60, description="A kind, or `group.*`")] = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    start: Size = 0,
    limit: Annotated[int, Query(ge=1, le=audit_views.MAX_ENTRIES)] = 100,
) -> audit_views.Selection:
    """The filters of a search."""
    return audit_views.Selection(agreement, kind, since, until, start, limit)


@router.get("/search")
def search(
    service: ServiceDep,
    caller: CallerDep,
    chosen: Annotated[audit_views.Selection, Depends(get_selection)],
) -> dict[str, Any]:
    """Entries by agreement, kind and time (auditor, operator)."""
    return audit_views.search(service, caller, chosen)


@router.get(
    "/export",
    response_class=Response,
    responses={200: {"content": {"application/jsonl": {"schema": {"type": "string"}}}}},
)
def export(
    service: ServiceDep,
    caller: CallerDep,
    chosen: Annotated[audit_views.Selection, Depends(get_selection)],
) -> Response:
    """The same entries as JSON Lines with their proofs, to be verified offline (auditor, operator)."""
    return Response("".join(audit_views.export(service, caller, chosen)), media_type="application/jsonl")


@router.get("/summary/{agreement}")
def summary(agreement: str, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """What was submitted, linked, released, withheld, refused and destroyed (auditor, operator)."""
    return audit_views.summary(service, caller, agreement)


@router.get("/proofs/inclusion")
def inclusion(service: ServiceDep, _: CallerDep, index: Size, size: Size | None = None) -> dict[str, Any]:
    """Proof that entry `index` is among the first `size` (default: the newest checkpoint's)."""
    return seal_log.inclusion(service, index, size)


@router.get("/proofs/consistency")
def consistency(
    service: ServiceDep,
    _: CallerDep,
    first: Annotated[int, Query(alias="from", ge=0, le=2**53)],
    to: Size | None = None,
) -> dict[str, Any]:
    """Proof that the first `to` entries extend the first `from`."""
    return seal_log.consistency(service, first, to)
