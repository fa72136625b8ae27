"""Who owns a run in progress: one worker's attempt at a time.

``Run.executor`` names the attempt. Every statement here names the owner that it believes in and reports
whether it still was: a worker that was thought dead, and was not, thus finds out at its next statement and
cannot write a second result.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, select, update

from app.store.base import Tx
from app.store.models import Run, RunState


def waiting(tx: Tx) -> list[str]:
    """Ids of queued runs, oldest first."""
    return list(
        tx.session.scalars(
            select(Run.id).where(Run.state == RunState.QUEUED).order_by(Run.created_at, Run.id)
        )
    )


def running(tx: Tx) -> list[tuple[str, str | None, datetime | None]]:
    """``(id, owner, last sign of life)`` of every run in progress."""
    rows = tx.session.execute(
        select(Run.id, Run.executor, Run.heartbeat_at).where(Run.state == RunState.RUNNING).order_by(Run.id)
    )
    return [(row[0], row[1], row[2]) for row in rows]


def beat(tx: Tx, owners: Sequence[str], now: datetime) -> None:
    """Say that these owners are alive."""
    _change(tx, [Run.state == RunState.RUNNING, Run.executor.in_(list(owners))], {"heartbeat_at": now})


def claim(tx: Tx, run_id: str, *, seen: str | None, beat_at: datetime | None, now: datetime) -> bool:
    """Renew the sign of life of a silent owner, so that one of several observers resumes its run.

    False if somebody was faster, or the owner gave a sign after all.
    """
    same = [Run.executor == seen, Run.heartbeat_at == beat_at]
    return _change(tx, [Run.id == run_id, Run.state == RunState.RUNNING, *same], {"heartbeat_at": now}) == 1


def report_progress(tx: Tx, run_id: str, owner: str, stage: str, done: int, total: int) -> bool:
    """Store progress; False if the run is not this owner's any more."""
    mine = [Run.id == run_id, Run.state == RunState.RUNNING, Run.executor == owner]
    return _change(tx, mine, {"stage": stage, "done": done, "total": total}) == 1


def _change(tx: Tx, where: Sequence[ColumnElement[bool]], values: dict[str, Any]) -> int:
    result = tx.session.execute(
        update(Run).where(*where).values(**values).execution_options(synchronize_session=False)
    )
    assert isinstance(result, CursorResult)
    return result.rowcount
