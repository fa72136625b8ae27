"""The operator's first page, health, and the agreements as far as the operator has a part in them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from app.api.dependencies import ServiceDep
from app.flows import hold_agreement, queries, run_linkage, run_views, show_batches, show_runs
from app.flows.seal_log import newest_checkpoint
from app.flows.service import Service
from app.flows.sessions import Session
from app.web.operator_runs import OperatorForm, OperatorSession, stage_words
from app.web.site import go, render

router = APIRouter(prefix="/operator", include_in_schema=False)


@router.get("")
def overview(request: Request, service: ServiceDep, session: OperatorSession) -> Response:
    """Whether all is well, what waits, and whose data are due to be destroyed."""
    found = _agreements(service, session)
    return render(
        request,
        "operator/overview.html",
        session,
        checks=_checks(request, service),
        counts=queries.counts(service),
        queue=run_views.queue(service, session.caller),
        stage=stage_words,
        due=sorted(
            (each for each in found if each["destruction"]["due_on"] and each["state"] != "DESTROYED"),
            key=lambda each: str(each["destruction"]["due_on"]),
        ),
        waiting=[each for each in found if each["state"] == "REVIEW"],
        agreements=found,
    )


def _agreements(service: Service, session: Session) -> list[dict[str, Any]]:
    listed = queries.list_agreements(service, session.caller)
    return [queries.get_agreement(service, session.caller, each["id"]) for each in listed]


def _checks(request: Request, service: Service) -> list[tuple[str, bool]]:
    """What `/readyz` says: which check holds, and no more."""
    found = queries.checks(service, probe_blobs=request.app.state.blob_probe)
    return [(name, problem is None) for name, problem in found]


@router.get("/health")
def health(request: Request, service: ServiceDep, session: OperatorSession) -> Response:
    """What requests need, the queue, and how many things there are."""
    return render(
        request,
        "operator/health.html",
        session,
        checks=_checks(request, service),
        counts=queries.counts(service),
        states=queries.runs_by_state(service),
        checkpoint=newest_checkpoint(service),
    )


@router.get("/agreements")
def agreements(request: Request, service: ServiceDep, session: OperatorSession) -> Response:
    """All agreements, with their states and dates."""
    return render(request, "operator/agreements.html", session, agreements=_agreements(service, session))


@router.get("/agreements/{agreement}")
def agreement_page(
    request: Request, agreement: str, service: ServiceDep, session: OperatorSession
) -> Response:
    """An agreement: who approved, who has submitted, what may be linked; hold and run."""
    found = queries.get_agreement(service, session.caller, agreement)
    batches = show_batches.list_batches(service, session.caller, agreement)
    expected = sorted({dataset["organization"] for dataset in found["document"]["datasets"]})
    here = {batch["organization"] for batch in batches if batch["state"] == "ACCEPTED"}
    return render(
        request,
        "operator/agreement.html",
        session,
        found=found,
        batches=list(reversed(batches)),
        expected=expected,
        missing=[name for name in expected if name not in here],
        runs=list(reversed(show_runs.list_runs(service, session.caller, agreement))),
        pasts=run_linkage.offered_pasts(service, session.caller, agreement),
        held=any(hold["organization"] == session.caller.organization for hold in found["suspended_by"]),
    )


@router.post("/agreements/{agreement}/suspension/begin")
def suspend(agreement: str, service: ServiceDep, session: OperatorForm) -> Response:
    """Hold an agreement."""
    hold_agreement.suspend(service, session.caller, agreement)
    return go(f"/operator/agreements/{agreement}", "agreement-held")


@router.post("/agreements/{agreement}/suspension/end")
def resume(agreement: str, service: ServiceDep, session: OperatorForm) -> Response:
    """Lift the operator's own hold."""
    hold_agreement.resume(service, session.caller, agreement)
    return go(f"/operator/agreements/{agreement}", "hold-lifted")
