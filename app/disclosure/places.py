"""Rows by place (state of work, sector of the main job): one denominator, numerators that overlap.

With the total and the rows published, differences tell who was found in one place only, or in both: the
persons found fall into atoms by the exact set of places, in all dimensions of this kind together. Every
populated atom must be able to hold at least k persons in some world consistent with what is published; then
no union of atoms can be shown to hold fewer. An attacker is assumed to know which atoms are empty.

A row that would tell of an employer is withheld however many persons it counts. So it is not enough that few
could be many: what remains must leave its number open, from half of it to k more. Nor may all rows that are
withheld be one employer's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.disclosure.errors import DisclosureError
from app.disclosure.policy import Policy
from app.disclosure.programs import TOLERANCE, Worlds
from app.disclosure.small_cells import shows_found
from app.disclosure.table import Cell, Employers, Place, Table


def hide_places(tables: Sequence[Table], policy: Policy) -> frozenset[Place]:
    """Choose the places whose numerators are withheld.

    Parameters
    ----------
    tables : sequence of Table
        All of ``Rows.PLACES`` in the plan, their total published whole.
    policy : Policy

    Returns
    -------
    frozenset of Place
        Every place whose own counts are too small or whose employers could be read off, and others until
        nothing that is withheld follows from what is shown.

    Raises
    ------
    DisclosureError
        ``PLAN_INCONSISTENT``: the tables' atoms do not explain their rows.
    """
    if not tables:
        return frozenset()
    cells = {
        (table.by[0], key[0]): cell
        for table in tables
        for key, cell in zip(table.keys, table.cells, strict=True)
    }
    atoms = _atoms(tables, cells)
    exposed = {
        (table.by[0], code)
        for table in tables
        if table.employers is not None
        for (code,) in table.keys
        if code not in table.employers or not table.employers[code].protected
    }
    small = {place for place, cell in cells.items() if not shows_found(cell, policy.found_from)}
    system = _System(tables[0].total.found, atoms, cells, policy.min_cell)
    goals = [
        *system.atoms_open(),
        *system.rows_open(sorted(place for place in exposed if cells[place].found)),
    ]
    hidden = small | exposed
    about = tables[0].about

    def price(place: Place) -> tuple[float, Place]:
        chance = policy.chance(about.indicator, about.cohort, *place)
        return cells[place].found * (0.75 + 0.5 * chance), place

    for goal in goals:
        # Hiding more only adds worlds: what was reached before still is.
        while not system.reaches(goal, hidden):
            shown = sorted((place for place in cells if place not in hidden), key=price)
            enough = (place for place in shown if system.reaches(goal, hidden | {place}))
            hidden.add(next(enough, shown[0]))
    for table in tables if policy.employers_of_places else ():
        while _rest_tells(table, exposed, hidden):
            left = [place for place in cells if place[0] == table.by[0] and place not in hidden]
            if not left:
                break
            hidden.add(min(left, key=price))
    return frozenset(hidden)


def _rest_tells(table: Table, exposed: set[Place], hidden: set[Place]) -> bool:
    """Whether the rows of a table that are withheld tell of an employer if they are taken as one.

    What is left of the total is their number, where nobody stands in two rows. Rows that tell of nobody do
    not together.
    """
    employers = table.employers or {}
    rest = [code for code in employers if (table.by[0], code) in hidden]
    together = Employers.of(*(employers[code].paid for code in rest))
    told = any((table.by[0], code) in exposed for code in rest)
    return told and together.number > 0 and not together.protected


def _atoms(tables: Sequence[Table], cells: dict[Place, Cell]) -> list[tuple[frozenset[Place], int]]:
    """Populated atoms and their persons, in a stable order."""
    first = tables[0].places
    sums = dict.fromkeys(cells, 0)
    for places, count in first.items():
        for place in places:
            sums[place] = sums.get(place, 0) + count
    if (
        any(table.places != first or table.total.found != tables[0].total.found for table in tables)
        or sums != {place: cell.found for place, cell in cells.items()}
        or sum(first.values()) != tables[0].total.found
    ):
        raise DisclosureError(
            "PLAN_INCONSISTENT", "Rows by place do not follow from the places of each person."
        )
    return sorted(((places, count) for places, count in first.items() if count), key=lambda a: sorted(a[0]))


@dataclass(frozen=True)
class _Goal:
    """A sum of atoms that some world must make so high, or so low."""

    members: frozenset[int]
    wanted: float
    high: bool


class _System:
    """Worlds of atoms that agree with the total and with the rows that are shown."""

    def __init__(
        self, total: int, atoms: Sequence[tuple[frozenset[Place], int]], cells: dict[Place, Cell], k: int
    ) -> None:
        self._total, self._atoms, self._cells, self._k = float(total), atoms, cells, k
        self._hidden: set[Place] = set()
        self._worlds = self._with(list(cells))

    def atoms_open(self) -> Iterator[_Goal]:
        """Every atom can hold k persons."""
        for at in range(len(self._atoms)):
            yield _Goal(frozenset({at}), self._k, high=True)

    def rows_open(self, places: Sequence[Place]) -> Iterator[_Goal]:
        """The rows of these places can hold k more than they do, and half."""
        for place in places:
            members, found = self._members(place), self._cells[place].found
            yield _Goal(members, found + self._k, high=True)
            yield _Goal(members, found / 2, high=False)

    def _members(self, place: Place) -> frozenset[int]:
        return frozenset(at for at, (places, _) in enumerate(self._atoms) if place in places)

    def reaches(self, goal: _Goal, hidden: set[Place]) -> bool:
        """Whether some world has the goal while ``hidden`` is; with no row shown nothing follows."""
        shown = [place for place in self._cells if place not in hidden]
        if not shown:
            return True
        if hidden != self._hidden:
            self._worlds, self._hidden = self._with(shown), set(hidden)
        world = self._worlds.best(dict.fromkeys(sorted(goal.members), 1.0), maximize=goal.high)
        if world is None:
            return False
        reached = float(world[sorted(goal.members)].sum())
        return reached >= goal.wanted - TOLERANCE if goal.high else reached <= goal.wanted + TOLERANCE

    def _with(self, shown: Sequence[Place]) -> Worlds:
        size = len(self._atoms)
        worlds = Worlds([0.0] * size, [self._total] * size)
        worlds.add(dict.fromkeys(range(size), 1.0), self._total, self._total)
        for place in shown:
            members = self._members(place)
            if members:
                found = float(self._cells[place].found)
                worlds.add(dict.fromkeys(sorted(members), 1.0), found, found)
        return worlds
