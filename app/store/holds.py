"""Holds on agreements, and objections to releases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from app.store.base import Tx
from app.store.models import Hold, Objection, Release


def standing(tx: Tx, agreement_id: str) -> Sequence[Hold]:
    """Holds that nobody has lifted, oldest first."""
    return tx.session.scalars(
        select(Hold)
        .where(Hold.agreement_id == agreement_id, Hold.lifted_at.is_(None))
        .order_by(Hold.since, Hold.id)
    ).all()


def add(tx: Tx, hold_id: str, agreement_id: str, organization_id: str, now: datetime) -> Hold:
    row = Hold(id=hold_id, agreement_id=agreement_id, organization_id=organization_id, since=now)
    tx.session.add(row)
    tx.session.flush()
    return row


def objections(tx: Tx, release_ids: Sequence[str]) -> Sequence[Objection]:
    """Objections to any of these releases, oldest first."""
    return tx.session.scalars(
        select(Objection)
        .where(Objection.release_id.in_(list(release_ids)))
        .order_by(Objection.objected_at, Objection.release_id, Objection.organization_id)
    ).all()


def add_objection(tx: Tx, release_id: str, organization_id: str, now: datetime) -> None:
    tx.session.add(Objection(release_id=release_id, organization_id=organization_id, objected_at=now))
    tx.session.flush()


def objected_questions(tx: Tx, agreement_id: str) -> set[str]:
    """Digests of the questions under an agreement to whose answer somebody objected."""
    return set(
        tx.session.scalars(
            select(Release.query_sha256)
            .join(Objection, Objection.release_id == Release.id)
            .where(Release.agreement_id == agreement_id)
        )
    )
