"""Auditors' pages on the log itself: its timeline, entries with proofs, checkpoint, verification, export."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.api.dependencies import ServiceDep
from app.auth import Role
from app.errors import RefusedError
from app.flows import audit_views, auditor_views, queries
from app.flows.audit_views import MAX_ENTRIES, Selection
from app.flows.sessions import Session
from app.web import entry_words
from app.web.auditor import AuditorSession
from app.web.site import posted_by, render

router = APIRouter(prefix="/auditor", include_in_schema=False)

AuditorForm = Annotated[Session, Depends(posted_by(Role.AUDITOR))]
Text = Annotated[str, Query(max_length=80)]
PAGE: Final = 50


class Filters:
    """The filters that somebody typed; what cannot be read is told beside its field and not used."""

    def __init__(self, agreement: Text = "", kind: Text = "", since: Text = "", until: Text = "") -> None:
        self.agreement, self.kind, self.since, self.until = agreement, kind, since, until
        self.wrong: dict[str, str] = {}
        if kind and not entry_words.is_filter(kind):
            self.wrong["kind"] = "There is no such kind of entry."
        first, last = (self._day(name) for name in ("since", "until"))
        self.selection = Selection(
            agreement or None,
            kind if kind and "kind" not in self.wrong else None,
            first,
            # The last day is meant to be in it.
            last + timedelta(days=1) if last else None,
            limit=PAGE,
        )

    def _day(self, name: str) -> datetime | None:
        text = getattr(self, name)
        try:
            found = date.fromisoformat(text) if text else None
        except ValueError:
            found = None
            self.wrong[name] = "Write a day as 2026-11-22."
        return datetime.combine(found, time(), UTC) if found else None

    def query(self, **more: Any) -> str:
        """The filters for an address, with `more`."""
        given = {name: getattr(self, name) for name in ("agreement", "kind", "since", "until")} | more
        return urlencode({name: value for name, value in given.items() if value not in ("", None)})


FiltersDep = Annotated[Filters, Depends()]


@router.get("/log")
def timeline(
    request: Request,
    service: ServiceDep,
    session: AuditorSession,
    filters: FiltersDep,
    before: Annotated[int | None, Query(ge=0, le=2**53)] = None,
) -> Response:
    """The log, the newest entries first."""
    found = auditor_views.timeline(service, session.caller, filters.selection, before)
    days = [
        (day, list(entries)) for day, entries in groupby(found.entries, key=lambda entry: str(entry.at)[:10])
    ]
    agreements = [each["id"] for each in queries.list_agreements(service, session.caller)]
    return render(
        request,
        "auditor/log.html",
        session,
        status=422 if filters.wrong else 200,
        found=found,
        days=days,
        filters=filters,
        agreements=[("", "All agreements"), *((name, name) for name in agreements)],
        kinds=entry_words.filters(),
        tell=entry_words.tell,
        before=before,
    )


@router.get("/log/export.jsonl")
def export(service: ServiceDep, session: AuditorSession, filters: FiltersDep) -> StreamingResponse:
    """The selection as JSON Lines with proofs, as `cohortlink-agency log verify-export` reads it."""
    if filters.wrong:
        raise RefusedError("FILTER_INVALID", "A filter cannot be read; nothing was exported.")
    chosen = replace(filters.selection, limit=MAX_ENTRIES)
    return _as_lines("log-export.jsonl", audit_views.export(service, session.caller, chosen))


@router.get("/log/{index}/proof.jsonl")
def proof_file(index: int, service: ServiceDep, session: AuditorSession) -> StreamingResponse:
    """One entry with its proof, in the same format."""
    auditor_views.prove(service, session.caller, index)  # an entry that is not there is no empty file
    chosen = Selection(start=index, limit=1)
    return _as_lines(f"entry-{index}.jsonl", audit_views.export(service, session.caller, chosen))


def _as_lines(name: str, lines: Iterator[str]) -> StreamingResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(lines, media_type="application/jsonl", headers=headers)


@router.get("/log/{index}")
def entry_page(request: Request, index: int, service: ServiceDep, session: AuditorSession) -> Response:
    """An entry with its proof, verified when the page is made; the page says what was checked."""
    proven = auditor_views.prove(service, session.caller, index)
    return render(
        request,
        "auditor/entry.html",
        session,
        proven=proven,
        entry=proven.entry,
        told=entry_words.tell(proven.entry),
        body=json.dumps(proven.entry.body, indent=1, ensure_ascii=False),
        checked_at=service.now(),
    )


@router.get("/checkpoint")
def checkpoint_page(request: Request, service: ServiceDep, session: AuditorSession) -> Response:
    """The newest checkpoint, its signature, and who cosigned it."""
    found = auditor_views.checkpoint_view(service, session.caller)
    return render(
        request, "auditor/checkpoint.html", session, found=found, url=str(request.base_url).rstrip("/")
    )


@router.get("/verification")
def verification_page(request: Request, service: ServiceDep, session: AuditorSession) -> Response:
    """What a verification of the whole log checks, and the button that makes it."""
    url = str(request.base_url).rstrip("/")
    return render(request, "auditor/verification.html", session, report=None, url=url)


@router.post("/verification")
def verify(request: Request, service: ServiceDep, session: AuditorForm) -> Response:
    """Verify the whole log, and say what was checked."""
    report = auditor_views.verify_log(service, session.caller)
    return render(
        request,
        "auditor/verification.html",
        session,
        report=report,
        # Rules are told apart from proofs: they answer another question.
        proofs=[check for check in report.checks if not check.name.startswith("rule ")],
        rules=[check for check in report.checks if check.name.startswith("rule ")],
        checked_at=service.now(),
        url=str(request.base_url).rstrip("/"),
    )
