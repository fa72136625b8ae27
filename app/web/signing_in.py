"""Signing in with an API key or at an identity provider, and out again."""

from __future__ import annotations

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Form, Query, Request, Response

from app.api import sessions as cookies
from app.api.dependencies import IdentityDep, ServiceDep
from app.auth import Role
from app.errors import ServiceError
from app.flows import provider_sign_in, sessions
from app.flows.identity import Identity
from app.flows.provider_sign_in import CALLBACK, Returned
from app.flows.service import Service
from app.flows.sessions import Session
from app.web.site import go, home, posted_by, render

router = APIRouter(include_in_schema=False)

#: A path of ours: one slash at the beginning, and nothing that a browser would take for another host.
_OURS: Final = re.compile(r"/(?![/\\])[\x21-\x7e]*\Z")

Next = Annotated[str, Query(max_length=2000)]
Returns = Annotated[str, Query(max_length=4000)]


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


def _form(
    request: Request,
    identity: Identity | None,
    onwards: str,
    *,
    status: int = 200,
    failed: bool = False,
    refusal: ServiceError | None = None,
) -> Response:
    provider = urlsplit(identity.oidc.issuer).hostname if identity and identity.oidc.client else None
    return render(
        request,
        "sign_in.html",
        status=status,
        next=onwards,
        failed=failed,
        refusal=refusal,
        provider=provider,
    )


@router.get("/sign-in")
def form(request: Request, service: ServiceDep, identity: IdentityDep, next: Next = "") -> Response:  # noqa: A002
    """The form; whoever is signed in already goes on."""
    session = signed_in(request, service)
    if session is None:
        return _form(request, identity, next)
    return go(where_to(next, session.caller.role))


@router.post("/sign-in")
def sign_in(
    request: Request,
    service: ServiceDep,
    identity: IdentityDep,
    api_key: Annotated[str, Form(max_length=200)] = "",
    next: Annotated[str, Form(max_length=2000)] = "",  # noqa: A002
) -> Response:
    """Begin a session, and go on to the page that was asked for."""
    try:
        token = cookies.sign_in(request, service, api_key)
    except ServiceError as refusal:
        if refusal.status != 401:
            raise
        return _form(request, identity, next, status=401, failed=True)
    answer = go(where_to(next, sessions.resume(service, token).caller.role))
    cookies.set_cookie(request, answer, token)
    return answer


@router.get("/sign-in/provider")
def to_provider(request: Request, identity: IdentityDep, next: Next = "", anew: bool = False) -> Response:  # noqa: A002
    """Send somebody to the identity provider; a link, so that no form has to reach another site."""
    return cookies.begin_at_provider(request, identity, next, anew=anew)


@router.get(CALLBACK)
def from_provider(
    request: Request,
    service: ServiceDep,
    identity: IdentityDep,
    state: Returns = "",
    code: Returns = "",
    iss: Returns = "",
    error: Returns = "",
) -> Response:
    """Begin the session of somebody who comes back from the provider, and go on to what was asked for."""
    try:
        token, onwards = cookies.finish_at_provider(
            request, service, identity, Returned(state, code, iss, error)
        )
    except ServiceError as refusal:
        session = signed_in(request, service)
        if refusal.code == "SIGN_IN_INTERRUPTED" and session is not None:
            # Somebody went back in the browser's history.
            return go(home(session.caller.role))
        if refusal.status in (404, 429):
            raise
        answer = _form(request, identity, "", status=refusal.status, refusal=refusal)
        cookies.forget_flow(answer)
        return answer
    target = where_to(onwards, sessions.resume(service, token).caller.role)
    # Not a redirect: the browser would take it for the provider's request, and keep the new cookie back.
    answer = render(request, "continue.html", target=target)
    cookies.set_cookie(request, answer, token)
    cookies.forget_flow(answer)
    return answer


@router.post("/sign-out")
def sign_out(
    request: Request, service: ServiceDep, session: Annotated[Session, Depends(posted_by(*Role))]
) -> Response:
    """End the session."""
    sessions.sign_out(service, request.cookies.get(cookies.COOKIE))
    answer = go("/signed-out") if session.by_provider else go("/", "signed-out")
    cookies.clear_cookie(answer)
    return answer


@router.get("/signed-out")
def signed_out(request: Request, identity: IdentityDep) -> Response:
    """Say that the provider still knows who is there, and where to tell it as well."""
    return render(request, "signed_out.html", farewell=provider_sign_in.farewell(identity))
