"""Requests that the OpenAPI lets one imagine, with each role: nothing breaks, and every answer is documented.

A few per endpoint and role by default; `FAULTS=full` (`make faults`) tries many.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case

from app.settings import Settings
from tests.app.test_matrix import CALLERS, Stage
from tests.world import Clock, World

FULL = os.environ.get("FAULTS") == "full"
EXAMPLES = 25 if FULL else 2
#: One of each role; with strangers in the full form.
ROLES = CALLERS if FULL else ("operator", "own agency", "recipient", "auditor")


@pytest.fixture
def stage(sqlite_settings: Settings, clock: Clock) -> Iterator[Stage]:
    with World(replace(sqlite_settings, rate_limit=0), clock) as world:
        yield Stage(world)


@pytest.mark.parametrize("who", ROLES)
def test_no_request_breaks_the_service_and_every_answer_is_documented(stage: Stage, who: str) -> None:
    schema = schemathesis.openapi.from_dict(stage.world.client.get("/openapi.json").json())
    # What the key of this caller can end comes last.
    found = sorted(
        (each.ok() for each in schema.get_all_operations()),
        key=lambda each: (each.method == "delete", each.path),
    )
    wrong: dict[str, str] = {}
    for operation in found:
        problems = _try(stage, who, operation)
        if problems:
            wrong[f"{operation.method.upper()} {operation.path}"] = problems[-1]
    assert wrong == {}


def _try(stage: Stage, who: str, operation: Any) -> list[str]:
    problems: list[str] = []
    count = 0

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=not FULL,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def send(case: Case) -> None:
        nonlocal count
        count += 1
        if count % 2:
            # Things that are there: otherwise nearly every answer would be 404.
            for name in case.path_parameters or {}:
                case.path_parameters[name] = stage.names.get(name, case.path_parameters[name])
        given_ = case.as_transport_kwargs(base_url="http://testserver")
        answer = stage.world.client.request(
            given_["method"],
            given_["url"],
            params=given_.get("params"),
            headers={
                **{name: value for name, value in (given_.get("headers") or {}).items() if value},
                "Authorization": f"Bearer {stage.callers[who].api_key}",
            },
            **({"json": given_["json"]} if "json" in given_ else {"content": _bytes(given_.get("data"))}),
        )
        problem = _problem(operation, answer)
        if problem:
            problems.append(problem)

    # No client could send such a one.
    with contextlib.suppress(httpx.InvalidURL, httpx.LocalProtocolError, UnicodeEncodeError):
        send()
    return problems


def _bytes(data: Any) -> bytes:
    return data if isinstance(data, bytes) else b"x" if data else b""


def _problem(operation: Any, answer: httpx.Response) -> str | None:
    if answer.status_code >= 500 and answer.status_code != 503:
        return f"{answer.status_code}"
    documented = operation.definition.raw["responses"]
    if str(answer.status_code) not in documented:
        return f"{answer.status_code} is not documented"
    kind = answer.headers.get("content-type", "")
    if answer.status_code >= 400 and kind != "application/problem+json" and answer.status_code != 503:
        return f"{answer.status_code} is no problem document"
    if answer.status_code >= 400 and kind == "application/problem+json":
        body = answer.json()
        if not {"type", "title", "status", "code", "detail"} <= body.keys():
            return "the problem document is not whole"
    return None
