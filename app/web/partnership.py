"""Pages of a partnership: its agreements, what may be asked under them, and the answers.

Looking at a page asks nothing. A question is asked by a form: its answer, or refusal, is on record before it
is shown. Once answered, the address of the question shows the answer for ever.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Query, Request, Response

from app.api.dependencies import ServiceDep
from app.auth import Role
from app.errors import ServiceError
from app.flows import ask_figures, publish_release, queries, show_indicators
from app.flows.service import Service
from app.flows.sessions import Session
from app.web import questions, releases
from app.web.names import titles
from app.web.questions import Asked
from app.web.site import go, posted_by, render, seen_by

router = APIRouter(prefix="/partnership", include_in_schema=False)

#: Seconds for which a form waits for tables that are being made.
PATIENCE: Final = 2.0

PartnershipSession = Annotated[Session, Depends(seen_by(Role.PARTNERSHIP))]
PartnershipForm = Annotated[Session, Depends(posted_by(Role.PARTNERSHIP))]
Word = Annotated[str, Query(max_length=80)]
Words = Annotated[list[Annotated[str, Query(max_length=200)]], Query(max_length=20)]
FormWord = Annotated[str, Form(max_length=80)]
FormWords = Annotated[list[Annotated[str, Form(max_length=200)]], Form(max_length=20)]


@router.get("")
def agreements(request: Request, service: ServiceDep, session: PartnershipSession) -> Response:
    """The agreements that the organization is a party to."""
    listed = queries.list_agreements(service, session.caller)
    found = [queries.get_agreement(service, session.caller, each["id"]) for each in listed]
    return render(request, "partnership/agreements.html", session, agreements=found)


@router.get("/indicators")
def indicators(request: Request, session: PartnershipSession) -> Response:
    """Every indicator that can be agreed on, with its definition and how it is protected."""
    declared = show_indicators.list_indicators()
    return render(request, "partnership/indicators.html", session, indicators=declared)


@router.get("/agreements/{agreement}")
def one(request: Request, agreement: str, service: ServiceDep, session: PartnershipSession) -> Response:
    """An agreement: ask, what was asked, and what it permits."""
    found = queries.get_agreement(service, session.caller, agreement)
    receives = session.caller.organization in found["document"]["recipients"]
    offered = ask_figures.offer(service, session.caller, agreement) if receives else None
    listed = publish_release.list_releases(service, session.caller, agreement) if receives else []
    return render(
        request,
        "partnership/agreement.html",
        session,
        found=found,
        offer=offered,
        asked=_first(offered) if offered else None,
        history=_once(listed),
    )


def _first(offered: Mapping[str, Any]) -> Asked:
    """What the form begins with: what is published, else the first indicator of the last finished years."""
    published = {each["indicator"]: each["cohort"] for each in offered["published"]}
    for each in offered["indicators"]:
        if each["id"] in published:
            return Asked(each["id"], published[each["id"]])
    indicator = offered["indicators"][0]["id"] if offered["indicators"] else ""
    academic = [year for year in offered["years"] if "-" in year]
    return Asked(indicator, academic[-4] if len(academic) >= 4 else academic[-1] if academic else "")


def _once(listed: list[dict[str, Any]]) -> list[tuple[Asked, dict[str, Any]]]:
    """Each question once, with its newest release, newest first."""
    newest: dict[tuple[str, str], tuple[Asked, dict[str, Any]]] = {}
    for release in listed:
        asked = Asked.again(release)
        key = (asked.query, release["status"])
        newest.pop(key, None)
        newest[key] = (asked, release)
    return list(reversed(newest.values()))


@router.get("/agreements/{agreement}/figures")
def figures(
    request: Request,
    agreement: str,
    service: ServiceDep,
    session: PartnershipSession,
    indicator: Word = "",
    cohort: Word = "",
    by: Words = [],  # noqa: B006 (FastAPI makes a new list for each request)
    where: Words = [],  # noqa: B006
    reference: Word = "",
) -> Response:
    """The answer to a question that is on record, or what asking it would mean."""
    offered = ask_figures.offer(service, session.caller, agreement)
    asked = Asked.of(indicator, cohort, by, where)
    found = None
    if asked.is_readable:
        found = ask_figures.find_answer(service, session.caller, agreement, asked.question)
    if found is None:
        return _unanswered(request, session, offered, asked)
    context = releases.answer(service, session, found, reference) | {"asked": asked, "offer": offered}
    return render(request, "partnership/figures.html", session, **context)


@router.post("/agreements/{agreement}/figures")
def ask(
    request: Request,
    agreement: str,
    service: ServiceDep,
    session: PartnershipForm,
    indicator: FormWord = "",
    first: FormWord = "",
    last: FormWord = "",
    by: FormWords = [],  # noqa: B006
    where: FormWords = [],  # noqa: B006
    confirmed: FormWord = "",
) -> Response:
    """Ask. The first question about a cohort freezes its tables: it is asked only once that was confirmed."""
    offered = ask_figures.offer(service, session.caller, agreement)
    cohort = first if last in ("", first) else f"{first}..{last}"
    asked = Asked.of(indicator, cohort, by, where)
    if not asked.is_readable:
        return go(f"/partnership/agreements/{agreement}")
    if not confirmed and not ask_figures.is_published(offered, asked.question):
        return go(asked.path(agreement))
    if ask_figures.find_answer(service, session.caller, agreement, asked.question) is None:
        try:
            release = _request(service, session, agreement, asked)
        except ServiceError as refusal:
            if refusal.status == 404:
                raise
            return _unanswered(request, session, offered, asked, refusal)
        if release["status"] != publish_release.GRANTED:
            return go(f"/releases/{release['id']}")
    return go(asked.path(agreement))


def _request(service: Service, session: Session, agreement: str, asked: Asked) -> dict[str, Any]:
    """Ask, and wait a moment: most cubes are made before anybody looks at a page that says so."""
    release = publish_release.request_release(service, session.caller, agreement, asked.question)
    end = time.monotonic() + PATIENCE
    while release["status"] == publish_release.PREPARING and time.monotonic() < end:
        time.sleep(0.1)
        release = publish_release.await_release(service, session.caller, release["id"])
    return release


def _unanswered(
    request: Request,
    session: Session,
    offered: Mapping[str, Any],
    asked: Asked,
    refusal: ServiceError | None = None,
) -> Response:
    """A question without an answer: refused, or not asked yet."""
    return render(
        request,
        "partnership/unanswered.html",
        session,
        status=refusal.status if refusal else 200,
        offer=offered,
        asked=asked,
        title=titles().get(asked.indicator, "Figures"),
        freezes=not ask_figures.is_published(offered, asked.question) if asked.is_readable else False,
        refusal=refusal,
        meaning=questions.refusal(refusal.code) if refusal else None,
    )
