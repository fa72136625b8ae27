"""Figures that are functions of published figures alone: gap and trend. They need no further protection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from app.disclosure.protect_figures import one_decimal
from app.outcomes.errors import OutcomesError
from app.outcomes.indicators import INDICATORS

Document = Mapping[str, Any]


def gap(table: Document, reference: str) -> dict[str, Any]:
    """Each row's rate minus the reference row's, in percentage points, and their ratio.

    Parameters
    ----------
    table : mapping
        Document of a published table by one dimension.
    reference : str
        Code of the reference group.

    Raises
    ------
    OutcomesError
        ``NOT_A_RATE``: the table does not hold rates by one dimension. ``UNKNOWN_CODE``: no such row.
    """
    if len(table["by"]) != 1 or not all("rate" in row for row in table["rows"]):
        raise OutcomesError("NOT_A_RATE", "A gap needs a table of rates by one dimension.")
    (by,) = table["by"]
    base = next((row for row in table["rows"] if row["key"][by] == reference), None)
    if base is None:
        raise OutcomesError("UNKNOWN_CODE", "The table has no such group.")
    declared = INDICATORS["gap"]
    return {
        "indicator": "gap",
        "of": table["indicator"],
        "title": f"{declared.title}: {table['title']}",
        "definition": f"{declared.definition} {table['definition']}",
        "cohort": table["cohort"],
        "by": [by],
        "reference": reference,
        "rows": [_gap_row(row, base) for row in table["rows"]],
        "coverage": table["coverage"],
        "vintage": table["vintage"],
        "policy": table["policy"],
        "notes": list(table["notes"]),
    }


def _gap_row(row: Document, base: Document) -> dict[str, Any]:
    shown = row["rate"] is not None and base["rate"] is not None
    ours, theirs = (_share(each) if shown else Fraction(0) for each in (row, base))
    adjusted = (row.get("adjusted"), base.get("adjusted"))
    both = shown and all(adjusted)
    return {
        "key": row["key"],
        "label": row["label"],
        "status": "published" if shown else "withheld",
        "points": one_decimal(100 * (ours - theirs)) if shown else None,
        "ratio": _three(ours / theirs) if shown and theirs else None,
        # From the unrounded rates: the rounded ones differ by up to 0.1 more.
        "adjusted_points": one_decimal(Fraction(adjusted[0]["exact"]) - Fraction(adjusted[1]["exact"]))
        if both and adjusted[0] is not None and adjusted[1] is not None
        else None,
    }


def _share(row: Document) -> Fraction:
    return Fraction(row["found"], row["n"])


def _three(value: Fraction) -> str:
    thousandths = (value * 2000 + 1) // 2
    return f"{thousandths // 1000}.{thousandths % 1000:03d}"


def trend(tables: Sequence[Document]) -> dict[str, Any]:
    """One point for each cohort, flagged where the series breaks.

    Parameters
    ----------
    tables : sequence of mapping
        Published tables of one indicator, in the order of their cohorts: a point for each row of a table by
        ``cohort_year``, for the total of any other.

    Raises
    ------
    OutcomesError
        ``NOT_A_SERIES``: no table, or of different indicators.
    """
    if len({table["indicator"] for table in tables}) != 1:
        raise OutcomesError("NOT_A_SERIES", "A trend needs tables of one indicator.")
    points: list[dict[str, Any]] = []
    before: Document | None = None
    for table in tables:
        for row in table["rows"] if table["by"] == ["cohort_year"] else [table["total"]]:
            year = row["key"].get("cohort_year", table["cohort"])
            reasons = _breaks(before, table, year)
            points.append(
                {
                    "cohort": year,
                    "vintage": table["vintage"],
                    **{name: row[name] for name in ("status", "n", "found", "rate")},
                    "break_in_series": bool(reasons),
                    "reasons": reasons,
                }
            )
            before = table
    first = tables[0]
    return {
        "indicator": "trend",
        "of": first["indicator"],
        "title": first["title"],
        "definition": f"{first['definition']} {INDICATORS['trend'].definition}",
        "points": points,
        "coverage": [table["coverage"] for table in tables],
    }


def _breaks(before: Document | None, table: Document, year: str) -> list[str]:
    reasons = []
    if year in table.get("breaks", ()):
        reasons.append("contributors")
    if before is not None and before is not table:
        if before["definition"] != table["definition"]:
            reasons.append("definition")
        if list(before.get("contributors", ())) != list(table.get("contributors", ())):
            reasons.append("contributors")
    return list(dict.fromkeys(reasons))
