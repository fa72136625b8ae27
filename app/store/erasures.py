"""Keys of agreements that are to be dropped from the key store: noted with the commit that needs it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import delete, select

from app.store.base import Tx
from app.store.models import KeyErasure


def add(tx: Tx, agreement_id: str, keys: Iterable[tuple[str, str]], now: datetime) -> None:
    """Note the keys (plane, id) that wrapped what was deleted in this transaction."""
    tx.session.add_all(
        KeyErasure(plane=plane, key_id=key_id, agreement_id=agreement_id, since=now)
        for plane, key_id in sorted(set(keys))
        if tx.session.get(KeyErasure, (plane, key_id)) is None
    )
    tx.session.flush()


def of_agreement(tx: Tx, agreement_id: str) -> Sequence[KeyErasure]:
    """What is to be dropped under an agreement."""
    query = select(KeyErasure).where(KeyErasure.agreement_id == agreement_id)
    return tx.session.scalars(query.order_by(KeyErasure.plane, KeyErasure.key_id)).all()


def agreements(tx: Tx) -> list[str]:
    """Agreements under which something is to be dropped."""
    return list(tx.session.scalars(select(KeyErasure.agreement_id).distinct().order_by("agreement_id")))


def done(tx: Tx, agreement_id: str, plane: str, key_ids: Iterable[str]) -> None:
    """Forget what was dropped."""
    tx.session.execute(
        delete(KeyErasure).where(
            KeyErasure.agreement_id == agreement_id,
            KeyErasure.plane == plane,
            KeyErasure.key_id.in_(list(key_ids)),
        )
    )
