"""What charts are drawn on: elements with classes of the style sheet, no style of their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final, Literal

from markupsafe import Markup

WIDE: Final = 560.0
NARROW: Final = 340.0
Anchor = Literal["start", "middle", "end"]
#: From a published figure to its place.
Scale = Callable[[str | float], float]

_SHEET: Final = (Path(__file__).parent.parent / "static" / "site.css").read_text(encoding="utf-8")
#: Mean width of a letter as a share of its size; wide enough for the widest of our fonts.
_LETTER: Final = 0.58


def _x(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


class Canvas:
    """Elements of a drawing, in units that are pixels where it is shown at its own width."""

    def __init__(self, width: float) -> None:
        self.width = width
        self.height = 0.0
        self.elements: list[str] = []

    @property
    def is_narrow(self) -> bool:
        """Whether there is no room for labels beside what they name."""
        return self.width < 500

    def text(self, x: float, y: float, words: str, kind: str = "c-text", anchor: Anchor = "start") -> None:
        """Write ``words`` with their base line at ``y``."""
        where = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self.elements.append(f'<text x="{_x(x)}" y="{_x(y)}" class="{kind}"{where}>{escape(words)}</text>')

    def rect(self, x: float, y: float, width: float, height: float, kind: str) -> None:
        """A filled rectangle; one without any width is left out."""
        if width > 0:
            self.elements.append(
                f'<rect x="{_x(x)}" y="{_x(y)}" width="{_x(width)}" height="{_x(height)}" class="{kind}"/>'
            )

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        """A straight line."""
        self.elements.append(f'<path d="M{_x(x1)} {_x(y1)}L{_x(x2)} {_x(y2)}" class="{kind}"/>')

    def path(self, points: list[tuple[float, float]], kind: str, *, closed: bool = False) -> None:
        """A line through points, or the area within them."""
        steps = "L".join(f"{_x(x)} {_x(y)}" for x, y in points)
        self.elements.append(f'<path d="M{steps}{"Z" if closed else ""}" class="{kind}"/>')

    def dot(self, x: float, y: float, radius: float, kind: str) -> None:
        """A circle."""
        self.elements.append(f'<circle cx="{_x(x)}" cy="{_x(y)}" r="{_x(radius)}" class="{kind}"/>')

    def group(self, dx: float, dy: float, other: Canvas) -> None:
        """Another canvas's elements, moved."""
        self.elements.append(f'<g transform="translate({_x(dx)} {_x(dy)})">{"".join(other.elements)}</g>')


def wrap(words: str, room: float, size: float = 13.5, most: int = 2) -> list[str]:
    """Break a label into at most ``most`` lines that fit; the last one ends in an ellipsis if cut."""
    letters = max(6, int(room / (size * _LETTER)))
    lines: list[str] = []
    for word in words.split():
        if lines and len(lines[-1]) + 1 + len(word) <= letters:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    if len(lines) > most:
        lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
    return [each if len(each) <= letters else each[: letters - 1].rstrip() + "…" for each in lines]


def width_of(words: str, size: float = 13.5) -> float:
    """About how wide a text is."""
    return len(words) * size * _LETTER


Draw = Callable[[Canvas], None]


@dataclass(frozen=True)
class Chart:
    """A chart for a page and for a file.

    Attributes
    ----------
    name : str
        Unique on a page.
    title, subtitle : str
        What is counted; among whom.
    text : str
        The chart in words, for those who do not see it.
    draw : callable
        Draws on a canvas and sets its height.
    source : tuple of str
        Lines below a chart that leaves the page.
    """

    name: str
    title: str
    subtitle: str
    text: str
    draw: Draw
    source: tuple[str, ...] = ()

    @property
    def inline(self) -> Markup:
        """For a page: both drawings, of which the style sheet shows one."""
        both = self._svg(WIDE, "only-wide") + self._svg(NARROW, "only-narrow")
        return Markup(both)  # noqa: S704 (every text went through escape)

    def _svg(self, width: float, kind: str) -> str:
        canvas = self._drawn(width)
        ids = (f"{self.name}-{kind}-title", f"{self.name}-{kind}-text")
        return (
            f'<svg viewBox="0 0 {_x(width)} {_x(canvas.height)}" class="{kind}" role="img"'
            f' aria-labelledby="{ids[0]} {ids[1]}">{self._words(ids)}'
            f'<g aria-hidden="true">{"".join(canvas.elements)}</g></svg>'
        )

    def _words(self, ids: tuple[str, str]) -> str:
        title = escape(f"{self.title}, {self.subtitle}" if self.subtitle else self.title)
        return f'<title id="{ids[0]}">{title}</title><desc id="{ids[1]}">{escape(self.text)}</desc>'

    def _drawn(self, width: float) -> Canvas:
        canvas = Canvas(width)
        self.draw(canvas)
        return canvas

    def file(self) -> str:
        """For a file: with its title above, its source below, and the light colours written into it."""
        margin, drawn, page = 24.0, self._drawn(WIDE), Canvas(WIDE)
        y = margin
        for words, kind, step in (
            *((each, "c-title", 24.0) for each in wrap(self.title, WIDE, 18)),
            *((each, "c-muted", 19.0) for each in wrap(self.subtitle, WIDE, 12.5)),
        ):
            page.text(0, y, words, kind)
            y += step
        page.group(0, y, drawn)
        y += drawn.height + 22
        for sentence in self.source:
            for words in wrap(sentence, WIDE, 11, most=8):
                page.text(0, y, words, "c-small")
                y += 15
        width, height = _x(WIDE + 2 * margin), _x(y + margin)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-{_x(margin)} 0 {width} {height}"'
            f' width="{width}" height="{height}" role="img" aria-labelledby="title text">'
            f"{self._words(('title', 'text'))}<style>{standalone_rules()}</style>"
            f'<rect x="-{_x(margin)}" width="{width}" height="{height}" class="c-paper"/>'
            f'<g aria-hidden="true">{"".join(page.elements)}</g></svg>'
        )


def standalone_rules() -> str:
    """The charts' own rules of the style sheet with the light colours in place of their names."""
    tokens = dict(re.findall(r"(--[\w-]+):\s*(#[0-9a-f]+)", _SHEET[: _SHEET.index("@media")]))
    begin, end = _SHEET.index("/* charts */"), _SHEET.index("/* end of charts */")
    rules = re.sub(r"/\*.*?\*/", "", _SHEET[begin:end])
    rules = re.sub(r"var\((--[\w-]+)\)", lambda found: tokens[found[1]], rules)
    font = 'svg{font-family:system-ui,"DejaVu Sans","Segoe UI",Arial,sans-serif}'
    return font + re.sub(r"\s*\n\s*", "", rules)
