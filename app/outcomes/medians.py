"""Medians beside the rate of the same persons: that one is shown tells how many are found, at least.

Whoever has wages in the quarter of a median is who is found in the rate of employment in it. That a median is
shown says of its group, and of what it differs by from others, that so many are found and so many are not. Of
a group whose rate is withheld for others' sake this would be more than the proof of the rates allows for. So
medians are shown of groups whose rate is, and rates that come later are proven as if the numbers of those
found in groups with a median were out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.disclosure.joint import Entries
from app.outcomes.indicators import INDICATORS

Document = Mapping[str, Any]

#: By what is no rate: the rate in which those with a value are found.
RATE_OF: Final[Mapping[str, str]] = {"median_earnings_q2": "employed_q2"}


def rate_withheld(
    indicator: str, cohort: str, published: Sequence[Sequence[Document]]
) -> frozenset[tuple[str, str]]:
    """Rows (dimension and code) of whose persons some published table withholds how many are found.

    Parameters
    ----------
    indicator, cohort : str
        Of the medians.
    published : sequence of sequence of mapping
    """
    withheld: set[tuple[str, str]] = set()
    for documents in published:
        first = documents[0]
        if first["cohort"] != cohort or not counts_those_of(first["indicator"], indicator):
            continue
        figure = "n" if INDICATORS[first["indicator"]].of else "found"
        for document in documents:
            if len(document["by"]) == 1:
                (name,) = document["by"]
                withheld |= {(name, row["key"][name]) for row in document["rows"] if row[figure] is None}
    return frozenset(withheld)


def counts_those_of(indicator: str, medians: str) -> bool:
    """Whether an indicator finds whoever has a value in some medians, or has them as its denominator."""
    rate = RATE_OF.get(medians)
    return rate is not None and indicator in INDICATORS and rate in (indicator, INDICATORS[indicator].of)


def told_by_medians(counted: Entries, documents: Sequence[Document]) -> list[dict[str, Any]]:
    """How many are found in each group whose median is shown, as tables of numerators.

    Parameters
    ----------
    counted : Entries
        By the rate.
    documents : sequence of mapping
        Of the medians.
    """
    axes = {axis.name: (at, axis) for at, axis in enumerate(counted.axes)}
    told = []
    for document in documents:
        names = [axes[name] for name in document["by"]]
        first = counted.masks[frozenset(axis.name for _, axis in names if axis.overlapping)] & counted.found

        def row(shown: Document, names: Any = names, first: Any = first) -> dict[str, Any]:
            inside = first.copy()
            for at, axis in names:
                inside &= counted.codes[:, at] == axis.codes.index(shown["key"][axis.name])
            return {"key": shown["key"], "n": None, "found": int(inside.sum())}

        told.append(
            {
                "by": document["by"],
                "rows": [row(each) for each in document["rows"] if each["p50"] is not None],
                "total": {"key": {}, "n": None, "found": _total(document, first)},
            }
        )
    return told


def _total(document: Document, first: Any) -> int | None:
    return None if document["by"] or document["total"]["p50"] is None else int(first.sum())
