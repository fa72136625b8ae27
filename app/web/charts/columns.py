"""Upright columns: histograms and weights, above and below zero."""

from __future__ import annotations

from collections.abc import Sequence

from app.web.charts.canvas import Canvas, Chart, wrap

#: Label below, height, and the height in words.
Column = tuple[str, float, str]


def columns(
    name: str,
    title: str,
    subtitle: str,
    values: Sequence[Column],
    *,
    unit: str = "",
    source: tuple[str, ...] = (),
) -> Chart:
    """Draw columns from zero, downwards where a value is negative.

    Parameters
    ----------
    name, title, subtitle, source
        As :class:`Chart`.
    values : sequence of tuple
        In order, as :data:`Column`; at most about 40.
    unit : str
        Said after each value in the text alternative.
    """
    said = "; ".join(f"{label}: {words}{unit}" for label, _, words in values)
    text = f"Column chart of {len(values)} columns. {said}."

    def draw(canvas: Canvas) -> None:
        _draw(canvas, values)

    return Chart(name, title, subtitle, text, draw, source)


def _draw(canvas: Canvas, values: Sequence[Column]) -> None:
    top, bottom = 24.0, 210.0
    most, least = max([0.0, *(v for _, v, _ in values)]), min([0.0, *(v for _, v, _ in values)])
    extent = (most - least) or 1.0
    zero = top + (bottom - top) * most / extent
    wide = canvas.width / max(len(values), 1)
    # Labels stand under every column, or under every second, third …, as there is room.
    every = max(1, round(34 * max((len(label) for label, _, _ in values), default=1) / 4 / wide))
    for number, (label, value, words) in enumerate(values):
        x, height = wide * number, (bottom - top) * abs(value) / extent
        y = zero - height if value >= 0 else zero
        canvas.rect(x + wide * 0.1, y, wide * 0.8, height, "c-1" if value >= 0 else "c-2")
        if wide > 40:
            where = y - 6 if value >= 0 else y + height + 14
            canvas.text(x + wide / 2, where, words, "c-muted", "middle")
        if number % every == 0:
            for at, line in enumerate(wrap(label, max(wide * every, 40), 12.5)):
                canvas.text(x + wide / 2, bottom + 32 + 15 * at, line, "c-muted", "middle")
    canvas.line(0, zero, canvas.width, zero, "c-axis")
    canvas.height = bottom + 56
