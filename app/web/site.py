"""What every page shares: its frame, its policy, who is looking, and one-line notices after a form.

A page is a function that returns :func:`render`. Who may see it is a dependency: :func:`seen_by` for pages,
:func:`posted_by` for forms, which must carry the session's token. What somebody may not see is absent.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import Depends, Form, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.api.dependencies import holds_no_text
from app.api.sessions import SessionDep
from app.auth import Role
from app.errors import NotFoundError, RefusedError
from app.flows.sessions import Session
from app.web import names, words

HERE: Final = Path(__file__).parent

#: Nothing that is not named: our own style sheet, pictures, scripts, forms and calls; nothing inline.
PAGE_POLICY: Final = (
    "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'"
)

_NOTICE: Final = "cohortlink_notice"


@dataclass(frozen=True)
class Link:
    """An entry of the navigation; it is current on its own page and on those below it."""

    label: str
    href: str

    def current(self, path: str) -> bool:
        """Whether ``path`` is this page or, unless this is a role's first page, below it."""
        return path == self.href or (self.href.count("/") > 1 and path.startswith(self.href + "/"))


#: First page of each role, and what else its header links to. Pages of a role lie below ``/{role}``.
NAVIGATION: Final[Mapping[Role, tuple[Link, ...]]] = {
    Role.PARTNERSHIP: (Link("Agreements", "/partnership"), Link("Indicators", "/partnership/indicators")),
    Role.AGENCY: (Link("Agreements and batches", "/agency"),),
    Role.AUDITOR: (
        Link("Overview", "/auditor"),
        Link("Log", "/auditor/log"),
        Link("Checkpoint", "/auditor/checkpoint"),
        Link("Verification", "/auditor/verification"),
    ),
    Role.OPERATOR: (
        Link("Overview", "/operator"),
        Link("Organizations", "/operator/organizations"),
        Link("Agreements", "/operator/agreements"),
        Link("Runs", "/operator/runs"),
        Link("Health", "/operator/health"),
    ),
}

#: Notices that a form may leave for the next page. Only these: what is shown never travels in the cookie.
NOTICES: Final[dict[str, str]] = {
    "signed-out": "You have signed out.",
    "agreement-approved": "Your approval is on record and in the log.",
    "agreement-revoked": "You have revoked the agreement. Nothing is submitted, linked or released any more.",
    "agreement-held": "The agreement is held until you lift your hold.",
    "hold-lifted": "Your hold is lifted.",
    "release-objected": "Your objection is on record: no recipient sees this answer.",
    "release-approved": "You have let it out. Recipients see it when all owners have.",
    "batch-withdrawn": "The batch is withdrawn; its keys are destroyed.",
    "destruction-due": "Destruction is due. Another organization executes it.",
    "data-destroyed": "The data are destroyed. The certificate is signed.",
    "organization-created": "The organization is registered.",
    "credential-revoked": "The credential is revoked; it opens nothing from now on.",
    "credential-registered": "The credential is registered.",
    "run-started": "The run is queued.",
    "run-cancelled": "The run is cancelled, or will be at its next sign of progress.",
}

templates = Jinja2Templates(
    env=Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
)
templates.env.filters |= {
    "as_json": words.as_json,
    "cohort": words.cohort,
    "contributor_name": names.contributor_name,
    "day": words.day,
    "dimension_name": names.dimension_name,
    "indicator_name": names.indicator_name,
    "moment": words.moment,
    "number": words.number,
    "signed": words.signed,
    "spaced": words.spaced,
    "stage_words": words.stage_words,
    "state_kind": words.state_kind,
    "state_words": words.state_words,
    "zip_with": lambda left, right: list(zip(left, right, strict=True)),
}


def home(role: Role) -> str:
    """First page of a role."""
    return NAVIGATION[role][0].href


def render(
    request: Request,
    template: str,
    session: Session | None = None,
    *,
    status: int = 200,
    policy: str = PAGE_POLICY,
    headers: Mapping[str, str] | None = None,
    **context: Any,
) -> Response:
    """A page; ``session`` decides what its header offers and which token its forms carry."""
    role = session.caller.role if session else None
    shared = {
        "session": session,
        "navigation": NAVIGATION[role] if role else (),
        "path": request.url.path,
        "origin": str(request.base_url).rstrip("/"),
        # Pages of errors do not know who is looking, unless that was found out before.
        "bare": session is None and status >= 400,
        "notice": NOTICES.get(request.cookies.get(_NOTICE, "")),
    }
    answer: Response = templates.TemplateResponse(request, template, shared | context, status_code=status)
    answer.headers.update(
        {
            "Content-Security-Policy": policy,
            "Cache-Control": "no-store",
            # Under `no-referrer` browsers send forms with `Origin: null`, which is nobody's own origin.
            "Referrer-Policy": "same-origin",
            **(headers or {}),
        }
    )
    if _NOTICE in request.cookies:
        answer.delete_cookie(_NOTICE, path="/")
    return answer


def go(path: str, notice: str | None = None) -> RedirectResponse:
    """Send the browser on after a form (303: with GET), with one of :data:`NOTICES` on the next page."""
    answer = RedirectResponse(path, status_code=303)
    if notice is not None:
        assert notice in NOTICES
        answer.set_cookie(_NOTICE, notice, max_age=60, path="/", httponly=True, samesite="strict")
    return answer


def seen_by(*roles: Role) -> Callable[[Session], Session]:
    """Dependency of a page: the session of somebody in one of these roles; to others there is no page."""

    def check(session: SessionDep) -> Session:
        if session.caller.role not in roles:
            raise NotFoundError()
        return session

    return check


def posted_by(*roles: Role) -> Callable[..., Coroutine[Any, Any, Session]]:
    """Dependency of a form's route: as :func:`seen_by`, and the form is one of this session."""

    async def check(
        request: Request, session: SessionDep, csrf: Annotated[str | None, Form(max_length=200)] = None
    ) -> Session:
        if session.caller.role not in roles:
            raise NotFoundError()
        session.require_csrf(csrf)
        if holds_no_text([each for pair in (await request.form()).multi_items() for each in pair]):
            raise RefusedError("TEXT_INVALID", "A field of the form holds characters that are no text.")
        return session

    return check


AnySession = Annotated[Session, Depends(seen_by(*Role))]
