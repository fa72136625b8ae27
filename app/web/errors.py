"""Errors as pages, for whoever asked for a page. The interface below ``/v1`` keeps its problem documents."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from fastapi import Request, Response

from app.errors import ServiceError
from app.flows.sessions import Session
from app.web.site import go, home, render

#: Below these nobody looks at pages.
_NO_PAGES: Final = ("/v1", "/healthz", "/readyz", "/metrics", "/openapi.json", "/static")

_TITLES: Final = {
    401: "You are not signed in",
    403: "This form was not accepted",
    404: "There is no such page",
    409: "This cannot be done now",
    413: "This is too large",
    422: "This was not accepted",
    429: "Too many requests",
    503: "The service is not available",
}


def wants_page(request: Request) -> bool:
    """Whether the answer is to be a page: a browser says so, and the interface never gives one."""
    path = request.url.path
    return "text/html" in request.headers.get("accept", "") and not any(
        path == prefix or path.startswith(prefix + "/") for prefix in _NO_PAGES
    )


def answer(error: ServiceError, request: Request) -> Response | None:
    """The page of an error, or None where a problem document is the answer."""
    return page(error, request) if wants_page(request) else None


def page(error: ServiceError, request: Request) -> Response:
    """The page of an error; who is not signed in is sent to sign in, and back here afterwards."""
    if error.status == 401 and request.method in ("GET", "HEAD"):
        return _to_sign_in(request)
    # Handlers of errors run on the event loop: they look nothing up.
    session: Session | None = getattr(request.state, "session", None)
    return render(
        request,
        "error.html",
        session,
        status=error.status,
        headers=error.headers,
        title=_title(error.status),
        error=error,
        wait=error.headers.get("Retry-After"),
        request_id=getattr(request.state, "request_id", None),
        home=home(session.caller.role) if session else "/",
    )


def _to_sign_in(request: Request) -> Response:
    """Where the sign-in page is; a link from elsewhere first comes back by itself.

    The cookie is not sent with a request that another site's page, or a mail program, began
    (``SameSite=Strict``): somebody who is signed in would be asked to sign in again.
    """
    if request.headers.get("sec-fetch-site") == "cross-site":
        return render(request, "continue.html", target=None)
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    target = "/sign-in" if asked == "/" else f"/sign-in?next={quote(asked, safe='/')}"
    if "hx-request" in request.headers:
        # A part of a page was asked for: the whole page has to go.
        return Response(status_code=401, headers={"HX-Redirect": "/sign-in"})
    return go(target)


def _title(status: int) -> str:
    return _TITLES.get(status, "Something went wrong" if status >= 500 else "This was refused")
