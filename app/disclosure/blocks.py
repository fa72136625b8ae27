"""Blocks: sub-grids around a goal, in which columns can move while all others stay where they are.

A world of a block is a world of the whole, and a small program is cheaper by far.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from app.disclosure.finest import Ints
from app.disclosure.goals import Goals, Space
from app.disclosure.worlds import Floats, Program


@dataclass(frozen=True, eq=False)
class Attempt:
    """A program over a block, and the open goals that it can serve.

    ``sums`` has shape (n_goals, n_columns of the block); columns outside stay where they are.
    """

    program: Program
    point: Floats
    goals: NDArray[np.intp]
    sums: sp.csr_matrix


def block(
    space: Space, own: NDArray[np.intp], size: int, random: np.random.Generator, *, one_side: bool
) -> NDArray[np.intp]:
    """Choose columns around those of a goal, about ``size``: a sub-grid, so that moves can keep sums.

    Parameters
    ----------
    space : Space
    own : array of int
        Columns of the goal.
    size : int
    random : numpy.random.Generator
    one_side : bool
        Whether columns of the goal's side (found, or not) suffice.
    """
    codes = space.codes
    if len(codes) <= size:
        return np.arange(len(codes))
    same = np.ones(len(codes), np.bool_)
    if one_side:
        same = space.side == space.side[own[0]]
        if same.sum() <= size:
            return np.flatnonzero(same)
    keep = []
    for axis in range(codes.shape[1]):
        mine = np.unique(codes[own, axis])
        others = np.setdiff1d(np.unique(codes[:, axis]), mine)
        keep.append((mine, random.permutation(others)))
    # Grow every axis in step until the sub-grid is large enough.
    low, high = 0.0, 1.0
    for _ in range(12):
        share = (low + high) / 2
        if (_sub_grid(codes, keep, share) & same).sum() > size:
            high = share
        else:
            low = share
    inside = _sub_grid(codes, keep, low) & same
    inside[own] = True
    return np.flatnonzero(inside)


def _sub_grid(codes: Ints, keep: list[tuple[Ints, Ints]], share: float) -> NDArray[np.bool_]:
    inside = np.ones(len(codes), np.bool_)
    for axis, (mine, others) in enumerate(keep):
        chosen = np.concatenate([mine, others[: max(1, round(share * len(others)))]])
        inside &= np.isin(codes[:, axis], chosen)
    return inside


def attempt_at(
    space: Space, goals: Goals, point: Floats, block: NDArray[np.intp], chosen: NDArray[np.intp]
) -> Attempt:
    """Make the program of a block, in which some goals can be served; all other columns stay at ``point``."""
    part = space.matrix[:, block].tocsr()
    part = part[np.flatnonzero(np.diff(part.indptr))]
    point, upper = point[block], space.upper[block]
    sums = goals.matrix.tocsr()[chosen][:, block].tocsr()
    if goals.cap:
        wanted = np.full(len(block), np.inf)
        single = sums.tocoo()
        wanted[single.col] = goals.highest[chosen][single.row]
        upper = np.minimum(upper, np.maximum(point, wanted))
    return Attempt(Program(part, part @ point, np.zeros(len(block)), upper), point, chosen, sums)
