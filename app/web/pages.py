"""The first page, the API documentation, and all other pages put together.

These two are public and say nothing of agreements, organizations or figures. The first page has no script at
all, the documentation only the vendored ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from app.api.dependencies import ServiceDep
from app.flows import queries
from app.flows.service import Service
from app.web import (
    agency,
    agency_agreements,
    agency_previews,
    agency_releases,
    auditor,
    auditor_log,
    errors,
    operator,
    operator_organizations,
    operator_runs,
    partnership,
    releases,
    signing_in,
)
from app.web.site import HERE, render

DOCS_POLICY: Final = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    # The documentation calls the service itself ("Try it out") and draws small icons from data: addresses.
    "style-src 'self'; img-src 'self' data:; script-src 'self'; connect-src 'self'"
)

#: The pages of each kind of user, in the order of their routes.
ROUTERS: Final = (
    signing_in.router,
    partnership.router,
    releases.router,
    agency.router,
    agency_agreements.router,
    agency_releases.router,
    agency_previews.router,
    auditor.router,
    auditor_log.router,
    operator.router,
    operator_organizations.router,
    operator_runs.router,
)

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class FirstPage:
    """What the first page says.

    Attributes
    ----------
    problems : tuple of str
        What is not ready, by name alone; empty where all is well.
    log_size : int or None
        Entries of the log; None where it cannot be read.
    empty : bool
        Whether nothing has been set up yet.
    url : str
        Address under which the reader reached this page.
    """

    version: str
    problems: tuple[str, ...]
    log_size: int | None
    empty: bool
    url: str

    @property
    def ready(self) -> bool:
        """Whether requests can be served."""
        return not self.problems


def look(service: Service, url: str) -> FirstPage:
    """Look at the service as the first page shows it; a database that is down is shown, not raised."""
    problems = tuple(name for name, problem in queries.checks(service) if problem is not None)
    counts: dict[str, int] = {} if problems else queries.counts(service)
    return FirstPage(
        version=version("cohortlink"),
        problems=problems,
        log_size=counts.get("log_entries"),
        empty=counts.get("agreements") == 0,
        url=url.rstrip("/"),
    )


@router.get("/", response_class=HTMLResponse)
def first_page(request: Request, service: ServiceDep) -> Response:
    """What this installation is, whether it is well, and where to go on."""
    state = look(service, str(request.base_url))
    session = signing_in.signed_in(request, service) if state.ready else None
    return render(request, "first.html", session, state=state)


@router.get("/docs", response_class=HTMLResponse)
def documentation(request: Request) -> Response:
    """The interface, call by call, from vendored files."""
    return render(request, "docs.html", policy=DOCS_POLICY)


def install(app: FastAPI) -> None:
    """Add the pages and their assets; ``app`` must have been made without documentation of its own."""
    for each in (router, *ROUTERS):
        app.include_router(each)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    app.state.error_page = errors.answer
