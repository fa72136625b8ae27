"""What may be seen: rows, tables and cubes that are protected; tables of one dimension as a system of rows.

Tables of persons are cubes over finest cells (`cube`). Flows, and the total beside rows by place, are a
system of rows: :func:`protect` takes all of them at once, because whoever reads one may read them all:

1. primary rule (``small_cells``): N, found and not found each at least k, or withheld;
2. companions (``complementary``): no sum gives a withheld group away;
3. audit (``audit``): linear programs over all tables together prove every withheld cell open, by R2 and R3;
4. where the proof fails: hide more and go back to 2; where nothing is left to hide: withhold the table.

The caller still owes: a single secret for the life of a population, and to answer from what is stored alone.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.disclosure.audit import Unproven, audit
from app.disclosure.complementary import cheapest, choose_companions, hide_companions
from app.disclosure.errors import DisclosureError
from app.disclosure.places import hide_places
from app.disclosure.policy import Policy
from app.disclosure.rounding import per_cent
from app.disclosure.small_cells import shows_found, shows_n
from app.disclosure.system import TOTAL, CellId, System, build_system
from app.disclosure.table import Cell, Description, Place, Rows, Table

PUBLISHED, COUNT_ONLY, WITHHELD = "published", "count_only", "withheld"


@dataclass(frozen=True)
class ProtectedRow:
    """One row as anybody may see it.

    Attributes
    ----------
    key : tuple of (str, str)
        Dimension and code.
    label, status : str
        ``published``, ``count_only`` (N without m) or ``withheld``, whatever the reason.
    n, found : int or None
    rate : str or None
        Per cent to 0.1, half up; never without its counts.
    """

    key: tuple[tuple[str, str], ...]
    label: str
    status: str
    n: int | None
    found: int | None
    rate: str | None

    def to_document(self) -> dict[str, object]:
        """Shape of a row in every answer."""
        return {
            "key": dict(self.key),
            "label": self.label,
            "status": self.status,
            "n": self.n,
            "found": self.found,
            "rate": self.rate,
        }


@dataclass(frozen=True)
class ProtectedTable:
    """A table that may be published; made by :func:`protect` only.

    Attributes
    ----------
    about : Description
    by : tuple of str
    rows : tuple of ProtectedRow
        Full grid in code-list order.
    total : ProtectedRow
    additive : bool
        Whether rows add up to the total by definition (withheld rows aside).
    policy : mapping
    notes : tuple of str
    """

    about: Description
    by: tuple[str, ...]
    rows: tuple[ProtectedRow, ...]
    total: ProtectedRow
    additive: bool
    policy: Mapping[str, object]
    notes: tuple[str, ...]

    def to_document(self) -> dict[str, object]:
        """Return the JSON form; the same data, policy and secret give the same document."""
        coverage = self.about.coverage
        return {
            "indicator": self.about.indicator,
            "title": self.about.title,
            "definition": self.about.definition,
            "cohort": self.about.cohort,
            "by": list(self.by),
            "rows": [row.to_document() for row in self.rows],
            "total": self.total.to_document(),
            "additive": self.additive,
            "coverage": {
                "text": coverage.text,
                "encodable": coverage.encodable,
                "strong_identifier": coverage.strong_identifier,
            },
            "contributors": list(self.about.contributors),
            "breaks": list(self.about.breaks),
            "vintage": self.about.vintage,
            "policy": dict(self.policy),
            "notes": list(self.notes),
        }

    def to_csv(self) -> str:
        """Return CSV: definition, vintage, policy, coverage as comments, then rows with status flags."""
        policy = ", ".join(f"{name} {value}" for name, value in self.policy.items())
        out = io.StringIO()
        for name, text in (
            ("indicator", f"{self.about.indicator} ({self.about.title})"),
            ("definition", self.about.definition),
            ("cohort", self.about.cohort),
            ("vintage", self.about.vintage),
            ("policy", policy),
            ("coverage", self.about.coverage.text),
            ("additive", "yes" if self.additive else "no: a person may stand in several rows"),
            *(("note", note) for note in self.notes),
        ):
            out.write(f"# {name}: {text}\n")
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([*self.by, "label", "status", "n", "found", "rate"])
        for row in (*self.rows, self.total):
            codes = [code for _, code in row.key] or ["TOTAL"] * len(self.by)
            figures = ("" if figure is None else figure for figure in (row.n, row.found, row.rate))
            writer.writerow([*codes, row.label, row.status, *figures])
        return out.getvalue()


class ProtectedCube:
    """All tables of one plan, protected together; every answer is a look-up here.

    Parameters
    ----------
    tables : sequence of ProtectedTable
    dropped : tuple of tuple of str
        Tables that could not be proven within the budget: they show nothing.
    proof : mapping, optional
        Statistics of the proof, for whoever checks it; they are no part of any answer.
    """

    def __init__(
        self,
        tables: Sequence[ProtectedTable],
        dropped: tuple[tuple[str, ...], ...] = (),
        proof: Mapping[str, object] | None = None,
    ) -> None:
        self._tables = {table.by: table for table in tables}
        self.dropped = dropped
        self.proof = dict(proof or {})

    @property
    def plan(self) -> tuple[tuple[str, ...], ...]:
        """What may be asked for."""
        return tuple(self._tables)

    def table(self, by: Sequence[str], where: Mapping[str, str] | None = None) -> ProtectedTable:
        """Look a table up.

        Raises
        ------
        DisclosureError
            ``NOT_IN_PLAN``: another combination of dimensions, or any filter.
        """
        found = self._tables.get(tuple(by))
        if found is None or where:
            raise DisclosureError("NOT_IN_PLAN", "The plan of this release does not hold such a table.")
        return found


def protect(tables: Sequence[Table], policy: Policy) -> ProtectedCube:
    """Protect all tables of one plan together.

    Parameters
    ----------
    tables : sequence of Table
        Of one indicator and cohort, each of at most one dimension, each once.
    policy : Policy

    Raises
    ------
    DisclosureError
        ``PLAN_INCONSISTENT``: the tables cannot be protected together.
    """
    system = choose_companions(build_system(tables, policy), policy)
    if TOTAL not in system.n_hidden:
        _hide_until_proven(system, policy)
    places = _hidden_places(system, policy)
    return ProtectedCube([_publish(table, system, policy, places) for table in system.tables])


def _hidden_places(system: System, policy: Policy) -> frozenset[Place]:
    """Rows by place whose numerators are withheld: all of them where the total's is."""
    tables = [table for table in system.tables if table.rows is Rows.PLACES]
    if TOTAL in system.found_hidden:
        return frozenset((table.by[0], key[0]) for table in tables for key in table.keys)
    return hide_places(tables, policy)


