"""Batches with files and parts, and the wrapped keys of what is stored."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.store.models.base import Base


class BatchState(StrEnum):
    """States of a batch; UPLOADING, ACCEPTED and SUPERSEDED hold data, and only ACCEPTED is used."""

    UPLOADING = "UPLOADING"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    SUPERSEDED = "SUPERSEDED"
    WITHDRAWN = "WITHDRAWN"
    DESTROYED = "DESTROYED"


class Batch(Base):
    """One agency's submission."""

    __tablename__ = "batches"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    agreement_id: Mapped[str] = mapped_column(ForeignKey("agreements.id"), index=True)
    agreement_version: Mapped[int]
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), index=True)
    state: Mapped[str] = mapped_column(String(20))
    epoch: Mapped[int]
    profile_hash: Mapped[str] = mapped_column(String(64))
    kcv: Mapped[str] = mapped_column(String(128))
    persons: Mapped[int]
    part_size: Mapped[int]
    manifest: Mapped[dict[str, Any]]
    manifest_sha256: Mapped[str] = mapped_column(String(64))
    signature: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    rejection: Mapped[dict[str, Any] | None]
    screening: Mapped[dict[str, Any] | None]
    receipt: Mapped[dict[str, Any] | None]
    log_index: Mapped[int | None]
    supersedes: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (
        # The same manifest twice is the same batch, also when two requests race.
        Index(
            "uq_batches_live_manifest",
            "agreement_id",
            "organization_id",
            "manifest_sha256",
            unique=True,
            sqlite_where=text("state IN ('UPLOADING', 'ACCEPTED')"),
            postgresql_where=text("state IN ('UPLOADING', 'ACCEPTED')"),
        ),
    )


class BatchFile(Base):
    """A file of a batch, as its manifest announces it."""

    __tablename__ = "batch_files"

    batch_id: Mapped[str] = mapped_column(ForeignKey("batches.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(120), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))  # encodings | facts
    facts: Mapped[str | None] = mapped_column(String(40))
    rows: Mapped[int]
    size: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))


class BatchPart(Base):
    """A part that is safely on disk under `path`; a file is its parts in order."""

    __tablename__ = "batch_parts"

    batch_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(120), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    size: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    path: Mapped[str]
    received_at: Mapped[datetime]

    __table_args__ = (
        ForeignKeyConstraint(["batch_id", "name"], ["batch_files.batch_id", "batch_files.name"]),
    )


class DataKey(Base):
    """A wrapped data key. Deleting the row is how its blobs are shut."""

    __tablename__ = "data_keys"

    owner: Mapped[str] = mapped_column(String(64), primary_key=True)  # a batch's or a run's id
    plane: Mapped[str] = mapped_column(String(20), primary_key=True)
    agreement_id: Mapped[str] = mapped_column(ForeignKey("agreements.id"), index=True)
    key_id: Mapped[str]
    wrapped: Mapped[bytes]
    created_at: Mapped[datetime]


class KeyErasure(Base):
    """A key of an agreement that wraps nothing any more and is to be dropped from the key store."""

    __tablename__ = "key_erasures"

    plane: Mapped[str] = mapped_column(String(20), primary_key=True)
    key_id: Mapped[str] = mapped_column(primary_key=True)
    agreement_id: Mapped[str] = mapped_column(ForeignKey("agreements.id"), index=True)
    since: Mapped[datetime]
