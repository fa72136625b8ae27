"""Spans of requests and runs, without data; off by default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app import tracing
from app.errors import ServiceError
from app.settings import Settings
from tests.world import World, make_package


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.configure(None, "cohortlink-test", exporter=exporter)
    yield exporter
    tracing.configure(None, "cohortlink-test")


def told(exporter: InMemorySpanExporter) -> list[tuple[str, dict[str, Any]]]:
    return [(span.name, dict(span.attributes or {})) for span in exporter.get_finished_spans()]


def everything(spans: tuple[ReadableSpan, ...]) -> str:
    return "".join(span.to_json() for span in spans)


def test_a_request_is_a_span_by_its_route_and_says_nothing_of_what_was_asked(
    sqlite_world: World, exported: InMemorySpanExporter
) -> None:
    world = sqlite_world
    answer = world.education.get("/agreements/secret-name?x=secret-value", headers={"X-Y": "secret-header"})
    ((name, attributes),) = told(exported)
    assert name == "GET /v1/agreements/{agreement}"
    assert attributes == {
        "http.request.method": "GET",
        "http.route": "/v1/agreements/{agreement}",
        "http.response.status_code": 404,
        "request": answer.headers["X-Request-ID"],
    }
    assert "secret" not in everything(exported.get_finished_spans())


def test_no_span_of_a_whole_submission_names_a_key_a_batch_or_a_reference(
    sqlite_world: World, exported: InMemorySpanExporter
) -> None:
    world, package = sqlite_world, make_package()
    world.agree()
    batch = world.submit(world.education, package).json()["id"]
    text = everything(exported.get_finished_spans())
    assert "/completion" in text
    for hidden in (
        batch,
        world.education.api_key,
        package.manifest["kcv"],
        "cincinnati-nky",
        "encodings.parquet",
    ):
        assert hidden not in text


def test_an_unexpected_error_is_marked_without_its_text(
    sqlite_world: World, exported: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.flows import queries

    def broken(*_: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(queries, "list_agreements", broken)
    assert sqlite_world.education.get("/agreements").status_code == 500
    (span,) = exported.get_finished_spans()
    assert (span.status.is_ok, (span.attributes or {})["error.type"]) == (False, "500")
    assert "secret" not in span.to_json()


def test_spans_of_a_run_are_nested_and_end_with_the_code_of_what_went_wrong(
    exported: InMemorySpanExporter,
) -> None:
    with pytest.raises(ServiceError), tracing.span("run", run="run-1"), tracing.span("link"):
        raise ServiceError("AGREEMENT_REVOKED", 409, "secret")
    inner, outer = exported.get_finished_spans()
    assert inner.parent is not None
    assert inner.parent.span_id == outer.context.span_id
    assert [span.attributes["error.type"] for span in (inner, outer)] == ["AGREEMENT_REVOKED"] * 2
    assert "secret" not in everything((inner, outer))


def test_without_a_collector_nothing_is_traced_and_an_address_that_is_none_is_refused(
    sqlite_world: World,
) -> None:
    assert sqlite_world.settings.traces is None
    with tracing.span("run") as traced:
        traced.set(run="run-1")
        traced.fail("X")
    with pytest.raises(ServiceError, match="SETTINGS_INVALID"):
        Settings.from_env({"COHORTLINK_TRACES": "collector:4318"})
    given = {"COHORTLINK_TRACES": "http://collector:4318/v1/traces"}
    settings = Settings.from_env(given)
    assert settings.to_environ()["COHORTLINK_TRACES"] == settings.traces == given["COHORTLINK_TRACES"]
