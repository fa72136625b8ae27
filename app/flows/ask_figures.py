"""What a recipient may ask under an agreement, and the answer to a question that was asked before.

Nothing here asks: a page that is looked at, or loaded again, puts nothing on record. Asking is
`app.flows.publish_release.request_release`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from app.auth import Caller, Role
from app.flows.publish_release import GRANTED, Question, show_release
from app.flows.service import Service
from app.flows.sign_agreement import Standing, standing, unknown, visible
from app.outcomes.cohort import Cohort
from app.outcomes.dimensions import DIMENSIONS
from app.outcomes.errors import OutcomesError
from app.outcomes.indicators import INDICATORS
from app.store import releases
from app.store.models import LedgerEntry
from crypto.canonical import digest_of

#: Years back from today that are offered where an agreement names no period.
YEARS_BACK: Final = 12
#: Indicators that are made of published tables: nobody asks for them by themselves.
DERIVED: Final = ("gap", "trend")


def offer(service: Service, caller: Caller, agreement_id: str) -> dict[str, Any]:
    """What may be asked: indicators with their dimensions, codes, years, and what is published already.

    Raises
    ------
    NotFoundError
        ``AGREEMENT_UNKNOWN``, also to a party that receives nothing.
    """
    caller.require(Role.PARTNERSHIP)
    now = service.now()
    with service.store.reading("offer") as tx:
        found = standing(tx, visible(tx, caller, agreement_id), now)
        decided = releases.ledger_of_agreement(tx, agreement_id)
    if caller.organization not in found.terms.recipients:
        raise unknown()
    indicators = [INDICATORS[name] for name in found.terms.indicators if name in INDICATORS]
    permitted = [name for name in found.terms.dimensions if name in DIMENSIONS]
    most = found.terms.document.max_dimensions
    codes = _codes(decided)
    return {
        "agreement": agreement_id,
        "state": str(found.state),
        "min_cell": found.terms.min_cell,
        "review_days": found.terms.document.review_days,
        "max_dimensions": most,
        "indicators": [
            each.to_document() | {"dimensions": [d for d in permitted if most and d in each.dimensions]}
            for each in indicators
            if each.id not in DERIVED
        ],
        "derived": [each.id for each in indicators if each.id in DERIVED],
        "dimensions": [
            {"id": name, "label": DIMENSIONS[name].label, "codes": _grid(name, codes)} for name in permitted
        ],
        "years": years(found, now),
        "published": [{"indicator": entry.indicator, "cohort": entry.cohort} for entry in decided],
    }


def _grid(name: str, published: Mapping[str, Mapping[str, str]]) -> list[tuple[str, str]]:
    """Codes of a dimension with their words: of its list, else those in tables that are published."""
    if DIMENSIONS[name].codes:
        return list(DIMENSIONS[name].grid(None))
    return list(published.get(name, {}).items())


def _codes(decided: Sequence[LedgerEntry]) -> dict[str, dict[str, str]]:
    """Codes and labels by dimension in all one-way tables that are published."""
    found: dict[str, dict[str, str]] = {}
    for entry in decided:
        for table in entry.cube["tables"]:
            if len(table["by"]) == 1:
                (name,) = table["by"]
                for row in table["rows"]:
                    found.setdefault(name, {})[row["key"][name]] = row["label"]
    return found


def years(found: Standing, now: datetime) -> list[str]:
    """Academic and calendar years that have begun and that the agreement permits, oldest first."""
    first = now.year - YEARS_BACK
    academic = [f"{year}-{(year + 1) % 100:02d}" for year in range(first, now.year + (now.month > 6))]
    calendar = [str(year) for year in range(first, now.year + 1)]
    return [year for year in (*academic, *calendar) if found.terms.permits_cohort(Cohort.parse(year))]


def is_published(offered: Mapping[str, Any], question: Question) -> bool:
    """Whether the tables of this indicator and cohort are made and frozen."""
    asked = {"indicator": question.indicator, "cohort": spell(question.cohort)}
    return asked in offered["published"]


def spell(cohort: str) -> str:
    """A cohort in its one spelling; what is none stays as it is, and is refused where it is asked."""
    try:
        return str(Cohort.parse(cohort))
    except OutcomesError:
        return cohort


def find_answer(
    service: Service, caller: Caller, agreement_id: str, question: Question
) -> dict[str, Any] | None:
    """The newest release that answers this very question, or None if it was never granted.

    There is more than one where it was asked again; they differ after a planned correction.

    Raises
    ------
    NotFoundError
        ``AGREEMENT_UNKNOWN``, ``RELEASE_UNKNOWN``.
    """
    document = question.to_document()
    if document["indicator"] is None or document["cohort"] is None or len(document["by"]) < len(question.by):
        return None
    if question.where:
        document["where"] = dict(sorted(question.where.items()))
    with service.store.reading("find answer") as tx:
        visible(tx, caller, agreement_id)
        row = releases.by_query(tx, agreement_id, digest_of(document), GRANTED, newest=True)
        release_id = row.id if row is not None else None
    if release_id is None:
        return None
    return show_release(service, caller, release_id)


def words_of(release: Mapping[str, Any]) -> dict[str, Any]:
    """Words for the names in a release: of its indicator, its dimensions and the codes of its filter."""
    table = release["table"]
    named = [*table["by"], *(table.get("where") or {})]
    return {
        "indicator": INDICATORS[table["indicator"]].to_document(),
        "dimensions": {name: DIMENSIONS[name].label for name in named},
        "codes": {(name, code): text for name in named for code, text in _grid(name, {})},
    }
