"""When data must be destroyed at the latest. Pure."""

from __future__ import annotations

from datetime import date, timedelta

from app.flows.agreement_terms import Terms


def due_on(terms: Terms, revoked_on: date | None) -> date | None:
    """The day by whose end (UTC) the data must be destroyed.

    The earlier of `retention_until` and `destroy_within_days` after the agreement ends, by revocation or by
    `expires`, whichever is first. None where the agreement promises neither.
    """
    ended = terms.expires if revoked_on is None else min(terms.expires, revoked_on)
    document = terms.document
    promised = []
    if document.retention_until is not None:
        promised.append(date.fromisoformat(document.retention_until))
    if document.destroy_within_days is not None:
        promised.append(ended + timedelta(days=document.destroy_within_days))
    return min(promised, default=None)
