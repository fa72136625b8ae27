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
from app.disclosure.sets import telling_sets
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
        of_groups = telling_groups(cells, audited, cells.paid)
        telling = np.concatenate([of_groups[hidden], _telling_cells(cells, cells.paid)])
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
        goals = Goals(matrix, highest, lowest, span, group=about)
        return _with_sets(goals, cells, groups, (audited, of_groups), k) if policy.sums_of_places else goals
    return Goals(matrix, highest, lowest, span, group=about)


def _with_sets(
    goals: Goals, cells: FinestCells, groups: Groups, audited: tuple[Groups, NDArray[np.bool_]], k: int
) -> Goals:
    """Goals, and sums of places that are kept open from k fewer to k more, as far as the total lets.

    Parameters
    ----------
    audited : tuple of (Groups, array of bool)
        Groups, and which of them tell of an employer.
    """
    paid = cells.paid
    assert paid is not None
    asked, whole = [audited], tuple(axis.name for axis in cells.axes)
    if whole not in audited[0].margins:
        finest = Groups(cells, [whole])
        asked.append((finest, telling_groups(cells, finest, paid)))
    sets = telling_sets(cells.axes, asked, paid)
    n = np.rint(sets @ cells.n)
    sets, n = sets[np.flatnonzero(n >= k)], n[n >= k]
    inside = np.rint(sets.multiply(groups.matrix[0]).tocsr() @ cells.n)
    sizes = Sizes(n, np.rint(sets @ cells.found), inside)
    lowest, highest, pinned = kept_wide(sizes, (float(groups.n[0]), float(groups.found[0])), k)
    lowest = np.maximum(lowest, sizes.found - k)
    some = np.flatnonzero(~pinned)
    if not len(some):
        return goals
    return Goals(
        sp.vstack([goals.matrix, sets[some]]).tocsr(),
        np.concatenate([goals.highest, highest[some]]),
        np.concatenate([goals.lowest, lowest[some]]),
        np.concatenate([goals.span, np.zeros(len(some))]),
        group=np.concatenate([goals.group, np.full(len(some), -1)]),
    )


def counted_goals(cells: FinestCells, groups: Groups, telling: NDArray[np.bool_], policy: Policy) -> Goals:
    """Denominators that tell of an employer stay open from half of it to k more, as far as the total lets.

    Parameters
    ----------
    telling : array of bool, shape (n_groups,)
    """
    exposed = np.flatnonzero(telling & (groups.n >= policy.min_cell))
    matrix, n = groups.matrix[exposed], groups.n[exposed].astype(float)
    about, lowest = exposed, np.floor(n / 2)
    if cells.paid_counted is not None and policy.sums_of_places:
        sets = telling_sets(cells.axes, [(groups, telling)], cells.paid_counted)
        sums = np.rint(sets @ cells.n)
        some = np.flatnonzero(sums >= policy.min_cell)
        matrix, n = sp.vstack([matrix, sets[some]]).tocsr(), np.concatenate([n, sums[some]])
        lowest = np.concatenate([lowest, sums[some] - policy.min_cell])
        about = np.concatenate([about, np.full(len(some), -1)])
    # Whoever counts in a row and not in the total is in no one's way.
    apart = n - np.rint(matrix.multiply(groups.matrix[0]).tocsr() @ cells.n)
    highest = np.minimum(n + policy.min_cell, float(groups.n[0]) + apart)
    return Goals(matrix, highest, lowest, np.zeros(len(n)), group=about)


def _telling_cells(cells: FinestCells, paid: Paid) -> NDArray[np.bool_]:
    named = names_place(cells.axes, tuple(axis.name for axis in cells.axes), cells.codes)
    return named & paid.telling(sp.identity(len(cells.n), format="csr"))
