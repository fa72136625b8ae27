"""An answer as a page shows it: headline, tables, a chart for each; made of the release's sheets alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from app.flows.release_sheets import Sheet, Value
from app.web.charts import Bar, Chart, Group, Point, Span, bars, gaps, line, matrix, ranges

#: More rows than this are read in the table, not in a drawing.
MOST_ROWS: Final = 40
#: Said at flows that are numbers alone.
NO_SHARES: Final = (
    "Numbers without shares, and without those not in the data: these would tell how many graduates there "
    "are in all, which could be subtracted from the persons of a rate."
)
#: By these groups are not compared: years are followed in a trend, and places of work are no groups.
NO_GAP: Final = frozenset({"cohort_year", "state_of_work", "naics_sector"})

Record = Mapping[str, Value]


@dataclass(frozen=True)
class Headline:
    """The figure of all: what stands large, what it is, and what stands beside."""

    figure: str | None
    unit: str
    words: str
    adjusted: tuple[str, str, str] | None = None
    basis: str | None = None


@dataclass(frozen=True)
class Part:
    """A table of the answer with its chart, if its rows can be drawn, and what has to be said of it."""

    sheet: Sheet
    chart: Chart | None
    said: str = ""


def headline(release: Mapping[str, Any], sheet: Sheet) -> Headline:
    """The total of the table that was asked for."""
    total = list(sheet.records())[-1]
    if sheet.has("contributed_points"):
        figure = _text(total["contributed_points"])
        words = "points of the population's rate go with the program (association, not effect)"
        return Headline(figure, "points", words)
    if sheet.has("p50"):
        return Headline(_dollars(total["p50"]), "", "median, in dollars")
    n, found = total["n"], total["found"]
    words = f"{found:,} of {n:,} graduates" if n is not None and found is not None else "of graduates"
    basis = _text(total.get("adjusted_basis"))
    return Headline(_text(total["rate"]), "%", words, _adjusted(total), basis)


def parts(
    release: Mapping[str, Any], sheets: list[Sheet], subtitle: str, reference: str | None = None
) -> list[Part]:
    """Every table of the answer with its chart; ``reference`` is the label of the gap's reference group."""
    table = release["table"]
    source = (
        f"Coverage: {table['coverage']['text']}",
        f"Release {release['id']}, {table['vintage'].lower()}; minimum cell {table['policy']['min_cell']}.",
    )
    found = []
    for sheet in sheets:
        said = NO_SHARES if _is_in_numbers(sheet) else ""
        beside = (said, *source) if said else source
        found.append(Part(sheet, _chart(table, sheet, subtitle, beside, reference), said))
    return found


def _is_in_numbers(sheet: Sheet) -> bool:
    """Whether these are flows of which no shares are shown, but numbers."""
    rows = list(sheet.records()) if sheet.name == "flows" else []
    return any(row["n"] is not None for row in rows) and all(row["share"] is None for row in rows)


def _chart(
    table: Mapping[str, Any], sheet: Sheet, subtitle: str, source: tuple[str, ...], reference: str | None
) -> Chart | None:
    if len(sheet.lines) > MOST_ROWS and sheet.name != "flows":
        return None
    title = str(table["title"])
    match sheet.name:
        case "flows":
            return _flows(sheet, f"{title}: industry and state", subtitle, source)
        case "bands":
            rows = tuple(Bar(str(each["label"]), _text(each["share"])) for each in sheet.records())
            return bars(
                "bands",
                f"{title}: by band",
                subtitle,
                [Group(rows)],
                measure="Share of graduates",
                source=source,
            )
        case "gap":
            compared = f"{subtitle}, in points against {reference}"
            return gaps(
                "gap", f"Gap: {title}", compared, [_gap(each) for each in sheet.records()], source=source
            )
        case "linked":
            return _linked(sheet, f"{title}: match rates", subtitle, source)
        case _:
            return _main(table, sheet, title, subtitle, source)


def _linked(sheet: Sheet, title: str, subtitle: str, source: tuple[str, ...]) -> Chart:
    """Match rates of single dimensions, each under its name, against that of all."""
    *rows, total = sheet.records()
    groups = []
    for _, run in groupby(rows, key=lambda each: each["dimension"]):
        members = [(str(each["label"]).partition(": "), _text(each["linked_rate"])) for each in run]
        groups.append(Group(tuple(Bar(label[2], rate) for label, rate in members), members[0][0][0]))
    rate = _text(total["linked_rate"])
    whole = ("All", rate) if rate is not None else None
    measure = "Linked with any wage record"
    return bars("linked", title, subtitle, groups, whole=whole, measure=measure, source=source)