def _hide_until_proven(system: System, policy: Policy) -> None:
    """Alternate rules and proof. Each round hides one more figure, so it ends, at worst with nothing."""
    while True:
        hide_companions(system, policy)
        unproven = audit(system, policy.min_cell)
        if not unproven:
            return
        for failure in unproven:
            _hide_more(system, policy, failure)


def _hide_more(system: System, policy: Policy, failure: Unproven) -> None:
    lines = [line for line in system.lines if failure.cell in line.cells]
    for n in (failure.n, True):
        companion = cheapest(system, policy, [cell for line in lines for cell in line.cells], n=n)
        if companion is not None:
            system.hide(companion, n=n)
            return
    # Its lines are hidden whole and it is still not open: the table goes, then everything.
    by = failure.cell[0]
    left = [cell for cell in system.cells if cell[0] == by and cell not in system.n_hidden]
    for cell in left or list(system.cells):
        system.hide(cell, n=True)


def _publish(table: Table, system: System, policy: Policy, places: frozenset[Place]) -> ProtectedTable:
    notes = [*table.about.notes]
    if table.rows is Rows.PLACES:
        notes.append("Every row has the whole cohort as its denominator: rows do not add up to the total.")
    elif not table.additive:
        notes.append("Rows overlap: a person may stand in several, and rows do not add up to the total.")
    rows = []
    for key, label, cell in zip(table.keys, table.labels, table.cells, strict=True):
        if table.rows is Rows.PLACES:
            n, found = TOTAL not in system.n_hidden, (table.by[0], key[0]) not in places
        else:
            n, found = _shown(system, (table.by, key))
        named = tuple(zip(table.by, key, strict=True))
        rows.append(protected_row(named, label, cell, policy, n=n, found=found))
    n, found = _shown(system, TOTAL)
    total = protected_row((), "Total", table.total, policy, n=n, found=found)
    return ProtectedTable(
        table.about, table.by, tuple(rows), total, table.additive, policy.to_document(), tuple(notes)
    )


def _shown(system: System, cell_id: CellId) -> tuple[bool, bool]:
    """Whether N and m are shown; a cell that the system does not hold is empty and shows nothing."""
    if cell_id not in system.cells:
        return False, False
    return cell_id not in system.n_hidden, cell_id not in system.found_hidden


def protected_row(
    key: tuple[tuple[str, str], ...], label: str, cell: Cell, policy: Policy, *, n: bool, found: bool
) -> ProtectedRow:
    """Make a row of what is to be shown of a cell (``n``, ``found``).

    The last door: whatever went wrong before, no figure below k passes here.
    """
    if n and found and shows_found(cell, policy.found_from):
        return ProtectedRow(key, label, PUBLISHED, cell.n, cell.found, per_cent(cell.found, cell.n))
    if n and shows_n(cell, policy.min_cell):
        return ProtectedRow(key, label, COUNT_ONLY, cell.n, None, None)
    return ProtectedRow(key, label, WITHHELD, None, None, None)
