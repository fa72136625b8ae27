"""What must stay open of a cube: R3, for an attacker who knows every N; and what tells of employers."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from app.disclosure.finest import FinestCells
from app.disclosure.goals import Goals
from app.disclosure.groups import Groups
from app.disclosure.paid import Paid
from app.disclosure.policy import Policy
from app.disclosure.telling import Sizes, kept_wide, names_place, telling_groups

#: Up to so many axes every margin is audited, beyond that the planned ones and the finest cells.
_ALL_MARGINS_AXES = 6


def known_goals(
    cells: FinestCells, groups: Groups, found_shown: NDArray[np.bool_], policy: Policy
) -> Goals | None:
    """Below k a group spans half of N, from 2t it admits t found and t not, else it is open.

    Whatever tells of an employer at a place stays open from half of it to k more (`telling`).

    Parameters
    ----------
    cells : FinestCells
    groups : Groups
        The planned ones, the total first.
    found_shown : array of bool, shape (n_groups,)
    policy : Policy

    Returns
    -------
    Goals or None
        None where the numerator of the total gives an employer away by itself.
    """
    k, t = policy.min_cell, policy.found_from
    names = [axis.name for axis in cells.axes]
    margins = [m for m in groups.margins if m]
    if len(names) <= _ALL_MARGINS_AXES:
        every = [m for size in range(1, len(names)) for m in combinations(names, size)]
        margins += [m for m in every if m not in set(margins)]
    audited = Groups(cells, margins)
    hidden = np.ones(len(audited), np.bool_)
    planned = len(groups) - 1
    hidden[:planned] = ~found_shown[1:]
    size = len(cells.n)
    # Finest cells by themselves: with overlapping dimensions they are finer than any table.
    matrix = sp.vstack([audited.matrix[np.flatnonzero(hidden)], sp.identity(size)]).tocsr()
    n = np.rint(matrix @ cells.n)
    span = np.where(n < k, np.ceil(n / 2), np.where(n < 2 * t, 1.0, 0.0))
    highest = np.where(n >= 2 * t, float(t), -np.inf)
    lowest = np.where(n >= 2 * t, n - t, np.inf)
    group = np.where(np.arange(len(audited)) < planned, np.arange(len(audited)) + 1, -1)
    about = np.concatenate([group[hidden], np.full(size, -1)])
    if policy.employers_of_places and cells.paid is not None:
        of_groups = telling_groups(cells, audited, cells.paid)[hidden]
        telling = np.concatenate([of_groups, _telling_cells(cells, cells.paid)])
        # Of fewer than k persons the goal above asks for half of them already.
        exposed = np.flatnonzero(telling & (n >= k))
        sums, total = matrix[exposed], groups.matrix[0]
        inside = sums.multiply(total).tocsr() @ cells.n
        sizes = Sizes(n[exposed], np.rint(sums @ cells.found), np.rint(inside))
        whole = float(groups.n[0]), float(groups.found[0])
        least, most, pinned = kept_wide(sizes, whole, k)
        if pinned.any():
            return None
        lowest[exposed] = np.minimum(lowest[exposed], least)
        highest[exposed] = np.maximum(highest[exposed], most)
    return Goals(matrix, highest, lowest, span, group=about)


def counted_goals(cells: FinestCells, groups: Groups, telling: NDArray[np.bool_], policy: Policy) -> Goals:
    """Denominators that tell of an employer stay open from half of it to k more, as far as the total lets.

    Parameters
    ----------
    telling : array of bool, shape (n_groups,)
    """
    exposed = np.flatnonzero(telling & (groups.n >= policy.min_cell))
    matrix, n = groups.matrix[exposed], groups.n[exposed].astype(float)
    # Whoever counts in a row and not in the total is in no one's way.
    apart = n - np.rint(matrix.multiply(groups.matrix[0]).tocsr() @ cells.n)
    highest = np.minimum(n + policy.min_cell, float(groups.n[0]) + apart)
    return Goals(matrix, highest, np.floor(n / 2), np.zeros(len(n)), group=exposed)


def _telling_cells(cells: FinestCells, paid: Paid) -> NDArray[np.bool_]:
    named = names_place(cells.axes, tuple(axis.name for axis in cells.axes), cells.codes)
    return named & paid.telling(sp.identity(len(cells.n), format="csr"))
