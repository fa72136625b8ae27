"""The cookie of the pages, and who has signed in with it."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response

from app.api.dependencies import ServiceDep, address, get_limits
from app.errors import ForbiddenError
from app.flows import sessions
from app.flows.sessions import LIFETIME, Session

COOKIE: Final = "cohortlink_session"


def get_session(request: Request, service: ServiceDep) -> Session:
    """Who has signed in; for a method that changes something the request must come from our own pages.

    `SameSite=Strict` keeps the cookie at home; the origin and the form's token (`Session.require_csrf`)
    hold where a browser does not.

    Raises
    ------
    ServiceError
        `UNAUTHENTICATED`, `RATE_LIMITED`, `CSRF`.
    """
    session = sessions.resume(service, request.cookies.get(COOKIE))
    # For the page of an error, should there be one.
    request.state.session = session
    get_limits(request).requests.take(session.caller.credential_id)
    if request.method not in ("GET", "HEAD"):
        require_own_origin(request)
    return session


SessionDep = Annotated[Session, Depends(get_session)]


def sign_in(request: Request, service: ServiceDep, api_key: str) -> str:
    """Begin a session from the form of a page; returns the cookie's value.

    Raises
    ------
    ServiceError
        `UNAUTHENTICATED`, `CSRF`; `RATE_LIMITED` after some attempts from one address.
    """
    require_own_origin(request)
    sessions.throttle(service, address(request))
    return sessions.sign_in(service, api_key)


def require_own_origin(request: Request) -> None:
    """Refuse what another site's page sent; a form without any sign of its origin is refused too.

    Raises
    ------
    ForbiddenError
        `CSRF`.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    same = origin is not None and urlsplit(origin).netloc == request.headers.get("host")
    if (site is not None and site != "same-origin") or not same:
        raise ForbiddenError("The form was sent from elsewhere.", "CSRF")


def set_cookie(request: Request, response: Response, token: str) -> None:
    """Set the session's cookie: no script reads it, no other site sends it."""
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(LIFETIME.total_seconds()),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def clear_cookie(response: Response) -> None:
    """Take the session's cookie away."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
