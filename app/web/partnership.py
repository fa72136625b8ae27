"""Pages of a partnership: its agreements, and what may be asked under them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from app.api.dependencies import ServiceDep
from app.auth import Role
from app.flows import queries
from app.flows.sessions import Session
from app.web.site import render, seen_by

router = APIRouter(prefix="/partnership", include_in_schema=False)

PartnershipSession = Annotated[Session, Depends(seen_by(Role.PARTNERSHIP))]


@router.get("")
def agreements(request: Request, service: ServiceDep, session: PartnershipSession) -> Response:
    """The agreements that the organization is a party to."""
    listed = queries.list_agreements(service, session.caller)
    found = [queries.get_agreement(service, session.caller, each["id"]) for each in listed]
    return render(request, "partnership/agreements.html", session, agreements=found)
