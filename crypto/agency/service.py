"""Calls to the service: which addresses are acceptable, what is tried again, and how refusals read."""

from __future__ import annotations

import ipaddress
import random
import re
import ssl
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

from crypto import __version__
from crypto.errors import CohortlinkError, InputError, KeyMaterialError, RowProblem

ATTEMPTS = 7
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 20.0

_RETRIED = frozenset({429, 500, 502, 503, 504})
_API_KEY = re.compile(r"[\x21-\x7e]{8,512}")
_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
# A completion is answered when the service has read the whole batch.
_TIMEOUT = httpx.Timeout(30.0, read=300.0, connect=10.0)


class Service:
    """A connection to one service; use it as a context manager.

    Parameters
    ----------
    url
        Address of the service, with or without ``/v1``; ``https``, or ``http`` on this machine only.
    api_key
        Sent as a bearer token; None for public calls.
    sleep
        Waits between attempts.

    Raises
    ------
    InputError
        ``BAD_URL``, or ``INSECURE_URL`` for plain HTTP to another machine.
    KeyMaterialError
        ``BAD_API_KEY``.
    """

    def __init__(
        self, url: str, api_key: str | None = None, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        base, loopback = _base_url(url)
        headers = {"User-Agent": f"cohortlink-agency/{__version__}"}
        if api_key is not None:
            if not _API_KEY.fullmatch(api_key):
                raise KeyMaterialError("BAD_API_KEY", "an API key is one line of printable characters")
            headers["Authorization"] = f"Bearer {api_key}"
        self._sleep = sleep
        # A proxy set for the outside world neither can nor should reach this machine's own services.
        # Redirects are not followed: they would carry the key to wherever an answer says.
        self._client = httpx.Client(
            base_url=base, headers=headers, timeout=_TIMEOUT, trust_env=not loopback, follow_redirects=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, int] | None = None,
    ) -> httpx.Response:
        """Make one call, trying again where the trouble may pass; every call of ours may be repeated.

        Raises
        ------
        CohortlinkError
            ``SERVICE_UNREACHABLE`` or ``SERVICE_FAILED`` after all attempts; ``SERVICE_UNTRUSTED`` for a
            certificate that does not verify; else the code of the service's problem document.
        """
        trouble: CohortlinkError | None = None
        for attempt in range(ATTEMPTS):
            wait = min(FIRST_WAIT_SECONDS * 2**attempt, LONGEST_WAIT_SECONDS)
            try:
                response = self._client.request(method, path, content=content, headers=headers, params=params)
            except httpx.TransportError as error:
                if _is_certificate_error(error):
                    raise CohortlinkError(
                        "SERVICE_UNTRUSTED", "the service's certificate does not verify"
                    ) from None
                trouble = CohortlinkError("SERVICE_UNREACHABLE", f"no answer ({type(error).__name__})")
            else:
                if response.is_success:
                    return response
                if response.status_code not in _RETRIED:
                    raise _problem(response)
                trouble = CohortlinkError(
                    "SERVICE_FAILED", f"the service answered {response.status_code} {ATTEMPTS} times"
                )
                wait = _asked_wait(response, wait)
            if attempt + 1 < ATTEMPTS:
                # Jitter keeps agencies that were cut off together from coming back together.
                self._sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311
        assert trouble is not None
        raise trouble


def json_object(response: httpx.Response) -> dict[str, object]:
    """Return the JSON object of an answer.

    Raises
    ------
    CohortlinkError
        ``SERVICE_ANSWER``.
    """
    try:
        document = response.json()
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise bad_answer("not a JSON object")
    return document


def bad_answer(what: str) -> CohortlinkError:
    """Return the error for an answer that is not as agreed."""
    return CohortlinkError("SERVICE_ANSWER", f"the service's answer is not as agreed: {what}")


def _base_url(url: str) -> tuple[str, bool]:
    """Return the address ending in ``/v1/`` and whether it is on this machine."""
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InputError("BAD_URL", "not an address of a service") from None
    if parts.scheme not in {"http", "https"} or not host or parts.username is not None:
        raise InputError("BAD_URL", "an address is http:// or https:// with a host and no user name")
    if parts.query or parts.fragment:
        raise InputError("BAD_URL", "an address has no query and no fragment")
    loopback = _is_loopback(host)
    if parts.scheme == "http" and not loopback:
        raise InputError("INSECURE_URL", "plain http:// would show the API key to the network; use https://")
    path = parts.path.rstrip("/").removesuffix("/v1")
    return f"{parts.scheme}://{parts.netloc}{path}/v1/", loopback


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_certificate_error(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _asked_wait(response: httpx.Response, wait: float) -> float:
    asked = response.headers.get("Retry-After", "")
    return min(float(asked), LONGEST_WAIT_SECONDS) if re.fullmatch(r"[0-9]{1,6}", asked) else wait


def _problem(response: httpx.Response) -> CohortlinkError:
    """Turn a refusal into an error with the service's code and words, made safe for a terminal."""
    try:
        document = response.json()
    except (ValueError, RecursionError):
        document = {}
    if not isinstance(document, dict):
        document = {}
    code = _code(document.get("code"))
    detail = _clean(document.get("detail") or document.get("title")) or f"refused ({response.status_code})"
    listed = document.get("problems")
    problems = (
        [_row_problem(item) for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    )
    return InputError(code, detail, problems=problems) if problems else CohortlinkError(code, detail)


def _row_problem(item: Mapping[str, object]) -> RowProblem:
    row, column = item.get("row"), item.get("column")
    return RowProblem(
        row if type(row) is int else None,
        _clean(column) if isinstance(column, str) else None,
        _code(item.get("code")),
        _clean(item.get("detail")),
    )


def _code(text: object) -> str:
    return text if isinstance(text, str) and _CODE.fullmatch(text) else "SERVICE_REFUSED"


def _clean(text: object) -> str:
    return _CONTROL.sub(" ", text)[:500] if isinstance(text, str) else ""
