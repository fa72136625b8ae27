"""Wrapped data keys. Deleting one destroys what it encrypted, wherever copies of the blobs lie."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, func, select

from app.store.base import Tx
from app.store.models import DataKey


def find(tx: Tx, owner: str, plane: str) -> DataKey | None:
    """The wrapped key of a batch or run in a plane."""
    return tx.session.get(DataKey, (owner, plane))


def add(tx: Tx, owner: str, plane: str, key_id: str, wrapped: bytes, now: datetime) -> None:
    """Record a wrapped key."""
    tx.session.add(DataKey(owner=owner, plane=plane, key_id=key_id, wrapped=wrapped, created_at=now))
    tx.session.flush()


def destroy(tx: Tx, owners: Iterable[str]) -> list[tuple[str, str, str]]:
    """Delete all wrapped keys of the owners; returns (owner, plane, key_id) of each, sorted."""
    wanted = list(owners)
    rows = tx.session.scalars(
        select(DataKey).where(DataKey.owner.in_(wanted)).order_by(DataKey.owner, DataKey.plane)
    ).all()
    gone = [(row.owner, row.plane, row.key_id) for row in rows]
    tx.session.execute(delete(DataKey).where(DataKey.owner.in_(wanted)))
    return gone


def count(tx: Tx) -> int:
    """How many wrapped keys there are."""
    return tx.session.scalar(select(func.count()).select_from(DataKey)) or 0
