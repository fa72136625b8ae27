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
    #: The cube that the release waits for, and its filter as keyed digests: what no code list holds may be
    #: anything, so it is written down nowhere.
    cube_id: Mapped[str | None] = mapped_column(ForeignKey("cubes.id"), index=True)
    waiting: Mapped[dict[str, Any] | None]
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
    """What was decided once for a cohort: the protected cube from which every answer is read.

    The database itself refuses to change or to delete a row.
    """

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
    #: 1, or the number of a planned correction.
    vintage: Mapped[int] = mapped_column(default=1, server_default="1")
    method: Mapped[str] = mapped_column(String(40), default="suppression", server_default="suppression")
    #: Of differential privacy: what this cube costs, as a decimal.
    epsilon: Mapped[str | None] = mapped_column(String(20))
    #: What was proven and how: statistics of the worlds, tables that were dropped, entries that it was
    #: proven beside.
    proof: Mapped[dict[str, Any] | None]
    proof_sha256: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (
        # A cohort and indicator, once decided, is frozen; a correction is planned, and another vintage.
        Index("uq_ledger_question", "agreement_id", "indicator", "cohort", "vintage", unique=True),
    )
