"""Who belongs to whom, one source pair at a time: the matching with the largest total weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: Largest component (left × right records) that is solved exactly, some ten seconds of one processor; beyond
#: it, greedily by weight. A side of 50,000 records that all hang together says that the comparison is poor.
EXACT_CELLS = 2_500_000_000
#: Components up to this are solved as a full table, which takes less setting up.
_SMALL_CELLS = 2_500


def one_to_one(left: Ints, right: Ints, weight: Floats) -> tuple[Flags, int]:
    """The matching with the largest total weight, exact on every connected component.

    Parameters
    ----------
    left, right : ndarray of int64, shape (n_pairs,)
        Distinct pairs, ordered.
    weight : ndarray of float, shape (n_pairs,)
        Above zero; staying alone is worth zero.

    Returns
    -------
    (ndarray of bool, int)
        Which pairs are taken, and how many components were too large (`EXACT_CELLS`) and solved greedily.
    """
    chosen = np.zeros(len(left), np.bool_)
    if not len(left):
        return chosen, 0
    left_ids, rows = np.unique(left, return_inverse=True)
    right_ids, columns = np.unique(right, return_inverse=True)
    n = len(left_ids) + len(right_ids)
    graph = coo_matrix((np.ones(len(rows), np.int8), (rows, columns + len(left_ids))), shape=(n, n))
    component = connected_components(graph, directed=False)[1][rows]
    chosen[np.bincount(component)[component] == 1] = True  # nobody else wants either record
    contested = np.flatnonzero(~chosen)
    contested = contested[np.argsort(component[contested], kind="stable")]
    edges = np.flatnonzero(np.diff(component[contested])) + 1
    greedy = 0
    for pairs in np.split(contested, edges) if len(contested) else []:
        here_left, i = np.unique(rows[pairs], return_inverse=True)
        here_right, j = np.unique(columns[pairs], return_inverse=True)
        shape = len(here_left), len(here_right)
        if shape[0] * shape[1] > EXACT_CELLS:
            greedy += 1
            chosen[pairs[_greedy(i, j, weight[pairs])]] = True
        elif shape[0] * shape[1] > _SMALL_CELLS:
            chosen[pairs] = _sparse(i, j, weight[pairs], shape)
        else:
            chosen[pairs] = _full(i, j, weight[pairs], shape)
    return chosen, greedy


def _full(i: Ints, j: Ints, weight: Floats, shape: tuple[int, int]) -> Flags:
    gain = np.zeros(shape)
    gain[i, j] = weight
    taken = np.zeros(shape, np.bool_)
    taken[linear_sum_assignment(gain, maximize=True)] = True
    return taken[i, j] & (weight > 0)


def _sparse(i: Ints, j: Ints, weight: Floats, shape: tuple[int, int]) -> Flags:
    """The same without the cells that are no pair; a row may stay alone in a column of its own."""
    rows, columns = shape
    alone = np.arange(rows)
    top = weight.max() + 1  # costs must not be zero, which would be no pair
    cost = np.concatenate([top - weight, np.full(rows, top)])
    ends = np.concatenate([i, alone]), np.concatenate([j, columns + alone])
    partner = np.empty(rows, np.int64)
    solved = min_weight_full_bipartite_matching(csr_matrix((cost, ends), shape=(rows, columns + rows)))
    partner[solved[0]] = solved[1]
    return np.asarray(partner[i] == j)


def _greedy(i: Ints, j: Ints, weight: Floats) -> Ints:
    used_i: set[int] = set()
    used_j: set[int] = set()
    taken = []
    for pair in np.lexsort((j, i, -weight)).tolist():
        if int(i[pair]) not in used_i and int(j[pair]) not in used_j:
            used_i.add(int(i[pair]))
            used_j.add(int(j[pair]))
            taken.append(pair)
    return np.array(taken, np.int64)


def best_per_record(record: Ints, weight: Floats) -> Flags:
    """For each record its heaviest pair (the first of equals): many-to-one."""
    chosen = np.zeros(len(record), np.bool_)
    order = np.lexsort((np.arange(len(record)), -weight, record))
    ordered = record[order]
    chosen[order[np.append(True, ordered[1:] != ordered[:-1])[: len(order)]]] = True
    return chosen


def assign(
    left: Ints, right: Ints, weight: Floats, *, left_once: bool, right_once: bool
) -> tuple[Flags, int]:
    """Choose pairs so that left (right) records have at most one partner where so stated."""
    if left_once and right_once:
        return one_to_one(left, right, weight)
    if left_once:
        return best_per_record(left, weight), 0
    if right_once:
        return best_per_record(right, weight), 0
    return np.ones(len(left), np.bool_), 0
