"""What policies would publish, for owners of the data before they approve: ask, wait, compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, cast

from fastapi import APIRouter, Depends, Form, Request, Response
from markupsafe import escape
from starlette.concurrency import run_in_threadpool

from app.api.dependencies import ServiceDep
from app.errors import ServiceError
from app.flows import previews
from app.flows.preview_release import interval_in_words
from app.flows.previews import OPEN, Preview, Previews
from app.flows.service import Service
from app.flows.sessions import Session
from app.web.agency import AgencyForm, AgencySession
from app.web.charts import Bar, Chart, Group, bars
from app.web.live import stream
from app.web.names import titles
from app.web.site import go, render, templates
from app.web.words import cohort as spoken
from app.web.words import spaced

router = APIRouter(prefix="/agency", include_in_schema=False)

_SIZES: Final = {1: "one dimension", 2: "two dimensions", 3: "three dimensions"}


def get_previews(request: Request) -> Previews:
    """The previews of this server."""
    return cast(Previews, request.app.state.previews)


PreviewsDep = Annotated[Previews, Depends(get_previews)]
Word = Annotated[str, Form(max_length=80)]
Numbers = Annotated[list[int], Form(max_length=10)]


@router.get("/agreements/{agreement}/preview")
def ask_page(request: Request, agreement: str, service: ServiceDep, session: AgencySession) -> Response:
    """Choose which policies to compare."""
    return _form(request, service, session, agreement)


def _form(
    request: Request, service: Service, session: Session, agreement: str, refusal: ServiceError | None = None
) -> Response:
    return render(
        request,
        "agency/preview_form.html",
        session,
        status=refusal.status if refusal else 200,
        offer=previews.offer(service, session.caller, agreement),
        refusal=refusal,
    )


@router.post("/agreements/{agreement}/preview")
def ask(
    request: Request,
    agreement: str,
    service: ServiceDep,
    kept: PreviewsDep,
    session: AgencyForm,
    indicator: Word = "",
    first: Word = "",
    last: Word = "",
    min_cell: Numbers = [],  # noqa: B006 (FastAPI makes a new list for each request)
    depth: Numbers = [],  # noqa: B006
) -> Response:
    """Begin a preview; its page says how far it is."""
    cohort = first if last in ("", first) else f"{first}..{last}"
    try:
        made = kept.start(session.caller, agreement, indicator, cohort, min_cell, depth)
    except ServiceError as refusal:
        if refusal.status not in (409, 422):
            raise
        return _form(request, service, session, agreement, refusal)
    return go(f"/agency/previews/{made.id}")


@router.get("/previews/{preview}")
def one(request: Request, preview: str, kept: PreviewsDep, session: AgencySession) -> Response:
    """A preview: how far it is, or what would be published."""
    found = kept.show(session.caller, preview)
    return render(
        request,
        "agency/preview.html",
        session,
        preview=found,
        going=found.state in OPEN,
        title=titles().get(found.asked["indicator"], "Figures"),
        chart=_chart(found.found) if found.found else None,
        changed=_changed(found.found) if found.found else [],
        sizes=_SIZES,
        stage=_stage(found),
    )


@router.get("/previews/{preview}/events")
async def events(preview: str, kept: PreviewsDep, session: AgencySession, request: Request) -> Response:
    """How far a preview is, as server-sent events; `ended` is the last."""

    def look() -> Mapping[str, Any]:
        return {"preview": kept.show(session.caller, preview)}

    first = await run_in_threadpool(look)
    return stream(request, first, look, _parts, lambda seen: seen["preview"].state not in OPEN)


@router.post("/previews/{preview}/cancellation")
def cancel(preview: str, kept: PreviewsDep, session: AgencyForm) -> Response:
    """Stop it; nothing of it is kept."""
    kept.stop(session.caller, preview)
    return go(f"/agency/previews/{preview}")


def _parts(seen: Mapping[str, Any]) -> dict[str, str]:
    preview: Preview = seen["preview"]
    progress = {"done": preview.percent, "total": 100} if preview.state == "RUNNING" else None
    done = templates.get_template("partnership/_progress.html").render(progress=progress)
    return {"stage": str(escape(_stage(preview))), "progress": done}


def _stage(preview: Preview) -> str:
    """What is being done."""
    if preview.state == "QUEUED":
        return "Waiting for another preview to end"
    return spaced(preview.stage).capitalize() or "Reading the facts"


def _changed(found: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], str]]:
    """Policies whose figures are not as counted, and how far from that they may be."""
    told = ((policy, interval_in_words(policy)) for policy in found["policies"])
    return [(policy, words) for policy, words in told if words is not None]


def _chart(found: Mapping[str, Any]) -> Chart:
    """Of each plan, by size of table and minimum cell: the share of persons whose rate is published."""
    groups = []
    for depth in sorted({policy["depth"] for policy in found["policies"]}):
        policies = [policy for policy in found["policies"] if policy["depth"] == depth]
        for size in range(1, depth + 1):
            rows = [
                Bar(f"Minimum cell {policy['min_cell']}", str(row["rates_of_persons"]))
                for policy in policies
                for row in policy["tables"]
                if row["dimensions"] == size and row["rates_of_persons"] is not None
            ]
            if rows:
                heading = f"Tables by {_SIZES[size]}"
                if depth > 1:
                    heading += f", plan to {_SIZES[depth]}"
                groups.append(Group(tuple(rows), heading))
    return bars(
        "preview",
        "Graduates in groups whose rate would be shown",
        f"Graduates of {spoken(found['cohort'])}",
        groups,
        measure="Percent of graduates",
    )
