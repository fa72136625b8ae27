"""Wrapped data keys. Deleting one shuts what it encrypted; erasing the agreement's key shuts backups too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import delete, func, select

from app.store.base import Tx
from app.store.models import DataKey


def find(tx: Tx, owner: str, plane: str) -> DataKey | None:
    """The wrapped key of a batch or run in a plane."""
    return tx.session.get(DataKey, (owner, plane))


def add(
    tx: Tx, owner: str, plane: str, agreement_id: str, key_id: str, wrapped: bytes, now: datetime
) -> None:
    """Record a wrapped key."""
    tx.session.add(
        DataKey(
            owner=owner,
            plane=plane,
            agreement_id=agreement_id,
            key_id=key_id,
            wrapped=wrapped,
            created_at=now,
        )
    )
    tx.session.flush()


def of_agreement(tx: Tx, agreement_id: str) -> Sequence[DataKey]:
    """All wrapped keys under an agreement, by owner and plane."""
    query = select(DataKey).where(DataKey.agreement_id == agreement_id)
    return tx.session.scalars(query.order_by(DataKey.owner, DataKey.plane)).all()


def key_ids(tx: Tx) -> set[tuple[str, str, str]]:
    """Every (plane, agreement, key id) that wraps something."""
    rows = tx.session.execute(select(DataKey.plane, DataKey.agreement_id, DataKey.key_id).distinct())
    return {(row[0], row[1], row[2]) for row in rows}


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
