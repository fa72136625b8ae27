"""A protected table as CSV: what every figure needs beside it goes before it, as comment lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any


def to_csv(release: Mapping[str, Any]) -> str:
    """CSV of a release, RFC 4180 with ``#`` comments first; what is not shown is an empty field.

    Parameters
    ----------
    release : mapping
        With its table, as `app.flows.publish_release.show_release` gives it.
    """
    table = release["table"]
    out = io.StringIO(newline="")
    for name, text in (
        ("release", release["id"]),
        ("agreement", f"{release['agreement']} ({release['agreement_state']})"),
        ("indicator", table["indicator"]),
        ("definition", table["definition"]),
        ("cohort", table["cohort"]),
        *(("where", f"{name} is {code}") for name, code in table.get("where", {}).items()),
        ("vintage", table["vintage"]),
        ("policy", f"{table['policy']['method']}, minimum cell {table['policy']['min_cell']}"),
        ("coverage", table["coverage"]["text"]),
        ("rows", "add up to the total" if table["additive"] else "do not add up to the total"),
        *(("note", note) for note in table["notes"]),
    ):
        out.write(f"# {name}: {' '.join(str(text).split())}\r\n")
    writer = csv.writer(out)
    writer.writerow([*table["by"], "label", "status", "n", "found", "rate"])
    for row in [*table["rows"], table["total"]]:
        codes = [_inert(row["key"].get(dimension, "TOTAL")) for dimension in table["by"]]
        figures = ["" if row[name] is None else row[name] for name in ("n", "found", "rate")]
        writer.writerow([*codes, _inert(row["label"]), row["status"], *figures])
    return out.getvalue()


def _inert(text: str) -> str:
    """A text that no spreadsheet takes for a formula; codes such as institutions come from agencies."""
    return f"'{text}" if text[:1] in "=+-@\t\r" and text else text
