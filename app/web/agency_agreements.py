"""Agreements as a data owner decides on them: what changed, what it permits, approve, revoke, hold, destroy.

Signing happens at the agency, where the key is. A page says what to run there and takes the signed statement,
which goes the same way as one that comes over the interface.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, File, Form, Request, Response, UploadFile

from app.api.dependencies import ServiceDep
from app.errors import NotFoundError, RefusedError, ServiceError
from app.flows import (
    agency_views,
    destroy_data,
    hold_agreement,
    queries,
    show_batches,
    sign_agreement,
)
from app.flows.publish_release import list_releases
from app.flows.service import Service
from app.flows.sessions import Session
from app.web.agency import AgencyForm, AgencySession, as_file
from app.web.site import go, render

router = APIRouter(prefix="/agency/agreements", include_in_schema=False)

Decision = Literal["approve", "revoke"]
MAX_STATEMENT: Final = 20_000


@router.get("/{agreement}")
def one(request: Request, agreement: str, service: ServiceDep, session: AgencySession) -> Response:
    """An agreement: its state, what changed, what it permits, who approved, its dates, its batches."""
    view = agency_views.agreement_view(service, session.caller, agreement)
    return render(
        request,
        "agency/agreement.html",
        session,
        view=view,
        found=view.found,
        batches=show_batches.list_batches(service, session.caller, agreement),
        releases=_releases(service, session, agreement),
    )


def _releases(service: Service, session: Session, agreement: str) -> list[dict[str, Any]]:
    """Releases, the newest first; none for a party that owns no data."""
    try:
        return list(reversed(list_releases(service, session.caller, agreement)))
    except NotFoundError:
        return []


@router.get("/{agreement}/versions/{number}")
def version(
    request: Request, agreement: str, number: int, service: ServiceDep, session: AgencySession
) -> Response:
    """A version, and what it changed from the one before."""
    found = agency_views.version_view(service, session.caller, agreement, number)
    return render(request, "agency/version.html", session, agreement=agreement, view=found)


@router.get("/{agreement}/versions/{number}/document.json")
def version_file(agreement: str, number: int, service: ServiceDep, session: AgencySession) -> Response:
    """A version as it is signed: `cohortlink-agency agreement sign` reads this file."""
    found = agency_views.version_view(service, session.caller, agreement, number)
    return as_file(f"{agreement}-v{number}.json", found.version)


@router.get("/{agreement}/certificate")
def certificate(request: Request, agreement: str, service: ServiceDep, session: AgencySession) -> Response:
    """The signed certificate of destruction."""
    found = destroy_data.get_certificate(service, session.caller, agreement)
    return render(
        request, "agency/certificate.html", session, agreement=agreement, certificate=found["document"],
        signature=found["signature"],
    )  # fmt: skip


@router.get("/{agreement}/certificate.json")
def certificate_file(agreement: str, service: ServiceDep, session: AgencySession) -> Response:
    """The certificate as it was signed."""
    found = destroy_data.get_certificate(service, session.caller, agreement)
    return as_file(f"{agreement}-certificate.json", found)


@router.get("/{agreement}/approve")
def approve_page(request: Request, agreement: str, service: ServiceDep, session: AgencySession) -> Response:
    """How to sign an approval, and where to hand it in."""
    return _decide(request, agreement, "approve", service, session)


@router.get("/{agreement}/revoke")
def revoke_page(request: Request, agreement: str, service: ServiceDep, session: AgencySession) -> Response:
    """How to sign a revocation, and where to hand it in."""
    return _decide(request, agreement, "revoke", service, session)


def _decide(
    request: Request,
    agreement: str,
    decision: Decision,
    service: Service,
    session: Session,
    refusal: ServiceError | None = None,
) -> Response:
    view = agency_views.agreement_view(service, session.caller, agreement)
    statement = {
        "agreement": agreement,
        "version": view.found["version"],
        "hash": view.found["hash"],
        "organization": session.caller.organization,
    }
    return render(
        request,
        "agency/decide.html",
        session,
        status=refusal.status if refusal else 200,
        view=view,
        found=view.found,
        decision=decision,
        statement=statement,
        statement_text=json.dumps(statement, indent=1),
        possible=decision in view.actions,
        refusal=refusal,
        url=str(request.base_url).rstrip("/"),
    )


class Statement:
    """A signed statement as the form hands it in: a file, or else the text of one."""

    def __init__(
        self,
        file: Annotated[UploadFile | None, File()] = None,
        text: Annotated[str, Form(max_length=MAX_STATEMENT)] = "",
    ) -> None:
        self.text = text if file is None or not file.filename else _text_of(file)


@router.post("/{agreement}/approve")
def approve(
    request: Request,
    agreement: str,
    service: ServiceDep,
    session: AgencyForm,
    given: Annotated[Statement, Depends()],
) -> Response:
    """Take a signed approval."""
    return _decided(request, agreement, "approve", service, session, given.text)


@router.post("/{agreement}/revoke")
def revoke(
    request: Request,
    agreement: str,
    service: ServiceDep,
    session: AgencyForm,
    given: Annotated[Statement, Depends()],
) -> Response:
    """Take a signed revocation."""
    return _decided(request, agreement, "revoke", service, session, given.text)


def _decided(
    request: Request, agreement: str, decision: Decision, service: Service, session: Session, text: str
) -> Response:
    """Hand a statement on; a refusal is told on the form."""
    flows = {"approve": sign_agreement.approve, "revoke": sign_agreement.revoke}
    try:
        signed = read_statement(text)
        flows[decision](service, session.caller, agreement, signed["document"], signed["signature"])
    except ServiceError as refusal:
        if refusal.status not in (409, 422):
            raise
        return _decide(request, agreement, decision, service, session, refusal)
    return go(f"/agency/agreements/{agreement}", f"agreement-{decision}d")


def _text_of(file: UploadFile) -> str:
    data = file.file.read(MAX_STATEMENT + 1)
    try:
        return data.decode("utf-8") if len(data) <= MAX_STATEMENT else ""
    except UnicodeDecodeError:
        return ""


def read_statement(text: str) -> dict[str, dict[str, Any]]:
    """Read a signed statement as `cohortlink-agency agreement sign` writes it.

    Raises
    ------
    RefusedError
        `STATEMENT_UNREADABLE`.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if (
        not isinstance(found, dict)
        or found.keys() != {"document", "signature"}
        or not all(isinstance(part, dict) for part in found.values())
    ):
        raise RefusedError(
            "STATEMENT_UNREADABLE", "This is not a signed statement. Hand in the file that the command wrote."
        )
    return found


@router.post("/{agreement}/suspension/begin")
def suspend(agreement: str, service: ServiceDep, session: AgencyForm) -> Response:
    """Hold an agreement."""
    hold_agreement.suspend(service, session.caller, agreement)
    return go(f"/agency/agreements/{agreement}", "agreement-held")


@router.post("/{agreement}/suspension/end")
def resume(agreement: str, service: ServiceDep, session: AgencyForm) -> Response:
    """Lift one's own hold."""
    hold_agreement.resume(service, session.caller, agreement)
    return go(f"/agency/agreements/{agreement}", "hold-lifted")


@router.post("/{agreement}/destruction/request")
def destroy(
    agreement: str,
    service: ServiceDep,
    session: AgencyForm,
    confirmed: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Ask for destruction, or execute what another organization asked for."""
    queries.get_agreement(service, session.caller, agreement)  # absent for who may not see it
    if confirmed.strip() != agreement:
        raise RefusedError("NOT_CONFIRMED", "This is not the id of the agreement; nothing was done.")
    done = destroy_data.request_or_execute(service, session.caller, agreement)
    return go(
        f"/agency/agreements/{agreement}",
        "data-destroyed" if done["state"] == "DESTROYED" else "destruction-due",
    )
