"""Denominators that are found persons themselves: of the employed, how many were kept.

How many graduates a group has is often public. Then its employed tell how many are not, and are a figure like
any other rate of employment: shown only where they could be shown as one, proven beside all that is out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from app.disclosure.alternatives import finest
from app.disclosure.beside import Beside
from app.disclosure.cube import protect_cube
from app.disclosure.joint import Entries
from app.disclosure.policy import Policy
from app.outcomes.entries import entries
from app.outcomes.figures import Source
from app.outcomes.indicators import INDICATORS, Indicator, all_within

if TYPE_CHECKING:
    from app.disclosure.suppression import Progress, Suppression

Document = dict[str, Any]
Layer = tuple[Entries, Sequence[Mapping[str, Any]]]


def counted_as_found(indicator: Indicator, cohort: str, names: Sequence[str], source: Source) -> Entries:
    """Everybody of a cohort, found where the indicator counts them."""
    assert indicator.of is not None
    found = entries(indicator, cohort, names, source, found="counted", counted="true")
    found.indicator, found.of, found.of_within = indicator.of, None, ()
    found.within, found.among = all_within(INDICATORS[indicator.of].within), INDICATORS[indicator.of].among
    found.paid, found.paid_counted = found.paid_counted, None
    return found


def as_numerators(documents: Sequence[Mapping[str, Any]]) -> list[Document]:
    """The denominators of tables as numerators; of what is not told."""

    def turned(row: Mapping[str, Any]) -> Document:
        return {"key": row["key"], "n": None, "found": row["n"]}

    return [
        {
            "by": document["by"],
            "rows": [turned(row) for row in document["rows"]],
            "total": turned({**document["total"], "key": {}}),
        }
        for document in documents
    ]


def employed_first(
    counted: Entries,
    policy: Policy,
    depth: int,
    named: Sequence[tuple[str, ...]],
    layers: Sequence[Layer],
    progress: Progress,
) -> tuple[list[Document], Callable[[Suppression], None]]:
    """Which denominators may be shown, as tables of numerators; and what hides the others of a new cube.

    Raises
    ------
    DisclosureError
        As `protect_cube` and `Beside`.
    """
    assert counted.about is not None
    hide = Beside(layers, counted, policy, progress).hide if layers else _nothing
    cube = protect_cube(
        finest(counted, counted.about), policy, depth, named=named, progress=progress, beside=hide
    )
    tables = [cube.table(by) for by in cube.plan]
    shown = {
        (table.by, tuple(code for _, code in row.key))
        for table in tables
        for row in (*table.rows, table.total)
        if row.found is not None
    }
    codes = {axis.name: axis.codes for axis in counted.axes}

    def restrict(state: Suppression) -> None:
        groups = state.groups
        for at, margin in enumerate(groups.margins):
            for group, key in enumerate(groups.keys[at], int(groups.starts[at])):
                named_as = tuple(codes[name][code] for name, code in zip(margin, key, strict=True))
                if (margin, named_as) not in shown:
                    state.n_shown[group] = state.found_shown[group] = False

    documents: list[Document] = [
        {
            "by": list(table.by),
            "rows": [{"key": dict(row.key), "n": None, "found": row.found} for row in table.rows],
            "total": {"key": {}, "n": None, "found": table.total.found},
        }
        for table in tables
    ]
    return documents, restrict


def _nothing(state: Suppression) -> None:
    """Hide nothing more."""
