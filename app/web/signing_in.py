"""Signing in with an API key, and out again."""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Query, Request, Response

from app.api import sessions as cookies
from app.api.dependencies import ServiceDep
from app.auth import Role
from app.errors import ServiceError
from app.flows import sessions
from app.flows.service import Service
from app.flows.sessions import Session
from app.web.site import go, home, posted_by, render

router = APIRouter(include_in_schema=False)

#: A path of ours: one slash at the beginning, and nothing that a browser would take for another host.
_OURS: Final = re.compile(r"/(?![/\\])[\x21-\x7e]*\Z")

Next = Annotated[str, Query(max_length=2000)]


def where_to(asked: str, role: Role) -> str:
    """The page that was asked for before signing in, if it is one of ours, else the role's first."""
    if _OURS.match(asked) and "\\" not in asked and not asked.startswith(("/v1/", "/sign-")):
        return asked
    return home(role)


def signed_in(request: Request, service: Service) -> Session | None:
    """Who looks at a page that needs nobody to be signed in."""
    try:
        return sessions.resume(service, request.cookies.get(cookies.COOKIE))
    except ServiceError:
        return None


@router.get("/sign-in")
def form(request: Request, service: ServiceDep, next: Next = "") -> Response:  # noqa: A002
    """The form; whoever is signed in already goes on."""
    session = signed_in(request, service)
    if session is None:
        return render(request, "sign_in.html", next=next, failed=False)
    return go(where_to(next, session.caller.role))


@router.post("/sign-in")
def sign_in(
    request: Request,
    service: ServiceDep,
    api_key: Annotated[str, Form(max_length=200)] = "",
    next: Annotated[str, Form(max_length=2000)] = "",  # noqa: A002
) -> Response:
    """Begin a session, and go on to the page that was asked for."""
    try:
        token = cookies.sign_in(request, service, api_key)
    except ServiceError as refusal:
        if refusal.status != 401:
            raise
        return render(request, "sign_in.html", status=401, next=next, failed=True)
    answer = go(where_to(next, sessions.resume(service, token).caller.role))
    cookies.set_cookie(request, answer, token)
    return answer


@router.post("/sign-out")
def sign_out(
    request: Request, service: ServiceDep, _session: Annotated[Session, Depends(posted_by(*Role))]
) -> Response:
    """End the session."""
    sessions.sign_out(service, request.cookies.get(cookies.COOKIE))
    answer = go("/", "signed-out")
    cookies.clear_cookie(answer)
    return answer
