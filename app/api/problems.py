"""Errors become problem documents here and nowhere else (RFC 9457)."""

from __future__ import annotations

from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.errors import Problem, ServiceError, from_crypto, internal
from crypto.errors import CohortlinkError

log = structlog.get_logger()

_CODES = {
    400: "BAD_REQUEST",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
}


def install(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(ServiceError, _service)
    app.add_exception_handler(CohortlinkError, _crypto)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)


def answer(error: ServiceError, request: Request) -> Response:
    """The problem document of an error; a page for whoever asked for a page (`app.web.errors`)."""
    page: Response | None = request.app.state.error_page(error, request)
    if page is not None:
        return page
    document = error.to_document()
    request_id = getattr(request.state, "request_id", None)
    if request_id:
        document["instance"] = f"urn:request:{request_id}"
    return JSONResponse(document, error.status, headers=error.headers, media_type="application/problem+json")


def unexpected(error: Exception, request: Request) -> Response:
    """The client learns a request id; the log learns where, never what (messages may quote data)."""
    log.error("unexpected error", error=type(error).__name__, where=_where(error))
    return answer(internal(), request)


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    places = []
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}:{code.co_name}")
        trace = trace.tb_next
    return " > ".join(places[-6:])


async def _service(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return answer(error, request)


async def _crypto(request: Request, error: Exception) -> Response:
    assert isinstance(error, CohortlinkError)
    refusal = from_crypto(error)
    if refusal.status == 500:
        log.error("unexpected error", error=type(error).__name__, code=error.code, where=_where(error))
    return answer(refusal, request)


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = [_invalid(item) for item in error.errors()]
    refusal = ServiceError("REQUEST_INVALID", 422, "The request is not as the API describes it.", problems)
    return answer(refusal, request)


def _invalid(item: dict[str, Any]) -> Problem:
    # The message of a few kinds quotes the input or its context; the kind alone says enough.
    place = ".".join(str(part) for part in item["loc"][:4])
    if item["type"] == "extra_forbidden":
        place = ".".join(str(part) for part in item["loc"][:-1])
    return Problem("INVALID", str(item["type"]).replace("_", " "), column=place)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, "HTTP_ERROR")
    refusal = ServiceError(code, error.status_code, "The request cannot be answered.")
    refusal.headers.update(error.headers or {})
    return answer(refusal, request)
