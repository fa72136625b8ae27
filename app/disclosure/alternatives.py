"""Cubes by the methods that parties can choose instead of suppression.

Each makes figures of its own for every group of the plan; what leaves is the same document, with the same
statuses: a rate only where persons, found and not found reach the minimum cell, as they are shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from app.disclosure.finest import Axis, FinestCells, Ints
from app.disclosure.groups import Groups, Margin, plan_margins
from app.disclosure.joint import Entries
from app.disclosure.policy import Policy
from app.disclosure.protect import (
    COUNT_ONLY,
    WITHHELD,
    ProtectedCube,
    ProtectedRow,
    ProtectedTable,
    protected_row,
)
from app.disclosure.table import PLACES_RULE, Cell, Description
from app.disclosure.telling import telling_keys
from app.disclosure.treatment import Treatment

#: Figures of a table: by codes, persons and found.
Figures = dict[tuple[int, ...], tuple[int, int]]

_APART = "Margins are changed one by one: rows need not add up to the total, nor tables to one another."
_ONCE = "Everybody counts once, with the highest award, in rows by pathway, award level and year as well."


def protect_otherwise(
    entries: Entries,
    policy: Policy,
    treatment: Treatment,
    depth: int,
    named: Sequence[Margin] = (),
) -> ProtectedCube:
    """Make the tables of a plan by another method than suppression.

    Parameters
    ----------
    entries : Entries
    policy : Policy
    treatment : Treatment
    depth : int
    named : sequence of tuple of str

    Raises
    ------
    DisclosureError
        ``NOT_ROUNDED``, ``EPSILON_UNSOUND``.
    """
    margins, about = plan_margins(entries.axes, depth, named), entries.about
    assert about is not None
    notes: tuple[str, ...] = ()
    if treatment.method == "cell_key":
        figures, notes = _cell_key(entries, margins, policy), (_APART,)
    elif treatment.method == "differential_privacy":
        epsilon = float(treatment.epsilon or "nan")
        figures, notes = _noisy(entries, margins, epsilon), (_APART, _ONCE)
    else:
        figures = _rounded(entries, about, margins, policy, int(treatment.rounding_base or 0))
    shown = {**policy.to_document(), **treatment.frozen()}
    # Noise hides who is there by itself; what is withheld besides would tell of them without any.
    telling = policy.employers_of_places and treatment.method != "differential_privacy"
    tables = []
    for margin, found in zip(margins, figures, strict=True):
        table = _table(
            entries.axes, about, margin, found, figures[0], policy, shown, notes, treatment.consistent
        )
        tables.append(_without_employers(table, entries, margin) if telling else table)
    return ProtectedCube(tables)


def _without_employers(table: ProtectedTable, entries: Entries, margin: Margin) -> ProtectedTable:
    """Withhold the numerators of places that tell of an employer, and the denominators that do."""
    axes = {axis.name: axis for axis in entries.axes}
    if entries.paid is None or not any(axes[name].places for name in margin):
        return table
    found, counted = (
        {
            tuple(axes[name].codes[at] for name, at in zip(margin, key, strict=True))
            for key in telling_keys(entries, margin, counted=whole)
        }
        for whole in (False, True)
    )

    def closed(row: ProtectedRow) -> ProtectedRow:
        codes = tuple(code for _, code in row.key)
        if codes in counted:
            return replace(row, status=WITHHELD, n=None, found=None, rate=None)
        if row.found is None or codes not in found:
            return row
        return replace(row, status=COUNT_ONLY, found=None, rate=None)

    rows = tuple(closed(row) for row in table.rows)
    return replace(table, rows=rows, notes=(*table.notes, PLACES_RULE))


def _inside(entries: Entries, margin: Margin) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which entries count in a table of these dimensions."""
    free = frozenset(axis.name for axis in entries.axes if axis.overlapping) & frozenset(margin)
    return entries.counted & entries.masks.get(free, np.ones(len(entries.keys), np.bool_))


def _columns(entries: Entries, margin: Margin) -> Ints:
    names = [axis.name for axis in entries.axes]
    return entries.codes[:, [names.index(name) for name in margin]]


