"""Groups that name a place and tell of an employer (20 CFR 603: employers are protected like persons).

How many of a county's graduates were found is withheld where fewer than 3 employers pay them, or one of them
more than 80 per cent, however many they are. Nor may it follow: what is withheld for this reason can, for
somebody who knows every N, be half as much, and k more. Where a denominator is of those whom somebody pays
(the employed, of whom some are kept) it is such a number itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from app.disclosure.finest import Axis, FinestCells, Ints
from app.disclosure.groups import Groups, Margin
from app.disclosure.joint import Entries
from app.disclosure.paid import Paid
from app.disclosure.policy import Policy

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
#: Of numerators, and of denominators.
Telling = tuple[Flags, Flags]


def names_place(axes: Sequence[Axis], margin: Margin, keys: Ints) -> Flags:
    """Which keys of a margin name a place, shape (n_keys,)."""
    named = np.zeros(len(keys), np.bool_)
    of = {axis.name: axis for axis in axes}
    for at, name in enumerate(margin):
        axis = of[name]
        if axis.places:
            named |= np.array([code in axis.places for code in axis.codes], np.bool_)[keys[:, at]]
    return named


def telling_figures(cells: FinestCells, groups: Groups, policy: Policy) -> Telling:
    """Which numerators and which denominators of groups tell of an employer at a place."""
    paid = (cells.paid, cells.paid_counted) if policy.employers_of_places else (None, None)
    return telling_groups(cells, groups, paid[0]), telling_groups(cells, groups, paid[1])


def telling_groups(cells: FinestCells, groups: Groups, paid: Paid | None) -> Flags:
    """Which groups name a place and tell of an employer, by what the cells' persons are paid; (n_groups,)."""
    telling = np.zeros(len(groups), np.bool_)
    if paid is None:
        return telling
    for at, margin in enumerate(groups.margins):
        named = np.flatnonzero(names_place(cells.axes, margin, groups.keys[at])) + groups.starts[at]
        if len(named):
            telling[named] = paid.telling(groups.matrix[named])
    return telling


def telling_keys(entries: Entries, margin: Margin, *, counted: bool = False) -> frozenset[tuple[int, ...]]:
    """Keys of a margin of some entries that name a place and tell of an employer, by who is found.

    Or, with ``counted``, by who is counted.
    """
    places = places_of(entries, margin, counted=counted)
    return frozenset(tuple(int(code) for code in key) for key in places.keys[places.telling])


@dataclass(frozen=True, eq=False)
class Places:
    """Keys of a margin that name a place, the entries that each consists of, which tell of an employer."""

    keys: Ints
    members: sp.csr_matrix
    telling: Flags


def places_of(entries: Entries, margin: Margin, *, counted: bool) -> Places:
    """Groups of some entries that name a place, by who is found, or with ``counted`` by who is counted."""
    paid = entries.paid_counted if counted else entries.paid
    free = frozenset(axis.name for axis in entries.axes if axis.overlapping) & frozenset(margin)
    inside = entries.counted & entries.masks.get(free, np.ones(len(entries.keys), np.bool_))
    names = [axis.name for axis in entries.axes]
    codes = entries.codes[:, [names.index(name) for name in margin]]
    inside &= names_place(entries.axes, margin, codes)
    rows = np.flatnonzero(inside)
    if paid is None or not len(rows):
        return Places(codes[:0], sp.csr_matrix((0, len(entries.keys))), np.zeros(0, np.bool_))
    keys, into = np.unique(codes[rows], axis=0, return_inverse=True)
    members = sp.csr_matrix(
        (np.ones(len(rows)), (into.reshape(-1), rows)), shape=(len(keys), len(entries.keys))
    )
    return Places(keys, members, paid.telling(members))


@dataclass(frozen=True, eq=False)
class Sizes:
    """Of some groups: persons, those found, and persons who count in the total as well."""

    persons: Floats
    found: Floats
    inside: Floats


def kept_wide(sizes: Sizes, total: tuple[float, float] | None, k: int) -> tuple[Floats, Floats, Flags]:
    """From half of what was found to k more, as far as N and the numerator of the total allow.

    Parameters
    ----------
    sizes : Sizes
        Of groups that tell of an employer.
    total : tuple of (float, float), optional
        Its persons and found ones, where these are shown.
    k : int

    Returns
    -------
    lowest, highest : array
        Some world has at most, at least so many found.
    pinned : array of bool
        The total by itself leaves less than k of that.
    """
    lowest, highest = np.floor(sizes.found / 2), np.minimum(sizes.found + k, sizes.persons)
    if total is None:
        return lowest, highest, np.zeros(len(lowest), np.bool_)
    persons, found = total
    least = np.maximum(0.0, found - (persons - sizes.inside))
    most = np.minimum(sizes.inside, found) + sizes.persons - sizes.inside
    pinned = most - least < np.minimum(highest - lowest, k)
    return np.maximum(lowest, least), np.minimum(highest, most), np.asarray(pinned, np.bool_)
