"""Match rates beside published figures: who of a group was linked with any wage record at all.

Persons linked but not found are a group too, so match rates are protected beside the figure in whose rows
they stand, and stay the same for every later figure of the cohort. Tables that cross dimensions carry those
of their single ones (`crossed_matches`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.disclosure.protect import WITHHELD
from app.outcomes.indicators import INDICATORS, Indicator
from app.outcomes.measures import Matched

Document = Mapping[str, Any]

INDICATOR = "matched"
#: Said where figures stand without match rates.
NOT_GIVEN = (
    "Match rates of groups are not given here: they would have to be protected together with these figures."
)
#: Said where a table crosses dimensions, or counts by place.
OF_SINGLE = "Match rates are given of the whole and of single dimensions, not of the groups of this table."
#: Said where the rates that are out stand beside figures with a denominator of their own.
OF_ALL = "Match rates are of all graduates of a group, as published with the rates of this cohort."
#: Member of such a table's document that holds them.
BY_DIMENSION = "match_rates"
_FIGURES = ("status", "n", "found", "rate")


def published_matches(published: Sequence[Sequence[Document]]) -> list[Document]:
    """Documents of the match rates that stand in the rows of published tables: the first that were made."""
    for documents in published:
        found: list[Document] = [
            {
                "indicator": INDICATOR,
                "by": document["by"],
                "rows": [{**_named(row), **row[INDICATOR]} for row in document["rows"]],
                "total": {**_named(document["total"]), **document["total"][INDICATOR]},
            }
            for document in documents
            if INDICATOR in document["total"]
        ]
        if found:
            return found
    return []


def _named(row: Document) -> dict[str, Any]:
    return {"key": row["key"], "label": row["label"]}


def matched_beside(declared: Indicator) -> Indicator:
    """Match rates as they stand in the rows of an indicator: over its denominator."""
    assert declared.measure is not None
    return replace(INDICATORS[INDICATOR], measure=Matched.beside(declared.measure))


def with_matches(
    documents: Sequence[Document], matches: Sequence[Document], *, note: str | None = None
) -> list[dict[str, Any]]:
    """Put match rates into the rows of tables by one dimension, beside others; or say that there are none.

    A row that is withheld has none, be they out beside an earlier figure: such rows differ in nothing.

    Parameters
    ----------
    documents : sequence of mapping
    matches : sequence of mapping
        The total's, and one for each dimension that has them.
    note : str, optional
        To be said where they are given.
    """
    by_plan = {tuple(match["by"]): match for match in as_withheld_as(matches, documents)}
    return [_beside(document, by_plan, note) for document in documents]


def as_withheld_as(matches: Sequence[Document], documents: Sequence[Document]) -> list[Document]:
    """Match rates withheld in whatever row the figure itself is: rows that are withheld differ in nothing.

    What is proven with more published is proven with less.
    """
    by_plan = {tuple(document["by"]): document for document in documents}
    out: list[Document] = []
    for match in matches:
        beside = by_plan.get(tuple(match["by"]))
        if beside is None or _keys(match) != _keys(beside):
            out.append(match)
            continue
        rows = zip(match["rows"], beside["rows"], strict=True)
        total = _closed(match["total"], beside["total"])
        out.append({**match, "rows": [_closed(row, other) for row, other in rows], "total": total})
    return out


def _closed(row: Document, other: Document) -> Document:
    if other["status"] != WITHHELD:
        return row
    return {**row, **dict.fromkeys(_FIGURES), "status": WITHHELD}


def closed_matches(row: Document) -> dict[str, Any]:
    """The match rate of a row that is withheld after all, as that of one that always was."""
    return {INDICATOR: {**dict.fromkeys(_FIGURES), "status": WITHHELD}} if INDICATOR in row else {}


def without_matches(document: Document) -> dict[str, Any]:
    """Say in a table's notes that match rates are not given."""
    return {**document, "notes": [*document["notes"], NOT_GIVEN]}


def _beside(
    document: Document, by_plan: Mapping[tuple[str, ...], Document], note: str | None
) -> dict[str, Any]:
    by = tuple(document["by"])
    match = by_plan.get(by)
    if match is not None and _keys(match) == _keys(document):
        rows = [
            {**row, INDICATOR: {name: other[name] for name in _FIGURES}}
            for row, other in zip(document["rows"], match["rows"], strict=True)
        ]
        total = {**document["total"], INDICATOR: {name: match["total"][name] for name in _FIGURES}}
        return _noted({**document, "rows": rows, "total": total}, note)
    single = [_of_dimension(by_plan[one]) for one in ((), *((name,) for name in by)) if one in by_plan]
    if single:
        return _noted({**_noted(document, note), BY_DIMENSION: single}, OF_SINGLE)
    return without_matches(document)


def _keys(document: Document) -> list[Mapping[str, str]]:
    return [row["key"] for row in document["rows"]]


def _of_dimension(match: Document) -> dict[str, Any]:
    """Match rates of one dimension, as they stand beside a crossed table."""
    members = ("key", "label", *_FIGURES)
    return {
        "by": list(match["by"]),
        "rows": [{name: row[name] for name in members} for row in match["rows"]],
        "total": {name: match["total"][name] for name in members},
    }


def _noted(document: Document, note: str | None) -> dict[str, Any]:
    return {**document, "notes": [*document["notes"], *([note] if note else [])]}
