"""Attempts that all nodes count together: a bucket of tokens for each name."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from app.store.base import Tx
from app.store.models import Attempts


def take(tx: Tx, name: str, burst: int, per_second: float, now: datetime) -> float:
    """Take one token of a name; 0, or the seconds until there is one again.

    Parameters
    ----------
    burst, per_second : int, float
        What a full bucket holds, and what flows in.
    """
    insert = sqlite.insert if tx.session.get_bind().dialect.name == "sqlite" else postgresql.insert
    full = {"name": name, "tokens": float(burst), "at": now}
    # Of two first attempts at one moment one makes the row; both then wait for its lock.
    tx.session.execute(insert(Attempts).values(full).on_conflict_do_nothing())
    row = tx.session.scalars(select(Attempts).where(Attempts.name == name).with_for_update()).one()
    passed = max(0.0, (now - row.at).total_seconds())
    tokens = min(float(burst), row.tokens + passed * per_second)
    row.tokens, row.at = (tokens - 1, now) if tokens >= 1 else (tokens, now)
    return 0.0 if tokens >= 1 else (1 - tokens) / per_second


def forget_full(tx: Tx, burst: int, per_second: float, now: datetime) -> None:
    """Forget names whose buckets have filled again."""
    tx.session.execute(delete(Attempts).where(Attempts.at < now - timedelta(seconds=burst / per_second)))
