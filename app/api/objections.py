"""What data owners say of releases in review: approvals and objections."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from app.api.dependencies import PROBLEMS, CallerDep, ServiceDep
from app.flows import review_release

router = APIRouter(prefix="/v1/releases", tags=["releases"], responses=PROBLEMS)


@router.post("/{release}/objections", status_code=201)
def object_to(release: str, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """Object to a release in review (data owner): no recipient ever sees its table."""
    return review_release.object_to(service, caller, release)


@router.post("/{release}/approvals", status_code=201)
def approve(release: str, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """Approve a release in review (data owner): with the last owner's approval recipients see its table."""
    return review_release.approve_release(service, caller, release)
