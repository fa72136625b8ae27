"""Who owns a run, or a cube in the making: one worker's attempt at a time.

``executor`` names the attempt. Every statement here names the owner that it believes in and reports
whether it still was: a worker that was thought dead, and was not, thus finds out at its next statement and
cannot write a second result.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, select, update

from app.store.base import Tx
from app.store.models import Cube, Run, RunState

#: What workers take: both tables have the same columns for it.
Job = type[Run] | type[Cube]


def waiting(tx: Tx, job: Job = Run) -> list[str]:
    """Ids of what is to be taken next: of each agreement the oldest, if none of it is under way.

    So no agreement keeps the workers from the others, and none has two of a kind in progress.
    """
    busy = select(job.agreement_id).where(job.state == RunState.RUNNING)
    rows = tx.session.execute(
        select(job.agreement_id, job.id)
        .where(job.state == RunState.QUEUED, job.agreement_id.not_in(busy))
        .order_by(job.created_at, job.id)
    )
    oldest: dict[str, str] = {}
    for agreement_id, job_id in rows:
        oldest.setdefault(agreement_id, job_id)
    return list(oldest.values())


def running(tx: Tx, job: Job = Run) -> list[tuple[str, str | None, datetime | None]]:
    """``(id, owner, last sign of life)`` of everything in progress."""
    rows = tx.session.execute(
        select(job.id, job.executor, job.heartbeat_at).where(job.state == RunState.RUNNING).order_by(job.id)
    )
    return [(row[0], row[1], row[2]) for row in rows]


def beat(tx: Tx, owners: Sequence[str], now: datetime, job: Job = Run) -> None:
    """Say that these owners are alive."""
    mine = [job.state == RunState.RUNNING, job.executor.in_(list(owners))]
    _change(tx, job, mine, {"heartbeat_at": now})


def claim(
    tx: Tx, job_id: str, *, seen: str | None, beat_at: datetime | None, now: datetime, job: Job = Run
) -> bool:
    """Renew the sign of life of a silent owner, so that one of several observers resumes its work.

    False if somebody was faster, or the owner gave a sign after all.
    """
    same = [job.executor == seen, job.heartbeat_at == beat_at]
    where = [job.id == job_id, job.state == RunState.RUNNING, *same]
    return _change(tx, job, where, {"heartbeat_at": now}) == 1


def report_progress(
    tx: Tx, job_id: str, owner: str, stage: str, done: int, total: int, job: Job = Run
) -> bool:
    """Store progress; False if the work is not this owner's any more."""
    mine = [job.id == job_id, job.state == RunState.RUNNING, job.executor == owner]
    return _change(tx, job, mine, {"stage": stage, "done": done, "total": total}) == 1


def forget_losses(tx: Tx, run_id: str, owner: str) -> bool:
    """A unit of the run was finished: whoever was lost before it was not lost in vain. False as above."""
    mine = [Run.id == run_id, Run.state == RunState.RUNNING, Run.executor == owner]
    return _change(tx, Run, mine, {"losses": 0}) == 1


def _change(tx: Tx, job: Job, where: Sequence[ColumnElement[bool]], values: dict[str, Any]) -> int:
    result = tx.session.execute(
        update(job).where(*where).values(**values).execution_options(synchronize_session=False)
    )
    assert isinstance(result, CursorResult)
    return result.rowcount
