"""Persons across all sources: clusters of records, with at most one record of each deduplicated source."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def cluster(
    first: Ints, second: Ints, probability: Floats, source: Ints, deduplicated: Sequence[bool]
) -> tuple[Ints, NDArray[np.bool_]]:
    """Join records link by link, strongest first, and refuse a link that would break a deduplicated source.

    Building a forest from the strongest link down is the same as cutting every inconsistent cluster at the
    weakest link of the path that makes it inconsistent.

    Parameters
    ----------
    first, second : ndarray of int64, shape (n_links,)
        Records, numbered over all sources.
    probability : ndarray of float, shape (n_links,)
    source : ndarray of int64, shape (n_records,)
        Source of each record.
    deduplicated : sequence of bool
        Per source: at most one record of it per person.

    Returns
    -------
    (ndarray of int64 of shape (n_records,), ndarray of bool of shape (n_links,))
        A representative record of each record's cluster, and which links were kept.
    """
    parent = list(range(len(source)))
    once = [1 << s if unique else 0 for s, unique in enumerate(deduplicated)]
    members = [once[s] for s in source.tolist()]
    kept = np.zeros(len(first), np.bool_)

    def find(x: int) -> int:
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        return x

    for link in np.lexsort((second, first, -probability)).tolist():
        a, b = find(int(first[link])), find(int(second[link]))
        if a == b:
            kept[link] = True
        elif not members[a] & members[b]:
            low, high = min(a, b), max(a, b)
            parent[high] = low
            members[low] |= members[high]
            kept[link] = True
    return np.array([find(x) for x in range(len(source))], np.int64), kept


def strongest(first: Ints, second: Ints, probability: Floats, records: int) -> Floats:
    """Probability that ties each record to its person: its strongest kept link, 1 for a single record."""
    best = np.full(records, -1.0)
    np.maximum.at(best, first, probability)
    np.maximum.at(best, second, probability)
    return np.where(best < 0, 1.0, best)