def _cell_key(entries: Entries, margins: Sequence[Margin], policy: Policy) -> list[Figures]:
    from app.disclosure.cell_key import perturbation_table, perturbed_counts, record_keys

    keys, table = record_keys(policy.secret, entries.persons), perturbation_table()
    figures = []
    for margin in margins:
        inside, codes = _inside(entries, margin), _columns(entries, margin)
        whole = perturbed_counts(codes, keys, inside, table, policy.min_cell)
        found = perturbed_counts(codes, keys, inside & entries.found, table, policy.found_from)
        figures.append({key: (n, min(found.get(key, 0), n)) for key, n in whole.items()})
    return figures


def _noisy(entries: Entries, margins: Sequence[Margin], epsilon: float) -> list[Figures]:
    from app.disclosure.noise import noisy

    axes = {axis.name: axis for axis in entries.axes}
    once = _inside(entries, ())
    counts, grids = [], []
    for margin in margins:
        shape = [len(axes[name].codes) for name in margin]
        codes = _columns(entries, margin)
        both = np.zeros((2, *shape), np.int64)
        np.add.at(both, (entries.found[once].astype(int), *codes[once].T), 1)
        counts.append(both.reshape(-1))
        grids.append(list(product(*(range(size) for size in shape))))
    figures = []
    for drawn, grid in zip(noisy(counts, epsilon), grids, strict=True):
        missed, found = drawn.reshape(2, -1)
        figures.append({key: (int(missed[i] + found[i]), int(found[i])) for i, key in enumerate(grid)})
    return figures


def _rounded(
    entries: Entries, about: Description, margins: Sequence[Margin], policy: Policy, base: int
) -> list[Figures]:
    from app.disclosure.controlled_rounding import rounded

    cells = finest(entries, about)
    if not len(cells.n):
        return [{} for _ in margins]
    groups = Groups(cells, margins)
    lines = groups.lines(cells.axes)
    words = [(str(at), *map(str, key)) for at, keys in enumerate(groups.keys) for key in keys.tolist()]
    coins = [
        np.array([policy.chance("rounding", step, about.cohort, *word) for word in words])
        for step in ("persons", about.indicator)
    ]
    persons = rounded(groups.n, lines, base, coins[0])
    found = rounded(groups.found, lines, base, coins[1], persons)
    return [
        {
            tuple(int(code) for code in key): (int(persons[first + i]), int(found[first + i]))
            for i, key in enumerate(keys)
        }
        for first, keys in zip(groups.starts, groups.keys, strict=False)
    ]


def finest(entries: Entries, about: Description) -> FinestCells:
    """The finest cells of some entries."""
    sets = sorted(entries.masks, key=sorted)
    inside = entries.counted
    columns = np.column_stack([entries.codes, *(entries.masks[s] for s in sets)])[inside].astype(np.int64)
    width = entries.codes.shape[1]
    keys, inverse = np.unique(columns, axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    found = np.bincount(inverse, weights=entries.found[inside], minlength=len(keys)).astype(np.int64)
    masks = {s: keys[:, width + i] == 1 for i, s in enumerate(sets)}
    n = np.bincount(inverse, minlength=len(keys))
    into = np.full(len(inside), -1, np.intp)
    into[inside] = inverse
    paid, counted = (
        None if each is None else each.added(into, len(keys)) for each in (entries.paid, entries.paid_counted)
    )
    return FinestCells(about, entries.axes, keys[:, :width], n, found, masks, paid, counted)


def _table(
    axes: Sequence[Axis],
    about: Description,
    margin: Margin,
    figures: Figures,
    whole: Figures,
    policy: Policy,
    shown: Mapping[str, object],
    notes: tuple[str, ...],
    keeps: bool,
) -> ProtectedTable:
    chosen = [axis for name in margin for axis in axes if axis.name == name]

    def row(key: tuple[int, ...], label: str, given: Figures) -> ProtectedRow:
        codes = tuple((axis.name, axis.codes[at]) for axis, at in zip(chosen, key, strict=bool(key)))
        n, found = given.get(key, (0, 0))
        return protected_row(codes, label, Cell(n, found), policy, n=True, found=True)

    positions = product(*(range(len(axis.codes)) for axis in chosen)) if margin else ()
    labels = product(*(axis.labels for axis in chosen)) if margin else ()
    rows = tuple(row(key, " / ".join(words), figures) for key, words in zip(positions, labels, strict=True))
    additive = keeps and not any(axis.overlapping for axis in chosen)
    told = (*about.notes, *notes)
    return ProtectedTable(about, margin, rows, row((), "Total", whole), additive, shown, told)
