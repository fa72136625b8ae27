"""Entries, hashes of the tree, checkpoints and cosignatures of the log, in the tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import select

from app.store.base import Tx
from app.store.models import Checkpoint, Cosignature, LogEntry, LogHash, LogHead


def lock_head(tx: Tx) -> LogHead:
    """The head of the log, locked until the transaction ends: the last lock that a flow takes."""
    return tx.session.scalars(
        select(LogHead).where(LogHead.id == 1).with_for_update().execution_options(populate_existing=True)
    ).one()


def head(tx: Tx) -> LogHead:
    """The head of the log, to look at."""
    return tx.session.scalars(select(LogHead).where(LogHead.id == 1)).one()


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


def of_kind(tx: Tx, kind: str) -> Sequence[LogEntry]:
    """All entries of a kind, in order."""
    return tx.session.scalars(select(LogEntry).where(LogEntry.kind == kind).order_by(LogEntry.index)).all()


def newest_of_kind(tx: Tx, kind: str) -> LogEntry | None:
    """The last entry of a kind."""
    query = select(LogEntry).where(LogEntry.kind == kind).order_by(LogEntry.index.desc()).limit(1)
    return tx.session.scalar(query)


def leaf_hashes(tx: Tx, start: int, end: int) -> list[bytes]:
    """Leaf hashes of [start, end) in order."""
    return list(
        tx.session.scalars(
            select(LogEntry.leaf_hash)
            .where(LogEntry.index >= start, LogEntry.index < end)
            .order_by(LogEntry.index)
        )
    )


def add_hash(tx: Tx, level: int, place: int, digest: bytes) -> None:
    """Keep the root of a complete subtree of 256**level leaves, level 1 or above."""
    tx.session.add(LogHash(level=level, place=place, hash=digest))


def hashes(tx: Tx, level: int, start: int, end: int) -> list[bytes]:
    """Hashes [start, end) of a level of the tiles, in order; level 0 are the leaf hashes."""
    if level == 0:
        return leaf_hashes(tx, start, end)
    return list(
        tx.session.scalars(
            select(LogHash.hash)
            .where(LogHash.level == level, LogHash.place >= start, LogHash.place < end)
            .order_by(LogHash.place)
        )
    )


def leaves(tx: Tx, start: int, end: int, *, at_once: int = 4096) -> Iterator[bytes]:
    """Leaves of [start, end) in order, without holding them all."""
    for begin in range(start, end, at_once):
        yield from tx.session.scalars(
            select(LogEntry.leaf)
            .where(LogEntry.index >= begin, LogEntry.index < min(begin + at_once, end))
            .order_by(LogEntry.index)
        )


def search(
    tx: Tx,
    end: int,
    *,
    agreement_id: str | None = None,
    kind: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    start: int = 0,
    limit: int,
    newest_first: bool = False,
) -> Sequence[LogEntry]:
    """Entries of [start, end) of an agreement, of a kind (or of all kinds ``kind.*``), of [since, until)."""
    query = select(LogEntry).where(LogEntry.index >= start, LogEntry.index < end)
    if agreement_id is not None:
        query = query.where(LogEntry.agreement_id == agreement_id)
    if kind is not None and kind.endswith(".*"):
        query = query.where(LogEntry.kind.startswith(kind[:-1], autoescape=True))
    elif kind is not None:
        query = query.where(LogEntry.kind == kind)
    if since is not None:
        query = query.where(LogEntry.at >= since)
    if until is not None:
        query = query.where(LogEntry.at < until)
    order = LogEntry.index.desc() if newest_first else LogEntry.index
    return tx.session.scalars(query.order_by(order).limit(limit)).all()


def checkpoint(tx: Tx, size: int) -> Checkpoint | None:
    return tx.session.get(Checkpoint, size)


def checkpoints(tx: Tx) -> Sequence[Checkpoint]:
    """All checkpoints, the smallest first."""
    return tx.session.scalars(select(Checkpoint).order_by(Checkpoint.size)).all()


def newest_checkpoints(tx: Tx, limit: int) -> Sequence[Checkpoint]:
    """The newest checkpoints, the largest first."""
    return tx.session.scalars(select(Checkpoint).order_by(Checkpoint.size.desc()).limit(limit)).all()


def first_checkpoint_over(tx: Tx, index: int) -> Checkpoint | None:
    """The smallest checkpoint that covers an entry: the same one whenever it is asked for."""
    return tx.session.scalar(
        select(Checkpoint).where(Checkpoint.size > index).order_by(Checkpoint.size).limit(1)
    )


def latest_witnessed(tx: Tx) -> Checkpoint | None:
    """The newest checkpoint that carries a cosignature."""
    newest = select(Cosignature.size).order_by(Cosignature.size.desc()).limit(1).scalar_subquery()
    return tx.session.scalar(select(Checkpoint).where(Checkpoint.size == newest))


def cosignatures(tx: Tx, size: int) -> list[str]:
    """Signature lines of witnesses on the checkpoint of this size."""
    return list(
        tx.session.scalars(
            select(Cosignature.line).where(Cosignature.size == size).order_by(Cosignature.fingerprint)
        )
    )


def put_cosignature(tx: Tx, size: int, fingerprint: str, timestamp: int, line: str, now: datetime) -> None:
    """Keep a witness's cosignature, unless a later one of the same witness is here."""
    row = tx.session.get(Cosignature, (size, fingerprint))
    if row is None:
        row = Cosignature(size=size, fingerprint=fingerprint, timestamp=timestamp, line=line, received_at=now)
        tx.session.add(row)
    elif row.timestamp < timestamp:
        row.timestamp, row.line, row.received_at = timestamp, line, now
    tx.session.flush()


def latest_checkpoint(tx: Tx) -> Checkpoint | None:
    return tx.session.scalar(select(Checkpoint).order_by(Checkpoint.size.desc()).limit(1))


def add_checkpoint(tx: Tx, size: int, root: bytes, note: str, now: datetime) -> Checkpoint:
    row = Checkpoint(size=size, root=root, note=note, created_at=now)
    tx.session.add(row)
    tx.session.flush()
    return row
