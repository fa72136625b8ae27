"""What a route needs: the service, and who calls."""

from __future__ import annotations

import re
from typing import Annotated, Any, cast

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, model_validator

from app.api.limits import Limits
from app.auth import Caller
from app.errors import ServiceError
from app.flows.identity import Identity
from app.flows.organizations import authenticate
from app.flows.service import Service

# For the OpenAPI only; `authenticate` reads the header itself and has one answer for all that is wrong.
_bearer = HTTPBearer(
    auto_error=False,
    bearerFormat="clk_… or JWT",
    description="An API key, or an access token of the configured identity provider.",
)


def get_service(request: Request) -> Service:
    """The service that `create_app` opened."""
    return cast(Service, request.app.state.service)


def get_identity(request: Request) -> Identity | None:
    """The identity provider, if one was set up."""
    return cast(Identity | None, request.app.state.identity)


def get_limits(request: Request) -> Limits:
    """The rate limits of this application."""
    return cast(Limits, request.app.state.limits)


def address(request: Request) -> str:
    """Where a request comes from: the peer, or what a trusted proxy says (uvicorn decides whom to trust)."""
    return request.client.host if request.client else "unknown"


def get_caller(
    request: Request,
    service: Annotated[Service, Depends(get_service)],
    _scheme: Annotated[object, Depends(_bearer)],
) -> Caller:
    """The authenticated caller; sync, so that it runs beside the event loop."""
    limits = get_limits(request)
    try:
        caller = authenticate(service, request.headers.get("authorization"), get_identity(request))
    except ServiceError as refusal:
        if refusal.status == 401:
            limits.failures.take(address(request))
        raise
    limits.requests.take(caller.credential_id)
    return caller


ServiceDep = Annotated[Service, Depends(get_service)]
CallerDep = Annotated[Caller, Depends(get_caller)]
IdentityDep = Annotated[Identity | None, Depends(get_identity)]


class Body(BaseModel):
    """A request body: closed, and silent about its values."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _only_text(cls, given: Any) -> Any:
        """PostgreSQL has no text for a NUL, and nothing has one for half of a character."""
        if holds_no_text(given):
            raise ValueError("a text holds a NUL or half of a surrogate pair")
        return given


_SURROGATE = re.compile("[\ud800-\udfff]")


def holds_no_text(value: Any) -> bool:
    """Whether something in a document or a form is a text that no database has."""
    if isinstance(value, str):
        return "\x00" in value or (not value.isascii() and _SURROGATE.search(value) is not None)
    if isinstance(value, dict):
        return any(holds_no_text(each) for pair in value.items() for each in pair)
    return isinstance(value, list) and any(map(holds_no_text, value))


class Signed(Body):
    """A signed document as it travels."""

    document: dict[str, Any]
    signature: dict[str, Any]


PROBLEM: dict[str, Any] = {
    "description": "A problem document (RFC 9457) with a stable code",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "code", "detail"],
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                    "problems": {"type": "array", "items": {"type": "object"}},
                },
            }
        }
    },
}
PROBLEMS: dict[int | str, dict[str, Any]] = dict.fromkeys(
    (400, 401, 403, 404, 405, 409, 411, 413, 422, 429, 500, 503), PROBLEM
)
