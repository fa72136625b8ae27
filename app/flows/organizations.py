"""Organizations and credentials: who exists here, and by which keys they are known."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from app.auth import (
    Caller,
    Role,
    api_key_digest,
    bearer,
    bearer_token,
    new_api_key,
    same_digest,
    unauthenticated,
)
from app.errors import ConflictError, ForbiddenError, NotFoundError, RefusedError
from app.flows.identity import Identity
from app.flows.seal_log import SERVICE, append, rfc3339, seal
from app.flows.service import Service
from app.flows.signing import fingerprint
from app.store import Tx, organizations
from app.store.models import Credential, Organization
from crypto.canonical import sha256_hex
from crypto.errors import CohortlinkError
from crypto.signatures import PublicKey

MAX_NAME = 200
MAX_SUBJECT = 255
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?\Z")


def authenticate(service: Service, authorization: str | None, identity: Identity | None = None) -> Caller:
    """The caller of an `Authorization` header: an API key or, with a provider, its access token.

    Raises
    ------
    ServiceError
        `UNAUTHENTICATED`, the same for no key, an unknown, an expired and a revoked one.
    """
    token = bearer_token(authorization)
    if identity is not None and token is not None:
        return _by_token(service, identity, identity.claims(token))
    digest = api_key_digest(bearer(authorization))
    with service.store.reading("authenticate") as tx:
        row = organizations.by_secret(tx, digest)
    if row is None or row.secret_sha256 is None or row.role is None or not _is_good(row, service.now()):
        raise unauthenticated()
    if not same_digest(row.secret_sha256, digest):
        raise unauthenticated()
    return Caller(row.organization_id, Role(row.role), row.id)


def _is_good(row: Credential, now: datetime) -> bool:
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > now)


def _by_token(service: Service, identity: Identity, claims: dict[str, Any]) -> Caller:
    """Who a checked token stands for."""
    claimed = claims.get(identity.oidc.organization_claim), claims.get(identity.oidc.role_claim)
    with service.store.reading("authenticate token") as tx:
        return by_subject(tx, service.now(), str(claims["sub"]), *claimed)


def by_subject(tx: Tx, now: datetime, subject: str, organization: object, role: object) -> Caller:
    """Who somebody of the identity provider is here: the registered subject, else what the claims say.

    A subject that was registered here is what it was registered as, and nobody once it is revoked,
    whatever the provider's claims say.

    Raises
    ------
    ServiceError
        `UNAUTHENTICATED`.
    """
    row = organizations.by_subject(tx, subject)
    if row is not None:
        if row.role is None or not _is_good(row, now):
            raise unauthenticated()
        return Caller(row.organization_id, Role(row.role), row.id)
    if not (isinstance(organization, str) and isinstance(role, str)):
        raise unauthenticated()
    if not _SLUG.match(organization) or role not in set(Role):
        raise unauthenticated()
    if organizations.find(tx, organization) is None:
        raise unauthenticated()
    name = sha256_hex(f"oidc {organization} {subject}".encode())[:32]
    return Caller(organization, Role(role), f"oidc_{name}")


def bootstrap(
    service: Service, organization_id: str, name: str, *, keep: Callable[[str], None] = lambda _: None
) -> tuple[str, str]:
    """The first operator and its API key; returns (organization id, API key).

    `keep` is given the key before the commit: a crash in between leaves a key that opens nothing, not an
    operator whose key nobody has.

    Raises
    ------
    ConflictError
        `OPERATOR_EXISTS`: from then on operators make keys over the API.
    """
    _check_id(organization_id)
    now = service.now()
    with service.store.transaction("bootstrap operator") as tx:
        if organizations.operator_exists(tx):
            raise ConflictError("OPERATOR_EXISTS", "There is an operator already.")
        _add_organization(tx, organization_id, name, SERVICE, now)
        api_key, _ = _add_api_key(tx, organization_id, Role.OPERATOR, None, SERVICE, now)
        keep(api_key)
    seal(service)
    return organization_id, api_key


def create_organization(service: Service, caller: Caller, organization_id: str, name: str) -> dict[str, Any]:
    """Register an organization."""
    caller.require(Role.OPERATOR)
    _check_id(organization_id)
    now = service.now()
    with service.store.transaction("create organization") as tx:
        row = _add_organization(tx, organization_id, name, caller.organization, now)
        result = _describe(tx, row)
    seal(service)
    return result


def get_organization(service: Service, caller: Caller, organization_id: str) -> dict[str, Any]:
    """An organization with its credentials (never their secrets), for itself, operator and auditors."""
    with service.store.reading("get organization") as tx:
        return _describe(tx, _visible(tx, caller, organization_id))


def list_organizations(service: Service, caller: Caller) -> list[dict[str, Any]]:
    """All organizations for operator and auditors; a party sees itself."""
    with service.store.reading("list organizations") as tx:
        return [
            {"id": row.id, "name": row.name, "created_at": rfc3339(row.created_at)}
            for row in organizations.every(tx)
            if caller.sees_everything or row.id == caller.organization
        ]


def create_api_key(
    service: Service, caller: Caller, organization_id: str, role: Role, expires_at: datetime | None
) -> dict[str, Any]:
    """An API key in one role. It is in the answer and nowhere else: only its SHA-256 is kept."""
    caller.require(Role.OPERATOR)
    now = service.now()
    if expires_at is not None and expires_at <= now:
        raise RefusedError("EXPIRY_INVALID", "The key would have expired already.")
    with service.store.transaction("create API key") as tx:
        _visible(tx, caller, organization_id)
        api_key, row = _add_api_key(tx, organization_id, role, expires_at, caller.organization, now)
        result = {**_describe_credential(row), "api_key": api_key}
    seal(service)
    return result


def register_public_key(
    service: Service, caller: Caller, organization_id: str, public_key: str
) -> dict[str, Any]:
    """An Ed25519 public key, by which the organization signs manifests and approvals."""
    caller.require(Role.OPERATOR)
    try:
        key = PublicKey.from_text(public_key)
    except CohortlinkError as error:
        raise RefusedError("PUBLIC_KEY_INVALID", f"{error.detail}.") from None
    now = service.now()
    with service.store.transaction("register public key") as tx:
        _visible(tx, caller, organization_id)
        if organizations.by_fingerprint(tx, key.fingerprint) is not None:
            # One key, one owner, for ever: a signature must name who made it.
            raise ConflictError("PUBLIC_KEY_EXISTS", "This key is or was registered already.")
        row = organizations.add_public_key(
            tx, _new_id(), organization_id, key.to_text(), key.fingerprint, now
        )
        append(tx, "credential.created", None, caller.organization, _logged(row) | {"role": None}, now)
        result = _describe_credential(row)
    seal(service)
    return result


def register_subject(
    service: Service, caller: Caller, organization_id: str, role: Role, subject: str
) -> dict[str, Any]:
    """A person or program of the identity provider, by its `sub`, in one role.

    Raises
    ------
    ConflictError
        `SUBJECT_EXISTS`.
    """
    caller.require(Role.OPERATOR)
    if not 0 < len(subject) <= MAX_SUBJECT or not subject.isprintable():
        raise RefusedError("SUBJECT_INVALID", "A subject is 1 to 255 printable characters.")
    now = service.now()
    with service.store.transaction("register subject") as tx:
        _visible(tx, caller, organization_id)
        if organizations.by_subject(tx, subject) is not None:
            raise ConflictError("SUBJECT_EXISTS", "This subject is or was registered already.")
        row = organizations.add_subject(tx, _new_id(), organization_id, role, subject, now)
        append(tx, "credential.created", None, caller.organization, _logged(row) | {"role": str(role)}, now)
        result = _describe_credential(row)
    seal(service)
    return result


def rotate_api_key(
    service: Service, caller: Caller, organization_id: str, credential_id: str, overlap_hours: int
) -> dict[str, Any]:
    """A new API key in the role of an old one, which stays good for some hours more: so nothing stops.

    By the operator, or by whoever holds the old key. The new key expires when the old one would have.

    Raises
    ------
    NotFoundError, ForbiddenError
    ConflictError
        `CREDENTIAL_ENDED`: revoked or expired keys have no successor.
    """
    if caller.role is not Role.OPERATOR and caller.credential_id != credential_id:
        raise _unknown_credential() if caller.organization != organization_id else ForbiddenError()
    now = service.now()
    with service.store.transaction("rotate API key") as tx:
        row = organizations.lock_credential(tx, credential_id)
        if row is None or row.organization_id != organization_id or row.kind != "api_key":
            raise _unknown_credential()
        if not _is_good(row, now):
            raise ConflictError("CREDENTIAL_ENDED", "The key is revoked or expired; ask for a new one.")
        assert row.role is not None
        actor = caller.organization
        api_key, new = _add_api_key(tx, organization_id, Role(row.role), row.expires_at, actor, now)
        ends = now + timedelta(hours=overlap_hours)
        row.expires_at = min(row.expires_at, ends) if row.expires_at else ends
        result = {**_describe_credential(new), "api_key": api_key, "replaces": credential_id}
    seal(service)
    return result


def _unknown_credential() -> NotFoundError:
    return NotFoundError("CREDENTIAL_UNKNOWN", "There is no such credential.")


def revoke_credential(service: Service, caller: Caller, organization_id: str, credential_id: str) -> None:
    """From the commit on the key opens nothing. Repeating it is no error."""
    caller.require(Role.OPERATOR)
    if credential_id == caller.credential_id:
        raise ConflictError("CREDENTIAL_IN_USE", "Revoke this key with another one: you are using it.")
    now = service.now()
    with service.store.transaction("revoke credential") as tx:
        row = organizations.credential(tx, credential_id)
        if row is None or row.organization_id != organization_id:
            raise _unknown_credential()
        if row.revoked_at is None:
            row.revoked_at = now
            append(tx, "credential.revoked", None, caller.organization, _logged(row), now)
    seal(service)


def _add_organization(tx: Tx, organization_id: str, name: str, actor: str, now: datetime) -> Organization:
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise RefusedError("NAME_INVALID", "A name is 1 to 200 printable characters.")
    if organizations.find(tx, organization_id) is not None:
        raise ConflictError("ORGANIZATION_EXISTS", "This id is taken.")
    row = organizations.add(tx, organization_id, name, now)
    append(tx, "organization.created", None, actor, {"organization": organization_id, "name": name}, now)
    return row


def _add_api_key(
    tx: Tx, organization_id: str, role: Role, expires_at: datetime | None, actor: str, now: datetime
) -> tuple[str, Credential]:
    api_key = new_api_key()
    row = organizations.add_api_key(
        tx, _new_id(), organization_id, role, api_key_digest(api_key), now, expires_at
    )
    append(tx, "credential.created", None, actor, _logged(row) | {"role": str(role)}, now)
    return api_key, row


def _logged(row: Credential) -> dict[str, object]:
    """A credential as the log names it: by a fingerprint, from which no key can be found."""
    return {
        "organization": row.organization_id,
        "credential": row.id,
        "kind": row.kind,
        "key_id": fingerprint(row),
    }


def _visible(tx: Tx, caller: Caller, organization_id: str) -> Organization:
    row = organizations.find(tx, organization_id)
    if row is None or not (caller.sees_everything or row.id == caller.organization):
        raise NotFoundError("ORGANIZATION_UNKNOWN", "There is no such organization.")
    return row


def _describe(tx: Tx, row: Organization) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "created_at": rfc3339(row.created_at),
        "credentials": [_describe_credential(item) for item in organizations.credentials(tx, row.id)],
    }


def _describe_credential(row: Credential) -> dict[str, Any]:
    return {
        "id": row.id,
        "organization": row.organization_id,
        "kind": row.kind,
        "role": row.role,
        "key_id": row.fingerprint,
        "subject": row.subject,
        "created_at": rfc3339(row.created_at),
        "expires_at": rfc3339(row.expires_at) if row.expires_at else None,
        "revoked_at": rfc3339(row.revoked_at) if row.revoked_at else None,
    }


def _new_id() -> str:
    return "cred_" + secrets.token_hex(8)


def _check_id(organization_id: str) -> None:
    if not _SLUG.match(organization_id) or organization_id == SERVICE:
        raise RefusedError("ID_INVALID", "An id is 1 to 64 lower-case letters, digits and hyphens.")
