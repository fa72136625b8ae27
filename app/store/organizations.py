"""Organizations and their credentials."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from app.store.base import Tx
from app.store.models import Credential, Organization


def find(tx: Tx, organization_id: str) -> Organization | None:
    return tx.session.get(Organization, organization_id)


def every(tx: Tx) -> Sequence[Organization]:
    return tx.session.scalars(select(Organization).order_by(Organization.id)).all()


def add(tx: Tx, organization_id: str, name: str, now: datetime) -> Organization:
    row = Organization(id=organization_id, name=name, created_at=now)
    tx.session.add(row)
    tx.session.flush()
    return row


def known(tx: Tx, organization_ids: Sequence[str]) -> set[str]:
    """Those of the ids that exist."""
    return set(tx.session.scalars(select(Organization.id).where(Organization.id.in_(organization_ids))))


def add_api_key(
    tx: Tx,
    credential_id: str,
    organization_id: str,
    role: str,
    secret_sha256: str,
    now: datetime,
    expires_at: datetime | None,
) -> Credential:
    row = Credential(
        id=credential_id,
        organization_id=organization_id,
        kind="api_key",
        role=role,
        secret_sha256=secret_sha256,
        created_at=now,
        expires_at=expires_at,
    )
    tx.session.add(row)
    tx.session.flush()
    return row


def add_public_key(
    tx: Tx, credential_id: str, organization_id: str, public_key: str, fingerprint: str, now: datetime
) -> Credential:
    row = Credential(
        id=credential_id,
        organization_id=organization_id,
        kind="ed25519",
        public_key=public_key,
        fingerprint=fingerprint,
        created_at=now,
    )
    tx.session.add(row)
    tx.session.flush()
    return row


def add_subject(
    tx: Tx, credential_id: str, organization_id: str, role: str, subject: str, now: datetime
) -> Credential:
    row = Credential(
        id=credential_id,
        organization_id=organization_id,
        kind="oidc",
        role=role,
        subject=subject,
        created_at=now,
    )
    tx.session.add(row)
    tx.session.flush()
    return row


def by_subject(tx: Tx, subject: str) -> Credential | None:
    """The subject of the identity provider, whatever its state."""
    return tx.session.scalar(select(Credential).where(Credential.subject == subject))


def lock_credential(tx: Tx, credential_id: str) -> Credential | None:
    """The credential, with its row locked until the transaction ends."""
    return tx.locked(Credential, credential_id)


def credential(tx: Tx, credential_id: str) -> Credential | None:
    return tx.session.get(Credential, credential_id)


def credentials(tx: Tx, organization_id: str) -> Sequence[Credential]:
    return tx.session.scalars(
        select(Credential)
        .where(Credential.organization_id == organization_id)
        .order_by(Credential.created_at, Credential.id)
    ).all()


def by_secret(tx: Tx, secret_sha256: str) -> Credential | None:
    """The API key with this SHA-256, whatever its state."""
    return tx.session.scalar(select(Credential).where(Credential.secret_sha256 == secret_sha256))


def by_fingerprint(tx: Tx, fingerprint: str) -> Credential | None:
    """The Ed25519 key with this fingerprint, whatever its state."""
    return tx.session.scalar(select(Credential).where(Credential.fingerprint == fingerprint))


def operator_exists(tx: Tx) -> bool:
    """Whether any operator key was ever made."""
    return tx.session.scalar(select(Credential.id).where(Credential.role == "operator").limit(1)) is not None
