"""The operator's pages on organizations and their credentials; a new API key is shown once, here."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response

from app.api.dependencies import ServiceDep
from app.auth import Role
from app.errors import RefusedError, ServiceError
from app.flows import organizations
from app.flows.service import Service
from app.flows.sessions import Session
from app.web.operator_runs import OperatorForm, OperatorSession
from app.web.site import go, render

router = APIRouter(prefix="/operator/organizations", include_in_schema=False)

Text = Annotated[str, Form(max_length=300)]


@router.get("")
def every(request: Request, service: ServiceDep, session: OperatorSession) -> Response:
    """All organizations, and the form for a new one."""
    return _every(request, service, session)


def _every(
    request: Request,
    service: Service,
    session: Session,
    refusal: ServiceError | None = None,
    given: tuple[str, str] = ("", ""),
) -> Response:
    return render(
        request,
        "operator/organizations.html",
        session,
        status=refusal.status if refusal else 200,
        organizations=organizations.list_organizations(service, session.caller),
        refusal=refusal,
        given=given,
    )


@router.post("")
def create(
    request: Request,
    service: ServiceDep,
    session: OperatorForm,
    organization: Text = "",
    name: Text = "",
) -> Response:
    """Register an organization."""
    try:
        made = organizations.create_organization(service, session.caller, organization.strip(), name.strip())
    except ServiceError as refusal:
        return _every(request, service, session, refusal, (organization, name))
    return go(f"/operator/organizations/{made['id']}", "organization-created")


@router.get("/{organization}")
def one(request: Request, organization: str, service: ServiceDep, session: OperatorSession) -> Response:
    """An organization, its credentials, and the forms for new ones."""
    return _one(request, organization, service, session)


def _one(
    request: Request,
    organization: str,
    service: Service,
    session: Session,
    *,
    made: dict[str, Any] | None = None,
    refusal: ServiceError | None = None,
    form: str = "",
) -> Response:
    now = service.now()
    found = organizations.get_organization(service, session.caller, organization)
    return render(
        request,
        "operator/organization.html",
        session,
        status=refusal.status if refusal else 200,
        found=found,
        credentials=[each | {"standing": _standing(each, now)} for each in found["credentials"]],
        made=made,
        refusal=refusal,
        form=form,
        own=session.caller.credential_id,
        provider=service.settings.oidc.issuer if service.settings.oidc else None,
        roles=[(str(role), str(role).capitalize()) for role in Role],
    )


def _standing(credential: dict[str, Any], now: datetime) -> str:
    if credential["revoked_at"]:
        return "REVOKED"
    expires = credential["expires_at"]
    return "EXPIRED" if expires and datetime.fromisoformat(expires) <= now else "OK"


@router.post("/{organization}/api-keys")
def create_api_key(
    request: Request,
    organization: str,
    service: ServiceDep,
    session: OperatorForm,
    role: Text = "",
    expires: Text = "",
) -> Response:
    """Make an API key. It is on this one page and nowhere else, so there is no going on to another."""
    try:
        made = organizations.create_api_key(
            service, session.caller, organization, _role(role), _end_of(expires)
        )
    except ServiceError as refusal:
        return _one(request, organization, service, session, refusal=refusal, form="api-key")
    return _one(request, organization, service, session, made=made)


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise RefusedError("ROLE_UNKNOWN", "Choose what the key is for.") from None


def _end_of(text: str) -> datetime | None:
    """The end of a day (UTC), None for no day."""
    if not text:
        return None
    try:
        return datetime.combine(date.fromisoformat(text) + timedelta(days=1), time(), UTC)
    except (ValueError, OverflowError):
        raise RefusedError("EXPIRY_INVALID", "Write a day as 2026-11-22.") from None


@router.post("/{organization}/signing-keys")
def register_public_key(
    request: Request,
    organization: str,
    service: ServiceDep,
    session: OperatorForm,
    public_key: Text = "",
) -> Response:
    """Register the public half of a signing key."""
    try:
        organizations.register_public_key(service, session.caller, organization, public_key.strip())
    except ServiceError as refusal:
        return _one(request, organization, service, session, refusal=refusal, form="signing-key")
    return go(f"/operator/organizations/{organization}", "credential-registered")


@router.post("/{organization}/people")
def register_subject(
    request: Request,
    organization: str,
    service: ServiceDep,
    session: OperatorForm,
    subject: Text = "",
    role: Text = "",
) -> Response:
    """Admit somebody whom the identity provider knows, by what it calls them."""
    try:
        organizations.register_subject(service, session.caller, organization, _role(role), subject.strip())
    except ServiceError as refusal:
        return _one(request, organization, service, session, refusal=refusal, form="people")
    return go(f"/operator/organizations/{organization}", "credential-registered")


@router.post("/{organization}/credentials/{credential}/rotation")
def rotate(
    request: Request, organization: str, credential: str, service: ServiceDep, session: OperatorForm
) -> Response:
    """A new API key for an old one, which stays good for a day."""
    made = organizations.rotate_api_key(service, session.caller, organization, credential, 24)
    return _one(request, organization, service, session, made=made)


@router.post("/{organization}/credentials/{credential}/revocation")
def revoke(organization: str, credential: str, service: ServiceDep, session: OperatorForm) -> Response:
    """Revoke a credential: from now on it opens nothing."""
    organizations.revoke_credential(service, session.caller, organization, credential)
    return go(f"/operator/organizations/{organization}", "credential-revoked")
