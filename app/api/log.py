"""The log: checkpoint and key for everybody, proofs for every caller, entries for auditors."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse, Response

from app.api.dependencies import PROBLEMS, CallerDep, ServiceDep
from app.flows import seal_log

router = APIRouter(prefix="/v1/log", tags=["log"], responses=PROBLEMS)

Size = Annotated[int, Query(ge=0, le=2**53)]


@router.get("/checkpoint", response_class=PlainTextResponse)
def checkpoint(service: ServiceDep) -> str:
    """The newest checkpoint, a C2SP signed note. Public."""
    return seal_log.newest_checkpoint(service)


@router.get("/key", response_class=PlainTextResponse)
def key(service: ServiceDep) -> str:
    """The key that signs checkpoints and receipts, as C2SP vkey text. Public."""
    return seal_log.verifier_key(service) + "\n"


@router.get(
    "/entries",
    response_class=Response,
    responses={200: {"content": {"application/jsonl": {"schema": {"type": "string"}}}}},
)
def entries(service: ServiceDep, caller: CallerDep, start: Size = 0, end: Size | None = None) -> Response:
    """Exact leaves of [start, end), one per line, at most 1000 (auditor, operator)."""
    leaves = seal_log.read_entries(service, caller, start, end)
    return Response(b"".join(leaf + b"\n" for leaf in leaves), media_type="application/jsonl")


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
