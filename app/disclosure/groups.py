"""The groups of a plan: every populated cell of every planned table as a sum of finest cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from app.disclosure.finest import Axis, FinestCells, Ints
from app.disclosure.table import Guarded

Margin = tuple[str, ...]


def plan_margins(axes: Sequence[Axis], depth: int, named: Sequence[Margin] = ()) -> tuple[Margin, ...]:
    """Tables of the plan, the total first, then by depth in the order of ``axes``.

    Parameters
    ----------
    axes : sequence of Axis
    depth : int
        All combinations of up to so many dimensions. A dimension is not crossed with one that it refines.
    named : sequence of tuple of str
        Deeper tables that the parties name.
    """
    parents = {axis.name: axis.parent for axis in axes}
    names = list(parents)

    def ancestors(name: str) -> set[str]:
        found: set[str] = set()
        above = parents[name]
        while above is not None and above in parents:
            found.add(above)
            above = parents[above]
        return found

    plan: list[Margin] = []
    for size in range(min(depth, len(names)) + 1):
        plan += [m for m in combinations(names, size) if not any(ancestors(name) & set(m) for name in m)]
    for margin in named:
        ordered = tuple(name for name in names if name in margin)
        if len(ordered) == len(set(margin)) and ordered not in plan:
            plan.append(ordered)
    return tuple(plan)


@dataclass(frozen=True, eq=False)
class Line:
    """A parent and the groups that it is the sum of, as positions of groups."""

    parent: int
    children: NDArray[np.intp]


class Groups(Guarded):
    """All populated groups of some margins.

    Attributes
    ----------
    margins : tuple of Margin
    margin_of : array, shape (n_groups,)
        Position in ``margins``.
    keys : list of array, one per margin, shape (n_groups_of_margin, n_dimensions)
        Codes as positions; the groups of a margin stand together, in this order.
    starts : array, shape (n_margins + 1,)
        Position of each margin's first group.
    matrix : scipy.sparse.csr_matrix, shape (n_groups, n_cells)
        One where a finest cell counts in a group.
    n, found : array, shape (n_groups,)
    """

    __slots__ = ("depth", "found", "keys", "margin_of", "margins", "matrix", "n", "starts")

    def __init__(self, cells: FinestCells, margins: Sequence[Margin]) -> None:
        position = {axis.name: i for i, axis in enumerate(cells.axes)}
        size = len(cells.n)
        self.margins = tuple(margins)
        self.keys: list[Ints] = []
        rows, columns, starts = [], [], [0]
        for margin in self.margins:
            inside = np.flatnonzero(cells.in_table(frozenset(margin)))
            chosen = cells.codes[inside][:, [position[name] for name in margin]]
            if margin:
                keys, inverse = np.unique(chosen, axis=0, return_inverse=True)
            else:
                keys, inverse = np.zeros((1, 0), np.int64), np.zeros(len(inside), np.intp)
            self.keys.append(keys)
            rows.append(inverse.reshape(-1) + starts[-1])
            columns.append(inside)
            starts.append(starts[-1] + len(keys))
        self.starts = np.array(starts)
        row = np.concatenate(rows) if rows else np.zeros(0, np.intp)
        column = np.concatenate(columns) if columns else np.zeros(0, np.intp)
        self.matrix = sp.csr_matrix((np.ones(len(row)), (row, column)), shape=(starts[-1], size))
        self.margin_of = np.repeat(np.arange(len(self.margins)), np.diff(self.starts))
        self.depth = np.array([len(margin) for margin in self.margins])[self.margin_of]
        self.n = np.rint(self.matrix @ cells.n).astype(np.int64)
        self.found = np.rint(self.matrix @ cells.found).astype(np.int64)

    def __len__(self) -> int:
        return len(self.n)

    def lines(self, axes: Sequence[Axis]) -> list[Line]:
        """Every way in which a group is the exact sum of groups of a table with one dimension more.

        Or with a dimension replaced by one that refines it. Where persons count twice there is no such line;
        the programs see these sums, since they work on finest cells.
        """
        at = {margin: i for i, margin in enumerate(self.margins)}
        finer = {axis.name: axis.parent for axis in axes}
        found: list[Line] = []
        for below, margin in enumerate(self.margins):
            above = {tuple(name for name in margin if name != drop) for drop in margin}
            for name in margin:
                parent = finer[name]
                if parent is not None:
                    wanted = {parent if other == name else other for other in margin}
                    above.add(tuple(axis.name for axis in axes if axis.name in wanted))
            for other in sorted(above & at.keys()):
                found += self._between(at[other], below)
        return found

    def _between(self, above: int, below: int) -> list[Line]:
        up = self.matrix[self.starts[above] : self.starts[above + 1]]
        down = self.matrix[self.starts[below] : self.starts[below + 1]]
        shared = (up @ down.T).tocsr()
        sizes = np.diff(down.indptr)
        whole = np.diff(up.indptr)
        lines = []
        for parent in range(shared.shape[0]):
            children = shared.indices[shared.indptr[parent] : shared.indptr[parent + 1]]
            inside = shared.data[shared.indptr[parent] : shared.indptr[parent + 1]]
            if np.all(inside == sizes[children]) and inside.sum() == whole[parent]:
                order = np.sort(children) + self.starts[below]
                lines.append(Line(int(parent + self.starts[above]), order))
        return lines
