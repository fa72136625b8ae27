"""A further indicator beside one that is published: whose found persons lie within the other's.

Found of the outer one minus found of the inner one is a group of persons too. With the same denominators a
group falls into three parts: found by both, found by the outer one alone, found by neither. The published
indicator stays as it is, so the further one pays: it hides until each part is as open as a group has to be,
or, where what is published leaves less by itself, as open as it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from app.disclosure.audit import open_enough
from app.disclosure.complementary import cheapest
from app.disclosure.errors import DisclosureError
from app.disclosure.policy import Policy
from app.disclosure.programs import TOLERANCE, Worlds
from app.disclosure.system import TOTAL, CellId, System
from app.disclosure.table import Cell, Guarded, Rows, Table

Document = Mapping[str, Any]


class Beside(Guarded):
    """A published indicator, as counted from the data and as published.

    Parameters
    ----------
    tables : sequence of Table
        Of one dimension each; of the dimensions of the further indicator.
    documents : sequence of mapping
        What is published of it.
    inside : bool
        Whether the further indicator's found persons lie within this one's; else it is the reverse.

    Raises
    ------
    DisclosureError
        ``NOT_IN_PLAN``: the data do not give what is published, or it has crossed tables. Nothing could be
        proven.
    """

    __slots__ = ("counts", "found_shown", "inside", "n_shown")

    def __init__(self, tables: Sequence[Table], documents: Sequence[Document], *, inside: bool) -> None:
        self.counts: dict[CellId, Cell] = {TOTAL: tables[0].total}
        for table in tables:
            if table.rows is not Rows.PLACES and table.by:
                pairs = zip(table.keys, table.cells, strict=True)
                self.counts |= {(table.by, key): cell for key, cell in pairs}
        self.inside = inside
        self.n_shown: set[CellId] = set()
        self.found_shown: set[CellId] = set()
        if any(len(document["by"]) > 1 for document in documents):
            raise _not_in_plan()
        known = {by for by, _ in self.counts}
        for cell_id, row in figures(documents):
            if cell_id[0] not in known:
                continue
            counted = self.counts.get(cell_id, Cell(0, 0))
            if row["n"] not in (None, counted.n) or row["found"] not in (None, counted.found):
                raise _not_in_plan()
            if row["n"] is not None:
                self.n_shown.add(cell_id)
            if row["found"] is not None:
                self.found_shown.add(cell_id)

    def parts(self, cell_id: CellId, cell: Cell) -> tuple[int, int, int]:
        """Found by both, by the outer one alone, by neither, where the further indicator has ``cell``."""
        other = self.counts[cell_id]
        inner, outer = (cell, other) if self.inside else (other, cell)
        return inner.found, outer.found - inner.found, outer.not_found

    def contradicts(self, system: System) -> bool:
        """Whether somebody is found by the inner one alone: then it is not nested, and nothing subtracts."""
        return any(min(self.parts(cell_id, cell)) < 0 for cell_id, cell in system.cells.items())


def figures(documents: Sequence[Document]) -> Iterator[tuple[CellId, Document]]:
    """Rows of published tables, and the total, by cell."""
    for document in documents:
        by = tuple(document["by"])
        yield TOTAL, document["total"]
        for row in document["rows"]:
            yield (by, tuple(row["key"][name] for name in by)), row


def _not_in_plan() -> DisclosureError:
    return DisclosureError(
        "NOT_IN_PLAN", "An indicator of this cohort is published from which this one could be subtracted."
    )


def hide_differences(system: System, beside: Sequence[Beside], k: int) -> list[Beside]:
    """Hide what differs from a published figure by fewer than ``k`` persons; return whom to audit against.

    Raises
    ------
    DisclosureError
        ``NOT_IN_PLAN``: denominators are not the same; their difference is a group without protection.
    """
    nested = []
    for other in beside:
        for cell_id, cell in system.cells.items():
            if cell_id not in other.counts or other.counts[cell_id].n != cell.n:
                raise _not_in_plan()
        if other.contradicts(system):
            continue
        nested.append(other)
        for cell_id, cell in system.cells.items():
            if cell_id in other.found_shown and other.parts(cell_id, cell)[1] < k:
                system.hide(cell_id, n=False)
    return nested


def hide_more(system: System, policy: Policy, cell_id: CellId) -> None:
    """Hide one more numerator to open a cell: its own, else one of its lines', at last all of them."""
    if cell_id not in system.found_hidden and cell_id != TOTAL:
        system.hide(cell_id, n=False)
        return
    near = [cell for line in system.lines if cell_id in line.cells for cell in line.cells]
    companion = cheapest(system, policy, near, n=False)
    for cell in system.cells if companion is None else (companion,):
        system.hide(cell, n=False)


def audit_beside(system: System, other: Beside, k: int) -> list[CellId]:
    """Cells of which some part is not open enough, by R2 and R3 over both indicators' figures together.

    Nothing is asked where the further indicator shows no numerator: then nothing can be subtracted.
    """
    if system.found_hidden >= system.cells.keys():
        return []
    order = sorted(system.cells)
    return list(
        dict.fromkeys(
            [
                *_counted_twice(system, other, k),
                *_unknown_denominators(system, other, order, k),
                *_known_denominators(system, other, order, k),
            ]
        )
    )


