"""Worlds of a union in which what is found of one layer changes, and nothing else.

Whoever knows how many stand in every common cell asks about what was found of one layer mostly. With all
other layers as they are, a cell has one number that may change: how many are found of those whom the others
leave in both states. That space has a fraction of the columns, no rows but the layer's own, and is proven as
fast as the layer's cube was. Its worlds are worlds of the union. What they do not serve is left to the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse as sp

from app.disclosure.goals import Failure, Goals, Space, Work
from app.disclosure.joint import FOUND, MISSED, Joint
from app.disclosure.proof import Prover


def serve_by_layer(
    joint: Joint,
    figures: sp.csr_matrix,
    goals: Goals,
    work: Work,
    seed: int,
    progress: Callable[[int, int], None],
) -> None:
    """Note what goals reach in worlds in which one layer moves, each layer in turn.

    Parameters
    ----------
    joint : Joint
    figures : csr_matrix, shape (n_figures, n_columns)
        What is published, of all layers. Denominators of common cells are known besides.
    goals : Goals
    work : Work
    seed : int
    progress : callable

    Raises
    ------
    OutOfWorkError
    """
    if not len(goals.high):
        goals.high = goals.matrix @ joint.truth
        goals.low = goals.high.copy()
    for layer in range(len(joint.layers)):
        _move(joint, layer, figures, goals, work, seed, progress)


def _move(
    joint: Joint,
    layer: int,
    figures: sp.csr_matrix,
    goals: Goals,
    work: Work,
    seed: int,
    progress: Callable[[int, int], None],
) -> None:
    missed, found = _pairs(joint, layer)
    persons = joint.truth[missed] + joint.truth[found]
    missed, found, persons = missed[persons > 0], found[persons > 0], persons[persons > 0]
    sums = (goals.matrix[:, found] - goals.matrix[:, missed]).tocsr()
    sums.eliminate_zeros()
    # Of a difference of layers more may be found where less is: no sum of these columns.
    least = sums.min(axis=1).toarray().ravel() if sums.shape[1] else np.zeros(sums.shape[0])
    chosen = np.flatnonzero(goals.open() & (np.diff(sums.indptr) > 0) & (least >= 0))
    if not len(chosen):
        return
    rows = (figures[:, found] - figures[:, missed]).tocsr()
    rows.eliminate_zeros()
    rows = rows[np.flatnonzero(np.diff(rows.indptr))]
    truth = joint.truth[found]
    rest = (goals.matrix @ joint.truth - sums @ truth)[chosen]
    if not rows.shape[0]:
        # Nothing of the layer is shown: what may change may be anything.
        goals.note(chosen, rest)
        goals.note(chosen, rest + (sums @ persons)[chosen])
        return
    asked = Goals(
        sums[chosen], goals.highest[chosen] - rest, goals.lowest[chosen] - rest, goals.span[chosen].copy()
    )
    space = Space(
        rows,
        np.zeros(rows.shape[0], np.int64),
        truth,
        persons,
        joint.places[layer].codes[joint.cell[found]],
        np.zeros(len(found), np.int64),
    )

    def leave(failures: Sequence[Failure]) -> Space:
        for failure in failures:
            asked.highest[failure.goal], asked.lowest[failure.goal] = -np.inf, np.inf
            asked.span[failure.goal] = 0.0
        return space

    # Where bounds leave no middle, the way there ends at them.
    with np.errstate(divide="ignore", invalid="ignore"):
        Prover(space, asked, work, seed, progress).settle(leave)
    goals.note(chosen, asked.high + rest)
    goals.note(chosen, asked.low + rest)


def _pairs(joint: Joint, layer: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns that differ in nothing but whether they are found in a layer: missed, found."""
    state = joint.pattern[:, layer]
    others = np.column_stack([joint.cell, np.delete(joint.pattern, layer, axis=1)])
    place = np.unique(others, axis=0, return_inverse=True)[1].reshape(-1)
    of_state = []
    for wanted in (MISSED, FOUND):
        at = np.full(int(place.max(initial=-1)) + 1, -1, np.intp)
        columns = np.flatnonzero(state == wanted)
        at[place[columns]] = columns
        of_state.append(at)
    both = (of_state[0] >= 0) & (of_state[1] >= 0)
    return of_state[0][both], of_state[1][both]
