"""The log: entries, subtrees, checkpoints and cosignatures."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.store.models.base import Base


class LogEntry(Base):
    """A leaf of the log: its exact bytes. `kind`, `agreement_id`, `at` repeat them for filters."""

    __tablename__ = "log_entries"

    index: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    leaf: Mapped[bytes]
    leaf_hash: Mapped[bytes]
    kind: Mapped[str] = mapped_column(String(60), index=True)
    agreement_id: Mapped[str | None] = mapped_column(String(64), index=True)
    at: Mapped[datetime]


class LogHead(Base):
    """One row: how many entries there are, and the roots of the complete subtrees over them.

    Its lock makes appending serial. The subtrees (32 bytes each, largest first) make a root without
    reading the past; an entry that is edited afterwards does not change them, so it gives itself away.
    """

    __tablename__ = "log_head"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    size: Mapped[int]
    frontier: Mapped[bytes]


class Checkpoint(Base):
    """A signed note over the first `size` entries."""

    __tablename__ = "checkpoints"

    size: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    root: Mapped[bytes]
    note: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]


class LogHash(Base):
    """Root of a complete subtree of 256**level leaves (level 1 and above), written when its last leaf is.

    Level 0 are the entries' own hashes. Together they are the log's tiles.
    """

    __tablename__ = "log_hashes"

    level: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hash: Mapped[bytes]


class Cosignature(Base):
    """A witness's newest signature line on the checkpoint of a size."""

    __tablename__ = "cosignatures"

    size: Mapped[int] = mapped_column(ForeignKey("checkpoints.size"), primary_key=True, autoincrement=False)
    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    timestamp: Mapped[int]
    line: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime]
