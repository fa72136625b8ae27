"""A release: its page, and what may be taken away of it. For recipients and for the owners of the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from markupsafe import escape
from starlette.concurrency import run_in_threadpool

from app.api.dependencies import ServiceDep
from app.auth import Role
from app.errors import ConflictError, ForbiddenError, NotFoundError
from app.flows import ask_figures, show_indicators
from app.flows.publish_release import PREPARING, cancel_release, show_release
from app.flows.release_csv import to_csv
from app.flows.release_sheets import sheets
from app.flows.release_workbook import to_workbook
from app.flows.service import Service
from app.flows.sessions import Session
from app.web import answers
from app.web.answers import Part
from app.web.live import stream
from app.web.names import titles
from app.web.questions import Asked, refusal, subtitle
from app.web.site import go, posted_by, render, seen_by, templates
from app.web.words import stage_words

router = APIRouter(prefix="/releases", include_in_schema=False)

ReaderSession = Annotated[Session, Depends(seen_by(Role.PARTNERSHIP, Role.AGENCY))]
CancelForm = Annotated[Session, Depends(posted_by(Role.PARTNERSHIP))]
Reference = Annotated[str, Query(max_length=80)]

WORKBOOK: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def answer(service: Service, session: Session, release: Mapping[str, Any], reference: str) -> dict[str, Any]:
    """Everything that the page of an answer shows, as its template takes it.

    Parameters
    ----------
    release : mapping
        With or without its table.
    reference : str
        Code of the group that others are compared with; empty for the largest one.
    """
    asked = Asked.again(release)
    shared = {"release": release, "asked": asked, "reference": reference, "offer": None}
    if release["table"] is None:
        title = titles().get(asked.indicator, "Figures")
        may_cancel = release["status"] == PREPARING and session.caller.role is Role.PARTNERSHIP
        told = {"title": title, "meaning": refusal(release["code"] or ""), "may_cancel": may_cancel}
        return shared | told
    about = ask_figures.words_of(release)
    gap, groups = _gap(service, session, release, reference)
    tables = sheets(release, gap)
    below = subtitle(release["table"], about["codes"])
    against = next((text for code, text in groups if gap and code == gap["reference"]), None)
    return shared | {
        "title": release["table"]["title"],
        "reference": gap["reference"] if gap else "",
        "parts": answers.parts(release, tables, below, against),
        "headline": answers.headline(release, tables[0]),
        "subtitle": below,
        "groups": groups,
        "about": about,
    }


def _gap(
    service: Service, session: Session, release: Mapping[str, Any], reference: str
) -> tuple[Mapping[str, Any] | None, list[tuple[str, str]]]:
    """The gap to a group, and the groups to choose from; nothing where there is none to be had."""
    table = release["table"]
    if len(table["by"]) != 1 or table["by"][0] in answers.NO_GAP:
        return None, []
    (by,) = table["by"]
    shown = [row for row in table["rows"] if row["rate"] is not None]
    if len(shown) < 2:
        return None, []
    groups = [(row["key"][by], row["label"]) for row in shown]
    largest = max(shown, key=lambda row: row["n"])["key"][by]
    chosen = reference if reference in dict(groups) else largest
    try:
        return show_indicators.show_gap(service, session.caller, release["id"], chosen), groups
    except ForbiddenError:
        return None, []


@router.get("/{release}")
def page(
    request: Request, release: str, service: ServiceDep, session: ReaderSession, reference: Reference = ""
) -> Response:
    """A release by its id, with everything that has to stand beside its figures."""
    found = show_release(service, session.caller, release)
    context = answer(service, session, found, reference)
    return render(request, "partnership/release.html", session, **context)


@router.get("/{release}/events")
async def events(release: str, service: ServiceDep, session: ReaderSession, request: Request) -> Response:
    """How far a release in preparation is, as server-sent events; `ended` is the last."""
    first = await run_in_threadpool(show_release, service, session.caller, release)
    return stream(
        request,
        first,
        lambda: show_release(service, session.caller, release),
        parts_of,
        lambda seen: seen["status"] != PREPARING,
    )


def parts_of(release: Mapping[str, Any]) -> dict[str, str]:
    """The parts of the page that change while tables are made, as markup that is put in as it is."""
    progress = release["progress"]
    done = templates.get_template("partnership/_progress.html").render(progress=progress)
    return {"stage": str(escape(stage_words(progress["stage"] if progress else "done"))), "progress": done}


@router.post("/{release}/cancellation")
def cancel(release: str, service: ServiceDep, session: CancelForm) -> Response:
    """Let a release that is being prepared be; nothing of it is kept."""
    cancel_release(service, session.caller, release)
    return go(f"/releases/{release}")


@router.get("/{release}/{name}.csv")
def csv(
    release: str,
    name: str,
    service: ServiceDep,
    session: ReaderSession,
    reference: Reference = "",
) -> Response:
    """One of its tables as CSV."""
    found, parts = _parts(service, session, release, reference)
    text = to_csv(found, _named(parts, name).sheet)
    return _file(text.encode(), "text/csv; charset=utf-8", f"{release}-{name}.csv")


@router.get("/{release}/workbook.xlsx")
def workbook(
    release: str, service: ServiceDep, session: ReaderSession, reference: Reference = ""
) -> Response:
    """All its tables as a workbook."""
    found, parts = _parts(service, session, release, reference)
    return _file(to_workbook(found, [part.sheet for part in parts]), WORKBOOK, f"{release}.xlsx")


@router.get("/{release}/{name}.svg")
def svg(
    release: str,
    name: str,
    service: ServiceDep,
    session: ReaderSession,
    reference: Reference = "",
) -> Response:
    """One of its charts, as a drawing."""
    return _file(
        _drawn(service, session, release, name, reference).encode(),
        "image/svg+xml",
        f"{release}-{name}.svg",
    )


@router.get("/{release}/{name}.png")
def png(
    release: str,
    name: str,
    service: ServiceDep,
    session: ReaderSession,
    reference: Reference = "",
) -> Response:
    """One of its charts, as a picture of the same drawing."""
    drawn = _drawn(service, session, release, name, reference)
    import vl_convert  # here, so that a server that draws nothing stays small

    return _file(vl_convert.svg_to_png(drawn, scale=2), "image/png", f"{release}-{name}.png")


def _drawn(service: Service, session: Session, release: str, name: str, reference: str) -> str:
    chart = _named(_parts(service, session, release, reference)[1], name).chart
    if chart is None:
        raise NotFoundError()
    return chart.file()


def _parts(
    service: Service, session: Session, release: str, reference: str
) -> tuple[dict[str, Any], list[Part]]:
    found = show_release(service, session.caller, release)
    if found["table"] is None:
        raise ConflictError("NO_TABLE", "This release has no table, or none yet.")
    parts: list[Part] = answer(service, session, found, reference)["parts"]
    return found, parts


def _named(parts: list[Part], name: str) -> Part:
    part = next((part for part in parts if part.sheet.name == name), None)
    if part is None:
        raise NotFoundError()
    return part


def _file(content: bytes, kind: str, name: str) -> Response:
    return Response(
        content, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
