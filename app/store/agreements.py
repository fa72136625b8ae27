"""Agreements, their versions, parties, approvals and revocations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select

from app.store.base import Tx
from app.store.models import (
    Agreement,
    AgreementParty,
    AgreementVersion,
    Approval,
    Certificate,
    Revocation,
)


def find(tx: Tx, agreement_id: str) -> Agreement | None:
    return tx.session.get(Agreement, agreement_id)


def lock(tx: Tx, agreement_id: str) -> Agreement | None:
    """The agreement, with its row locked until the transaction ends.

    Everything that must not happen beside a revocation, another acceptance or another release under
    the same agreement begins here. (SQLite holds the whole write lock anyway.)
    """
    return tx.locked(Agreement, agreement_id)


def add(tx: Tx, agreement_id: str, proposer_id: str, state: str, now: datetime) -> Agreement:
    row = Agreement(
        id=agreement_id, state=state, version=0, proposer_id=proposer_id, created_at=now, changed_at=now
    )
    tx.session.add(row)
    tx.session.flush()
    return row


def add_version(
    tx: Tx,
    agreement_id: str,
    version: int,
    document: dict[str, Any],
    hash: str,  # noqa: A002 (the column's name)
    profile_hash: str,
    parties: Iterable[tuple[str, str]],
    proposed_by: str,
    now: datetime,
) -> AgreementVersion:
    """Add a version with its parties (organization, role)."""
    row = AgreementVersion(
        agreement_id=agreement_id,
        version=version,
        document=document,
        hash=hash,
        profile_hash=profile_hash,
        proposed_by=proposed_by,
        created_at=now,
    )
    tx.session.add(row)
    tx.session.flush()
    tx.session.add_all(
        AgreementParty(agreement_id=agreement_id, version=version, organization_id=organization, role=role)
        for organization, role in parties
    )
    tx.session.flush()
    return row


def version(tx: Tx, agreement_id: str, number: int) -> AgreementVersion | None:
    return tx.session.get(AgreementVersion, (agreement_id, number))


def versions(tx: Tx, agreement_id: str) -> Sequence[AgreementVersion]:
    return tx.session.scalars(
        select(AgreementVersion)
        .where(AgreementVersion.agreement_id == agreement_id)
        .order_by(AgreementVersion.version)
    ).all()


def current(tx: Tx, agreement: Agreement) -> AgreementVersion:
    """The current version of an agreement; every agreement has one."""
    return tx.session.get_one(AgreementVersion, (agreement.id, agreement.version))


def roles(tx: Tx, agreement: Agreement, organization_id: str) -> set[str]:
    """The organization's roles in the current version; empty if it is not a party."""
    return set(
        tx.session.scalars(
            select(AgreementParty.role).where(
                AgreementParty.agreement_id == agreement.id,
                AgreementParty.version == agreement.version,
                AgreementParty.organization_id == organization_id,
            )
        )
    )


def parties(tx: Tx, agreement_id: str, version: int) -> Sequence[AgreementParty]:
    return tx.session.scalars(
        select(AgreementParty)
        .where(AgreementParty.agreement_id == agreement_id, AgreementParty.version == version)
        .order_by(AgreementParty.organization_id, AgreementParty.role)
    ).all()


def every(tx: Tx, organization_id: str | None = None) -> Sequence[Agreement]:
    """All agreements, or those of whose current version the organization is a party."""
    query = select(Agreement).order_by(Agreement.id)
    if organization_id is not None:
        query = query.where(
            select(AgreementParty.organization_id)
            .where(
                AgreementParty.agreement_id == Agreement.id,
                AgreementParty.version == Agreement.version,
                AgreementParty.organization_id == organization_id,
            )
            .exists()
        )
    return tx.session.scalars(query).all()


def approvals(tx: Tx, agreement_id: str, version: int) -> Sequence[Approval]:
    return tx.session.scalars(
        select(Approval)
        .where(Approval.agreement_id == agreement_id, Approval.version == version)
        .order_by(Approval.organization_id)
    ).all()


def add_approval(
    tx: Tx,
    agreement_id: str,
    version: int,
    organization_id: str,
    document: dict[str, Any],
    signature: dict[str, Any],
    now: datetime,
) -> None:
    tx.session.add(
        Approval(
            agreement_id=agreement_id,
            version=version,
            organization_id=organization_id,
            document=document,
            signature=signature,
            approved_at=now,
        )
    )
    tx.session.flush()


def revocations(tx: Tx, agreement_id: str) -> Sequence[Revocation]:
    return tx.session.scalars(
        select(Revocation).where(Revocation.agreement_id == agreement_id).order_by(Revocation.organization_id)
    ).all()


def add_revocation(
    tx: Tx,
    agreement_id: str,
    organization_id: str,
    document: dict[str, Any],
    signature: dict[str, Any],
    now: datetime,
) -> None:
    tx.session.add(
        Revocation(
            agreement_id=agreement_id,
            organization_id=organization_id,
            document=document,
            signature=signature,
            revoked_at=now,
        )
    )
    tx.session.flush()


def certificate(tx: Tx, agreement_id: str) -> Certificate | None:
    return tx.session.get(Certificate, agreement_id)


def add_certificate_request(tx: Tx, agreement_id: str, requested_by: str, now: datetime) -> Certificate:
    row = Certificate(agreement_id=agreement_id, requested_by=requested_by, requested_at=now)
    tx.session.add(row)
    tx.session.flush()
    return row
