"""A release as tables of columns: what the page shows, CSV, workbook and charts are all made of these.

Everything comes out of the release's document (a protected table) and of the gap, which is a function of it;
nothing is read, counted or rounded here, so no view can show more than another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from app.outcomes.dimensions import DIMENSIONS

Kind = Literal["code", "text", "status", "count", "percent", "points", "ratio", "dollars"]
Value = str | int | bool | None
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """A column: its name in files and in the interface, its heading, and what its values are."""

    name: str
    label: str
    kind: Kind

    @property
    def is_figure(self) -> bool:
        """Whether its values are numbers; decimals travel as text, so that no digit is lost."""
        return self.kind not in ("code", "text", "status")


@dataclass(frozen=True)
class Line:
    """A row: one value for each column; None is what is not shown."""

    values: tuple[Value, ...]
    is_total: bool = False


@dataclass(frozen=True)
class Sheet:
    """One table of a release.

    Attributes
    ----------
    name : str
        ``table``, ``bands``, ``flows``, ``gap`` or ``linked``; also in file names.
    title : str
    columns : tuple of Column
    lines : tuple of Line
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]

    def records(self) -> Iterator[dict[str, Value]]:
        """Each row by the names of its columns."""
        names = [column.name for column in self.columns]
        for line in self.lines:
            yield dict(zip(names, line.values, strict=True))

    def has(self, name: str) -> bool:
        """Whether there is a column of this name."""
        return any(column.name == name for column in self.columns)


_LABEL: Final = Column("label", "Group", "text")
_STATUS: Final = Column("status", "Status", "status")
_N: Final = Column("n", "Graduates", "count")
_FOUND: Final = Column("found", "Found", "count")
_RATE: Final = Column("rate", "Rate %", "percent")
_SHARE: Final = Column("share", "Share %", "percent")

#: Figures that some tables have in their rows, by the member of the row.
_FIGURES: Final = (
    Column("p25", "25th percentile", "dollars"),
    Column("p50", "Median", "dollars"),
    Column("p75", "75th percentile", "dollars"),
    Column("standardised_rate", "Standardised rate %", "percent"),
    Column("difference_points", "Difference, points", "points"),
    Column("contributed_points", "Contributed, points", "points"),
)
#: Share of a row's graduates who were linked with any wage record, at any time.
_LINKED: Final = Column("linked_rate", "Linked %", "percent")
_ADJUSTED: Final = (
    Column("adjusted_rate", "Adjusted rate %", "percent"),
    Column("adjusted_low", "95 % from", "percent"),
    Column("adjusted_high", "95 % to", "percent"),
    Column("adjusted_basis", "Adjusted by", "text"),
)


def sheets(release: Document, gap: Document | None = None) -> list[Sheet]:
    """Return every table of a release, the asked one first.

    Parameters
    ----------
    release : mapping
        With its table.
    gap : mapping, optional
        As `app.flows.show_indicators` gives it for this release.
    """
    table = release["table"]
    found = [_table(table)]
    if table.get("bands"):
        codes = [Column("band", "Band", "code")]
        found.append(_shares("bands", "By band of earnings", codes, table["bands"]))
    if table.get("flows"):
        codes = [Column("naics_sector", "NAICS sector", "code"), Column("state_of_work", "State", "code")]
        found.append(_shares("flows", "Where they work: industry and state", codes, table["flows"]))
    if gap is not None:
        found.append(_gap(gap))
    if table.get("match_rates"):
        found.append(_linked(table["match_rates"]))
    return found


def _table(table: Document) -> Sheet:
    rows = [*table["rows"], table["total"]]
    by = [Column(name, name, "code") for name in table["by"]]
    members = {name for row in rows for name in row}
    figures = [column for column in _FIGURES if column.name in members]
    # Percentiles carry no counts and no rate: these are figures of other indicators.
    counted = not any(column.kind == "dollars" for column in figures)
    adjusted = _ADJUSTED if "adjusted" in members else ()
    linked = (_LINKED,) if "matched" in members else ()
    columns = (*by, _LABEL, _STATUS, *((_N, _FOUND, _RATE) if counted else ()), *figures, *adjusted, *linked)
    lines = tuple(
        Line(tuple(_value(row, column.name) for column in columns), row is table["total"]) for row in rows
    )
    return Sheet("table", table["title"], columns, lines)


