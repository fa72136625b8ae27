"""Agreements with versions, parties, approvals, revocations, holds and certificates."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, ForeignKeyConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from app.store.models.base import Base


class AgreementState(StrEnum):
    """States that are stored. ACTIVE and EXPIRED are APPROVED seen by the clock, never stored."""

    DRAFT = "DRAFT"
    REVIEW = "REVIEW"
    APPROVED = "APPROVED"
    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    SUSPENDED = "SUSPENDED"
    REVOKED = "REVOKED"
    DESTRUCTION_DUE = "DESTRUCTION_DUE"
    DESTROYED = "DESTROYED"


class Agreement(Base):
    """An agreement at its current version. Its row is the lock of all that happens under it."""

    __tablename__ = "agreements"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    state: Mapped[str] = mapped_column(String(20))
    version: Mapped[int]
    proposer_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class AgreementVersion(Base):
    """What was proposed, as it was proposed."""

    __tablename__ = "agreement_versions"

    agreement_id: Mapped[str] = mapped_column(ForeignKey("agreements.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    document: Mapped[dict[str, Any]]
    hash: Mapped[str] = mapped_column(String(64))
    profile_hash: Mapped[str] = mapped_column(String(64))
    proposed_by: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    created_at: Mapped[datetime]


class AgreementParty(Base):
    """Who takes part in a version and as what (data_owner, recipient, operator)."""

    __tablename__ = "agreement_parties"

    agreement_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(String(20), primary_key=True)

    __table_args__ = (
        ForeignKeyConstraint(
            ["agreement_id", "version"],
            ["agreement_versions.agreement_id", "agreement_versions.version"],
        ),
    )


class Approval(Base):
    """A data owner's signature over the hash of a version."""

    __tablename__ = "approvals"

    agreement_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    document: Mapped[dict[str, Any]]
    signature: Mapped[dict[str, Any]]
    approved_at: Mapped[datetime]

    __table_args__ = (
        ForeignKeyConstraint(
            ["agreement_id", "version"],
            ["agreement_versions.agreement_id", "agreement_versions.version"],
        ),
    )


class Revocation(Base):
    """A data owner's signed withdrawal from an agreement."""

    __tablename__ = "revocations"

    agreement_id: Mapped[str] = mapped_column(ForeignKey("agreements.id"), primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    document: Mapped[dict[str, Any]]
    signature: Mapped[dict[str, Any]]
    revoked_at: Mapped[datetime]


class Hold(Base):
    """A data owner's or the operator's suspension of an agreement, until the same organization lifts it."""

    __tablename__ = "holds"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    agreement_id: Mapped[str] = mapped_column(ForeignKey("agreements.id"), index=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    since: Mapped[datetime]
    lifted_at: Mapped[datetime | None]


class Certificate(Base):
    """A signed statement of destruction."""

    __tablename__ = "certificates"

    agreement_id: Mapped[str] = mapped_column(ForeignKey("agreements.id"), primary_key=True)
    requested_by: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    requested_at: Mapped[datetime]
    document: Mapped[dict[str, Any] | None]
    signature: Mapped[dict[str, Any] | None]
    issued_at: Mapped[datetime | None]
