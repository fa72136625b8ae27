"""The last step of a release: grant it out of a cube in the ledger, or refuse it; on record either way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from app.disclosure.errors import DisclosureError
from app.errors import ConflictError, ForbiddenError, RefusedError, ServiceError
from app.flows import seal_log
from app.flows.release_question import Question, seal_code
from app.flows.show_release import GRANTED, REFUSED
from app.flows.sign_agreement import Standing
from app.store import Tx, holds, releases
from app.store.models import LedgerEntry, Release
from crypto.canonical import digest_of

#: Refusals of a cube that are no fault of the question; all others are.
_CONFLICTS: Final = frozenset(
    {
        "RUN_MISSING",
        "RUN_OUTDATED",
        "PUBLISHED_DATA_GONE",
        "CANCELLED",
        "WORKER_LOST",
        "RELEASE_OBJECTED",
    }
)
#: Characters of a refusal that are kept.
_DETAIL: Final = 400


@dataclass(frozen=True)
class Asked:
    """What a release asked, as far as it is needed to answer it: codes that no list holds are None."""

    document: dict[str, Any]
    by: tuple[str, ...]
    where: Mapping[str, str | None]
    min_cell: int | None = None

    @classmethod
    def of(cls, question: Question) -> Asked:
        """A question that is answered at once."""
        return cls(question.to_document(), question.by, dict(question.where or {}), question.min_cell)

    @classmethod
    def waiting(cls, row: Release, cube: Mapping[str, Any], secret: bytes) -> Asked:
        """A question that has waited: its codes are found again by their keyed digests."""
        sealed = row.waiting or {"by": [], "where": {}}
        where = {name: _unseal(cube, secret, name, digest) for name, digest in sealed["where"].items()}
        return cls(dict(row.query), tuple(sealed["by"]), where, sealed.get("min_cell"))


def _unseal(cube: Mapping[str, Any], secret: bytes, name: str, digest: str) -> str | None:
    codes = {row["key"][name] for table in cube["tables"] if name in table["by"] for row in table["rows"]}
    return next((code for code in sorted(codes) if seal_code(secret, name, code) == digest), None)


def grant(tx: Tx, found: Standing, row: Release, entry: LedgerEntry, asked: Asked, now: datetime) -> None:
    """Answer a release out of a charged cube.

    Raises
    ------
    RefusedError
        ``NOT_IN_PLAN``.
    ConflictError
        ``RELEASE_OBJECTED``.
    """
    if entry.min_cell < max(found.terms.min_cell, asked.min_cell or 0):
        raise RefusedError(
            "NOT_IN_PLAN",
            "This cohort was published under a smaller minimum cell and is not asked again.",
        )
    table = pick(entry.cube, asked.by, asked.where)
    # As the table repeats it: a code that no list holds is not written down.
    question = asked.document | ({"where": table["where"]} if "where" in table else {})
    digest = digest_of(question)
    row.visible_at = _visible_at(tx, found, digest, now)
    row.status, row.query, row.query_sha256 = GRANTED, question, digest
    row.run_id, row.ledger_id, row.waiting = entry.run_id, entry.id, None
    row.document, row.document_sha256 = table, digest_of(table)
    body = {
        "release": row.id,
        "ledger": entry.id,
        "run": entry.run_id,
        "question": question,
        "table_sha256": row.document_sha256,
        "cube_sha256": entry.cube_sha256,
        "min_cell": entry.min_cell,
        "cells": _cells(table),
    }
    kind, agreement = "release.granted", found.agreement.id
    row.log_index = seal_log.append(tx, kind, agreement, row.requested_by, body, now).index


def refuse(tx: Tx, row: Release, code: str, now: datetime) -> None:
    """Refuse a release; its code and the known names of the question are all that is recorded."""
    row.status, row.refusal_code, row.waiting = REFUSED, code, None
    body = {"release": row.id, "question": row.query, "code": code}
    kind = "release.refused"
    row.log_index = seal_log.append(tx, kind, row.agreement_id, row.requested_by, body, now).index


def as_error(code: str, detail: str | None) -> ServiceError:
    """The refusal of a cube as whoever waited for it is told."""
    detail = detail or "The release was refused."
    if code == "INTERNAL_ERROR":
        told = "Something went wrong here. The operator finds it by the release's id."
        return ServiceError(code, 500, told)
    if code.endswith("_NOT_PERMITTED"):
        return ForbiddenError(detail, code)
    if code in _CONFLICTS or code.startswith("AGREEMENT_"):
        return ConflictError(code, detail)
    return RefusedError(code, detail)


def shortened(detail: str) -> str:
    """A refusal's sentence, as long as its column."""
    return detail[:_DETAIL]


def _visible_at(tx: Tx, found: Standing, question_sha256: str, now: datetime) -> datetime:
    """When recipients may see the answer: a question is reviewed once, however often it is asked."""
    if question_sha256 in holds.objected_questions(tx, found.agreement.id):
        raise ConflictError("RELEASE_OBJECTED", "A data owner objected to the answer to this question.")
    reviewed = releases.by_query(tx, found.agreement.id, question_sha256, GRANTED)
    if reviewed is not None and reviewed.visible_at is not None:
        return reviewed.visible_at
    return now + timedelta(days=found.terms.document.review_days)


def pick(
    cube: Mapping[str, Any], by: Sequence[str], where: Mapping[str, str | None] | None = None
) -> dict[str, Any]:
    """The answer to a question, out of the cube alone.

    Parameters
    ----------
    cube : mapping
    by : sequence of str
    where : mapping, optional
        Dimension to code. None stands for a code that no list holds.

    Raises
    ------
    RefusedError
        ``NOT_IN_PLAN``: the agreement permitted the dimension only after the cohort was frozen, or the table
        could not be proven within the budget.
    """
    tables = [table for table in cube["tables"] if list(table["by"]) not in cube.get("dropped", [])]
    if not where:
        for table in tables:
            if list(table["by"]) == list(by):
                return dict(table)
    from app.disclosure.cube import derive

    try:
        return derive(tables, by, where or {})
    except DisclosureError:
        raise RefusedError(
            "NOT_IN_PLAN", "This cohort was published without such a table and stays as it is."
        ) from None


def _cells(table: Mapping[str, Any]) -> dict[str, int]:
    """How many rows have which status: read off the answer, hence nothing beyond it."""
    counts: dict[str, int] = {}
    for row in [*table["rows"], table["total"]]:
        counts[row["status"]] = counts.get(row["status"], 0) + 1
    return counts
