"""What must stay possible of a union for somebody who knows how many stand in every common cell.

See :mod:`app.disclosure.beside`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from app.disclosure.goals import Goals
from app.disclosure.groups import Margin
from app.disclosure.joint import FOUND, MISSED, Joint
from app.disclosure.policy import Policy
from app.disclosure.suppression import Suppression
from app.disclosure.wide import wide_goals, with_wide


def known_goals(
    joint: Joint,
    state: Suppression,
    policy: Policy,
    fixed: sp.csr_matrix,
    new: tuple[sp.csr_matrix, sp.csr_matrix],
    tables: Sequence[Sequence[Margin]],
    at_places: sp.csr_matrix | None = None,
) -> Goals:
    """Numerators that are not shown, of every layer and group; differences of layers that may differ.

    And where a layer tells whom it found, and not out of how many: who of those counted in it alone is found,
    or in the other alone, and who is found in the one and not in the other.

    Parameters
    ----------
    joint : Joint
        The new cube is its last layer.
    state : Suppression
        What is shown of that.
    policy : Policy
    fixed : csr_matrix, shape (n_figures, n_columns)
        What is published.
    new : two of csr_matrix, shape (n_groups, n_columns)
        Persons, and those found, of each group of the new cube.
    tables : sequence of sequence of Margin
        Of each layer that is published.
    at_places : csr_matrix, shape (n_rows, n_columns), optional
        Rows by place that are shown. Of whom one tells, and who are a group at the same time, is no secret as
        that row; as a group it may be one, since its persons may be few.
    """
    k, t = policy.min_cell, policy.found_from
    shown = _shown_sums(joint, state, fixed, new)
    of_places = shown | (_names(at_places) if at_places is not None else set())
    sums, persons, differs = [], [], []
    for layer, entries in enumerate(joint.layers):
        margins = state.groups.margins if layer == len(joint.layers) - 1 else ()
        names = [axis.name for axis in entries.axes]
        # In a stable order: which goal fails first decides what is hidden.
        for margin in dict.fromkeys([*margins, (), *((name,) for name in names), tuple(names)]):
            _, n, m = joint.sums(layer, margin)
            sums.append(m)
            persons.append(np.rint(n @ joint.truth))
            differs.append(np.full(m.shape[0], bool(entries.of)))
        for other in range(layer):
            moved = (joint.pattern[:, layer] == FOUND) != (joint.pattern[:, other] == FOUND)
            for margin in dict.fromkeys([*margins, ()]):
                _, n, _ = joint.sums(layer, margin)
                part = n.multiply(sp.csr_matrix(moved.astype(float))).tocsr()
                sums.append(part)
                persons.append(np.rint(n @ joint.truth))
                differs.append(np.ones(part.shape[0], np.bool_))
    for m, n in _counted_apart(joint):
        sums.append(m)
        persons.append(n)
        differs.append(np.zeros(m.shape[0], np.bool_))
    matrix = sp.vstack(sums).tocsr()
    n, loose = np.concatenate(persons), np.concatenate(differs)
    rows = [matrix[i] for i in range(matrix.shape[0])]
    hidden = np.array([row.nnz > 0 and name_of(row) not in shown for row in rows], np.bool_)
    matrix, n, loose = matrix[hidden], n[hidden], loose[hidden]
    span = np.where(loose, 1.0, np.where(n < k, np.ceil(n / 2), np.where(n < 2 * t, 1.0, 0.0)))
    large = (n >= 2 * t) & ~loose
    goals = Goals(matrix, np.where(large, float(t), -np.inf), np.where(large, n - t, np.inf), span)
    goals = _with_places(_with_found_apart(goals, joint, k), joint, (of_places, shown), k, t)
    if not policy.employers_of_places:
        return goals
    totals = bool(state.n_shown[0]), bool(state.found_shown[0])
    wide = wide_goals(joint, [*tables, state.groups.margins], policy, total_shown=totals)
    return with_wide(goals, wide, [name_of(row) not in shown for row in wide.rows])


def _found_alone(joint: Joint) -> Iterator[tuple[int, int]]:
    """Pairs of layers of which one tells whom it found, and not out of how many."""
    for one, other in permutations(range(len(joint.layers)), 2):
        if joint.layers[one].found_alone or joint.layers[other].found_alone:
            yield one, other


def _counted_apart(joint: Joint) -> Iterator[tuple[sp.csr_matrix, NDArray[np.float64]]]:
    """Who is counted in one layer of such a pair and not in the other: sums of those found, and how many.

    Were both denominators told, these would be nobody, or as many as may be told of.
    """
    for one, other in _found_alone(joint):
        if joint.layers[one].of or joint.layers[other].of:
            continue
        outside = sp.csr_matrix((~joint.places[other].present[joint.cell]).astype(float))
        for margin in ((), *((axis.name,) for axis in joint.layers[one].axes)):
            _, n, m = joint.sums(one, margin)
            yield m.multiply(outside).tocsr(), np.rint(n.multiply(outside).tocsr() @ joint.truth)


def _with_found_apart(goals: Goals, joint: Joint, k: int) -> Goals:
    """Ask besides that k can be found in one layer of such a pair and not in the other.

    That is asked of every column for who knows no denominator. But who knows how few are counted in the one
    alone knows nearly by how many both numbers of those found differ otherwise.
    """
    sums = [
        sp.csr_matrix(((joint.pattern[:, one] == FOUND) & (joint.pattern[:, other] == MISSED)).astype(float))
        for one, other in _found_alone(joint)
    ]
    some = [row for row in sums if row.nnz]
    if not some:
        return goals
    nothing = np.zeros(len(some))
    return Goals(
        sp.vstack([goals.matrix, *some]).tocsr(),
        np.concatenate([goals.highest, nothing + k]),
        np.concatenate([goals.lowest, nothing + np.inf]),
        np.concatenate([goals.span, nothing]),
    )


def _with_places(goals: Goals, joint: Joint, shown: tuple[set[bytes], set[bytes]], k: int, t: int) -> Goals:
    """Goals, and what must stay open of places for somebody who knows how many stand in every common cell.

    A place whose number is not shown can be t, or from half of it to k more where that would tell of an
    employer. Those of a cell who work at just the same places are a group of that cell like any other.

    Parameters
    ----------
    shown : two of set of bytes
        Sums that are told outright (`name_of`), of places and of groups.
    k, t : int
    """
    parts = [goals]
    persons = np.bincount(joint.cell, weights=joint.truth)[joint.cell]
    for layer, entries in enumerate(joint.layers):
        if entries.worked is None:
            continue
        places = entries.worked.places
        sums = joint.found_at(layer, places)
        columns = np.flatnonzero(joint.where[:, layer] > 0)
        alone = sp.identity(len(joint.truth), format="csr")[columns]
        m, n = np.rint(sums @ joint.truth), persons[columns]
        tells = np.array([place in entries.worked.telling for place in places], np.bool_)
        most = float(joint.truth[columns].sum())
        large = n >= 2 * t
        every = Goals(
            sp.vstack([sums, alone]).tocsr(),
            np.concatenate([np.where(tells, np.minimum(m + k, most), t), np.where(large, t, -np.inf)]),
            np.concatenate([np.where(tells, np.floor(m / 2), np.inf), np.where(large, n - t, np.inf)]),
            np.concatenate([np.ones(len(m)), np.where(n < k, np.ceil(n / 2), np.where(large, 0.0, 1.0))]),
        )
        told = [shown[0]] * len(m) + [shown[1]] * len(n)
        open_ = [name_of(every.matrix[at]) not in names for at, names in enumerate(told)]
        some = np.flatnonzero(open_)
        parts.append(Goals(every.matrix[some], every.highest[some], every.lowest[some], every.span[some]))
    return Goals(
        sp.vstack([part.matrix for part in parts]).tocsr(),
        np.concatenate([part.highest for part in parts]),
        np.concatenate([part.lowest for part in parts]),
        np.concatenate([part.span for part in parts]),
    )


def _shown_sums(
    joint: Joint, state: Suppression, fixed: sp.csr_matrix, new: tuple[sp.csr_matrix, sp.csr_matrix]
) -> set[bytes]:
    """Sums that are told outright; a group that holds the same columns is no secret of its own."""
    persons, found = new
    rows = sp.vstack([fixed, found[np.flatnonzero(state.found_shown)]]).tocsr()
    told = _names(rows)
    for i in np.flatnonzero(state.found_shown):
        # Where both numerators are shown their difference is: R2 has seen to it that it is large.
        for layer in range(len(joint.layers) - 1):
            moved = (joint.pattern[:, -1] == FOUND) != (joint.pattern[:, layer] == FOUND)
            told.add(name_of(persons[i].multiply(sp.csr_matrix(moved.astype(float))).tocsr()))
    return told


def _names(rows: sp.csr_matrix) -> set[bytes]:
    return {name_of(rows[i]) for i in range(rows.shape[0])}


def name_of(row: sp.csr_matrix) -> bytes:
    """The columns of a sum, to tell sums apart."""
    return np.sort(row.indices[row.data != 0]).astype(np.int64).tobytes()
