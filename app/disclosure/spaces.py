"""The spaces of a cube: worlds that agree with what is shown of it, for each kind of attacker."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from app.disclosure.finest import FinestCells
from app.disclosure.goals import Space, statuses
from app.disclosure.groups import Groups, Line

Flags = NDArray[np.bool_]


class Spaces:
    """Makes the spaces of one cube from what of its groups is shown.

    Parameters
    ----------
    cells : FinestCells
    groups : Groups
    lines : sequence of Line
        Every way in which a group is the sum of others.
    """

    def __init__(self, cells: FinestCells, groups: Groups, lines: Sequence[Line]) -> None:
        self._cells, self._groups = cells, groups
        self._lines_of: dict[int, list[Line]] = {}
        for line in lines:
            self._lines_of.setdefault(line.parent, []).append(line)
        self._ceiling = float(max(groups.n.max(), cells.n.sum()))

    def denominators(self, n_shown: Flags) -> Space:
        """How many there may be in each cell."""
        rows = self._needed(n_shown)
        matrix = self._groups.matrix[rows]
        size = len(self._cells.n)
        return Space(
            matrix,
            rows,
            self._cells.n.astype(float),
            np.full(size, self._ceiling),
            self._cells.codes,
            np.zeros(size, np.int64),
            self._ceiling,
            statuses(n_shown, n_shown),
        )

    def unknown(self, n_shown: Flags, found_shown: Flags) -> Space:
        """Who may be found in each cell and who not, for somebody who knows no denominator."""
        rows = self._needed(found_shown)
        only_n = np.setdiff1d(self._needed(n_shown), np.flatnonzero(found_shown))
        matrix = self._groups.matrix
        found, persons = matrix[rows], matrix[only_n]
        whole = sp.vstack(
            [
                sp.hstack([found, sp.csr_matrix(found.shape)]),
                sp.hstack([sp.csr_matrix(found.shape), found]),
                sp.hstack([persons, persons]),
            ]
        ).tocsr()
        truth = np.concatenate([self._cells.found, self._cells.n - self._cells.found]).astype(float)
        figure = np.concatenate([rows, rows, -1 - only_n])
        codes = np.concatenate([self._cells.codes, self._cells.codes])
        side = np.repeat([0, 1], len(self._cells.n))
        upper = np.full(len(truth), self._ceiling)
        status = statuses(found_shown, n_shown)
        return Space(whole, figure, truth, upper, codes, side, self._ceiling, status)

    def known(self, found_shown: Flags) -> Space:
        """How many may be found in each cell, for somebody who knows every denominator."""
        rows = self._needed(found_shown)
        return Space(
            self._groups.matrix[rows],
            rows,
            self._cells.found.astype(float),
            self._cells.n.astype(float),
            self._cells.codes,
            np.zeros(len(self._cells.n), np.int64),
            status=statuses(found_shown, found_shown),
        )

    def _needed(self, shown: Flags) -> NDArray[np.intp]:
        """Shown groups that are not the sum of shown groups: the others add nothing to a program."""
        implied = [
            parent
            for parent, lines in self._lines_of.items()
            if any(shown[line.children].all() for line in lines)
        ]
        needed = shown.copy()
        needed[implied] = False
        return np.flatnonzero(needed)
