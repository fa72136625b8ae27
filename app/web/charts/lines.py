"""A line over cohort years with the adjusted interval as a band; what is not shown interrupts it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from app.web.charts.canvas import Canvas, Chart, Scale


@dataclass(frozen=True)
class Point:
    """A cohort year; ``breaks`` says why it cannot be compared with the year before."""

    label: str
    value: str | None
    adjusted: tuple[str, str, str] | None = None
    breaks: str = ""

    def said(self) -> str:
        """The point in words."""
        if self.value is None:
            return f"{self.label}: not shown"
        adjusted = (
            f", adjusted {self.adjusted[0]} ({self.adjusted[1]} to {self.adjusted[2]})"
            if self.adjusted
            else ""
        )
        broken = f" (break in series: {self.breaks})" if self.breaks else ""
        return f"{self.label}: {self.value} percent{adjusted}{broken}"


def line(
    name: str, title: str, subtitle: str, points: Sequence[Point], *, source: tuple[str, ...] = ()
) -> Chart:
    """Percentages over years; parameters as :func:`app.web.charts.bars.bars`."""
    text = f"Line chart of {len(points)} points. " + "; ".join(point.said() for point in points) + "."

    def draw(canvas: Canvas) -> None:
        _draw(canvas, points)

    return Chart(name, title, subtitle, text, draw, source)


def _domain(points: Sequence[Point]) -> tuple[int, int]:
    """Tens that hold all that is shown, at least twenty points of them."""
    values = [
        float(value)
        for point in points
        if point.value is not None
        for value in (point.value, *(point.adjusted or ()))
    ]
    if not values:
        return 0, 100
    low, high = math.floor((min(values) - 2) / 10) * 10, math.ceil((max(values) + 2) / 10) * 10
    while high - low < 20:
        low, high = low - 10 * (low > 0), high + 10 * (high < 100)
    return max(low, 0), min(high, 100)


def _draw(canvas: Canvas, points: Sequence[Point]) -> None:
    low, high = _domain(points)
    left, right, top, bottom = 46.0, canvas.width - 30, 40.0, 270.0
    step = (right - left - 50) / max(len(points) - 1, 1)
    xs = [left + 25 + step * number for number in range(len(points))]

    def at(value: str | float) -> float:
        return bottom - (bottom - top) * (float(value) - low) / (high - low)

    canvas.rect(0, 2, 18, 9, "c-2-soft")
    canvas.text(25, 11, "Adjusted for linkage, 95 %", "c-muted")
    canvas.line(202, 6.5, 220, 6.5, "c-1-line")
    canvas.text(227, 11, "Rate as counted", "c-muted")
    for tick in range(low, high + 1, 10 if high - low <= 60 else 20):
        canvas.line(left, at(tick), right, at(tick), "c-grid")
        canvas.text(left - 8, at(tick) + 4, f"{tick} %", "c-tick", "end")
    placed = list(zip(xs, points, strict=True))
    for shown, run in groupby(placed, key=lambda each: each[1].value is not None):
        if shown:
            _run(canvas, list(run), at)
    for x, point in placed:
        canvas.text(x, bottom + 22, point.label.replace("-", "–"), "c-muted", "middle")
        if point.value is None:
            canvas.text(x, bottom - 8, "not shown", "c-withheld", "middle")
        if point.breaks:
            canvas.line(x - step / 2, top, x - step / 2, bottom, "c-break")
            canvas.text(x - step / 2 + 5, top + 10, "break", "c-muted")
    canvas.line(left, bottom, right, bottom, "c-axis")
    canvas.height = bottom + 32
    if low > 0:
        canvas.text(left, bottom + 44, f"The scale begins at {low} %.", "c-muted")
        canvas.height = bottom + 52


def _run(canvas: Canvas, run: list[tuple[float, Point]], at: Scale) -> None:
    """Points without a gap between them."""
    band = [(x, point.adjusted) for x, point in run if point.adjusted]
    if len(band) > 1:
        upper = [(x, at(each[2])) for x, each in band]
        lower = [(x, at(each[1])) for x, each in reversed(band)]
        canvas.path(upper + lower, "c-2-soft", closed=True)
    elif band:
        ((x, each),) = band
        canvas.line(x, at(each[1]), x, at(each[2]), "c-interval")
    shown = [(x, point.value) for x, point in run if point.value is not None]
    canvas.path([(x, at(value)) for x, value in shown], "c-1-line")
    for x, value in shown:
        canvas.dot(x, at(value), 5, "c-1-dot")
        canvas.text(x, at(value) - 12, f"{value} %", "c-strong", "middle")
