"""One small family of errors, and the one table that gives crypto's errors an HTTP status.

A `ServiceError` is meant for the caller: its text may name a row, a column or a code, never a value.
Anything else that escapes is a bug and tells the client nothing but a request id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from crypto.errors import (
    CohortlinkError,
    EnvelopeError,
    InputError,
    KeyMaterialError,
    LogError,
    PackageError,
    ProfileError,
    SignatureError,
)

PROBLEM_TYPE = "https://cohortlink.invalid/problems/"


@dataclass(frozen=True)
class Problem:
    """One thing wrong in an input: where, and what; never the value."""

    code: str
    detail: str
    row: int | None = None
    column: str | None = None

    def to_document(self) -> dict[str, object]:
        return {"row": self.row, "column": self.column, "code": self.code, "detail": self.detail}


class ServiceError(Exception):
    """A refusal with a stable code.

    Parameters
    ----------
    code : str
        Stable, UPPER_SNAKE; part of the interface.
    status : int
        HTTP status.
    detail : str
        One sentence for a person; no values of data.
    problems : sequence of Problem
        Rows and columns that are wrong.
    headers : mapping
        Headers that the answer must carry (such as `WWW-Authenticate`).
    """

    def __init__(
        self,
        code: str,
        status: int,
        detail: str,
        problems: Sequence[Problem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.status = status
        self.detail = detail
        self.problems = tuple(problems)
        self.headers = dict(headers or {})

    def to_document(self) -> dict[str, object]:
        """The RFC 9457 problem document."""
        document: dict[str, object] = {
            "type": PROBLEM_TYPE + self.code.lower().replace("_", "-"),
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.problems:
            document["problems"] = [problem.to_document() for problem in self.problems]
        return document


class NotFoundError(ServiceError):
    """What is not there and what the caller may not see look the same."""

    def __init__(self, code: str = "NOT_FOUND", detail: str = "There is no such thing here.") -> None:
        super().__init__(code, 404, detail)


class ForbiddenError(ServiceError):
    """The caller's role does not include this call."""

    def __init__(self, detail: str = "Your role does not include this.", code: str = "FORBIDDEN") -> None:
        super().__init__(code, 403, detail)


class ConflictError(ServiceError):
    """The thing is not in a state that allows this."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, 409, detail)


class RefusedError(ServiceError):
    """The content is understood and refused."""

    def __init__(self, code: str, detail: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(code, 422, detail, problems)


_STATUS: tuple[tuple[type[CohortlinkError], int], ...] = (
    (InputError, 422),
    (ProfileError, 422),
    (PackageError, 422),
    (SignatureError, 422),
    (LogError, 422),
    # Our own keys or blobs do not open: the caller did nothing wrong and learns nothing.
    (KeyMaterialError, 500),
    (EnvelopeError, 500),
)


def from_crypto(error: CohortlinkError) -> ServiceError:
    """The service's refusal for an error of `crypto`."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 422)
    if status == 500:
        return internal()
    problems = tuple(
        Problem(code=problem.code, detail=problem.detail, row=problem.row, column=problem.column)
        for problem in getattr(error, "problems", ())
    )
    if not problems and (error.row is not None or error.column is not None):
        problems = (Problem(error.code, error.detail, error.row, error.column),)
    return ServiceError(error.code, status, error.detail, problems)


def internal() -> ServiceError:
    """What a client may know of an unexpected error."""
    return ServiceError(
        "INTERNAL_ERROR", 500, "Something went wrong here. The operator finds it by the request id."
    )
