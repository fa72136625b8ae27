"""Horizontal bars with the adjusted rate and its interval beside; by one dimension or grouped by two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.web.charts.canvas import Anchor, Canvas, Chart, Scale, width_of, wrap

_THICK: Final = 16.0
_TICKS: Final = (0, 25, 50, 75, 100)


@dataclass(frozen=True)
class Bar:
    """A row: a percentage as it is published, and the adjusted one with its ends; None is not shown."""

    label: str
    value: str | None
    adjusted: tuple[str, str, str] | None = None
    note: str = ""

    def said(self) -> str:
        """The row in words."""
        if self.value is None:
            return f"{self.label}: not shown"
        if self.adjusted is None:
            return f"{self.label}: {self.value} percent"
        rate, low, high = self.adjusted
        return f"{self.label}: {self.value} percent, adjusted {rate} ({low} to {high})"


@dataclass(frozen=True)
class Group:
    """Rows under a heading; without one they stand by themselves."""

    bars: tuple[Bar, ...]
    heading: str = ""


def bars(
    name: str,
    title: str,
    subtitle: str,
    groups: Sequence[Group],
    *,
    whole: tuple[str, str] | None = None,
    measure: str = "Rate as counted",
    source: tuple[str, ...] = (),
) -> Chart:
    """Bars from 0 to 100 percent.

    Parameters
    ----------
    name, title, subtitle, source
        As :class:`Chart`.
    groups : sequence of Group
    whole : tuple of str, optional
        Label and value that every row may be compared with: a line through all of them.
    measure : str
        What a bar is.
    """
    said = [f"{group.heading}: " * bool(group.heading) + bar.said() for group in groups for bar in group.bars]
    text = f"Bar chart of {len(said)} rows. " + "; ".join(said) + "."

    def draw(canvas: Canvas) -> None:
        _draw(canvas, groups, whole, measure)

    return Chart(name, title, subtitle, text, draw, source)


def _draw(canvas: Canvas, groups: Sequence[Group], whole: tuple[str, str] | None, measure: str) -> None:
    left = 0.0 if canvas.is_narrow else 196.0
    right = canvas.width - 66.0
    top = _legend(canvas, groups, whole, measure)

    def at(value: str | float) -> float:
        return left + (right - left) * float(value) / 100

    scale, canvas.elements = canvas.elements, []
    y = top + 22
    for group in groups:
        if group.heading:
            canvas.text(0, y + 12, wrap(group.heading, canvas.width, 14, most=1)[0], "c-strong")
            y += 24
        for bar in group.bars:
            y = _bar(canvas, bar, y, left, at)
        y += 6
    rows, canvas.elements = canvas.elements, scale
    for tick in _TICKS:
        canvas.line(at(tick), top + 14, at(tick), y, "c-axis" if tick == 0 else "c-grid")
        anchor: Anchor = "start" if canvas.is_narrow and not tick else "middle"
        canvas.text(at(tick), top + 8, "100 %" if tick == 100 else str(tick), "c-tick", anchor)
    # Where labels stand above their bars, the line must not run through them.
    layers = [rows, _line(canvas, whole, at, top + 14, y)]
    for layer in reversed(layers) if canvas.is_narrow else layers:
        canvas.elements += layer
    canvas.height = y + 4


def _line(canvas: Canvas, whole: tuple[str, str] | None, at: Scale, top: float, bottom: float) -> list[str]:
    line = Canvas(canvas.width)
    if whole is not None:
        line.line(at(whole[1]), top, at(whole[1]), bottom, "c-whole")
    return line.elements


def _legend(canvas: Canvas, groups: Sequence[Group], whole: tuple[str, str] | None, measure: str) -> float:
    """Name what is drawn; returns where it ends."""
    x, y = 0.0, 10.0
    has_interval = any(bar.adjusted for group in groups for bar in group.bars)
    entries = ["bar", *(["interval"] if has_interval else []), *(["whole"] if whole else [])]
    names = {
        "bar": measure,
        "interval": "Adjusted for linkage, 95 %",
        "whole": f"{whole[0]}: {whole[1]} %" if whole else "",
    }
    for entry in entries:
        wide = width_of(names[entry], 12.5) + 34
        if x and x + wide > canvas.width:
            x, y = 0.0, y + 20
        if entry == "bar":
            canvas.rect(x, y - 8, 18, 9, "c-1")
        elif entry == "interval":
            _interval(canvas, x, x + 9, x + 18, y - 4)
        else:
            canvas.line(x + 9, y - 11, x + 9, y + 3, "c-whole")
        canvas.text(x + 25, y, names[entry], "c-muted")
        x += wide + 14
    return y + 12


def _bar(canvas: Canvas, bar: Bar, y: float, left: float, at: Scale) -> float:
    if canvas.is_narrow:
        for words in wrap(bar.label, canvas.width, most=2):
            canvas.text(0, y + 11, words)
            y += 17
        middle, following = y + 9, y + 29
    else:
        lines = wrap(bar.label, left - 12)
        height = 32.0 if len(lines) == 1 else 40.0
        middle, following = y + height / 2 - 2, y + height
        for number, words in enumerate(lines):
            canvas.text(left - 10, middle + 5 + 16 * (number - (len(lines) - 1) / 2), words, anchor="end")
    if bar.value is None:
        canvas.text(left + 8, middle + 4, bar.note or "not shown", "c-withheld")
        return following
    canvas.rect(left, middle - _THICK / 2, at(bar.value) - left, _THICK, "c-1")
    if bar.adjusted:
        rate, low, high = bar.adjusted
        _interval(canvas, at(low), at(rate), at(high), middle)
    canvas.text(canvas.width, middle + 5, f"{bar.value} %", "c-strong", "end")
    return following


def _interval(canvas: Canvas, low: float, rate: float, high: float, y: float) -> None:
    for kind in ("c-halo", "c-interval"):
        canvas.line(low, y, high, y, kind)
        canvas.line(low, y - 4, low, y + 4, kind)
        canvas.line(high, y - 4, high, y + 4, kind)
    canvas.dot(rate, y, 3.5, "c-2-dot")
