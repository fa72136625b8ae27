"""The protected cube: every table of a plan, decided together, from which every answer is read.

``protect_cube`` makes the tables; ``derive`` answers a question with a filter from one of them. Both are the
only ways from finest cells to something that can be written down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from app.disclosure.errors import DisclosureError
from app.disclosure.finest import Axis, FinestCells
from app.disclosure.groups import Margin, plan_margins
from app.disclosure.policy import Policy
from app.disclosure.protect import (
    WITHHELD,
    ProtectedCube,
    ProtectedRow,
    ProtectedTable,
    protected_row,
)
from app.disclosure.suppression import Progress, Suppression, suppress
from app.disclosure.table import PLACES_RULE, Cell

Document = dict[str, Any]

#: Rows of one table, populated or not; a plan with a larger one is refused.
MAX_ROWS = 200_000


def protect_cube(
    cells: FinestCells,
    policy: Policy,
    depth: int,
    *,
    named: Sequence[Margin] = (),
    progress: Progress = lambda step, done, total: None,
    beside: Callable[[Suppression], None] = lambda state: None,
) -> ProtectedCube:
    """Protect every table of up to ``depth`` dimensions, and deeper ones that are named, as one system.

    Parameters
    ----------
    cells : FinestCells
    policy : Policy
    depth : int
    named : sequence of tuple of str
    progress : callable, optional
        ``(step, goals served, goals)``.
    beside : callable, optional
        Hides more, for what is published of the same persons (`app.disclosure.beside`).

    Raises
    ------
    DisclosureError
        ``PLAN_TOO_LARGE``: a table of more than 200,000 rows.
    """
    axes = {axis.name: axis for axis in cells.axes}
    margins = plan_margins(cells.axes, depth, named)
    for margin in margins:
        if np.prod([float(len(axes[name].codes)) for name in margin]) > MAX_ROWS:
            raise DisclosureError("PLAN_TOO_LARGE", f"The table by {', '.join(margin)} has too many rows.")
    if not len(cells.n):
        return ProtectedCube([_empty(cells, axes, margin, policy) for margin in margins])
    decided = suppress(cells, margins, policy, progress)
    beside(decided)
    statistics = {
        "goals": decided.proven,
        "aims": decided.work.aims,
        "centres": decided.work.centres,
        "programs": decided.work.programs,
        "work": decided.work.spent,
    }
    tables = [_table(cells, axes, decided, at, policy) for at in range(len(margins))]
    return ProtectedCube(tables, tuple(decided.dropped), statistics)


def _grid(axes: Mapping[str, Axis], margin: Margin) -> list[tuple[tuple[int, ...], str]]:
    """Positions of codes and the label of every row, in code-list order; none for the total."""
    if not margin:
        return []
    positions = product(*(range(len(axes[name].codes)) for name in margin))
    labels = product(*(axes[name].labels for name in margin))
    return [(where, " / ".join(words)) for where, words in zip(positions, labels, strict=True)]


def _table(
    cells: FinestCells, axes: Mapping[str, Axis], decided: Suppression, at: int, policy: Policy
) -> ProtectedTable:
    groups, margin = decided.groups, decided.groups.margins[at]
    first = int(groups.starts[at])
    position = {tuple(int(code) for code in key): first + i for i, key in enumerate(groups.keys[at])}

    def row(key: tuple[tuple[str, str], ...], label: str, group: int | None) -> ProtectedRow:
        if group is None:
            return ProtectedRow(key, label, WITHHELD, None, None, None)
        cell = Cell(int(groups.n[group]), int(groups.found[group]))
        n, found = bool(decided.n_shown[group]), bool(decided.found_shown[group])
        return protected_row(key, label, cell, policy, n=n, found=found)

    rows = tuple(
        row(_key(axes, margin, where), label, position.get(where)) for where, label in _grid(axes, margin)
    )
    return _finish(cells, axes, margin, rows, row((), "Total", 0), policy)


def _empty(cells: FinestCells, axes: Mapping[str, Axis], margin: Margin, policy: Policy) -> ProtectedTable:
    """A cohort of nobody looks like one of too few."""
    rows = tuple(
        ProtectedRow(_key(axes, margin, where), label, WITHHELD, None, None, None)
        for where, label in _grid(axes, margin)
    )
    total = ProtectedRow((), "Total", WITHHELD, None, None, None)
    return _finish(cells, axes, margin, rows, total, policy)


def _key(axes: Mapping[str, Axis], margin: Margin, where: tuple[int, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((name, axes[name].codes[i]) for name, i in zip(margin, where, strict=True))


def _finish(
    cells: FinestCells,
    axes: Mapping[str, Axis],
    margin: Margin,
    rows: tuple[ProtectedRow, ...],
    total: ProtectedRow,
    policy: Policy,
) -> ProtectedTable:
    additive = not any(axes[name].overlapping for name in margin)
    notes = list(cells.about.notes)
    if not additive:
        notes.append("Rows overlap: a person may stand in several, and rows do not add up to the total.")
    if policy.employers_of_places and cells.paid is not None and any(axes[name].places for name in margin):
        notes.append(PLACES_RULE)
    return ProtectedTable(cells.about, margin, rows, total, additive, policy.to_document(), tuple(notes))


def derive(
    tables: Sequence[Mapping[str, Any]], by: Sequence[str], where: Mapping[str, str | None]
) -> Document:
    """Answer ``by`` within ``where`` from the published tables alone.

    Parameters
    ----------
    tables : sequence of mapping
        Documents of the plan.
    by : sequence of str
    where : mapping of str to str or None
        Dimension to one code. A code that is in no list (or None) is answered as a group that is withheld.

    Returns
    -------
    dict
        Document of the table: its rows have the keys of ``by`` in that order, its total is the group
        ``where``. Grid, order and length depend on ``by`` alone, and every row of the table is looked at.

    Raises
    ------
    DisclosureError
        ``NOT_IN_PLAN``: the plan holds no table of these dimensions, or one is named twice.
    """
    by = tuple(by)
    if len({*by, *where}) < len(by) + len(where):
        raise _not_in_plan()
    source, margin, grid = (_find(tables, names) for names in ({*by, *where}, set(where), set(by)))
    shown = {
        tuple(row["key"][name] for name in by): row
        for row in source["rows"]
        if all(row["key"][name] == code for name, code in where.items())
    }
    total = next(
        (row for row in margin["rows"] if dict(row["key"]) == dict(where)),
        source["total"] if not where else _withheld(margin["rows"][0]),
    )
    rows = []
    nothing = _withheld((source["rows"] or grid["rows"] or [source["total"]])[0])
    for row in grid["rows"]:
        key = {name: row["key"][name] for name in by}
        found = shown.get(tuple(key.values())) or nothing
        rows.append({**found, "key": key, "label": row["label"]})
    order = sorted(rows, key=_order(source, by)) if list(grid["by"]) != list(by) else rows
    return {
        **source,
        "by": list(by),
        # A code that no list holds may be anything, so it is not repeated.
        "where": {
            name: code if code in _codes(tables, name) else None for name, code in sorted(where.items())
        },
        "rows": order,
        "total": {**total, "key": {}, "label": "Total"},
        "additive": grid["additive"],
    }


def _codes(tables: Sequence[Mapping[str, Any]], name: str) -> set[str]:
    return {row["key"][name] for row in _find(tables, {name})["rows"]}


def _order(source: Mapping[str, Any], by: tuple[str, ...]) -> Any:
    """Sort key that keeps each dimension's code-list order, the first of ``by`` slowest."""
    positions: dict[str, dict[str, int]] = {name: {} for name in by}
    for row in source["rows"]:
        for name in by:
            positions[name].setdefault(row["key"][name], len(positions[name]))
    return lambda row: [positions[name][row["key"][name]] for name in by]


def _withheld(row: Mapping[str, Any]) -> Document:
    """A row of the same shape, whatever stands beside the figures, with nothing in it."""
    beside = {
        name: _withheld(value) if isinstance(value, Mapping) and "status" in value else None
        for name, value in row.items()
    }
    return {**beside, "status": WITHHELD}


def _find(tables: Sequence[Mapping[str, Any]], names: set[str]) -> Mapping[str, Any]:
    for table in tables:
        if set(table["by"]) == names and len(table["by"]) == len(names):
            return table
    raise _not_in_plan()


def _not_in_plan() -> DisclosureError:
    return DisclosureError("NOT_IN_PLAN", "The plan of this release does not hold such a table.")
