"""Releases and the ledger.

Whoever charges the ledger holds the lock of the agreement (`agreements.lock`): two requests for one
cohort cannot both find it undecided. The unique index on the question is the second guard.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select

from app.store.base import Tx
from app.store.models import LedgerEntry, Release


def find(tx: Tx, release_id: str) -> Release | None:
    return tx.session.get(Release, release_id)


def add(
    tx: Tx,
    release_id: str,
    agreement_id: str,
    agreement_version: int,
    requested_by: str,
    status: str,
    query: dict[str, Any],
    query_sha256: str,
    now: datetime,
    *,
    run_id: str | None = None,
    ledger_id: str | None = None,
    document: dict[str, Any] | None = None,
    document_sha256: str | None = None,
    refusal_code: str | None = None,
    visible_at: datetime | None = None,
    cube_id: str | None = None,
    waiting: dict[str, Any] | None = None,
) -> Release:
    """Add a release; `log_index` is set on the object after the log entry was appended."""
    row = Release(
        id=release_id,
        agreement_id=agreement_id,
        agreement_version=agreement_version,
        requested_by=requested_by,
        status=status,
        query=query,
        query_sha256=query_sha256,
        created_at=now,
        run_id=run_id,
        ledger_id=ledger_id,
        document=document,
        document_sha256=document_sha256,
        refusal_code=refusal_code,
        visible_at=visible_at,
        cube_id=cube_id,
        waiting=waiting,
    )
    tx.session.add(row)
    tx.session.flush()
    return row


def of_agreement(tx: Tx, agreement_id: str) -> Sequence[Release]:
    """Releases under an agreement, oldest first."""
    return tx.session.scalars(
        select(Release).where(Release.agreement_id == agreement_id).order_by(Release.created_at, Release.id)
    ).all()


def by_query(
    tx: Tx, agreement_id: str, query_sha256: str, status: str, *, newest: bool = False
) -> Release | None:
    """The first (or the newest) release of this very question with this status."""
    order = (Release.created_at.desc(), Release.id.desc()) if newest else (Release.created_at, Release.id)
    return tx.session.scalar(
        select(Release)
        .where(
            Release.agreement_id == agreement_id,
            Release.query_sha256 == query_sha256,
            Release.status == status,
        )
        .order_by(*order)
        .limit(1)
    )


def open_by_query(
    tx: Tx, agreement_id: str, organization: str, query_sha256: str, status: str
) -> Sequence[Release]:
    """An organization's own releases of a question that are still in this status, the oldest first."""
    return tx.session.scalars(
        select(Release)
        .where(
            Release.agreement_id == agreement_id,
            Release.requested_by == organization,
            Release.query_sha256 == query_sha256,
            Release.status == status,
        )
        .order_by(Release.created_at, Release.id)
    ).all()


def ledger(tx: Tx, agreement_id: str, indicator: str, cohort: str) -> LedgerEntry | None:
    """What was decided last for this cohort and indicator, if anything."""
    return tx.session.scalar(
        select(LedgerEntry)
        .where(
            LedgerEntry.agreement_id == agreement_id,
            LedgerEntry.indicator == indicator,
            LedgerEntry.cohort == cohort,
        )
        .order_by(LedgerEntry.vintage.desc())
        .limit(1)
    )


def ledger_entries(tx: Tx, ledger_ids: Sequence[str]) -> Sequence[LedgerEntry]:
    """These entries, the oldest first, whatever agreement they belong to."""
    wanted = select(LedgerEntry).where(LedgerEntry.id.in_(list(ledger_ids)))
    return tx.session.scalars(wanted.order_by(LedgerEntry.created_at, LedgerEntry.id)).all()


def ledger_of_agreement(tx: Tx, agreement_id: str) -> Sequence[LedgerEntry]:
    return tx.session.scalars(
        select(LedgerEntry)
        .where(LedgerEntry.agreement_id == agreement_id)
        .order_by(LedgerEntry.created_at, LedgerEntry.id)
    ).all()


def ledger_of_others(tx: Tx, agreement_id: str) -> Sequence[LedgerEntry]:
    """What all other agreements have decided, oldest first."""
    return tx.session.scalars(
        select(LedgerEntry)
        .where(LedgerEntry.agreement_id != agreement_id)
        .order_by(LedgerEntry.created_at, LedgerEntry.id)
    ).all()


def charge(
    tx: Tx,
    ledger_id: str,
    agreement_id: str,
    run_id: str,
    indicator: str,
    cohort: str,
    min_cell: int,
    cube: dict[str, Any],
    cube_sha256: str,
    now: datetime,
    *,
    vintage: int = 1,
    method: str = "suppression",
    epsilon: str | None = None,
    proof: dict[str, Any] | None = None,
    proof_sha256: str | None = None,
) -> LedgerEntry:
    """Record the protected cube of a cohort and indicator, once for each vintage."""
    row = LedgerEntry(
        id=ledger_id,
        agreement_id=agreement_id,
        run_id=run_id,
        indicator=indicator,
        cohort=cohort,
        min_cell=min_cell,
        cube=cube,
        cube_sha256=cube_sha256,
        created_at=now,
        vintage=vintage,
        method=method,
        epsilon=epsilon,
        proof=proof,
        proof_sha256=proof_sha256,
    )
    tx.session.add(row)
    tx.session.flush()
    return row
