"""Charts of a linkage run, drawn here as SVG: evidence by level, scores, match rates.

Drawn from the coarse figures alone (`app.flows.run_report`), so a drawing shows no more than the table beside
it. Colours come from the page's style sheet, so that a chart follows the reader's scheme.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup, escape

WIDTH: Final = 720
#: Shares are known to this, so a share of 0.000 may be anything below half of it.
_HALF: Final = 0.0005


@dataclass(frozen=True)
class Drawing:
    """A drawing for a page, and what it says in words."""

    inline: Markup
    text: str


@dataclass(frozen=True)
class Evidence:
    """What agreement at one level of a comparison says.

    Attributes
    ----------
    comparison, level : str
        What is compared; how alike.
    m, u : str
        Share of matches, and of all other pairs, at this level.
    bits : float or None
        log2(m/u); None where both are too rare to say.
    bound : str
        ``least`` or ``most`` where a share of 0.000 makes the weight a bound; empty where it is a figure.
    """

    comparison: str
    level: str
    m: str
    u: str
    bits: float | None
    bound: str

    @property
    def said(self) -> str:
        """The weight as a text: ``+9.8``, ``at least +10.7``; a dash where nothing can be said."""
        if self.bits is None:
            return "–"
        sign = {"least": "at least ", "most": "at most "}.get(self.bound, "")
        return f"{sign}{self.bits:+.1f}".replace("-", "−")


def evidence(model: Iterable[Mapping[str, Any]]) -> list[Evidence]:
    """Match weights of every level of a pair's model, each comparison's closest level first."""
    found = []
    for each in model:
        count = len(each["m"])
        for at in reversed(range(count)):
            bits, bound = _weight(float(each["m"][at]), float(each["u"][at]))
            found.append(
                Evidence(
                    " and ".join(part.replace("_", " ") for part in each["comparison"].split("|")),
                    _level(at, count),
                    each["m"][at],
                    each["u"][at],
                    bits,
                    bound,
                )
            )
    return found


def _level(at: int, count: int) -> str:
    if at == count - 1:
        return "closest" if count > 2 else "agree"
    if at == 0:
        return "far apart" if count > 2 else "differ"
    return f"level {at} of {count - 1}"


def _weight(m: float, u: float) -> tuple[float | None, str]:
    """Bits, and whether they are a bound, because a share is shown as 0.000."""
    if m < _HALF and u < _HALF:
        return None, ""
    bound = "least" if u < _HALF else "most" if m < _HALF else ""
    return math.log2(max(m, _HALF) / max(u, _HALF)), bound


def weights_chart(model: Sequence[Mapping[str, Any]], title: str, name: str) -> Drawing:
    """Bars of match weights by comparison and level: right speaks for one person, left against.

    Parameters
    ----------
    model : sequence of mapping
        ``comparison``, ``m``, ``u`` (`run_report`).
    title : str
        What the drawing is called for those who do not see it.
    name : str
        Unique on the page: ids are made of it.
    """
    rows = evidence(model)
    reach = max([abs(row.bits) for row in rows if row.bits is not None], default=1.0)
    reach = max(4.0, math.ceil(reach / 4) * 4)
    left, right, middle = 190, WIDTH - 110, (190 + WIDTH - 110) / 2
    scale = (right - left) / 2 / reach
    parts, y, last = [], 34.0, ""
    for row in rows:
        if row.comparison != last:
            y += 10 if last else 0
            parts.append(_text(0, y + 12, row.comparison, "strong"))
            last = row.comparison
            y += 20
        parts.append(_text(16, y + 12, row.level, "soft"))
        parts.append(_weight_bar(row, y, middle, scale))
        y += 19
    height = y + 10
    ticks = range(-int(reach), int(reach) + 1, 4)
    axis = [
        f'<line class="{"axis" if tick == 0 else "gridline"}" x1="{middle + tick * scale:.1f}" '
        f'x2="{middle + tick * scale:.1f}" y1="26" y2="{height - 4:.1f}"/>'
        + _text(middle + tick * scale, 18, f"{tick:+d}".replace("-", "−") if tick else "0", "soft", "middle")
        for tick in ticks
    ]
    said = "; ".join(f"{row.comparison}, {row.level}: {row.said} bits" for row in rows)
    text = f"Bars to the right speak for one person, to the left against. {said}."
    return _drawing("weights", height, title, text, [*axis, *parts], name)


def _weight_bar(row: Evidence, y: float, middle: float, scale: float) -> str:
    if row.bits is None:
        return _text(middle + 6, y + 12, "too rare to say", "soft")
    length = max(abs(row.bits) * scale, 1.0)
    start = middle if row.bits >= 0 else middle - length
    bar = (
        f'<rect class="{"for" if row.bits >= 0 else "against"}" x="{start:.1f}" y="{y:.1f}" '
        f'width="{length:.1f}" height="14"/>'
    )
    end = middle + row.bits * scale
    side = 1 if row.bits >= 0 else -1
    tip = ""
    if row.bound:
        # An open end: the weight is at least so far out.
        tip = f'<path class="bound" d="M{end + side * 2:.1f} {y + 2:.1f}l{side * 6} 5l{-side * 6} 5"/>'
    mark = {"least": "≥ ", "most": "≤ "}.get(row.bound, "")
    label = mark + row.said.rpartition(" ")[2]
    at = end + side * (14 if row.bound else 6)
    return bar + tip + _text(at, y + 12, label, "", "start" if side > 0 else "end")


def histogram_rows(histogram: Mapping[str, Any]) -> list[tuple[int, int]]:
    """(weight in bits, pairs) from the first to the last bin that is not empty."""
    counts = [int(count) for count in histogram["weights"]]
    filled = [at for at, count in enumerate(counts) if count]
    if not filled:
        return []
    first = int(histogram["weight_from"])
    return [(first + at, counts[at]) for at in range(filled[0], filled[-1] + 1)]


def histogram_chart(histogram: Mapping[str, Any], title: str, name: str) -> Drawing:
    """Columns of pairs by match weight, on a logarithmic scale: two hills with a valley are a good run."""
    rows = histogram_rows(histogram)
    top = max([count for _, count in rows], default=1)
    decades = max(1, math.ceil(math.log10(max(top, 10))))
    left, right, floor, ceiling = 62, WIDTH - 10, 226, 36
    step = (right - left) / max(len(rows), 1)
    parts = []
    for decade in range(1, decades + 1):
        y = floor - (floor - ceiling) * decade / decades
        parts.append(f'<line class="gridline" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(left - 8, y + 4, f"{10**decade:,}", "soft", "end"))
    for at, (weight, count) in enumerate(rows):
        x = left + at * step
        if count:
            height = (floor - ceiling) * math.log10(max(count, 1.5)) / decades
            parts.append(
                f'<rect class="{"for" if weight >= 0 else "against"}" x="{x + step * 0.08:.1f}" '
                f'y="{floor - height:.1f}" width="{step * 0.84:.1f}" height="{height:.1f}"/>'
            )
        if weight % 5 == 0:
            parts.append(_text(x + step / 2, floor + 18, f"{weight}".replace("-", "−"), "soft", "middle"))
    parts.append(f'<line class="axis" x1="{left}" x2="{right}" y1="{floor}" y2="{floor}"/>')
    parts.append(_text((left + right) / 2, floor + 40, "match weight, bits", "soft", "middle"))
    parts.append(_text(0, 12, "pairs", "soft"))
    said = "; ".join(f"{weight} bits: {count:,}" for weight, count in rows if count) or "no pairs to show"
    return _drawing("histogram", floor + 50, title, f"Candidate pairs by match weight. {said}.", parts, name)


def threshold_chart(pair: Mapping[str, Any], title: str, name: str) -> Drawing:
    """Expected precision and recall by threshold, with the run's own marked."""
    rows = [tuple(float(row[x]) for x in ("threshold", "precision", "recall")) for row in pair["thresholds"]]
    least = min([min(precision, recall) for _, precision, recall in rows], default=0.0)
    low = min(math.floor(least * 10) / 10, 0.9)
    left, right, floor, ceiling = 62, WIDTH - 90, 226, 30

    def at(threshold: float, share: float) -> tuple[float, float]:
        return left + (right - left) * threshold, floor - (floor - ceiling) * (share - low) / (1 - low)

    parts = []
    step = 10 if low < 0.5 else 5 if low < 0.8 else 2
    for percent in range(round(low * 100), 101, step):
        _, y = at(0, percent / 100)
        parts.append(f'<line class="gridline" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(left - 8, y + 4, f"{percent} %", "soft", "end"))
    parts += [
        _text(at(tenth / 10, low)[0], floor + 18, f"{tenth / 10:g}", "soft", "middle")
        for tenth in range(0, 11, 2)
    ]
    parts.append(_text((left + right) / 2, floor + 40, "threshold", "soft", "middle"))
    own = at(float(pair["threshold"]), low)[0]
    parts.append(f'<line class="axis" x1="{own:.1f}" x2="{own:.1f}" y1="{ceiling - 8}" y2="{floor}"/>')
    parts.append(_text(own, ceiling - 14, "this run", "soft", "middle"))
    ends = [at(rows[-1][0], rows[-1][k])[1] for k in (1, 2)] if rows else []
    if ends and abs(ends[0] - ends[1]) < 16:  # labels must not cover each other
        ends = [min(ends) - 4, min(ends) + 12] if ends[0] <= ends[1] else [min(ends) + 12, min(ends) - 4]
    for kind, column, end in zip(("precision", "recall"), (1, 2), ends, strict=False):
        path = " ".join("{:.1f},{:.1f}".format(*at(row[0], row[column])) for row in rows)
        parts.append(f'<polyline class="{kind}" points="{path}"/>')
        parts.append(_text(at(rows[-1][0], low)[0] + 10, end + 4, kind, kind))
    parts.append(f'<line class="axis" x1="{left}" x2="{right}" y1="{floor}" y2="{floor}"/>')
    said = "; ".join(
        f"from {row['threshold']}: precision {row['precision']}, recall {row['recall']}"
        for row in pair["thresholds"]
    )
    return _drawing("tradeoff", floor + 50, title, f"Lines by threshold. {said}.", parts, name)


def threshold_words(pair: Mapping[str, Any]) -> str:
    """Which threshold to take, and why; empty where too few matches were found to say."""
    if not pair.get("advised_threshold"):
        return ""
    if pair["warnings"]:
        return "Do not choose by these figures: the warnings above say why the model is not to be relied on."
    rows = {row["threshold"]: row for row in pair["thresholds"]}
    own, advised = pair["threshold"], pair["advised_threshold"]
    even = min(rows.values(), key=lambda row: _imbalance(row, float(own)))
    balance = (
        f" From {even['threshold']} on about as many links are expected to be false as are missed, so that "
        "rates are least off."
    )
    if own == advised:
        return f"Stay at {own}: no other threshold promises noticeably fewer errors altogether.{balance}"
    now, then = rows[own], rows[advised]
    gain, price = ("recall", "precision") if float(advised) < float(own) else ("precision", "recall")
    return (
        f"{advised} promises fewer errors altogether: {gain} {then[gain]} instead of {now[gain]}, "
        f"at a {price} of {then[price]} instead of {now[price]}.{balance}"
    )


def _imbalance(row: Mapping[str, str], own: float) -> tuple[float, float]:
    """How far false and missed links are from each other; of equals the one nearest to the run's own."""
    threshold, precision, recall = (float(row[name]) for name in ("threshold", "precision", "recall"))
    return round(abs(precision - recall), 3), abs(threshold - own)


def rates_chart(pairs: Sequence[Mapping[str, Any]], title: str, name: str) -> Drawing:
    """Bars of match rates by pair of organizations, as they stand."""
    left, right, y = 330, WIDTH - 60, 8.0
    parts = []
    for pair in pairs:
        label = " × ".join(str(each) for each in pair["organizations"])
        parts.append(_text(left - 10, y + 13, label, "", "end"))
        if pair["match_rate"] is None:
            parts.append(_text(left + 6, y + 13, "too few to say", "soft"))
        else:
            share = float(pair["match_rate"])
            parts.append(f'<rect class="track" x="{left}" y="{y:.1f}" width="{right - left}" height="16"/>')
            width = max((right - left) * share, 1.0)
            parts.append(f'<rect class="for" x="{left}" y="{y:.1f}" width="{width:.1f}" height="16"/>')
            parts.append(_text(right + 8, y + 13, f"{100 * share:.0f} %"))
        y += 25
    said = "; ".join(f"{' × '.join(map(str, p['organizations']))}: {rate_words(p)}" for p in pairs)
    return _drawing("rates", y + 4, title, f"Bars of match rates. {said}.", parts, name)


def rate_words(pair: Mapping[str, Any]) -> str:
    """A pair's match rate as a text."""
    rate = pair["match_rate"]
    return "too few to say" if rate is None else f"{100 * float(rate):.0f} %"


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    marks = (f' class="{kind}"' if kind else "") + (f' text-anchor="{anchor}"' if anchor != "start" else "")
    return f'<text x="{x:.1f}" y="{y:.1f}"{marks}>{escape(text)}</text>'


def _drawing(kind: str, height: float, title: str, text: str, parts: Iterable[str], name: str) -> Drawing:
    return Drawing(
        Markup(  # noqa: S704 (every text in it is escaped where it is put in)
            f'<svg class="{kind}" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
            f'aria-labelledby="{name}-title {name}-desc" xmlns="http://www.w3.org/2000/svg">'
            f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(text)}</desc>'
            f'<g aria-hidden="true">{"".join(parts)}</g></svg>'
        ),
        text,
    )
