"""Releases, objections to them, and the ledger."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.store.models.base import Base


class Release(Base):
    """A question that was asked, and the protected answer or the refusal."""

    __tablename__ = "releases"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    agreement_id: Mapped[str] = mapped_column(ForeignKey("agreements.id"), index=True)
    agreement_version: Mapped[int]
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    ledger_id: Mapped[str | None] = mapped_column(ForeignKey("ledger.id"))
    requested_by: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    status: Mapped[str] = mapped_column(String(20))
    query: Mapped[dict[str, Any]]
    query_sha256: Mapped[str] = mapped_column(String(64), index=True)
    document: Mapped[dict[str, Any] | None]
    document_sha256: Mapped[str | None] = mapped_column(String(64))
    refusal_code: Mapped[str | None] = mapped_column(String(60))
    created_at: Mapped[datetime]
    visible_at: Mapped[datetime | None]
    log_index: Mapped[int | None]


class Objection(Base):
    """A data owner's objection to a release in review: its table is never shown to a recipient."""

    __tablename__ = "objections"

    release_id: Mapped[str] = mapped_column(ForeignKey("releases.id"), primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    objected_at: Mapped[datetime]


class LedgerEntry(Base):
    """What was decided once for a cohort: the protected cube from which every answer is read."""

    __tablename__ = "ledger"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    agreement_id: Mapped[str] = mapped_column(ForeignKey("agreements.id"))
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    indicator: Mapped[str] = mapped_column(String(60))
    cohort: Mapped[str] = mapped_column(String(40))
    min_cell: Mapped[int]
    cube: Mapped[dict[str, Any]]
    cube_sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]

    __table_args__ = (
        # A cohort and indicator, once decided, is frozen.
        Index("uq_ledger_question", "agreement_id", "indicator", "cohort", unique=True),
    )
