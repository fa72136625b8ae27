"""The cookie of the pages, and who has signed in with it."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import quote, unquote, urlsplit

from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse

from app.api.dependencies import ServiceDep, address, get_limits
from app.errors import ForbiddenError
from app.flows import provider_sign_in, sessions
from app.flows.identity import Identity
from app.flows.provider_sign_in import CALLBACK, Returned
from app.flows.service import Service
from app.flows.sessions import LIFETIME, Session

COOKIE: Final = "cohortlink_session"
#: Kept while somebody is at the identity provider: its secret, and the page to go on to.
FLOW_COOKIE: Final = "cohortlink_sign_in"


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


def begin_at_provider(request: Request, identity: Identity | None, onwards: str, *, anew: bool) -> Response:
    """Send somebody to the identity provider.

    The cookie that is kept meanwhile is `SameSite=Lax`: the browser comes back from another site.

    Raises
    ------
    NotFoundError, ServiceError
        As `provider_sign_in.begin`.
    """
    begun = provider_sign_in.begin(identity, anew=anew)
    answer = RedirectResponse(begun.url, status_code=303, headers={"Cache-Control": "no-store"})
    answer.set_cookie(
        FLOW_COOKIE,
        f"{begun.secret}.{quote(onwards, safe='')}",
        max_age=provider_sign_in.PATIENCE,
        path=CALLBACK,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
    return answer


def finish_at_provider(
    request: Request, service: Service, identity: Identity | None, returned: Returned
) -> tuple[str, str]:
    """Begin a session of somebody who comes back; returns the cookie's value and the page to go on to.

    Raises
    ------
    NotFoundError, ForbiddenError, ServiceError
        As `provider_sign_in.require_own` and `finish`; `RATE_LIMITED`.
    """
    secret, _, onwards = request.cookies.get(FLOW_COOKIE, "").partition(".")
    provider_sign_in.require_own(identity, secret, returned)
    sessions.throttle(service, address(request))
    return provider_sign_in.finish(service, identity, secret, returned), unquote(onwards)


def forget_flow(response: Response) -> None:
    """Take the cookie away that was kept while somebody was at the provider."""
    response.delete_cookie(FLOW_COOKIE, path=CALLBACK, httponly=True, samesite="lax")


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
