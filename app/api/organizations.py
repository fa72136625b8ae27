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


NewCredential = Annotated[NewApiKey | NewPublicKey, Field(discriminator="kind")]


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
    """An API key (shown once, in this answer) or an Ed25519 public key (operator)."""
    if isinstance(body, NewPublicKey):
        return organizations.register_public_key(service, caller, organization, body.public_key)
    expires_at: datetime | None = body.expires_at
    return organizations.create_api_key(service, caller, organization, body.role, expires_at)


@router.delete("/{organization}/credentials/{credential}", status_code=204)
def revoke_credential(organization: str, credential: str, service: ServiceDep, caller: CallerDep) -> None:
    """Revoke a credential (operator)."""
    organizations.revoke_credential(service, caller, organization, credential)
