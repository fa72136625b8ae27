"""Match rates beside published shares: who of a group was linked with any wage record at all.

Persons linked but not found are a group too, so match rates are protected beside the figure in whose rows
they stand, and stay the same for every later figure of the cohort.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.disclosure.errors import DisclosureError
from app.disclosure.nested import Beside
from app.disclosure.policy import Policy
from app.disclosure.protect import protect
from app.disclosure.table import Table

Document = Mapping[str, Any]

INDICATOR = "matched"
#: Said where figures stand without match rates.
NOT_GIVEN = (
    "Match rates of groups are not given here: they would have to be protected together with these figures."
)
_FIGURES = ("status", "n", "found", "rate")


def published_matches(published: Sequence[Sequence[Document]]) -> list[Document]:
    """Documents of the match rates that stand in the rows of published tables: the first that were made."""
    for documents in published:
        found: list[Document] = [
            {
                "indicator": INDICATOR,
                "by": document["by"],
                "rows": [{"key": row["key"], **row[INDICATOR]} for row in document["rows"]],
                "total": {"key": {}, **document["total"][INDICATOR]},
            }
            for document in documents
            if INDICATOR in document["total"]
        ]
        if found:
            return found
    return []


def make_matches(
    tables: Sequence[Table], shares: Sequence[Table], documents: Sequence[Document], policy: Policy
) -> list[Document]:
    """Protect match rates beside figures that are about to be published; none where that cannot be.

    Parameters
    ----------
    tables : sequence of Table
        Match rates: the total, then one dimension each.
    shares : sequence of Table
        The figures as counted, of the same dimensions.
    documents : sequence of mapping
        The figures as protected.
    policy : Policy
    """
    try:
        cube = protect(tables, policy, [Beside(shares, documents, inside=False)])
    except DisclosureError:
        # Other denominators: the figures are published all the same, without match rates.
        return []
    return [cube.table(by).to_document() for by in cube.plan]


def with_matches(documents: Sequence[Document], matches: Sequence[Document]) -> list[dict[str, Any]]:
    """Put match rates into the rows of the tables of the same dimensions, or say that there are none."""
    if not matches:
        return [without_matches(document) for document in documents]
    by_plan = {tuple(match["by"]): match for match in matches}
    return [_beside(document, by_plan.get(tuple(document["by"]))) for document in documents]


def without_matches(document: Document) -> dict[str, Any]:
    """Say in a table's notes that match rates are not given."""
    return {**document, "notes": [*document["notes"], NOT_GIVEN]}


def _beside(document: Document, match: Document | None) -> dict[str, Any]:
    if match is None or len(match["rows"]) != len(document["rows"]):
        return dict(document)
    rows = [
        {**row, INDICATOR: {name: other[name] for name in _FIGURES}}
        for row, other in zip(document["rows"], match["rows"], strict=True)
    ]
    total = {**document["total"], INDICATOR: {name: match["total"][name] for name in _FIGURES}}
    return {**document, "rows": rows, "total": total}