def _value(row: Document, name: str) -> Value:
    """A member of a row, wherever in it; the total has no codes of its own."""
    if name.startswith("adjusted_"):
        adjusted: Document = row.get("adjusted") or {}
        value: Value = adjusted.get(name.removeprefix("adjusted_"))
    elif name == _LINKED.name:
        value = (row.get("matched") or {}).get("rate")
    else:
        value = row[name] if name in row else row["key"].get(name, "TOTAL" if not row["key"] else None)
    return value


def _keyed(name: str, title: str, columns: Sequence[Column], rows: Sequence[Document]) -> Sheet:
    lines = tuple(
        Line(tuple(row["key"].get(c.name) if c.kind == "code" else row[c.name] for c in columns))
        for row in rows
    )
    return Sheet(name, title, tuple(columns), lines)


def _linked(matches: Sequence[Document]) -> Sheet:
    """Match rates of the whole and of single dimensions, beside a table whose own groups have none."""
    whole = matches[0]["total"]
    columns = (
        Column("dimension", "Dimension", "code"),
        Column("code", "Code", "code"),
        _LABEL,
        _STATUS,
        _N,
        Column("linked", "Linked", "count"),
        _LINKED,
    )
    lines = []
    for match in matches:
        for row in match["rows"]:
            ((name, code),) = row["key"].items()
            label = f"{DIMENSIONS[name].label}: {row['label']}"
            lines.append(Line((name, code, label, row["status"], row["n"], row["found"], row["rate"])))
    total = ("TOTAL", "TOTAL", whole["label"], whole["status"], whole["n"], whole["found"], whole["rate"])
    return Sheet("linked", "Match rates by group", columns, (*lines, Line(total, is_total=True)))


def _shares(name: str, title: str, codes: Sequence[Column], rows: Sequence[Document]) -> Sheet:
    return _keyed(name, title, [*codes, _LABEL, _STATUS, _N, _SHARE], rows)


def _gap(gap: Document) -> Sheet:
    columns = (
        *(Column(name, name, "code") for name in gap["by"]),
        _LABEL,
        _STATUS,
        Column("points", "Gap, points", "points"),
        Column("ratio", "Ratio", "ratio"),
        Column("adjusted_points", "Adjusted gap, points", "points"),
    )
    return _keyed("gap", f"Gap to {_name_of(gap)}", columns, gap["rows"])


def _name_of(gap: Document) -> str:
    (by,) = gap["by"]
    return str(next(row["label"] for row in gap["rows"] if row["key"][by] == gap["reference"]))


def about(release: Document) -> list[tuple[str, str]]:
    """What has to stand beside the figures, wherever they go: name and text, on one line each."""
    table = release["table"]
    policy = table["policy"]
    rest = {name: text for name, text in policy.items() if name not in ("method", "min_cell")}
    said = [
        ("release", release["id"]),
        ("agreement", f"{release['agreement']} ({release['agreement_state']})"),
        ("indicator", table["indicator"]),
        ("definition", table["definition"]),
        ("cohort", table["cohort"]),
        *(("where", f"{name} is {code}") for name, code in table.get("where", {}).items()),
        ("vintage", table["vintage"]),
        ("policy", f"{policy['method']}, minimum cell {policy['min_cell']}"),
        *((f"policy {name}", str(text)) for name, text in sorted(rest.items())),
        *(("protection", each["meaning"]) for each in [table.get("protection")] if each),
        ("coverage", table["coverage"]["text"]),
        ("rows", "add up to the total" if table["additive"] else "do not add up to the total"),
        *(("break in series", year) for year in table.get("breaks", ())),
        *(("note", note) for note in table["notes"]),
    ]
    if table.get("label"):
        said.append(("note", table["label"]))
    if table.get("linkage"):
        said.append(("linkage", table["linkage"]["note"]))
    return [(name, " ".join(str(text).split())) for name, text in said]


def inert(text: str) -> str:
    """A text that no spreadsheet takes for a formula; codes such as institutions come from agencies."""
    return f"'{text}" if text[:1] in "=+-@\t\r" and text else text
