"""Differential privacy: discrete Laplace noise by OpenDP on every count of every table of a question.

Everybody counts once in every table, so that one person changes one count of each: the noise of a count is
the number of tables over epsilon. Noise is drawn once, when the cube is made; the ledger keeps the cube,
and asking again costs nothing and tells nothing new.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import opendp.prelude as dp

from app.disclosure.errors import DisclosureError
from app.disclosure.finest import Ints

dp.enable_features("contrib")


def noisy(tables: Sequence[Ints], epsilon: float) -> list[Ints]:
    """The counts of several tables with noise; all of them together cost ``epsilon``.

    Parameters
    ----------
    tables : sequence of array of int
        Counts of disjoint groups, one array for each table: a person is in at most one group of each.
    epsilon : float

    Raises
    ------
    DisclosureError
        ``EPSILON_UNSOUND``: the library does not vouch for the bound.
    """
    sensitivity = len(tables)
    domain, metric = dp.vector_domain(dp.atom_domain(T=int)), dp.l1_distance(T=int)
    measurement: Any = dp.m.make_laplace(domain, metric, scale=sensitivity / epsilon)
    if measurement.map(d_in=sensitivity) > epsilon * (1 + 1e-9):
        raise DisclosureError("EPSILON_UNSOUND", "The noise does not reach the promised privacy.")
    whole = np.concatenate(list(tables)) if tables else np.zeros(0, np.int64)
    drawn = np.array(measurement([int(count) for count in whole]), np.int64)
    ends = np.cumsum([len(table) for table in tables])[:-1]
    return [np.maximum(part, 0) for part in np.split(drawn, ends)]
