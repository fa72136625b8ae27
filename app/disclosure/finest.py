"""The finest cells of a cohort: what outcomes hand over, and all that the protected cube is made from.

A row of a table is one *entry*: a person with one combination of codes. Where a dimension is a partition a
person has one entry. Where it overlaps (pathway, award level, cohort year) she has one for each award, and a
table counts her once per combination of *its* overlapping dimensions: ``counted`` says which entries those
are. Every table is therefore a plain sum of finest cells, so that one system of equations holds them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.disclosure.paid import Paid
from app.disclosure.table import Description, Guarded

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Axis:
    """A dimension of the cube.

    Attributes
    ----------
    name : str
    codes, labels : tuple of str
        The grid: every code of the list in its order, in the data or not.
    overlapping : bool
        Whether a person may stand in several codes.
    parent : str or None
        The dimension whose codes this one refines: each of our codes lies in exactly one of its codes.
    places : frozenset of str
        Codes that name a place: who pays the persons found there must not follow from their number.
    """

    name: str
    codes: tuple[str, ...]
    labels: tuple[str, ...]
    overlapping: bool = False
    parent: str | None = None
    places: frozenset[str] = frozenset()


class FinestCells(Guarded):
    """Populated combinations of codes with their counts.

    Parameters
    ----------
    about : Description
    axes : tuple of Axis
    codes : array, shape (n_cells, n_axes), int
        Positions in the axes' codes.
    n, found : array, shape (n_cells,), int
        Entries, and entries found; ``0 <= found <= n`` and ``n > 0``.
    counted : mapping of frozenset of str to array of bool, shape (n_cells,)
        For a set of overlapping dimensions: which cells count in tables that have exactly these of them. A
        set that is missing counts every cell. Two cells may have the same codes and differ in this.
    paid : Paid, optional
        By whom those found are paid, where being found says that somebody paid.
    paid_counted : Paid, optional
        By whom everybody is paid who is counted, where that says that somebody paid.

    Raises
    ------
    ValueError
        Arrays that do not fit together.
    """

    __slots__ = ("about", "axes", "codes", "counted", "found", "n", "paid", "paid_counted")

    def __init__(
        self,
        about: Description,
        axes: tuple[Axis, ...],
        codes: Ints,
        n: Ints,
        found: Ints,
        counted: Mapping[frozenset[str], NDArray[np.bool_]] | None = None,
        paid: Paid | None = None,
        paid_counted: Paid | None = None,
    ) -> None:
        codes = np.asarray(codes, np.int64).reshape(len(n), len(axes))
        sizes = np.array([len(axis.codes) for axis in axes], np.int64)
        if len(n) != len(found) or np.any(n <= 0) or np.any(found < 0) or np.any(found > n):
            raise ValueError("A finest cell counts persons, and no more found than persons.")
        if np.any(codes < 0) or np.any(codes >= sizes):
            raise ValueError("A finest cell has codes of its axes.")
        if len({axis.name for axis in axes}) != len(axes):
            raise ValueError("Axes have different names.")
        self.about = about
        self.axes = axes
        self.codes = codes
        self.n = np.asarray(n, np.int64)
        self.found = np.asarray(found, np.int64)
        self.counted = dict(counted or {})
        self.paid = paid
        self.paid_counted = paid_counted
        if any(len(mask) != len(n) for mask in self.counted.values()):
            raise ValueError("A mask covers all finest cells.")

    def in_table(self, names: frozenset[str]) -> NDArray[np.bool_]:
        """Which cells count in a table of these dimensions, shape (n_cells,)."""
        overlapping = frozenset(axis.name for axis in self.axes if axis.overlapping) & names
        return self.counted.get(overlapping, np.ones(len(self.n), np.bool_))
