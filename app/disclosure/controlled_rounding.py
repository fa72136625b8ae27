"""Controlled rounding: every count a multiple of a base, and every sum of a table still the sum of its parts.

A mixed-integer program (HiGHS) chooses for each count the multiple below or above. Which of the two is
wanted is drawn by a secret, as often as the remainder says, so that a figure is right on average; where the
sums cannot be kept otherwise, a count moves further.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

from app.disclosure.errors import DisclosureError
from app.disclosure.finest import Ints
from app.disclosure.groups import Line

#: Steps of the search; not seconds, so that the same data give the same figures on every machine.
_NODES = 20_000
#: How far a count may move beyond the multiples next to it, tried one after the other.
_REACH = (0, 1, 3)


def rounded(
    counts: Ints,
    lines: Sequence[Line],
    base: int,
    coin: NDArray[np.float64],
    most: Ints | None = None,
) -> Ints:
    """Multiples of ``base`` near ``counts`` that keep every line.

    Parameters
    ----------
    counts : array, shape (n,)
    lines : sequence of Line
        A parent is the sum of its children.
    base : int
    coin : array, shape (n,)
        In [0, 1): above the remainder's share the multiple below is wanted, else the one above.
    most : array, shape (n,), optional
        Multiples that may not be exceeded.

    Raises
    ------
    DisclosureError
        ``NOT_ROUNDED``: no such figures were found.
    """
    floor, rest = counts // base, counts % base
    wanted = np.where(coin < rest / base, 1.0, 0.0)
    size = len(counts)
    matrix = _matrix(lines, size)
    target = -(matrix @ floor)
    # Columns: steps above the floor, then how far each is from what is wanted.
    identity = sp.identity(size, format="csr")
    distance = sp.vstack([sp.hstack([identity, -identity]), sp.hstack([-identity, -identity])])
    ceiling = np.full(size, np.inf) if most is None else most // base - floor
    for reach in _REACH:
        lower = np.where(rest > 0, -reach, -min(reach, 1) if reach else 0) * np.ones(size)
        lower = np.minimum(np.maximum(lower, -floor), ceiling)
        upper = np.maximum(np.minimum(np.where(rest > 0, 1 + reach, reach), ceiling), lower)
        found = milp(
            np.concatenate([np.zeros(size), np.ones(size)]),
            integrality=np.concatenate([np.ones(size), np.zeros(size)]),
            bounds=Bounds(
                np.concatenate([lower, np.zeros(size)]), np.concatenate([upper, np.full(size, np.inf)])
            ),
            constraints=[
                LinearConstraint(sp.hstack([matrix, sp.csr_matrix(matrix.shape)]), target, target),
                LinearConstraint(distance, -np.inf, np.concatenate([wanted, -wanted])),
            ],
            options={"node_limit": _NODES, "mip_rel_gap": 0.01},
        )
        if found.x is not None:
            steps = np.rint(found.x[:size]).astype(np.int64)
            if not np.any(matrix @ (floor + steps)):
                figures: Ints = base * (floor + steps)
                return figures
    raise DisclosureError("NOT_ROUNDED", "No rounded figures were found that keep all sums.")


def _matrix(lines: Sequence[Line], size: int) -> sp.csr_matrix:
    rows = [at for at, line in enumerate(lines) for _ in range(len(line.children) + 1)]
    columns = [column for line in lines for column in (line.parent, *line.children)]
    values = [value for line in lines for value in (1.0, *([-1.0] * len(line.children)))]
    return sp.csr_matrix((values, (rows, columns)), shape=(len(lines), size))
