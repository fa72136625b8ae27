"""Releases in review, as a data owner decides on them before their recipients see them."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.api.dependencies import ServiceDep
from app.flows import review_release
from app.flows.publish_release import show_release
from app.web.agency import AgencyForm, AgencySession
from app.web.entry_words import question
from app.web.site import go, render

router = APIRouter(prefix="/agency/releases", include_in_schema=False)


@router.get("/{release}")
def one(request: Request, release: str, service: ServiceDep, session: AgencySession) -> Response:
    """A question with where its review stands; the table itself has a page of its own."""
    found = show_release(service, session.caller, release)
    return render(
        request, "agency/release.html", session, release=found, question=question(found["question"])
    )


@router.post("/{release}/objection")
def object_to(release: str, service: ServiceDep, session: AgencyForm) -> Response:
    """Object: no recipient ever sees this answer."""
    review_release.object_to(service, session.caller, release)
    return go(f"/agency/releases/{release}", "release-objected")


@router.post("/{release}/approval")
def approve(release: str, service: ServiceDep, session: AgencyForm) -> Response:
    """Let it out; with the last owner's word recipients see it."""
    review_release.approve_release(service, session.caller, release)
    return go(f"/agency/releases/{release}", "release-approved")
