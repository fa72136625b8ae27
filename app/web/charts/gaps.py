"""Gaps of groups to a reference group, in points: as counted, and with rates adjusted for linkage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from app.web.charts.canvas import Canvas, Chart, Scale, wrap
from app.web.words import signed

#: Label, gap in points, gap of the adjusted rates; None is not shown.
Row = tuple[str, str | None, str | None]

_ROW: Final = 36.0


def gaps(name: str, title: str, subtitle: str, rows: Sequence[Row], *, source: tuple[str, ...] = ()) -> Chart:
    """Dots left and right of the reference group; parameters as :func:`app.web.charts.bars.bars`."""
    text = f"Chart of {len(rows)} gaps. " + "; ".join(map(_said, rows)) + "."

    def draw(canvas: Canvas) -> None:
        _draw(canvas, rows)

    return Chart(name, title, subtitle, text, draw, source)


def _said(row: Row) -> str:
    label, points, adjusted = row
    if points is None:
        return f"{label}: not shown"
    more = f", adjusted {signed(adjusted)}" if adjusted is not None else ""
    return f"{label}: {signed(points)} points{more}"


def _draw(canvas: Canvas, rows: Sequence[Row]) -> None:
    left = 8.0 if canvas.is_narrow else 208.0
    right = canvas.width - 74
    largest = max((abs(float(x)) for _, *both in rows for x in both if x is not None), default=0)
    reach = max(5, math.ceil(largest / 5) * 5)
    middle = (left + right) / 2

    def at(points: str | float) -> float:
        return middle + (right - left) / 2 * float(points) / reach

    canvas.dot(6, 6.5, 5.5, "c-1")
    canvas.text(18, 11, "As counted", "c-muted")
    canvas.dot(112, 6.5, 4.5, "c-2-dot")
    canvas.text(124, 11, "Adjusted for linkage", "c-muted")
    first = y = 52.0
    ends = first + sum(_height(canvas, row) for row in rows)
    for tick in (-reach, -reach / 2, 0, reach / 2, reach):
        canvas.line(at(tick), first - 8, at(tick), ends, "c-grid" if tick else "c-axis")
        canvas.text(at(tick), first - 14, signed(f"{tick:g}"), "c-tick", "middle")
    for row in rows:
        y = _row(canvas, row, y, left, at)
    canvas.height = ends + 4


def _height(canvas: Canvas, row: Row) -> float:
    if canvas.is_narrow:
        return 17.0 * len(wrap(row[0], canvas.width)) + 26
    return _ROW


def _row(canvas: Canvas, row: Row, y: float, left: float, at: Scale) -> float:
    label, points, adjusted = row
    lines = wrap(label, canvas.width if canvas.is_narrow else left - 20)
    if canvas.is_narrow:
        for number, words in enumerate(lines):
            canvas.text(0, y + 12 + 17 * number, words)
        centre = y + 17 * len(lines) + 10
    else:
        centre = y + _ROW / 2
        for number, words in enumerate(lines):
            where = centre + 5 + 15 * (number - (len(lines) - 1) / 2)
            canvas.text(left - 18, where, words, anchor="end")
    if points is None:
        canvas.text(at(0) + 8, centre + 4, "not shown", "c-withheld")
    else:
        canvas.line(at(0), centre, at(points), centre, "c-1-stem")
        canvas.dot(at(points), centre, 6, "c-1")
        if adjusted is not None:
            canvas.dot(at(adjusted), centre, 4.5, "c-2-dot")
        canvas.text(canvas.width, centre + 5, signed(points), "c-strong", "end")
    return y + _height(canvas, row)
