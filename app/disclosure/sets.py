"""Sets of places that tell of an employer together.

Of two counties that one employer pays, each may be open while their sum follows: what one has more the other
has less. So of every few groups that differ by their place alone the sum is asked about as well where it
tells of an employer.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, islice

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from app.disclosure.finest import Axis, Ints
from app.disclosure.groups import Groups, Margin
from app.disclosure.paid import Paid
from app.disclosure.telling import names_place

Flags = NDArray[np.bool_]
#: Sums of two and three groups are asked about, and that of all that tell of an employer by themselves; so
#: many among those that differ by the place alone, with so many that do not tell of one.
_LARGEST, _MOST, _OTHERS = 3, 60, 6


def differing_by_place(
    axes: Sequence[Axis], margin: Margin, keys: Ints, telling: Flags, sizes: Ints
) -> list[tuple[int, ...]]:
    """Positions of keys, two, three and all of them, that differ by the code of one place alone.

    At least one of each set tells of an employer; of the others the smallest are taken, which its employer
    may dominate with it.

    Parameters
    ----------
    axes : sequence of Axis
    margin : tuple of str
    keys : array, shape (n_keys, len(margin))
        Of groups that name a place.
    telling : array of bool, shape (n_keys,)
        Which of them tell of an employer.
    sizes : array, shape (n_keys,)
        Of groups.
    """
    places = {axis.name for axis in axes if axis.places}
    sets: dict[tuple[int, ...], None] = {}
    for at, name in enumerate(margin) if telling.any() else ():
        if name not in places:
            continue
        alike: dict[tuple[int, ...], list[int]] = {}
        for position, key in enumerate(np.delete(keys, at, axis=1).tolist()):
            alike.setdefault(tuple(key), []).append(position)
        for some in alike.values():
            sets |= dict.fromkeys(_sets(some, telling, sizes))
    return list(sets)


def _sets(some: Sequence[int], telling: Flags, sizes: Ints) -> list[tuple[int, ...]]:
    """Few of these positions at a time, and all that tell of an employer."""
    alone = [at for at in some if telling[at]]
    others = sorted((at for at in some if not telling[at]), key=lambda at: (sizes[at], at))[:_OTHERS]
    if not alone or len(some) < 2:
        return []
    few = [
        tuple(sorted([*ones, *more]))
        for size in range(2, _LARGEST + 1)
        for count in range(size)
        for ones in islice(combinations(alone, size - count), _MOST)
        for more in combinations(others, count)
    ]
    return [*([tuple(alone)] if len(alone) > 1 else []), *few[:_MOST]]


def added(members: sp.csr_matrix, sets: Sequence[tuple[int, ...]]) -> sp.csr_matrix:
    """Sums of rows, one for each set of positions."""
    rows = np.repeat(np.arange(len(sets)), np.array([len(each) for each in sets], np.intp))
    columns = np.array([at for each in sets for at in each], np.intp)
    into = sp.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(sets), members.shape[0]))
    return (into @ members).tocsr()


def telling_sets(axes: Sequence[Axis], parts: Sequence[tuple[Groups, Flags]], paid: Paid) -> sp.csr_matrix:
    """Sums of groups that tell of an employer; groups that name no place are none.

    Parameters
    ----------
    axes : sequence of Axis
    parts : sequence of (Groups, array of bool)
        Groups of some tables, and which of them tell of an employer at a place.
    paid : Paid

    Returns
    -------
    csr_matrix, shape (n_sets, n_cells)
    """
    sums = [sp.csr_matrix((0, parts[0][0].matrix.shape[1]))]
    told = set[bytes]()
    for groups, telling in parts:
        told |= _without_places(axes, groups)
        for at, margin in enumerate(groups.margins):
            named = np.flatnonzero(names_place(axes, margin, groups.keys[at]))
            here = named + groups.starts[at]
            sets = differing_by_place(axes, margin, groups.keys[at][named], telling[here], groups.n[here])
            if sets:
                together = added(groups.matrix[here], sets)
                sums.append(together[np.flatnonzero(paid.telling(together))])
    whole = sp.vstack(sums).tocsr()
    kept = dict[bytes, int]()
    for row in range(whole.shape[0]):
        name = columns_of(whole, row)
        if name not in told:
            kept.setdefault(name, row)
    return whole[list(kept.values())]


def _without_places(axes: Sequence[Axis], groups: Groups) -> set[bytes]:
    """The cells of each group that names no place."""
    everybody = np.arange(groups.matrix.shape[1]).astype(np.int64).tobytes()
    plain = [
        columns_of(groups.matrix, int(row + groups.starts[at]))
        for at, margin in enumerate(groups.margins)
        for row in np.flatnonzero(~names_place(axes, margin, groups.keys[at]))
    ]
    return {everybody, *plain}


def columns_of(matrix: sp.csr_matrix, row: int) -> bytes:
    """The columns of a sum, to tell sums apart."""
    return np.sort(matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]).astype(np.int64).tobytes()