def _main(
    table: Mapping[str, Any], sheet: Sheet, title: str, subtitle: str, source: tuple[str, ...]
) -> Chart | None:
    *rows, total = sheet.records()
    if sheet.has("p50"):
        spans = [_span(each) for each in rows] + [_span(total, is_total=True)]
        return ranges("table", title, subtitle, spans, source=source)
    if sheet.has("contributed_points"):
        both = (
            Bar("Participants with a counterpart", _text(total["rate"])),
            Bar("Comparable graduates, standardised", _text(total["standardised_rate"])),
        )
        return bars("table", title, subtitle, [Group(both)], measure="Rate of employment", source=source)
    if table["by"] == ["cohort_year"] and len(rows) > 1:
        broken = set(table.get("breaks", ()))
        points = [_point(each, broken) for each in rows]
        return line("table", title, subtitle, points, source=source)
    if not rows:
        return bars("table", title, subtitle, [Group((_bar(total),))], source=source)
    rate = _text(total["rate"])
    whole = ("All", rate) if rate is not None else None
    return bars("table", title, subtitle, _groups(table["by"], rows), whole=whole, source=source)


def _groups(by: Sequence[str], rows: Sequence[Record]) -> list[Group]:
    """Rows of two dimensions under the first one's words."""
    if len(by) < 2:
        return [Group(tuple(_bar(each) for each in rows))]
    found = []
    for _, run in groupby(rows, key=lambda each: each[by[0]]):
        members = [(str(each["label"]).partition(" / "), each) for each in run]
        named = tuple(_bar({**each, "label": label[2] or label[0]}) for label, each in members)
        found.append(Group(named, members[0][0][0]))
    return found


def _bar(row: Record) -> Bar:
    note = "rate not shown" if row["n"] is not None and row["rate"] is None else ""
    return Bar(str(row["label"]), _text(row["rate"]), _adjusted(row), note)


def _point(row: Record, broken: set[str]) -> Point:
    year = str(row["cohort_year"])
    return Point(year, _text(row["rate"]), _adjusted(row), "other contributors" if year in broken else "")


def _span(row: Record, *, is_total: bool = False) -> Span:
    low, high = _text(row.get("p25")), _text(row.get("p75"))
    return Span(str(row["label"]), _text(row["p50"]), low, high, is_total)


def _gap(row: Record) -> tuple[str, str | None, str | None]:
    return str(row["label"]), _text(row["points"]), _text(row["adjusted_points"])


def _flows(sheet: Sheet, title: str, subtitle: str, source: tuple[str, ...]) -> Chart:
    cells: dict[tuple[str, str], str | None] = {}
    whole: list[tuple[str, str | None]] = []
    numbers = _is_in_numbers(sheet)
    drawn_as = "n" if numbers else "share"
    for row in sheet.records():
        sector, _, state = str(row["label"]).rpartition(", ")
        if row["state_of_work"] is None:
            whole.append((str(row["label"]), _text(row[drawn_as])))
        else:
            cells[sector, state[:1].upper() + state[1:]] = _text(row[drawn_as])
    states = list(dict.fromkeys(state for _, state in cells))
    # Industries of which nothing is shown stand in the table alone.
    shown = list(dict.fromkeys(sector for (sector, _), share in cells.items() if share is not None))
    drawn = {key: share for key, share in cells.items() if key[0] in shown}
    counted = "graduates" if numbers else ""
    subtitle = f"{subtitle}, in numbers of graduates" if numbers else subtitle
    return matrix("flows", title, subtitle, shown, states, drawn, whole=whole, source=source, counted=counted)


def _adjusted(row: Record) -> tuple[str, str, str] | None:
    rate, low, high = (row.get(f"adjusted_{name}") for name in ("rate", "low", "high"))
    return (str(rate), str(low), str(high)) if rate is not None else None


def _text(value: Value) -> str | None:
    return None if value is None else str(value)


def _dollars(value: Value) -> str | None:
    return None if value is None else f"${int(str(value)):,}"
