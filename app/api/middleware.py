"""What surrounds every request: an id, a log line without data, security headers, limits, metrics."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from urllib.parse import unquote

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import tracing
from app.api import metrics, problems
from app.errors import ServiceError

log = structlog.get_logger()

MAX_BODY = 4 * 1024 * 1024
#: A table of thresholds for every county of the nation is larger than any other document.
MAX_BODIES = {"/v1/thresholds": 32 * 1024 * 1024}
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Answers of the API are no pages; pages bring a policy of their own.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


class Surroundings:
    """Pure ASGI, so that bodies stream through it.

    The log line holds the route's template, never the path or the query: both can hold values.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        request.state.request_id = request_id = secrets.token_hex(8)
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started, status = time.perf_counter(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        method, route = _method(scope["method"]), "(none)"
        try:
            with tracing.span(method, http__request__method=method) as traced:
                try:
                    await self._answer(request, receive, send_with_headers, lambda: status != 0)
                finally:
                    route = getattr(scope.get("route"), "path", "(none)")
                    traced.rename(f"{method} {route}")
                    traced.set(http__route=route, http__response__status_code=status, request=request_id)
                    if status >= 500:
                        traced.fail(str(status))
        finally:
            seconds = time.perf_counter() - started
            metrics.observe(method, route, status, seconds)
            log.info(
                "request",
                method=method,
                route=route,
                status=status,
                ms=round(seconds * 1000, 1),
            )
            structlog.contextvars.unbind_contextvars("request_id")

    async def _answer(
        self, request: Request, receive: Receive, send: Send, begun: Callable[[], bool]
    ) -> None:
        scope = request.scope
        refusal = _refusal(request)
        if refusal is not None:
            await problems.answer(refusal, request)(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        except ClientDisconnect:
            # The sender went away in the middle of a body: there is nobody to answer, and nothing changed.
            log.info("client disconnected")
        except Exception as error:
            if begun():
                raise  # too late for another answer: the server cuts the connection
            await problems.unexpected(error, request)(scope, receive, send)


def _method(method: str) -> str:
    return method if method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH") else "OTHER"


def _refusal(request: Request) -> ServiceError | None:
    """What is refused before it is read: bodies that are read whole are bounded; parts (PUT) are bounded by
    their announced length."""
    if "\x00" in request.scope["path"] or "\x00" in unquote(request.url.query):
        # No name here holds one, and PostgreSQL has no text for it.
        return ServiceError("NOT_FOUND", 404, "There is no such thing here.")
    if request.method == "PUT":
        return None
    if "transfer-encoding" in request.headers:
        return ServiceError("LENGTH_REQUIRED", 411, "Send a Content-Length.")
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > MAX_BODIES.get(request.url.path, MAX_BODY):
        return ServiceError("TOO_LARGE", 413, "The request's body is too large.")
    return None
