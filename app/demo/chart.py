"""A published table as an SVG bar chart: Vega-Lite drawn by vl-convert, with title and text alternative."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import vl_convert

INK, BAR, MUTED = "#1f2933", "#2f6f8f", "#6b7280"


def alternative(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """The chart in one sentence a row, for those who do not see it."""
    said = [
        f"{row['label']}: {row['rate']} percent" if row["rate"] is not None else f"{row['label']}: withheld"
        for row in rows
    ]
    return f"Bar chart. {title}. " + "; ".join(said) + "."


def bar_chart(table: Mapping[str, Any], title: str, subtitle: str) -> str:
    """Draw the rates of a protected table's rows.

    Parameters
    ----------
    table
        Document of a protected table; nothing else goes into the chart, so it can show no more than the
        table.
    title, subtitle
        What is counted; among whom.

    Returns
    -------
    str
        SVG with ``role="img"``, ``<title>`` and ``<desc>``; withheld rows have a word in place of a bar.
    """
    rows = list(table["rows"])
    values = [
        {
            "label": row["label"],
            "rate": float(row["rate"]) if row["rate"] is not None else None,
            "text": f"{row['rate']} %" if row["rate"] is not None else "withheld",
            "shown": row["rate"] is not None,
        }
        for row in rows
    ]
    axis = {"labelColor": INK, "titleColor": INK, "labelLimit": 320}
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": {
            "text": title,
            "subtitle": subtitle,
            "anchor": "start",
            "color": INK,
            "subtitleColor": MUTED,
        },
        "width": 460,
        "height": {"step": 30},
        "data": {"values": values},
        "encoding": {
            "y": {
                "field": "label",
                "type": "nominal",
                "sort": [v["label"] for v in values],
                "title": None,
                "axis": axis,
            },
            "x": {
                "field": "rate",
                "type": "quantitative",
                "scale": {"domain": [0, 100]},
                "title": "found with wages, percent",
                "axis": axis,
            },
        },
        "layer": [
            {"mark": {"type": "bar", "color": BAR}},
            {
                "transform": [{"filter": "datum.shown"}],
                "mark": {"type": "text", "align": "left", "dx": 4, "color": INK},
                "encoding": {"text": {"field": "text"}},
            },
            {
                "transform": [{"filter": "!datum.shown"}],
                "mark": {"type": "text", "align": "left", "dx": 4, "color": MUTED, "fontStyle": "italic"},
                "encoding": {"text": {"field": "text"}, "x": {"value": 0}},
            },
        ],
        "config": {"view": {"stroke": None}, "background": "white"},
    }
    drawn = str(vl_convert.vegalite_to_svg(json.dumps(spec)))
    return _accessible(drawn, title, alternative(f"{title}, {subtitle}", rows))


def _accessible(svg: str, title: str, text: str) -> str:
    """Name and describe the drawing; its own groups are hidden from screen readers, which would spell
    them out.
    """
    start = svg.index("<svg")
    end = svg.index(">", start)
    named = f'{svg[start:end]} role="img" aria-labelledby="chart-title chart-text">'
    words = f'<title id="chart-title">{escape(title)}</title><desc id="chart-text">{escape(text)}</desc>'
    body, close = svg[end + 1 :].rsplit("</svg>", 1)
    return f'{svg[:start]}{named}{words}<g aria-hidden="true">{body}</g></svg>{close}'
