"""What is out about the persons of a cohort, under whatever agreement: a new cube is made beside all of it.

Persons are taken to be the same where one organization submits completions under both agreements and the
cohorts share months.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from app.errors import RefusedError
from app.flows.agreement_terms import Terms, parse_terms
from app.flows.release_question import overlap
from app.outcomes.cohort import Cohort
from app.store import Tx, agreements, log, releases
from app.store.models import LedgerEntry
from crypto.log.entry import Entry


def published(tx: Tx, agreement_id: str, terms: Terms, cohort: str) -> list[LedgerEntry]:
    """Ledger entries about persons of this cohort, the oldest first.

    Of the own agreement those of the cohort itself, all indicators and vintages (others that overlap it are
    not in the plan); of other agreements all whose months and submitters meet ours.
    """
    mine = Cohort.parse(cohort)
    own = [entry for entry in releases.ledger_of_agreement(tx, agreement_id) if entry.cohort == cohort]
    owners = _education(terms)
    shared: dict[str, bool] = {}
    others = []
    for entry in releases.ledger_of_others(tx, agreement_id):
        if not overlap(mine, Cohort.parse(entry.cohort)):
            continue
        if entry.agreement_id not in shared:
            shared[entry.agreement_id] = bool(owners & _ever_education(tx, entry.agreement_id))
        if shared[entry.agreement_id]:
            others.append(entry)
    return _oldest_first(tx, [*own, *others])


def _oldest_first(tx: Tx, entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """Entries as they were charged: of two within one second the log tells which came first.

    It matters: match rates and shares of coverage are those of the first, and are counted again as its.
    """
    if len({entry.created_at for entry in entries}) == len(entries):
        return sorted(entries, key=lambda entry: entry.created_at)
    charged = {}
    for agreement_id in sorted({entry.agreement_id for entry in entries}):
        for row in log.entries(tx, 0, log.size(tx), agreement_id=agreement_id, kind="ledger.charged"):
            charged[Entry.parse(row.leaf).body["ledger"]] = row.index
    return sorted(entries, key=lambda entry: (entry.created_at, charged.get(entry.id, 0)))


def _ever_education(tx: Tx, agreement_id: str) -> frozenset[str]:
    """Who submits completions under any version of an agreement."""
    agreement = agreements.find(tx, agreement_id)
    assert agreement is not None
    found: frozenset[str] = frozenset()
    for number in range(1, agreement.version + 1):
        version = agreements.version(tx, agreement_id, number)
        if version is not None:
            found |= _education(parse_terms(version.document))
    return found


def _education(terms: Terms) -> frozenset[str]:
    return frozenset(item.organization for item in terms.document.datasets if item.kind == "completion")


def least_cell(terms: Terms, asked: int | None, entries: Sequence[LedgerEntry]) -> int:
    """The minimum cell of a new cube: it never falls below what was promised to these persons before."""
    return max([terms.min_cell, asked or 0, *(entry.min_cell for entry in entries)])


def require_one_method(terms: Terms, entries: Sequence[LedgerEntry]) -> None:
    """Refuse persons who are published by another method, and noise beyond what they were promised.

    Raises
    ------
    RefusedError
        ``OTHER_METHOD``, ``BUDGET_EXHAUSTED``.
    """
    disclosure = terms.document.disclosure
    if any(entry.method != disclosure.method for entry in entries):
        raise RefusedError(
            "OTHER_METHOD", "Figures on these persons are published by another method of protection."
        )
    if disclosure.method == "differential_privacy":
        spent = sum((Decimal(entry.epsilon or "0") for entry in entries), Decimal(0))
        if spent + Decimal(disclosure.epsilon) > Decimal(disclosure.total_epsilon):
            raise RefusedError(
                "BUDGET_EXHAUSTED", "The privacy budget of these persons is spent; what is published stays."
            )
