"""Where moves take place: finest cells and groups on one board of numbered places.

A *place* is a combination of codes on a *layer* (found or not; entries that count in the same tables). Where
all codes but those of one margin are the *star* code behind the last, the place stands for a group, and its
value is by how much the group's sum has changed. See :mod:`app.disclosure.moves`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from app.disclosure.finest import FinestCells
from app.disclosure.goals import Space, Status
from app.disclosure.groups import Groups

Ints = NDArray[np.int64]
Chance = NDArray[np.uint64]

#: Larger boards are not laid out: 100 bytes a place, and as much for each thread.
_PLACES = 3_000_000
#: A bound that never binds.
ANY = 1 << 40


class Board(NamedTuple):
    """What a walk is on.

    Attributes
    ----------
    truth, least, most : array, shape (n_places,)
        Values, and their bounds: equal where a place must not change.
    link : array, shape (n_places,)
        Where the value of a place stands: found and not found share a star where their sum alone is shown.
    open : array of int8, shape (n_places,)
        Whether a place is the star of a group that is not shown.
    sizes, strides : array, shape (n_axes,)
        Codes of an axis without the star; places from one code to the next.
    volume : int
        Places of a layer.
    twin : array, shape (n_layers,)
        The layer of the other side, or -1.
    margins : array, shape (n_margins, n_dimensions)
        Axes of every margin that has stars.
    reach : int
        In how many axes a step alternates that changes no sum.
    group, first, member : array
        Group of a star (-1: none), and the places of its cells, those of group g from ``first[g]`` on.
    column : array, shape (n_places,)
        Column of a place, -1 where nobody is.
    start, row : array
        Rows of the published sums that a column is in, those of column c from ``start[c]`` on.
    """

    truth: Ints
    least: Ints
    most: Ints
    link: Ints
    open: NDArray[np.int8]
    sizes: Ints
    strides: Ints
    volume: int
    twin: Ints
    margins: Ints
    reach: int
    group: Ints
    first: Ints
    member: Ints
    column: Ints
    start: Ints
    row: Ints


class State(NamedTuple):
    """What changes in a walk; scratch space of one thread.

    ``bad`` lists the places that are out of bounds, ``spot`` where a place stands in it; ``alike`` the codes
    that a step may alternate with, ``many`` how many there are by axis, and how many of them gladly.
    """

    value: Ints
    least: Ints
    most: Ints
    bad: Ints
    spot: Ints
    touched: Ints
    marked: NDArray[np.int8]
    alike: Ints
    many: Ints
    axes: Ints
    corner: Ints
    sign: Ints
    best: Ints
    best_sign: Ints
    counts: Ints
    chance: Chance
    sums: Ints


@dataclass(frozen=True, eq=False)
class Grid:
    """Where finest cells and groups of the deepest tables lie on a board.

    Attributes
    ----------
    sizes, strides : array, shape (n_axes,)
    volume, kinds : int
        Places of a layer; layers of a side: cells that count in the same tables are of one kind.
    place : array, shape (n_cells,)
        Place of a cell on the first side.
    margins : array, shape (n_margins, n_dimensions)
        Axes of all margins that are as deep as the deepest table.
    planned : array of bool, shape (n_margins,)
    group, star, layers : array, shape (n_stars,)
        Group, place (in its layer) of each star on a layer, and that layer.
    matrix : csr_matrix
        That of the groups.
    """

    sizes: Ints
    strides: Ints
    volume: int
    kinds: int
    place: Ints
    margins: Ints
    planned: NDArray[np.bool_]
    group: Ints
    star: Ints
    layer: Ints
    matrix: sp.csr_matrix


def lay_out(cells: FinestCells, groups: Groups) -> Grid | None:
    """Lay out the grid of some cells; none where moves in it would not help, or it is too large."""
    parents = {axis.parent for axis in cells.axes}
    # A code of a dimension that is refined follows from the code that refines it.
    kept = [i for i, axis in enumerate(cells.axes) if axis.name not in parents]
    depth = max(map(len, groups.margins))
    if not len(cells.n) or not 0 < depth < len(kept):
        return None
    used = [np.unique(cells.codes[:, i], return_inverse=True) for i in kept]
    codes = np.stack([where.reshape(-1) for _, where in used], axis=1).astype(np.int64)
    sizes = np.array([len(values) for values, _ in used], np.int64)
    masks = np.stack([np.ones(len(codes), np.bool_), *cells.counted.values()], axis=1)
    kind = np.unique(masks, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    kinds = int(kind.max()) + 1
    if 2 * kinds * np.prod(sizes + 1.0) > _PLACES:
        return None
    strides = np.concatenate([[1], np.cumprod(sizes[:-1] + 1)]).astype(np.int64)
    volume = int(np.prod(sizes + 1))
    place = kind * volume + codes @ strides
    margins = list(combinations(range(len(sizes)), depth))
    names = [tuple(cells.axes[kept[i]].name for i in margin) for margin in margins]
    planned = np.array([name in groups.margins for name in names])
    if not planned.any() or len(np.unique(place)) < len(place):
        return None
    stars = [
        _stars(groups, groups.margins.index(name), np.array(margin), codes, kind, sizes, strides)
        for name, margin in zip(names, margins, strict=True)
        if name in groups.margins
    ]
    group, star, layer = np.concatenate(stars).T
    return Grid(
        sizes, strides, volume, kinds, place, np.array(margins, np.int64), planned,
        group, star, layer, groups.matrix,
    )  # fmt: skip


def _stars(
    groups: Groups, margin: int, axes: Ints, codes: Ints, kind: Ints, sizes: Ints, strides: Ints
) -> Ints:
    """Group, place in its layer and layer of each star of a margin, shape (n_stars, 3)."""
    first, last = groups.starts[margin], groups.starts[margin + 1]
    inside = groups.matrix[first:last].tocoo()
    hidden = np.setdiff1d(np.arange(len(sizes)), axes)
    star = codes[inside.col][:, axes] @ strides[axes] + sizes[hidden] @ strides[hidden]
    return np.unique(np.stack([inside.row + first, star, kind[inside.col]], axis=1), axis=0).astype(np.int64)


def lay_board(space: Space, grid: Grid, status: NDArray[np.int8]) -> Board:
    """Lay what is published of a space, and the truth, on the board."""
    sides = int(space.side.max()) + 1
    total = sides * grid.kinds * grid.volume
    truth, least, most = (np.zeros(total, np.int64) for _ in range(3))
    link, hidden, group = np.arange(total), np.zeros(total, np.int8), np.full(total, -1, np.int64)
    column = np.full(total, -1, np.int64)
    # A star that stands for nothing that is published may change.
    free = np.tile(_starred(grid, None), sides * grid.kinds)
    least[free], most[free] = -ANY, ANY
    for margin in grid.margins[~grid.planned]:
        hidden[np.tile(_starred(grid, margin), sides * grid.kinds)] = 1
    cells = len(grid.place)
    for side in range(sides):
        own = np.arange(side * cells, (side + 1) * cells)
        at = side * grid.kinds * grid.volume + grid.place
        truth[at] = np.rint(space.truth[own]).astype(np.int64)
        most[at] = np.minimum(space.upper[own], ANY).astype(np.int64)
        column[at] = own
        here, home = _homes(grid, status, side)
        link[here] = home
        hidden[home] = status[grid.group] != Status.SHOWN
        group[home] = grid.group
        bound = np.where(status[grid.group] == Status.HIDDEN, ANY, 0)
        least[home], most[home] = -bound, bound
    twin = np.full(sides * grid.kinds, -1, np.int64)
    if sides == 2:
        twin = (np.arange(2 * grid.kinds) + grid.kinds) % (2 * grid.kinds)
    rows = space.matrix.tocsc()
    return Board(
        truth, least, most, link, hidden, grid.sizes, grid.strides, grid.volume, twin,
        grid.margins, grid.margins.shape[1] + 1, group, grid.matrix.indptr.astype(np.int64),
        grid.place[grid.matrix.indices], column, rows.indptr.astype(np.int64), rows.indices.astype(np.int64),
    )  # fmt: skip


def _starred(grid: Grid, margin: Ints | None) -> NDArray[np.bool_]:
    """Which places of a layer are stars of a margin, or have a star at all."""
    inside = np.arange(grid.volume)
    stars = [
        (inside // stride) % (size + 1) == size for size, stride in zip(grid.sizes, grid.strides, strict=True)
    ]
    if margin is None:
        return np.asarray(np.any(stars, axis=0))
    return np.asarray(np.all([star != (axis in margin) for axis, star in enumerate(stars)], axis=0))


def _homes(grid: Grid, status: NDArray[np.int8], side: int) -> tuple[Ints, Ints]:
    """Places of all stars of a side, and where their values stand: once for all layers of a group."""
    order = np.lexsort((grid.layer, grid.group))
    numbers, start = np.unique(grid.group[order], return_index=True)
    first = grid.layer[order][start][np.searchsorted(numbers, grid.group)]
    shared = status[grid.group] == Status.SUM
    here = (side * grid.kinds + grid.layer) * grid.volume + grid.star
    home = (np.where(shared, 0, side) * grid.kinds + first) * grid.volume + grid.star
    return here, home


def new_state(board: Board) -> State:
    """Scratch space for walks on a board."""
    total, axes = len(board.truth), len(board.sizes)
    corners = 2 ** (board.reach + 1)
    spot, axis = np.full(total, -1, np.int64), np.arange(axes)
    return State(
        board.truth.copy(), board.least.copy(), board.most.copy(), _zeros(total), spot, _zeros(total),
        np.zeros(total, np.int8), np.zeros((axes, int(board.sizes.max())), np.int64),
        np.zeros((axes, 2), np.int64), axis, _zeros(corners), _zeros(corners), _zeros(corners),
        _zeros(corners), _zeros(2), np.zeros(1, np.uint64), _zeros(int(board.row.max(initial=0)) + 1),
    )  # fmt: skip


def _zeros(size: int) -> Ints:
    return np.zeros(size, np.int64)
