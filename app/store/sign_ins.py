"""Sessions of the pages."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete

from app.store.base import Tx
from app.store.models import SignIn


def find(tx: Tx, token_sha256: str) -> SignIn | None:
    return tx.session.get(SignIn, token_sha256)


def add(tx: Tx, token_sha256: str, credential_id: str, now: datetime, expires_at: datetime) -> None:
    tx.session.add(
        SignIn(token_sha256=token_sha256, credential_id=credential_id, created_at=now, expires_at=expires_at)
    )
    tx.session.flush()


def add_subject(
    tx: Tx,
    token_sha256: str,
    subject: str,
    claimed: tuple[str | None, str | None],
    now: datetime,
    expires_at: datetime,
) -> None:
    organization, role = claimed
    tx.session.add(
        SignIn(
            token_sha256=token_sha256,
            subject=subject,
            organization=organization,
            role=role,
            created_at=now,
            expires_at=expires_at,
        )
    )
    tx.session.flush()


def remove(tx: Tx, token_sha256: str) -> None:
    tx.session.execute(delete(SignIn).where(SignIn.token_sha256 == token_sha256))


def forget_expired(tx: Tx, now: datetime) -> None:
    tx.session.execute(delete(SignIn).where(SignIn.expires_at <= now))
