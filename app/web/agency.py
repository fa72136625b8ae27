"""An agency's pages: what waits for it, and its batches with states, receipts, refusals and screening."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Request, Response

from app.api.dependencies import ServiceDep
from app.auth import Role
from app.flows import agency_views, show_batches, submit_batch
from app.flows.sessions import Session
from app.web.site import go, posted_by, render, seen_by

router = APIRouter(prefix="/agency", include_in_schema=False)

AgencySession = Annotated[Session, Depends(seen_by(Role.AGENCY))]
AgencyForm = Annotated[Session, Depends(posted_by(Role.AGENCY))]

#: What somebody at the agency can do about a refusal (docs/agency-guide.md says more).
ADVICE: Final[Mapping[str, str]] = {
    "DIGEST_MISMATCH": "The file is not the one that was announced. Encode again and submit the new package.",
    "FILE_ROWS": "The package changed after it was made. Encode again.",
    "FILE_UNREADABLE": "The package changed after it was made. Encode again.",
    "SCREENING_FAILED": "Look at the filters named below: an empty column, test data, or another secret.",
    "FACTS_INVALID": "Mend the rows named below at the source, check them with “validate”, and encode again.",
    "FIELD_NOT_PERMITTED": "Leave the named columns out: the agreement does not permit them.",
    "PERIOD_NOT_PERMITTED": "Leave the named rows out: the agreement does not permit their period.",
    "PII_COLUMN": "Take the named column out: facts carry codes only.",
    "PII_VALUE": "Take the named column out, or clear the named cells: facts carry codes only.",
    "UNKNOWN_COLUMN": "Take the named column out: the schema does not have it.",
    "MISSING_COLUMN": "The schema needs the named column.",
    "ROWS_REPEATED": "A fact may be there once. Keep one of the named rows.",
}


def as_file(name: str, document: Mapping[str, Any]) -> Response:
    """A JSON document to keep."""
    return Response(
        json.dumps(document, indent=1, ensure_ascii=False) + "\n",
        media_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@router.get("")
def overview(request: Request, service: ServiceDep, session: AgencySession) -> Response:
    """What waits for this agency, its agreements and its batches."""
    found = agency_views.agency_overview(service, session.caller)
    return render(request, "agency/overview.html", session, found=found)


@router.get("/batches/{batch}")
def batch_page(request: Request, batch: str, service: ServiceDep, session: AgencySession) -> Response:
    """A batch: state, files, refusal by row, encodability, screening, receipt."""
    return _batch(request, batch, service, session)


def _batch(
    request: Request, batch: str, service: ServiceDep, session: Session, *, wrong: str | None = None
) -> Response:
    found = agency_views.batch_view(service, session.caller, batch)
    return render(
        request,
        "agency/batch.html",
        session,
        status=422 if wrong else 200,
        batch=found,
        advice=ADVICE,
        withdrawable=found["state"] in ("UPLOADING", "ACCEPTED", "SUPERSEDED"),
        wrong=wrong,
    )


@router.get("/batches/{batch}/receipt.json")
def receipt(batch: str, service: ServiceDep, session: AgencySession) -> Response:
    """The signed receipt with its proof, as `cohortlink-agency receipt verify` reads it."""
    found = show_batches.get_batch(service, session.caller, batch)
    return as_file(f"receipt-{found['id']}.json", found.get("receipt") or {})


@router.post("/batches/{batch}/withdrawal")
def withdraw(
    request: Request,
    batch: str,
    service: ServiceDep,
    session: AgencyForm,
    confirmed: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Take a batch back; its id is typed, because nothing brings its data back."""
    if confirmed.strip() != batch:
        return _batch(request, batch, service, session, wrong="This is not the id of the batch.")
    submit_batch.withdraw(service, session.caller, batch)
    return go(f"/agency/batches/{batch}", "batch-withdrawn")
