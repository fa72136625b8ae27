"""The operator's pages on runs: the queue, a run as it goes on, starting and stopping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Request, Response
from markupsafe import escape
from starlette.concurrency import run_in_threadpool

from app.api.dependencies import ServiceDep
from app.api.runs import ENDED
from app.auth import Role
from app.flows import run_linkage, run_views, show_runs
from app.flows.sessions import Session
from app.web.auditor import drawn
from app.web.live import stream
from app.web.site import go, posted_by, render, seen_by, templates

router = APIRouter(prefix="/operator", include_in_schema=False)

OperatorSession = Annotated[Session, Depends(seen_by(Role.OPERATOR))]
OperatorForm = Annotated[Session, Depends(posted_by(Role.OPERATOR))]

#: Stages of a run in words; while two sources are compared, their names are the stage.
STAGES: Final = {"": "Waiting for a worker", "read": "Reading the encodings", "save": "Saving the result"}


def stage_words(run: Mapping[str, Any]) -> str:
    """What a run is doing."""
    if run["state"] in ENDED:
        return f"Ended: {str(run['state']).lower()}"
    if run["cancel_requested"]:
        return "Stopping at its next sign of progress"
    return STAGES.get(run["stage"], f"Comparing {run['stage']}")


@router.get("/runs")
def every(request: Request, service: ServiceDep, session: OperatorSession) -> Response:
    """Runs of all agreements: those that wait, run, and ended lately."""
    queue = run_views.queue(service, session.caller)
    return render(request, "operator/runs.html", session, queue=queue, stage=stage_words)


@router.get("/runs/{run}")
def one(request: Request, run: str, service: ServiceDep, session: OperatorSession) -> Response:
    """A run: its progress while it goes on, its figures once it has succeeded."""
    view = run_views.run_view(service, session.caller, run)
    return render(
        request,
        "operator/run.html",
        session,
        view=view,
        run=view.run,
        ended=view.run["state"] in ENDED,
        stage=stage_words(view.run),
        drawn=drawn(view.quality),
        # Figures about groups of persons are for those who asked, for owners and for auditors.
        groups=None,
    )


@router.get("/runs/{run}/events")
async def events(run: str, service: ServiceDep, session: OperatorSession, request: Request) -> Response:
    """Parts of the run's page as server-sent events, each when it changed; `ended` is the last."""
    first = await run_in_threadpool(show_runs.show_run, service, session.caller, run)
    return stream(
        request,
        first,
        lambda: show_runs.show_run(service, session.caller, run),
        parts_of,
        lambda seen: seen["state"] in ENDED,
    )


def parts_of(run: Mapping[str, Any]) -> dict[str, str]:
    """The parts of the page that change while a run goes on, as markup that is put in as it is."""
    return {"stage": str(escape(stage_words(run))), "progress": progress(run)}


def progress(run: Mapping[str, Any]) -> str:
    """The part of the page that shows how far a run is."""
    return templates.get_template("operator/progress.html").render(run=run)


@router.post("/agreements/{agreement}/runs")
def start(
    agreement: str,
    service: ServiceDep,
    session: OperatorForm,
    without: Annotated[list[str] | None, Form(max_length=200)] = None,
    since: Annotated[str, Form(max_length=64)] = "",
    threshold: Annotated[str, Form(max_length=10)] = "",
) -> Response:
    """Queue a run over what is accepted; `without` names who may be missing, `since` what it goes on from."""
    run = run_linkage.start_run(
        service, session.caller, agreement, without or [], since or None, threshold.strip()
    )
    return go(f"/operator/runs/{run['id']}", "run-started")


@router.post("/runs/{run}/cancellation")
def cancel(run: str, service: ServiceDep, session: OperatorForm) -> Response:
    """Stop a run; nothing of it is kept."""
    run_linkage.cancel_run(service, session.caller, run)
    return go(f"/operator/runs/{run}", "run-cancelled")
