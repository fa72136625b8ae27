"""Organizations and credentials."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import AwareDatetime, Field

from app.api.dependencies import PROBLEMS, Body, CallerDep, ServiceDep
from app.auth import Role
from app.flows import organizations

router = APIRouter(prefix="/v1/organizations", tags=["organizations"], responses=PROBLEMS)


class NewOrganization(Body):
    id: Annotated[str, Field(min_length=1, max_length=64)]
    name: Annotated[str, Field(min_length=1, max_length=200)]


class NewApiKey(Body):
    kind: Literal["api_key"]
    role: Role
    expires_at: AwareDatetime | None = None


class NewPublicKey(Body):
    kind: Literal["ed25519"]
    public_key: Annotated[str, Field(min_length=1, max_length=200)]


class NewSubject(Body):
    kind: Literal["oidc"]
    role: Role
    subject: Annotated[str, Field(min_length=1, max_length=255)]


NewCredential = Annotated[NewApiKey | NewPublicKey | NewSubject, Field(discriminator="kind")]


class Rotation(Body):
    """How long the old key stays good."""

    overlap_hours: Annotated[int, Field(ge=0, le=168)] = 24


@router.post("", status_code=201)
def create(body: NewOrganization, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """Register an organization (operator)."""
    return organizations.create_organization(service, caller, body.id, body.name)


@router.get("")
def every(service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """Organizations: all for operator and auditors, its own for a party."""
    return {"organizations": organizations.list_organizations(service, caller)}


@router.get("/{organization}")
def one(organization: str, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """An organization and its credentials, without secrets."""
    return organizations.get_organization(service, caller, organization)


@router.post("/{organization}/credentials", status_code=201)
def create_credential(
    organization: str, body: NewCredential, service: ServiceDep, caller: CallerDep
) -> dict[str, Any]:
    """An API key (shown once, in this answer), an Ed25519 public key or an OIDC subject (operator)."""
    if isinstance(body, NewPublicKey):
        return organizations.register_public_key(service, caller, organization, body.public_key)
    if isinstance(body, NewSubject):
        return organizations.register_subject(service, caller, organization, body.role, body.subject)
    expires_at: datetime | None = body.expires_at
    return organizations.create_api_key(service, caller, organization, body.role, expires_at)


@router.post("/{organization}/credentials/{credential}/rotation", status_code=201)
def rotate(
    organization: str,
    credential: str,
    service: ServiceDep,
    caller: CallerDep,
    body: Rotation | None = None,
) -> dict[str, Any]:
    """A new API key for an old one, which stays good for a while (operator, or the key's holder)."""
    hours = (body or Rotation()).overlap_hours
    return organizations.rotate_api_key(service, caller, organization, credential, hours)


@router.delete("/{organization}/credentials/{credential}", status_code=204)
def revoke_credential(organization: str, credential: str, service: ServiceDep, caller: CallerDep) -> None:
    """Revoke a credential (operator)."""
    organizations.revoke_credential(service, caller, organization, credential)
