"""Entries and checkpoints of the log, in the tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from app.store.base import Tx
from app.store.models import Checkpoint, LogEntry, LogHead


def lock_head(tx: Tx) -> LogHead:
    """The head of the log, locked until the transaction ends: the last lock that a flow takes."""
    return tx.session.scalars(
        select(LogHead).where(LogHead.id == 1).with_for_update().execution_options(populate_existing=True)
    ).one()


def size(tx: Tx) -> int:
    """How many entries there are."""
    return tx.session.scalars(select(LogHead.size).where(LogHead.id == 1)).one()


def add(
    tx: Tx,
    index: int,
    leaf: bytes,
    leaf_hash: bytes,
    kind: str,
    agreement_id: str | None,
    at: datetime,
) -> LogEntry:
    row = LogEntry(index=index, leaf=leaf, leaf_hash=leaf_hash, kind=kind, agreement_id=agreement_id, at=at)
    tx.session.add(row)
    tx.session.flush()
    return row


def entries(
    tx: Tx, start: int, end: int, *, agreement_id: str | None = None, kind: str | None = None
) -> Sequence[LogEntry]:
    """Entries of [start, end), optionally of one agreement or kind."""
    query = select(LogEntry).where(LogEntry.index >= start, LogEntry.index < end)
    if agreement_id is not None:
        query = query.where(LogEntry.agreement_id == agreement_id)
    if kind is not None:
        query = query.where(LogEntry.kind == kind)
    return tx.session.scalars(query.order_by(LogEntry.index)).all()


def leaf_hashes(tx: Tx, start: int, end: int) -> list[bytes]:
    """Leaf hashes of [start, end) in order."""
    return list(
        tx.session.scalars(
            select(LogEntry.leaf_hash)
            .where(LogEntry.index >= start, LogEntry.index < end)
            .order_by(LogEntry.index)
        )
    )


def latest_checkpoint(tx: Tx) -> Checkpoint | None:
    return tx.session.scalar(select(Checkpoint).order_by(Checkpoint.size.desc()).limit(1))


def add_checkpoint(tx: Tx, size: int, root: bytes, note: str, now: datetime) -> Checkpoint:
    row = Checkpoint(size=size, root=root, note=note, created_at=now)
    tx.session.add(row)
    tx.session.flush()
    return row
