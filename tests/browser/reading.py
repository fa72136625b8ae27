"""Reading what leaves a page: its tables, CSV, workbook and drawings, each back into rows of figures."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser
from typing import Any

import openpyxl

#: Row of a table: label, status and figures by the names of their columns; None is not shown.
Row = dict[str, str | None]

FIGURES = (
    *("n", "found", "rate", "share", "linked", "linked_rate", "p25", "p50", "p75"),
    *("adjusted_rate", "adjusted_low", "adjusted_high", "points", "ratio", "adjusted_points"),
    *("standardised_rate", "difference_points", "contributed_points"),
)


class _Tables(HTMLParser):
    """Elements with ``data-name`` inside of tables whose ids begin with ``sheet-``."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sheets: dict[str, list[Row]] = {}
        self._sheet = ""
        self._names: list[str | None] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "table" and (given.get("id") or "").startswith("sheet-"):
            self._sheet = str(given["id"]).removeprefix("sheet-")
            self.sheets[self._sheet] = []
        elif tag == "tr" and self._sheet and "data-status" in given:
            self.sheets[self._sheet].append({"status": given["data-status"]})
        if tag != "br":
            self._names.append(given.get("data-name") or (self._names[-1] if self._names else None))
            if given.get("data-name") and self._sheet:
                self.sheets[self._sheet][-1][str(given["data-name"])] = ""

    def handle_endtag(self, tag: str) -> None:
        if self._names:
            self._names.pop()
        if tag == "table":
            self._sheet = ""

    def handle_data(self, data: str) -> None:
        name = self._names[-1] if self._names else None
        if self._sheet and name and self.sheets[self._sheet]:
            row = self.sheets[self._sheet][-1]
            row[name] = (row.get(name) or "") + data.strip()


def read_page(text: str) -> dict[str, list[Row]]:
    """Tables of an answer's page by the names of their sheets."""
    found = _Tables(text).sheets
    return {name: [_plain(row) for row in rows] for name, rows in found.items()}


def _plain(row: Row) -> Row:
    return {
        name: value if name in ("label", "status") or value is None else _number(value)
        for name, value in row.items()
    }


def _number(text: str) -> str | None:
    """A figure without what makes it pleasant to read."""
    if "not shown" in text:
        return None
    return text.replace(",", "").replace("−", "-").replace("+", "")


def read_csv(text: str) -> tuple[dict[str, str], list[Row]]:
    """Comments by their names, and rows."""
    lines = text.split("\r\n")
    comments = [line[2:].split(": ", 1) for line in lines if line.startswith("# ")]
    body = "\r\n".join(line for line in lines if not line.startswith("# "))
    rows = [
        {name: (value or None) for name, value in row.items()} for row in csv.DictReader(io.StringIO(body))
    ]
    return dict(comments), rows


def read_workbook(data: bytes) -> dict[str, list[Row]]:
    """Rows of every sheet but the first, by their names in lower case; figures as they are formatted."""
    book = openpyxl.load_workbook(io.BytesIO(data))
    found: dict[str, list[Row]] = {}
    for sheet in book.worksheets[1:]:
        head, *rows = list(sheet.iter_rows())
        names = [str(cell.value) for cell in head]
        found[sheet.title.lower()] = [
            {name: _cell(cell) for name, cell in zip(names, row, strict=True)} for row in rows
        ]
    return found


def _cell(cell: Any) -> str | None:
    value = cell.value
    if value is None or value == "–":
        return None
    if isinstance(value, str):
        return value
    places = {"0.0": 1, "+0.0;-0.0;0.0": 1, "0.000": 3}.get(cell.number_format, 0)
    return f"{value:.{places}f}"


def read_texts(svg: str) -> list[str]:
    """All that a drawing says but for the ticks of its axes, with its title and text alternative."""
    return re.findall(r"<(?:text|title|desc)(?![^>]*c-tick)[^>]*>([^<]*)<", svg)


def same(rows: list[Row], others: list[Row]) -> None:
    """Both hold the same rows and the same figures, in the same order."""
    assert len(rows) == len(others)
    for mine, theirs in zip(rows, others, strict=True):
        names = {"label", "status", *(name for name in FIGURES if name in mine or name in theirs)}
        assert {n: mine.get(n) for n in names} == {n: theirs.get(n) for n in names}
