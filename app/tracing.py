"""Traces of requests and of the steps of runs, for an OpenTelemetry collector; off unless it is named.

A span says what was done, how long it took and how it ended: route templates, methods, statuses, ids of runs
and cubes, codes of errors. Never a path, a query, a header, a count, or the text of an error. What callers
send in `traceparent` is not taken up: strangers do not choose what our traces are called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from app.errors import ServiceError

SCOPE: Final = "cohortlink"
_tracer: Any = None


def configure(url: str | None, service: str, *, exporter: Any = None) -> None:
    """Send spans to a collector (OTLP over HTTP), or to an exporter; without either nothing is traced.

    Parameters
    ----------
    url : str or None
        Such as ``http://collector:4318/v1/traces``.
    service : str
        Which program this is, `cohortlink-api` or `cohortlink-worker`.
    exporter : SpanExporter, optional
        Instead of a collector.

    Raises
    ------
    ServiceError
        `TRACING_MISSING`: the packages of the extra `tracing` are not installed.
    """
    global _tracer
    if url is None and exporter is None:
        _tracer = None
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
    except ImportError:
        raise ServiceError(
            "TRACING_MISSING", 500, "COHORTLINK_TRACES is set: install the extra 'tracing'."
        ) from None
    # Only what is said here: the variables of OpenTelemetry could add anything, the command line included.
    provider = TracerProvider(resource=Resource({"service.name": service}), shutdown_on_exit=True)
    if exporter is not None:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    else:
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
    _tracer = provider.get_tracer(SCOPE)


@contextmanager
def span(name: str, **attributes: str | int) -> Iterator[Span]:
    """Trace what happens in the block; an error is recorded by its code or kind, never by its text."""
    if _tracer is None:
        yield Span(None)
        return
    # The library would record exceptions with their messages and stack.
    with _tracer.start_as_current_span(
        name, attributes=_dotted(attributes), record_exception=False, set_status_on_exception=False
    ) as current:
        traced = Span(current)
        try:
            yield traced
        except BaseException as error:
            traced.fail(str(getattr(error, "code", type(error).__name__)))
            raise


class Span:
    """What is being traced, or nothing where nothing is."""

    def __init__(self, current: Any) -> None:
        self._current = current

    def rename(self, name: str) -> None:
        """Say by another name what it was."""
        if self._current is not None:
            self._current.update_name(name)

    def set(self, **attributes: str | int) -> None:
        """Add attributes; a double underscore becomes a dot."""
        if self._current is not None:
            self._current.set_attributes(_dotted(attributes))

    def fail(self, code: str) -> None:
        """Mark as failed, by a stable code or the kind of an error."""
        if self._current is not None:
            from opentelemetry.trace import Status, StatusCode

            self._current.set_status(Status(StatusCode.ERROR))
            self._current.set_attribute("error.type", code)


def _dotted(attributes: Mapping[str, str | int]) -> dict[str, str | int]:
    return {name.replace("__", "."): value for name, value in attributes.items()}
