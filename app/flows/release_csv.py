"""A table of a release as CSV: what every figure needs beside it goes before it, as comment lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from app.flows.release_sheets import Sheet, about, inert, sheets


def to_csv(release: Mapping[str, Any], sheet: Sheet | None = None) -> str:
    """CSV of a release, RFC 4180 with ``#`` comments first; what is not shown is an empty field.

    Parameters
    ----------
    release : mapping
        With its table, as `app.flows.publish_release.show_release` gives it.
    sheet : Sheet, optional
        One of the release's; the table that was asked for if not given.
    """
    sheet = sheet or sheets(release)[0]
    out = io.StringIO(newline="")
    for name, text in about(release):
        out.write(f"# {name}: {text}\r\n")
    writer = csv.writer(out)
    writer.writerow([column.name for column in sheet.columns])
    for line in sheet.lines:
        writer.writerow(
            [
                "" if value is None else value if column.is_figure else inert(str(value))
                for column, value in zip(sheet.columns, line.values, strict=True)
            ]
        )
    return out.getvalue()
