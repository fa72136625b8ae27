"""Files that analysts take away, read back as an attacker does: into documents that every attack takes."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import openpyxl

#: What stands in a row beside its codes and its name.
_COUNTS = ("n", "found")
_NOT_SHOWN = ("", "–")


def from_csv(text: str) -> dict[str, Any]:
    """The table of a CSV: by its first columns, up to the label; the last row is the total."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return _document(list(csv.reader(io.StringIO("\n".join(lines)))), _within(text.splitlines()))


def from_workbook(data: bytes) -> dict[str, Any]:
    """The table of a workbook."""
    book = openpyxl.load_workbook(io.BytesIO(data))
    told = [f"# {row[0]}: {row[1]}" for row in book["About"].iter_rows(values_only=True)]
    rows = [["" if cell is None else str(cell) for cell in row] for row in book["Table"].values]
    return _document(rows, _within(told))


def _within(lines: Sequence[str]) -> dict[str, str]:
    """The filter that the file says it is within."""
    said = (
        line.removeprefix("# where: ").partition(" is ") for line in lines if line.startswith("# where: ")
    )
    return {name: code for name, _, code in said}


def _document(rows: Sequence[Sequence[str]], where: dict[str, str]) -> dict[str, Any]:
    names = list(rows[0])
    by = names[: names.index("label")]

    def row(cells: Sequence[str]) -> dict[str, Any]:
        given = dict(zip(names, cells, strict=True))
        told = {name: None if text in _NOT_SHOWN else text for name, text in given.items()}
        counts = {name: None if told.get(name) is None else int(float(told[name])) for name in _COUNTS}
        rate = None if told.get("rate") is None else f"{float(told['rate']):.1f}"
        key = {name: given[name] for name in by}
        return {"key": key, "status": given["status"], "rate": rate, **counts}

    body = [row(cells) for cells in rows[1:]]
    total = {**body[-1], "key": {}}
    return {"by": by, "where": where, "rows": body[:-1] if by else [], "total": total}


def match_rates(documents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Match rates that stand beside answers, as tables of their own."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for document in documents:
        for each in document.get("match_rates", ()):
            found[tuple(each["by"])] = dict(each)
        if "matched" in document["total"]:
            rows = [{"key": row["key"], **row["matched"]} for row in document["rows"]]
            total = {"key": {}, **document["total"]["matched"]}
            found[tuple(document["by"])] = {"by": document["by"], "rows": rows, "total": total}
    return list(found.values())
