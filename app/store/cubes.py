"""Cubes in the making. Fields of a `Cube` are set on the object inside a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from app.store.base import Tx
from app.store.models import Cube, Release, RunState

OPEN = (RunState.QUEUED, RunState.RUNNING)


def add(
    tx: Tx,
    cube_id: str,
    agreement_id: str,
    agreement_version: int,
    run_id: str,
    requested_by: str,
    indicator: str,
    cohort: str,
    vintage: int,
    min_cell: int,
    now: datetime,
) -> Cube:
    """Queue a cube."""
    row = Cube(
        id=cube_id,
        agreement_id=agreement_id,
        agreement_version=agreement_version,
        run_id=run_id,
        requested_by=requested_by,
        indicator=indicator,
        cohort=cohort,
        vintage=vintage,
        min_cell=min_cell,
        state=RunState.QUEUED,
        stage="",
        done=0,
        total=0,
        created_at=now,
    )
    tx.session.add(row)
    tx.session.flush()
    return row


def find(tx: Tx, cube_id: str) -> Cube | None:
    return tx.session.get(Cube, cube_id)


def lock(tx: Tx, cube_id: str) -> Cube | None:
    """The cube, with its row locked until the transaction ends; lock its agreement first."""
    return tx.locked(Cube, cube_id)


def open_one(tx: Tx, agreement_id: str, indicator: str, cohort: str) -> Cube | None:
    """The cube of this question that is queued or being made."""
    return tx.session.scalar(
        select(Cube).where(
            Cube.agreement_id == agreement_id,
            Cube.indicator == indicator,
            Cube.cohort == cohort,
            Cube.state.in_(OPEN),
        )
    )


def open_of_run(tx: Tx, run_id: str) -> bool:
    """Whether a cube is still to be made out of a run."""
    wanted = select(Cube.id).where(Cube.run_id == run_id, Cube.state.in_(OPEN)).limit(1)
    return tx.session.scalar(wanted) is not None


def waiting(tx: Tx, cube_id: str, status: str) -> Sequence[Release]:
    """Releases of this status that wait for a cube, in the order in which they asked."""
    return tx.session.scalars(
        select(Release)
        .where(Release.cube_id == cube_id, Release.status == status)
        .order_by(Release.created_at, Release.id)
    ).all()
