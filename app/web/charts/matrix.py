"""Shares or numbers over two dimensions as small bars: codes of the one in rows, of the other in columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from app.web.charts.canvas import Canvas, Chart, wrap

_KINDS: Final = ("c-1", "c-3", "c-4")


def matrix(
    name: str,
    title: str,
    subtitle: str,
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Mapping[tuple[str, str], str | None],
    *,
    whole: Sequence[tuple[str, str | None]] = (),
    source: tuple[str, ...] = (),
    counted: str = "",
) -> Chart:
    """Draw percentages of one whole, or numbers.

    Parameters
    ----------
    name, title, subtitle, source
        As :class:`Chart`.
    rows, columns : sequence of str
    cells : mapping
        By row and column; None is not shown, what is missing has no cell.
    whole : sequence of tuple
        Rows that belong to no column, below the others: label and value.
    counted : str, optional
        What the values are numbers of; they are percentages if not given.
    """
    named = [*((f"{row}, {column}", value) for (row, column), value in cells.items()), *whole]
    said = [f"{label}: {_words(value, counted or 'percent')}" for label, value in named]
    text = f"Small bars for {len(rows)} rows by {len(columns)} columns. " + "; ".join(said) + "."

    def draw(canvas: Canvas) -> None:
        _draw(canvas, rows, columns, cells, whole, "" if counted else " %")

    return Chart(name, title, subtitle, text, draw, source)


def _words(value: str | None, unit: str) -> str:
    return "not shown" if value is None else f"{value} {unit}"


def _draw(
    canvas: Canvas,
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Mapping[tuple[str, str], str | None],
    whole: Sequence[tuple[str, str | None]],
    unit: str,
) -> None:
    left = 0.0 if canvas.is_narrow else 216.0
    wide = (canvas.width - left) / max(len(columns), 1)
    shown = [float(value) for value in cells.values() if value is not None]
    reach = max([*shown, 1.0])
    for number, column in enumerate(columns):
        canvas.text(left + wide * number, 12, wrap(column, wide - 8, 14, most=1)[0], "c-strong")
    y = 24.0
    for row in rows:
        y, following = _label(canvas, row, y, left)
        for number, column in enumerate(columns):
            if (row, column) in cells:
                kind = _KINDS[number % len(_KINDS)]
                _cell(canvas, left + wide * number, y, wide - 12, cells[row, column], reach, kind, unit)
        y = following
    if whole:
        y += 8
        canvas.line(0, y, canvas.width, y, "c-grid")
        y += 8
        reach = max([reach, *(float(value) for _, value in whole if value is not None)])
        for label, value in whole:
            y, following = _label(canvas, label, y, left)
            _cell(canvas, left, y, canvas.width - left - 12, value, reach, "c-rest", unit)
            y = following
    canvas.height = y + 2


def _label(canvas: Canvas, words: str, y: float, left: float) -> tuple[float, float]:
    """Write a row's name; returns where its bars begin, and where the next row does."""
    if canvas.is_narrow:
        canvas.text(0, y + 13, wrap(words, canvas.width, most=1)[0])
        return y + 19, y + 46
    lines = wrap(words, left - 14)
    more = 7 * (len(lines) - 1)
    y += more
    for number, each in enumerate(lines):
        canvas.text(left - 12, y + 15 + 16 * (number - (len(lines) - 1) / 2), each, anchor="end")
    return y, y + 27 + more


def _cell(
    canvas: Canvas, x: float, y: float, room: float, value: str | None, reach: float, kind: str, unit: str
) -> None:
    canvas.line(x, y + 1, x, y + 21, "c-axis")
    if value is None:
        canvas.text(x + 6, y + 15, "not shown", "c-withheld")
        return
    length = (room - 52) * float(value) / reach
    canvas.rect(x, y + 3, max(length, 1), 16, kind)
    canvas.text(x + max(length, 1) + 5, y + 15, f"{value}{unit}", "c-text")
