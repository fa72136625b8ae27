"""A release as an Excel workbook: one sheet about it, one for each of its tables."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from app.flows.release_sheets import Column, Kind, Sheet, Value, about

_FORMATS: Final[Mapping[Kind, str]] = {
    "count": "#,##0",
    "percent": "0.0",
    "points": "+0.0;-0.0;0.0",
    "ratio": "0.000",
    "dollars": "#,##0",
}
#: Shown in place of what is not shown; a number it is not, so nothing adds it up.
NOT_SHOWN: Final = "–"


def to_workbook(release: Mapping[str, Any], tables: Sequence[Sheet]) -> bytes:
    """XLSX of a release; the same release gives the same bytes.

    Parameters
    ----------
    release : mapping
    tables : sequence of Sheet
        Those of `app.flows.release_sheets.sheets`.
    """
    out = io.BytesIO()
    # Nothing that a cell holds is a formula or a link, whatever it begins with.
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    import xlsxwriter  # type: ignore[import-untyped]  # here: a server that makes none stays small

    with xlsxwriter.Workbook(out, options) as book:
        book.set_properties({"created": datetime.fromisoformat(release["created_at"]).replace(tzinfo=None)})
        _write_about(book, release)
        for table in tables:
            _write_table(book, table)
    return out.getvalue()


def _write_about(book: Any, release: Mapping[str, Any]) -> None:
    sheet = book.add_worksheet("About")
    name, text = book.add_format({"bold": True, "valign": "top"}), book.add_format({"text_wrap": True})
    sheet.set_column(0, 0, 14)
    sheet.set_column(1, 1, 100)
    for row, (key, value) in enumerate(about(release)):
        sheet.write_string(row, 0, key, name)
        sheet.write_string(row, 1, value, text)


def _write_table(book: Any, table: Sheet) -> None:
    sheet = book.add_worksheet(table.name.capitalize())
    head = book.add_format({"bold": True, "bottom": 2, "text_wrap": True, "valign": "bottom"})
    forms = {
        (column.kind, total): book.add_format({"bold": total, "num_format": _FORMATS.get(column.kind, "@")})
        for column in table.columns
        for total in (False, True)
    }
    for at, column in enumerate(table.columns):
        sheet.write_string(0, at, column.name, head)
        longest = max((len(str(line.values[at])) for line in table.lines), default=0)
        sheet.set_column(at, at, min(max(longest, len(column.name)) + 2, 60))
    for row, line in enumerate(table.lines, 1):
        for at, (column, value) in enumerate(zip(table.columns, line.values, strict=True)):
            _write(sheet, row, at, column, value, forms[column.kind, line.is_total])
    sheet.freeze_panes(1, 0)


def _write(sheet: Any, row: int, at: int, column: Column, value: Value, form: Any) -> None:
    if value is None:
        if column.is_figure:
            sheet.write_string(row, at, NOT_SHOWN, form)
    elif column.is_figure:
        sheet.write_number(row, at, float(value), form)
    else:
        sheet.write_string(row, at, str(value), form)
