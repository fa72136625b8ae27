"""Agreements: proposed, reviewed, approved, revoked, destroyed."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from app.api.dependencies import PROBLEMS, CallerDep, ServiceDep, Signed
from app.flows import destroy_data, hold_agreement, queries, sign_agreement

router = APIRouter(prefix="/v1/agreements", tags=["agreements"], responses=PROBLEMS)


@router.post("", status_code=201)
def propose(document: dict[str, Any], service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """Propose an agreement (a party); the body is the agreement's document."""
    return sign_agreement.propose(service, caller, document)


@router.get("")
def every(service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """The agreements that the caller may see."""
    return {"agreements": queries.list_agreements(service, caller)}


@router.get("/{agreement}")
def one(agreement: str, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """An agreement at its current version, with approvals and what is missing."""
    return queries.get_agreement(service, caller, agreement)


@router.get("/{agreement}/versions")
def versions(agreement: str, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """Every version, oldest first."""
    return {"versions": queries.list_versions(service, caller, agreement)}


@router.post("/{agreement}/versions", status_code=201)
def edit(agreement: str, document: dict[str, Any], service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """A new version (proposer or data owner); it resets every approval."""
    return sign_agreement.edit(service, caller, agreement, document)


@router.post("/{agreement}/review")
def review(agreement: str, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """Put a draft before its data owners (proposer or data owner)."""
    return sign_agreement.review(service, caller, agreement)


@router.post("/{agreement}/approvals", status_code=201)
def approve(agreement: str, body: Signed, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """A data owner's signed approval (purpose `agreement-approval`) of
    `{"agreement", "version", "hash", "organization"}`."""
    return sign_agreement.approve(service, caller, agreement, body.document, body.signature)


@router.post("/{agreement}/revocations", status_code=201)
def revoke(agreement: str, body: Signed, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """A data owner's signed revocation (purpose `agreement-revocation`) of the same statement."""
    return sign_agreement.revoke(service, caller, agreement, body.document, body.signature)


@router.post("/{agreement}/suspension", status_code=201)
def suspend(agreement: str, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """Hold the agreement (data owner, operator): no batch, run or release until the hold is lifted."""
    return hold_agreement.suspend(service, caller, agreement)


@router.delete("/{agreement}/suspension")
def resume(agreement: str, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """Lift the caller's own hold; with the last one the agreement is in force again."""
    return hold_agreement.resume(service, caller, agreement)


@router.post("/{agreement}/destruction", status_code=202)
def destroy(agreement: str, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """Make destruction due; called by a second organization, execute it (data owner, operator)."""
    return destroy_data.request_or_execute(service, caller, agreement)


@router.get("/{agreement}/certificate")
def certificate(agreement: str, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """The signed certificate of destruction."""
    return destroy_data.get_certificate(service, caller, agreement)
