"""Auditors' pages on what was done: an overview, a page per agreement, run and release."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from app.api.dependencies import ServiceDep
from app.auth import Role
from app.errors import ServiceError
from app.flows import agency_views, audit_views, auditor_views, group_rates, queries, run_views
from app.flows.audit_views import Selection
from app.flows.group_rates import GroupRates
from app.flows.service import Service
from app.flows.sessions import Session
from app.web import entry_words, run_charts
from app.web.charts import Bar, Chart, Group, bars
from app.web.site import render, seen_by
from app.web.words import cohort

router = APIRouter(prefix="/auditor", include_in_schema=False)

AuditorSession = Annotated[Session, Depends(seen_by(Role.AUDITOR))]

LATEST = 8


@router.get("")
def overview(request: Request, service: ServiceDep, session: AuditorSession) -> Response:
    """How the log stands, what happened last, and the agreements."""
    latest = auditor_views.timeline(service, session.caller, Selection(limit=LATEST))
    return render(
        request,
        "auditor/overview.html",
        session,
        # After the reading was noted, so that its own entry is under the checkpoint that is shown.
        checkpoint=auditor_views.checkpoint_view(service, session.caller),
        agreements=queries.list_agreements(service, session.caller),
        latest=latest,
        counts=queries.counts(service),
        tell=entry_words.tell,
        url=str(request.base_url).rstrip("/"),
    )


@router.get("/agreements/{agreement}")
def agreement_page(
    request: Request, agreement: str, service: ServiceDep, session: AuditorSession
) -> Response:
    """What was agreed, submitted, linked, asked, withheld and destroyed, each with its entry."""
    return render(
        request,
        "auditor/agreement.html",
        session,
        found=queries.get_agreement(service, session.caller, agreement),
        summary=audit_views.summary(service, session.caller, agreement),
        question=entry_words.question,
        cells=entry_words.cells,
    )


@router.get("/batches/{batch}")
def batch_page(request: Request, batch: str, service: ServiceDep, session: AuditorSession) -> Response:
    """A batch: state, encodability, and the figures of its screening on arrival."""
    found = agency_views.batch_view(service, session.caller, batch)
    return render(request, "auditor/batch.html", session, batch=found)


@router.get("/runs/{run}")
def run_page(request: Request, run: str, service: ServiceDep, session: AuditorSession) -> Response:
    """A run: parameters, inputs, evidence by level, scores, match rates."""
    view = run_views.run_view(service, session.caller, run)
    return render(
        request,
        "auditor/run.html",
        session,
        view=view,
        run=view.run,
        drawn=drawn(view.quality),
        groups=_by_group(group_rates.group_rates(service, session.caller, run)) if view.quality else None,
    )


def _by_group(found: list[GroupRates]) -> list[tuple[GroupRates, Chart | None]]:
    """Match rates with their drawings; a cohort as a whole is one figure and needs none."""
    return [(each, _rates_chart(each, f"group{at}") if each.label else None) for at, each in enumerate(found)]


def _rates_chart(found: GroupRates, name: str) -> Chart:
    *rows, total = found.rows
    return bars(
        name,
        f"Match rates by {found.label.lower()}",
        f"Graduates of {cohort(found.cohort)}",
        [Group(tuple(Bar(row["label"], row["rate"]) for row in rows))],
        whole=(total["label"], total["rate"]) if total["rate"] is not None else None,
        measure="Linked with any wage record",
    )


def drawn(quality: Any) -> dict[str, Any]:
    """The drawings and tables of a run's figures; empty lists where there are none."""
    pairs = sorted(quality["pairs"], key=_by_rate) if quality else []
    rates = run_charts.rates_chart(pairs, "Match rates by pair of organizations", "rates")
    return {
        "rates": rates,
        "rate": run_charts.rate_words,
        "pairs": [
            {
                "pair": pair,
                "name": " × ".join(map(str, pair["organizations"])),
                "weights": run_charts.weights_chart(
                    pair["model"], f"Match weights, {' × '.join(map(str, pair['organizations']))}", f"w{at}"
                ),
                "evidence": run_charts.evidence(pair["model"]),
                "scores": run_charts.histogram_chart(
                    pair["histogram"], f"Scores, {' × '.join(map(str, pair['organizations']))}", f"s{at}"
                ),
                "thresholds": run_charts.threshold_chart(
                    pair, f"Thresholds, {' × '.join(map(str, pair['organizations']))}", f"t{at}"
                )
                if pair.get("thresholds")
                else None,
                "advice": run_charts.threshold_words(pair),
                "bins": run_charts.histogram_rows(pair["histogram"]),
            }
            for at, pair in enumerate(pairs)
        ],
    }


def _by_rate(pair: Any) -> tuple[float, int]:
    """The highest match rates first; pairs with too few records to say last."""
    return -float(pair["match_rate"] or -1), -int(pair["matches"])


@router.get("/releases/{release}")
def release_page(request: Request, release: str, service: ServiceDep, session: AuditorSession) -> Response:
    """A question: what was asked, how it was answered, how much was withheld; never the answer."""
    view = run_views.release_view(service, session.caller, release)
    return render(
        request,
        "auditor/release.html",
        session,
        view=view,
        release=view.release,
        question=entry_words.question(view.release["question"]),
        cells=_cells(view),
        proofs=_proofs(service, session, view),
        tell=entry_words.tell,
    )


def _cells(view: run_views.ReleaseView) -> list[tuple[str, int]]:
    counts: Any = view.granted.body["cells"] if view.granted is not None else {}
    order = {"published": 0, "count_only": 1, "withheld": 2}
    return sorted(counts.items(), key=lambda each: (order.get(each[0], 3), each[0]))


def _proofs(service: Service, session: Session, view: run_views.ReleaseView) -> list[tuple[Any, bool]]:
    """The entries of a release, each with whether it was proven to be in the log just now."""
    found = []
    for entry in view.entries:
        try:
            found.append((entry, auditor_views.prove(service, session.caller, entry.index).ok))
        except ServiceError:
            found.append((entry, False))
    return found
