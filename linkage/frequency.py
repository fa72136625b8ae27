"""Rare names say more than common ones: identical filters, split by how many others share them.

The frequency of an identical filter is turned into a category of its own, and the model learns from the pairs
whose identifiers are known what agreement on a rare and on a common name is worth (the idea of Winkler's
frequency-based matching, 1989, without its assumption that a frequency is a probability). Records whose
partner is certain are no rivals of those that still look for one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Upper ends of the classes of rivalry (possible pairs among the sharers of one filter).
_CLASSES = (1, 2, 4, 9, 25)
#: Number of classes.
CLASSES = len(_CLASSES) + 1
#: Pairs' worth of trust in that rarity says nothing, and steps of the estimate.
_PSEUDO, _ITERATIONS = 5.0, 20
#: Probability from which a record's partner counts as certain.
_CERTAIN = 0.99


@dataclass(frozen=True)
class Rivalry:
    """Candidates in the light of certain matches.

    Attributes
    ----------
    possible : ndarray of bool, shape (n_pairs,)
        False where both records are certain to belong to others.
    rarity : ndarray of int64, shape (n_pairs,)
        Class of rivalry of pairs with an identical filter, 0 the rarest; -1 for other pairs.
    """

    possible: NDArray[np.bool_]
    rarity: Ints


def rivalry(left: Ints, right: Ints, probability: Floats, identical: NDArray[np.bool_]) -> Rivalry:
    """Count, for every pair with an identical filter, who else on either side could be meant.

    Parameters
    ----------
    left, right : ndarray of int64, shape (n_pairs,)
    probability : ndarray of float, shape (n_pairs,)
        With competition taken into account: at most one pair of a record is certain.
    identical : ndarray of bool, shape (n_pairs,)
    """
    certain = probability >= _CERTAIN
    partner_left = np.full(int(left.max(initial=-1)) + 1, -1)
    partner_right = np.full(int(right.max(initial=-1)) + 1, -1)
    partner_left[left[certain]] = right[certain]
    partner_right[right[certain]] = left[certain]
    left_taken = (partner_left[left] >= 0) & (partner_left[left] != right)
    right_taken = (partner_right[right] >= 0) & (partner_right[right] != left)
    # Seen from the left record, those on the right that nobody else is certain of; and the reverse.
    for_left = np.bincount(left[identical & ~right_taken], minlength=len(partner_left))
    for_right = np.bincount(right[identical & ~left_taken], minlength=len(partner_right))
    rivals = np.maximum(for_left[left], 1) * np.maximum(for_right[right], 1)
    rarity = np.where(identical, np.searchsorted(_CLASSES, rivals), -1)
    return Rivalry(~(left_taken & right_taken), rarity.astype(np.int64))


def worth(rivals: Rivalry, odds: Floats, competing: Callable[[Floats], Floats]) -> Floats:
    """What to add to the log-odds of each pair for the rarity of its identical filter; 0 for other pairs.

    Only the shares of the classes of rivalry among matches and among others are estimated; what else the
    model knows stays as it is.
    """
    known = rivals.rarity >= 0
    usual = np.bincount(rivals.rarity[known], minlength=CLASSES) + 1.0
    usual *= _PSEUDO / usual.sum()
    counted = known & rivals.possible
    more = np.zeros(len(odds))
    for _ in range(_ITERATIONS):
        p = competing(odds + more)
        shares = []
        for weight in (p, 1.0 - p):
            share = np.bincount(rivals.rarity[counted], weights=weight[counted], minlength=CLASSES) + usual
            shares.append(share / share.sum())
        before, more = more, np.where(known, np.log(shares[0] / shares[1])[rivals.rarity], 0.0)
        if float(np.abs(more - before).max(initial=0.0)) < 1e-3:
            break
    return more
