"""How many there are, for metrics."""

from __future__ import annotations

from sqlalchemy import func, select

from app.store.base import Tx
from app.store.models import Agreement, Batch, Release, Run


def things(tx: Tx) -> dict[str, int]:
    """Agreements, batches, runs and releases, whatever their state."""
    tables = {"agreements": Agreement, "batches": Batch, "runs": Run, "releases": Release}
    return {
        name: tx.session.scalar(select(func.count()).select_from(table)) or 0
        for name, table in tables.items()
    }


def runs_by_state(tx: Tx) -> dict[str, int]:
    """Runs in each state that any run is in."""
    rows = tx.session.execute(select(Run.state, func.count()).group_by(Run.state))
    return {str(row[0]): int(row[1]) for row in rows}
