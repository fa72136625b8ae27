"""Calls of the command line to a running service; refusals come back as the errors they are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from app.errors import ServiceError


class ServiceClient:
    """One caller at one service.

    Parameters
    ----------
    url : str
        Address of the service, without ``/v1``.
    api_key_file : Path
        File that holds the API key and nothing else. Never an argument: arguments show in process lists.
    """

    def __init__(self, url: str, api_key_file: Path, *, transport: httpx.BaseTransport | None = None) -> None:
        try:
            key = api_key_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ServiceError(
                "KEY_FILE_UNREADABLE", 400, "The file given as --api-key-file cannot be read."
            ) from error
        if not key.isascii() or not key.isprintable():
            raise ServiceError(
                "KEY_FILE_UNREADABLE", 400, "The file given as --api-key-file holds no API key."
            )
        self._client = httpx.Client(
            base_url=url.rstrip("/") + "/v1",
            headers={"Authorization": f"Bearer {key}"},
            # A first release tabulates before it answers.
            timeout=httpx.Timeout(30.0, read=600.0),
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, path: str) -> dict[str, Any]:
        """GET a JSON document; raises ServiceError on a refusal."""
        return self._json(self._send("GET", path))

    def get_text(self, path: str, accept: str) -> str:
        """GET a document of another media type."""
        return self._send("GET", path, headers={"Accept": accept}).text

    def post(
        self, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """POST a JSON document; raises ServiceError on a refusal."""
        return self._json(self._send("POST", path, json=dict(body or {}), headers=dict(headers or {})))

    def events(self, path: str) -> Iterator[dict[str, Any]]:
        """Documents of a stream of server-sent events, until the service ends it."""
        try:
            with self._client.stream("GET", path, headers={"Accept": "text/event-stream"}) as response:
                if response.is_error:
                    response.read()
                    raise _refusal(response)
                for line in response.iter_lines():
                    if line.startswith("data:"):
                        yield json.loads(line[5:])
        except httpx.TransportError as error:
            raise _unreachable() from error

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            response = self._client.request(method, path, **arguments)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise _unreachable() from error
        if response.is_error:
            raise _refusal(response)
        return response

    @staticmethod
    def _json(response: httpx.Response) -> dict[str, Any]:
        try:
            document = response.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise ServiceError("NOT_COHORTLINK", 502, "What answers at this address is not this service.")
        return document


def _unreachable() -> ServiceError:
    return ServiceError(
        "SERVICE_UNREACHABLE", 503, "The service does not answer at the address given as --url."
    )


def _refusal(response: httpx.Response) -> ServiceError:
    try:
        document = response.json()
    except ValueError:
        document = {}
    if not isinstance(document, dict) or "code" not in document:
        return ServiceError(
            "HTTP_ERROR", response.status_code, f"The service answered with status {response.status_code}."
        )
    return ServiceError(str(document["code"]), response.status_code, str(document.get("detail", "")))