def _counted_twice(system: System, other: Beside, k: int) -> Iterator[CellId]:
    """Lines that are shown whole in both and so tell who of the difference stands in two rows."""
    for line in system.lines:
        if not line.overlapping or any(
            cell in system.found_hidden or cell not in other.found_shown for cell in line.cells
        ):
            continue
        persons = system.sums(line.plus).n - system.sums(line.minus).n
        between = sum(other.parts(cell, system.cells[cell])[1] for cell in line.plus)
        between -= sum(other.parts(cell, system.cells[cell])[1] for cell in line.minus)
        if persons and between < k:
            yield line.plus[0]


def _worlds(system: System, other: Beside, order: list[CellId], *, know_n: bool) -> Worlds:
    """Variables: the first parts of all cells in ``order``, then the second, then the third."""
    size = len(order)
    ceiling = 10.0 * max(cell.n for cell in system.cells.values()) + 1000.0
    worlds = Worlds([0.0] * (3 * size), [ceiling] * (3 * size))
    parts = [other.parts(cell_id, system.cells[cell_id]) for cell_id in order]
    for i, cell_id in enumerate(order):
        new, old = cell_id not in system.found_hidden, cell_id in other.found_shown
        inner, outer = (new, old) if other.inside else (old, new)
        both, between, _ = parts[i]
        if inner:
            worlds.add({i: 1.0}, both, both)
        if outer:
            worlds.add({i: 1.0, size + i: 1.0}, both + between, both + between)
        if know_n or cell_id not in system.n_hidden or cell_id in other.n_shown:
            whole = float(sum(parts[i]))
            worlds.add({i: 1.0, size + i: 1.0, 2 * size + i: 1.0}, whole, whole)
    at = {cell_id: i for i, cell_id in enumerate(order)}
    for line in system.lines:
        signs = {at[cell]: 1.0 for cell in line.plus} | {at[cell]: -1.0 for cell in line.minus}
        for part in range(3):
            value = sum(sign * parts[i][part] for i, sign in signs.items())
            worlds.add({part * size + i: sign for i, sign in signs.items()}, value, value)
    return worlds


class _Before:
    """What room sums had with nothing of the further indicator published; programs only where it is asked."""

    def __init__(self, system: System, other: Beside, order: list[CellId], *, know_n: bool) -> None:
        self._make = partial(_worlds, _bare(system), other, order, know_n=know_n)
        self._worlds: Worlds | None = None

    def narrower(self, sums: dict[int, float], now: tuple[float, float]) -> bool:
        """Whether a whole number that could not be excluded before can be now."""
        self._worlds = self._worlds or self._make()
        before = _ends(self._worlds, sums)
        return before is None or _whole(now) != _whole(before)


def _bare(system: System) -> System:
    bare = system.copy()
    for cell in bare.cells:
        bare.hide(cell, n=True)
    return bare


def _ends(worlds: Worlds, sums: dict[int, float]) -> tuple[float, float] | None:
    found = [worlds.best(sums, maximize=maximize) for maximize in (False, True)]
    least, most = (None if end is None else sum(float(end[c]) for c in sums) for end in found)
    return None if least is None or most is None else (least, most)


def _whole(ends: tuple[float, float]) -> tuple[int, int]:
    return math.ceil(ends[0] - TOLERANCE), math.floor(ends[1] + TOLERANCE)


def _unknown_denominators(system: System, other: Beside, order: list[CellId], k: int) -> Iterator[CellId]:
    """R2: each part of each cell may hold ``k`` persons."""
    worlds = _worlds(system, other, order, know_n=False)
    before = _Before(system, other, order, know_n=False)
    wanted = list(range(3 * len(order)))
    while wanted:
        column = wanted[0]
        world = worlds.best({column: 1.0}, maximize=True)
        if world is None or world[column] < k - TOLERANCE:
            now = _ends(worlds, {column: 1.0})
            if now is None or before.narrower({column: 1.0}, now):
                yield order[column % len(order)]
            wanted = wanted[1:]
        if world is not None:
            seen = world
            wanted = [each for each in wanted if seen[each] < k - TOLERANCE]


def _known_denominators(system: System, other: Beside, order: list[CellId], k: int) -> Iterator[CellId]:
    """R3: either numerator stays open where it is hidden, and so does their difference."""
    worlds = _worlds(system, other, order, know_n=True)
    before = _Before(system, other, order, know_n=True)
    size = len(order)
    for i, cell_id in enumerate(order):
        new, old = cell_id not in system.found_hidden, cell_id in other.found_shown
        inner, outer = (new, old) if other.inside else (old, new)
        n = system.cells[cell_id].n
        asked = []
        if not inner:
            asked.append(({i: 1.0}, open_enough(n, k)))
        if not outer:
            asked.append(({i: 1.0, size + i: 1.0}, open_enough(n, k)))
        if not (inner and outer):
            # A difference counts as open from one person of doubt: R2 asks for the rest.
            asked.append(({size + i: 1.0}, lambda least, most: most - least >= 1 - TOLERANCE))
        for sums, is_open in asked:
            now = _ends(worlds, sums)
            if now is None or (not is_open(*now) and before.narrower(sums, now)):
                yield cell_id
                break
