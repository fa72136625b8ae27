"""A question to an agreement's data: whether it is permitted, and whether it is in the plan.

The plan of an agreement is, for a cohort and indicator, the total, every table of up to ``max_dimensions``
permitted dimensions, and the deeper tables that the agreement names. A filter is one code of one dimension
and counts as one of these. Lists, ranges, a dimension that is named twice, and a cohort that overlaps a
published one without being the same are not in the plan: two answers about overlapping groups could be
subtracted from one another.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.auth import Caller
from app.errors import ForbiddenError, RefusedError
from app.flows.agreement_terms import Terms
from app.flows.sign_agreement import Standing
from app.outcomes.cohort import Cohort
from app.outcomes.dimensions import DIMENSIONS
from app.outcomes.errors import OutcomesError
from app.outcomes.indicators import INDICATORS
from app.store.models import LedgerEntry

#: Characters of a code in a filter.
MAX_CODE: Final = 80


@dataclass(frozen=True)
class Question:
    """An indicator of a cohort, by some dimensions; ``where`` holds one code of each of others.

    Attributes
    ----------
    min_cell : int, optional
        A higher minimum cell than the agreement's.
    correction : bool
        Whether the cohort is to be made again from the newest run, beside what is published of it.
    """

    indicator: str
    cohort: str
    by: tuple[str, ...] = ()
    where: Mapping[str, Any] | None = None
    min_cell: int | None = None
    correction: bool = False

    def to_document(self) -> dict[str, Any]:
        """The question in words that are known here; anything else of it stays out of tables and log."""
        return {
            "indicator": self.indicator if self.indicator in INDICATORS else None,
            "cohort": _known_cohort(self.cohort),
            "by": [dimension for dimension in self.by if dimension in DIMENSIONS],
        }

    def sealed(self, secret: bytes) -> dict[str, Any]:
        """What must be kept of it while it waits: codes as keyed digests, since they may be anything."""
        where = {name: seal_code(secret, name, code) for name, code in sorted((self.where or {}).items())}
        more = {"min_cell": self.min_cell, "correction": self.correction or None}
        kept = {name: value for name, value in more.items() if value is not None}
        return {"by": list(self.by), "where": where} | kept


def seal_code(secret: bytes, dimension: str, code: str) -> str:
    """A code of a filter, so that only who holds the secret and the list can tell which it is."""
    message = f"cohortlink/filter/1\n{dimension}\n{code}".encode()
    return hmac.digest(secret, message, hashlib.sha256).hex()


def authorise(found: Standing, caller: Caller, question: Question) -> None:
    """Refuse whom and what the agreement does not permit.

    Raises
    ------
    ForbiddenError
        ``RECIPIENT_NOT_PERMITTED``, ``INDICATOR_NOT_PERMITTED``, ``DIMENSION_NOT_PERMITTED``.
    """
    require_recipient(found, caller.organization)
    terms = found.terms
    if question.indicator not in terms.indicators or question.indicator not in INDICATORS:
        raise ForbiddenError("The agreement does not permit this indicator.", "INDICATOR_NOT_PERMITTED")
    permitted = permitted_dimensions(terms, question.indicator)
    if any(dimension not in permitted for dimension in (*question.by, *(question.where or {}))):
        raise ForbiddenError("The agreement does not permit this dimension.", "DIMENSION_NOT_PERMITTED")


def require_recipient(found: Standing, organization: str) -> None:
    """Refuse an organization that receives nothing."""
    if organization not in found.terms.recipients:
        raise ForbiddenError(
            "Your organization receives nothing by this agreement.", "RECIPIENT_NOT_PERMITTED"
        )


def permitted_dimensions(terms: Terms, indicator: str) -> tuple[str, ...]:
    """Dimensions that the agreement permits and the indicator has, in the agreement's order."""
    if terms.document.max_dimensions < 1:
        return ()
    known = INDICATORS[indicator].dimensions
    return tuple(dict.fromkeys(d for d in terms.dimensions if d in known))


def within_plan(question: Question, terms: Terms, decided: Sequence[LedgerEntry]) -> str:
    """The cohort in its one spelling, if the question is in the plan.

    Raises
    ------
    RefusedError
        ``NOT_IN_PLAN``, ``BAD_COHORT``, ``MIN_CELL_TOO_SMALL``, ``MIN_CELL_TOO_LARGE``.
    ForbiddenError
        ``PERIOD_NOT_PERMITTED``.
    """
    _require_form(question, terms)
    if question.min_cell is not None and question.min_cell < terms.min_cell:
        raise RefusedError("MIN_CELL_TOO_SMALL", "The agreement's minimum cell is larger.")
    # The first answer freezes the cohort for everybody: one recipient's caution is not to empty all tables.
    if question.min_cell is not None and question.min_cell > terms.highest_min_cell:
        told = f"The agreement lets recipients ask for a minimum cell of up to {terms.highest_min_cell}."
        raise RefusedError("MIN_CELL_TOO_LARGE", told)
    try:
        cohort = Cohort.parse(question.cohort)
    except OutcomesError as error:
        raise RefusedError(error.code, error.detail) from None
    require_apart(cohort, decided)
    if not terms.permits_cohort(cohort):
        raise ForbiddenError(
            "The agreement does not permit every month of this cohort.", "PERIOD_NOT_PERMITTED"
        )
    return str(cohort)


def require_apart(cohort: Cohort, decided: Sequence[LedgerEntry]) -> None:
    """Refuse a cohort that overlaps a published one of the agreement without being the same.

    Over all indicators: they share their denominators, or nearly.

    Raises
    ------
    RefusedError
        ``NOT_IN_PLAN``.
    """
    for text in sorted({entry.cohort for entry in decided}):
        other = Cohort.parse(text)
        if cohort != other and overlap(cohort, other):
            raise RefusedError(
                "NOT_IN_PLAN",
                f"The cohort {other} is published, and this one holds some of the same persons: the two "
                f"could be subtracted. Ask for {other}; single years are in its table by cohort_year.",
            )


def _require_form(question: Question, terms: Terms) -> None:
    where = question.where or {}
    if any(not isinstance(code, str) or len(code) > MAX_CODE for code in where.values()):
        raise RefusedError("NOT_IN_PLAN", "A filter names one code; lists and ranges are not in the plan.")
    named = [*question.by, *where]
    if len(set(named)) < len(named):
        raise RefusedError("NOT_IN_PLAN", "A dimension is named twice.")
    deep = len(named) > terms.document.max_dimensions
    if deep and not any(set(named) <= set(table) for table in terms.named_tables):
        raise RefusedError("NOT_IN_PLAN", "The plan of this agreement does not cross so many dimensions.")


def overlap(one: Cohort, other: Cohort) -> bool:
    """Whether two cohorts share a month."""
    return one.first_month <= other.last_month and other.first_month <= one.last_month


def _known_cohort(text: str) -> str | None:
    try:
        return str(Cohort.parse(text))
    except OutcomesError:
        return None
