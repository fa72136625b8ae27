"""The planned tables of one cohort as one system: cells, and the sums that tie them together.

An attacker sees all tables at once. Whatever she can compute follows from the lines written here, so the
rules of :mod:`complementary` and the programs of :mod:`audit` work on this system and on nothing else.

Lines are signed sums of cells with a value that *she is assumed to know*. For partitions the value is zero
(rows minus total). For overlapping rows it is the number of persons counted more than once: to assume it
known is to protect against somebody stronger than any reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from app.disclosure.errors import DisclosureError
from app.disclosure.policy import Policy
from app.disclosure.small_cells import shows_found, shows_n
from app.disclosure.table import Cell, Rows, Table

#: A row of a table, or ((), ()) for the total that all tables share.
CellId = tuple[tuple[str, ...], tuple[str, ...]]
TOTAL: CellId = ((), ())


@dataclass(frozen=True)
class Line:
    """``sum(plus) - sum(minus)`` has a value that is assumed to be known.

    Attributes
    ----------
    plus, minus : tuple of CellId
        Populated cells only: an attacker may know which groups are empty, so these protect nobody.
    overlapping : bool
        Whether the value counts persons who stand in more than one of ``plus``.
    """

    plus: tuple[CellId, ...]
    minus: tuple[CellId, ...]
    overlapping: bool

    @property
    def cells(self) -> tuple[CellId, ...]:
        """All cells of the line."""
        return self.plus + self.minus


@dataclass
class System:
    """Cells, lines, and what of each cell is shown at the moment.

    Attributes
    ----------
    tables : tuple of Table
    cells : dict of CellId to Cell
        Populated cells of overlapping and partitioned tables, and the total.
    lines : tuple of Line
    n_hidden, found_hidden : set of CellId
        What is withheld. ``n_hidden`` is a subset of ``found_hidden``. Rows of ``Rows.PLACES`` tables stand
        in ``found_hidden`` too.
    """

    tables: tuple[Table, ...]
    cells: dict[CellId, Cell]
    lines: tuple[Line, ...]
    n_hidden: set[CellId] = field(default_factory=set)
    found_hidden: set[CellId] = field(default_factory=set)

    def hide(self, cell: CellId, *, n: bool) -> None:
        """Withhold the numerator of ``cell``, and its denominator too if ``n``."""
        self.found_hidden.add(cell)
        if n:
            self.n_hidden.add(cell)

    def copy(self) -> System:
        """Return the same cells and lines with a record of its own of what is hidden."""
        return replace(self, n_hidden=set(self.n_hidden), found_hidden=set(self.found_hidden))

    def sums(self, cells: Sequence[CellId]) -> Cell:
        """Counts of several cells together."""
        chosen = [self.cells[cell] for cell in cells]
        return Cell(sum(cell.n for cell in chosen), sum(cell.found for cell in chosen))


def build_system(tables: Sequence[Table], policy: Policy) -> System:
    """Join the tables of one plan and hide what the primary rule hides.

    Raises
    ------
    DisclosureError
        ``PLAN_INCONSISTENT``: tables of different cohorts, indicators or totals, a table twice, or deeper
        than one dimension. Protecting such tables together would prove nothing.
    """
    if not tables:
        raise DisclosureError("PLAN_INCONSISTENT", "A plan has at least one table.")
    first = tables[0]
    for table in tables:
        same_total = (table.total.n, table.total.found) == (first.total.n, first.total.found)
        if table.about != first.about or not same_total:
            raise DisclosureError(
                "PLAN_INCONSISTENT", "Tables of one plan share indicator, cohort and total."
            )
        if len(table.by) > 1:
            raise DisclosureError("PLAN_INCONSISTENT", "This method protects tables of one dimension.")
    if len({table.by for table in tables}) != len(tables):
        raise DisclosureError("PLAN_INCONSISTENT", "A plan holds each table once.")

    cells = {TOTAL: first.total}
    for table in tables:
        if table.rows is not Rows.PLACES:
            pairs = zip(table.keys, table.cells, strict=True)
            cells |= {(table.by, key): cell for key, cell in pairs if cell.n and table.by}
    system = System(tuple(tables), cells, tuple(_lines(tables, cells)))
    k = policy.min_cell
    for cell_id, cell in cells.items():
        # Nothing is shown of the parts of a whole that may not be shown itself.
        if not shows_found(cell, k) or not shows_found(first.total, k):
            system.hide(cell_id, n=not shows_n(cell, k) or not shows_n(first.total, k))
    return system


def _lines(tables: Sequence[Table], cells: dict[CellId, Cell]) -> list[Line]:
    lines = []
    by_dimension = {table.by: table for table in tables if table.by and table.rows is not Rows.PLACES}
    for by, table in by_dimension.items():
        rows = tuple((by, key) for key in table.keys if (by, key) in cells)
        lines.append(Line(rows, (TOTAL,), table.rows is Rows.OVERLAPPING))
        parent = by_dimension.get((table.parent_dimension or "",))
        if parent is not None:
            lines += _refinement(table, parent, cells)
    return [line for line in lines if line.plus]


def _refinement(table: Table, parent: Table, cells: dict[CellId, Cell]) -> list[Line]:
    """Lines between the rows of a table and those of the table that it refines.

    A row without a parent (the residual) takes the parents that no row refines.
    """
    lines = []
    for code in (key[0] for key in parent.keys):
        own = tuple(
            (table.by, key)
            for key in table.keys
            if table.parents.get(key[0]) == code and (table.by, key) in cells
        )
        if code in table.parents.values() and (parent.by, (code,)) in cells:
            lines.append(Line(own, ((parent.by, (code,)),), overlapping=True))
    rest = tuple(
        (table.by, key) for key in table.keys if key[0] not in table.parents and (table.by, key) in cells
    )
    unrefined = tuple(
        (parent.by, key)
        for key in parent.keys
        if key[0] not in table.parents.values() and (parent.by, key) in cells
    )
    if rest and unrefined:
        lines.append(Line(unrefined, rest, overlapping=True))
    return lines
