"""Percentiles in dollars: the median as a dot, from the 25th to the 75th percentile as a bar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from app.web.charts.canvas import Canvas, Chart, Scale, wrap


@dataclass(frozen=True)
class Span:
    """A row: dollars as published; None is not shown. Some tables hold the median alone."""

    label: str
    median: str | None
    low: str | None = None
    high: str | None = None
    is_total: bool = False

    def said(self) -> str:
        """The row in words."""
        if self.median is None:
            return f"{self.label}: not shown"
        if self.low is None or self.high is None:
            return f"{self.label}: median {dollars(self.median)}"
        ends = f"25th percentile {dollars(self.low)}, 75th {dollars(self.high)}"
        return f"{self.label}: median {dollars(self.median)} ({ends})"


def dollars(text: str) -> str:
    """``9500`` as *$9,500*."""
    return f"${int(text):,}"


def ranges(
    name: str, title: str, subtitle: str, spans: Sequence[Span], *, source: tuple[str, ...] = ()
) -> Chart:
    """Percentiles of groups; parameters as :func:`app.web.charts.bars.bars`."""
    text = f"Chart of {len(spans)} rows. " + "; ".join(span.said() for span in spans) + "."

    def draw(canvas: Canvas) -> None:
        _draw(canvas, spans)

    return Chart(name, title, subtitle, text, draw, source)


def _draw(canvas: Canvas, spans: Sequence[Span]) -> None:
    left, right = (4.0 if canvas.is_narrow else 196.0), canvas.width - 78.0
    values = [float(x) for span in spans for x in (span.median, span.low, span.high) if x is not None]
    step = _step(max(values, default=1000))
    reach = math.ceil(max(values, default=1000) / step) * step

    def at(value: str | float) -> float:
        return left + (right - left) * float(value) / reach

    has_ends = any(span.low for span in spans)
    canvas.dot(6, 6.5, 5.5, "c-1-dot")
    canvas.text(18, 11, "Median", "c-muted")
    if has_ends:
        canvas.rect(86, 2, 20, 9, "c-1-soft")
        canvas.text(113, 11, "25th to 75th percentile", "c-muted")
    heights = [_height(canvas, span) for span in spans]
    first = y = 44.0
    for tick in range(0, reach + 1, step):
        canvas.line(at(tick), first - 6, at(tick), first + sum(heights), "c-grid" if tick else "c-axis")
        words = f"${tick // 1000}k" if tick else "0"
        canvas.text(at(tick), first - 12, words, "c-tick", "middle" if tick else "start")
    for span, height in zip(spans, heights, strict=True):
        _row(canvas, span, y, height, left, at)
        y += height
    canvas.height = y + 4


def _height(canvas: Canvas, span: Span) -> float:
    return 17.0 * len(wrap(span.label, canvas.width)) + 28 if canvas.is_narrow else 36.0


def _step(largest: float) -> int:
    return next((step for step in (1000, 2000, 5000, 10_000, 20_000, 50_000) if largest / step <= 6), 100_000)


def _row(canvas: Canvas, span: Span, y: float, height: float, left: float, at: Scale) -> None:
    centre = y + height - 14 if canvas.is_narrow else y + height / 2
    lines = wrap(span.label, canvas.width if canvas.is_narrow else left - 12)
    kind = "c-strong" if span.is_total else "c-text"
    for number, words in enumerate(lines):
        if canvas.is_narrow:
            canvas.text(0, y + 12 + 17 * number, words, kind)
        else:
            canvas.text(left - 10, centre + 5 + 15 * (number - (len(lines) - 1) / 2), words, kind, "end")
    if span.median is None:
        canvas.text(left + 8, centre + 4, "not shown", "c-withheld")
        return
    if span.low is not None and span.high is not None:
        canvas.rect(at(span.low), centre - 8, at(span.high) - at(span.low), 16, "c-1-soft")
    else:
        canvas.line(left, centre, at(span.median), centre, "c-1-stem")
    canvas.dot(at(span.median), centre, 6, "c-1-dot")
    canvas.text(canvas.width, centre + 5, dollars(span.median), "c-strong", "end")
