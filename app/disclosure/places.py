"""Rows by place (state of work): one denominator, numerators that overlap.

With the total and the rows published, differences tell who was found in one place only, or in both: the
persons found fall into atoms by the exact set of places. Every populated atom must be able to hold at least
k persons in some world consistent with what is published; then no union of atoms can be shown to hold fewer.
An attacker is assumed to know which atoms are empty.
"""

from __future__ import annotations

from app.disclosure.errors import DisclosureError
from app.disclosure.policy import Policy
from app.disclosure.programs import TOLERANCE, Worlds
from app.disclosure.small_cells import shows_found
from app.disclosure.table import Table


def hide_places(table: Table, policy: Policy) -> frozenset[str]:
    """Choose the places whose numerators are withheld.

    Parameters
    ----------
    table : Table
        Of ``Rows.PLACES``, its total published whole.
    policy : Policy

    Returns
    -------
    frozenset of str
        Codes; every place whose own counts are too small, and others until all atoms are open.

    Raises
    ------
    DisclosureError
        ``PLAN_INCONSISTENT``: the table's atoms do not explain its rows.
    """
    _check(table)
    k = policy.min_cell
    cells = {key[0]: cell for key, cell in zip(table.keys, table.cells, strict=True)}
    hidden = {code for code, cell in cells.items() if not shows_found(cell, policy.found_from)}
    while not _all_open(table, hidden, k):
        shown = [code for code in cells if code not in hidden]
        about = table.about

        def price(code: str, indicator: str = about.indicator, cohort: str = about.cohort) -> float:
            return cells[code].found * (0.75 + 0.5 * policy.chance(indicator, cohort, *table.by, code))

        hidden.add(min(shown, key=lambda code: (price(code), code)))
    return frozenset(hidden)


def _check(table: Table) -> None:
    sums = {key[0]: 0 for key in table.keys}
    for places, count in table.places.items():
        for code in places:
            sums[code] = sums.get(code, 0) + count
    rows = {key[0]: cell.found for key, cell in zip(table.keys, table.cells, strict=True)}
    if sums != rows or sum(table.places.values()) != table.total.found:
        raise DisclosureError(
            "PLAN_INCONSISTENT", "Rows by place do not follow from the places of each person."
        )


def _all_open(table: Table, hidden: set[str], k: int) -> bool:
    """Whether every populated atom can hold k persons; with no row shown nothing follows but the total."""
    atoms = sorted((places for places, count in table.places.items() if count), key=sorted)
    shown = [key[0] for key in table.keys if key[0] not in hidden]
    if not shown:
        return True
    total = float(table.total.found)
    worlds = Worlds([0.0] * len(atoms), [total] * len(atoms))
    worlds.add(dict.fromkeys(range(len(atoms)), 1.0), total, total)
    for code in shown:
        members = {i: 1.0 for i, places in enumerate(atoms) if code in places}
        found = float(table.cell(code).found)
        worlds.add(members, found, found)
    for i in range(len(atoms)):
        world = worlds.best({i: 1.0}, maximize=True)
        if world is None or world[i] < k - TOLERANCE:
            return False
    return True
