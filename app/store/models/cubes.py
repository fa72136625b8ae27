"""Cubes in the making."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.store.models.base import Base


class Cube(Base):
    """A protected cube that is to be made: what for, by whom, how far it is, how it ended.

    States are those of runs. The cube itself goes into the ledger when it is charged; nothing of it is here.
    """

    __tablename__ = "cubes"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    agreement_id: Mapped[str] = mapped_column(ForeignKey("agreements.id"), index=True)
    agreement_version: Mapped[int]
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    requested_by: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    indicator: Mapped[str] = mapped_column(String(60))
    cohort: Mapped[str] = mapped_column(String(40))
    vintage: Mapped[int]
    min_cell: Mapped[int]
    state: Mapped[str] = mapped_column(String(20))
    stage: Mapped[str] = mapped_column(String(40), default="")
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    executor: Mapped[str | None]
    heartbeat_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    error_code: Mapped[str | None] = mapped_column(String(60))
    error_detail: Mapped[str | None] = mapped_column(String(400))
    ledger_id: Mapped[str | None] = mapped_column(ForeignKey("ledger.id"))
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        # One cube is made once, whoever asks for it meanwhile.
        Index(
            "uq_cubes_open",
            "agreement_id",
            "indicator",
            "cohort",
            unique=True,
            sqlite_where=text("state IN ('QUEUED', 'RUNNING')"),
            postgresql_where=text("state IN ('QUEUED', 'RUNNING')"),
        ),
    )
