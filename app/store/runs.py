"""Linkage runs and their frozen inputs. Fields of a `Run` are set on the object inside a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select

from app.store.base import Tx
from app.store.models import Batch, Run, RunInput, RunState


def add(
    tx: Tx,
    run_id: str,
    agreement_id: str,
    agreement_version: int,
    requested_by: str,
    batches: Iterable[Batch],
    parameters: dict[str, Any],
    now: datetime,
) -> Run:
    """Add a QUEUED run whose inputs are these batches at these digests."""
    row = Run(
        id=run_id,
        agreement_id=agreement_id,
        agreement_version=agreement_version,
        requested_by=requested_by,
        state=RunState.QUEUED,
        stage="",
        done=0,
        total=0,
        parameters=parameters,
        created_at=now,
    )
    tx.session.add(row)
    tx.session.flush()
    tx.session.add_all(
        RunInput(
            run_id=run_id,
            batch_id=batch.id,
            organization_id=batch.organization_id,
            manifest_sha256=batch.manifest_sha256,
        )
        for batch in batches
    )
    tx.session.flush()
    return row


def find(tx: Tx, run_id: str) -> Run | None:
    return tx.session.get(Run, run_id)


def lock(tx: Tx, run_id: str) -> Run | None:
    """The run, with its row locked until the transaction ends; lock its agreement first, if at all."""
    return tx.locked(Run, run_id)


def inputs(tx: Tx, run_id: str) -> Sequence[RunInput]:
    return tx.session.scalars(
        select(RunInput).where(RunInput.run_id == run_id).order_by(RunInput.batch_id)
    ).all()


def of_agreement(tx: Tx, agreement_id: str, states: Sequence[str] | None = None) -> Sequence[Run]:
    """Runs under an agreement, oldest first."""
    query = select(Run).where(Run.agreement_id == agreement_id)
    if states is not None:
        query = query.where(Run.state.in_(states))
    return tx.session.scalars(query.order_by(Run.created_at, Run.id)).all()


def in_states(tx: Tx, states: Sequence[str]) -> Sequence[Run]:
    """Runs of all agreements in these states, oldest first: what a worker looks for."""
    return tx.session.scalars(select(Run).where(Run.state.in_(states)).order_by(Run.created_at, Run.id)).all()


def newest(tx: Tx, limit: int) -> Sequence[Run]:
    """Runs of all agreements, the newest first."""
    return tx.session.scalars(select(Run).order_by(Run.created_at.desc(), Run.id).limit(limit)).all()


def latest_succeeded(tx: Tx, agreement_id: str) -> Run | None:
    return tx.session.scalar(
        select(Run)
        .where(Run.agreement_id == agreement_id, Run.state == RunState.SUCCEEDED)
        .order_by(Run.finished_at.desc(), Run.id.desc())
        .limit(1)
    )
