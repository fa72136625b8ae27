"""Percentiles of a cohort and of all its groups, protected together.

They carry no counts, so nothing can be added or subtracted. But where two shown groups differ by a few
persons, a percentile of the one beside that of the other tells on which side of it these few are, and how far
they move it; and the wages of whom one employer pays are that employer's (20 CFR 603). So:

- k persons earn less than each percentile, k more, and k of the group have no value;
- at least 3 employers paid, and none above 80 per cent;
- what is left of a shown group without shown groups that lie within it is nobody, or keeps both rules;
- two shown groups differ by nobody, or by k persons with a value at least;
- in either case "nobody" is no person at all, and where one lies within the other k of those who differ, or
  are left, have no value, else 2k differ: whoever knows how many persons a group has would read off two that
  are shown that none of three works, or all.

Where two cannot stand beside each other, the smaller one goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from app.disclosure.figures import QuantileCell, Quantiles
from app.disclosure.policy import Policy
from app.disclosure.table import Employers

#: The table among those of a plan, and the row in it; (-1, 0) is the total.
Group = tuple[int, int]
TOTAL: Group = (-1, 0)


def shown_groups(
    figures: Sequence[Quantiles], policy: Policy, withheld: frozenset[tuple[str, str]] = frozenset()
) -> frozenset[Group]:
    """Choose the groups whose percentiles are shown.

    Parameters
    ----------
    figures : sequence of Quantiles
        Every table of the plan, of one cohort and indicator: they share the total.
    policy : Policy
    withheld : frozenset of (str, str), optional
        Rows, by dimension and code, that are not shown whatever they hold.
    """
    cells = {TOTAL: figures[0].total} | {
        (at, row): cell
        for at, figure in enumerate(figures)
        for row, cell in enumerate(figure.cells)
        if (*figure.by, *figure.keys[row]) not in withheld
    }
    k, names = policy.min_cell, figures[0].names
    shown = {group: cell for group, cell in cells.items() if _stands_alone(cell, names, k)}
    while (group := _next_to_hide(shown, k, by_persons=policy.figures_by_persons)) is not None:
        del shown[group]
    return frozenset(shown)


def _stands_alone(cell: QuantileCell, names: Sequence[str], k: int) -> bool:
    # All percentiles or none: which of them is missing would bound how many persons there are.
    return (
        cell.others >= k
        and all(name in cell.values and min(cell.values[name][1:]) >= k for name in names)
        and Employers.of(cell.paid).protected
    )


def _next_to_hide(shown: dict[Group, QuantileCell], k: int, *, by_persons: bool) -> Group | None:
    """The smallest group that must not stand beside others; None if all may."""
    valued = _Overlap([cell.members for cell in shown.values()])
    others = _Overlap([cell.without for cell in shown.values()])
    at = {group: number for number, group in enumerate(shown)}
    size = {group: len(cell.members) for group, cell in shown.items()}

    def smaller(groups: Sequence[Group]) -> Group:
        return min((group for group in groups if group != TOTAL), key=lambda group: (size[group], group))

    def inside(whole: Group, table: int, *parts: _Overlap) -> list[Group]:
        """Shown groups of a table that lie within another group, and are not all of it."""
        return [
            group
            for group in shown
            if group[0] == table
            and all(part.lies_in(at[group], at[whole]) for part in parts)
            and any(part.apart(at[group], at[whole]) for part in parts)
        ]

    wrong: list[Group] = []
    for one, other in combinations(shown, 2):
        with_value, without = (each.apart(at[one], at[other]) for each in (valued, others))
        few = 0 < with_value < k
        if by_persons and (with_value or without):
            # Of groups that overlap nobody is to learn how many of those apart have no value.
            nested = any(
                all(each.lies_in(at[a], at[b]) for each in (valued, others))
                for a, b in ((one, other), (other, one))
            )
            few = with_value < k or (without < k if nested else with_value + without < 2 * k)
        if few:
            wrong.append(smaller([one, other]))
    for whole, cell in shown.items():
        for table in {group[0] for group in shown} - {whole[0], TOTAL[0]}:
            parts = inside(whole, table, valued)
            if parts and not _may_be_left(cell, [shown[group] for group in parts], k):
                wrong.append(smaller(parts))
            parts = inside(whole, table, valued, others) if by_persons else []
            if parts and not _many_are_left(cell, [shown[group] for group in parts], k):
                wrong.append(smaller(parts))
    return smaller(wrong) if wrong else None


class _Overlap:
    """How many numbers each two of some lists have in common."""

    def __init__(self, lists: Sequence[NDArray[np.int64]]) -> None:
        from scipy.sparse import csr_array

        members = np.concatenate(lists) if lists else np.zeros(0, np.int64)
        _, columns = np.unique(members, return_inverse=True)
        ends = np.cumsum([0, *(len(each) for each in lists)])
        shape = len(lists), len(members)
        within = csr_array((np.ones(len(members), np.int64), columns.reshape(-1), ends), shape)
        self._common: NDArray[np.int64] = (within @ within.T).toarray()
        self._size = np.diff(ends)

    def apart(self, one: int, other: int) -> int:
        """How many are in one list and not in the other."""
        return int(self._size[one] + self._size[other] - 2 * self._common[one, other])

    def lies_in(self, one: int, other: int) -> bool:
        """Whether all of a list are in another."""
        return bool(self._common[one, other] == self._size[one])


def _may_be_left(whole: QuantileCell, parts: Sequence[QuantileCell], k: int) -> bool:
    """Whether what is left of a group's values without those of some parts may be known."""
    left = len(whole.members) - len(np.unique(np.concatenate([part.members for part in parts])))
    paid = dict(whole.paid)
    for part in parts:
        for token, amount in part.paid.items():
            paid[token] = paid.get(token, Decimal(0)) - amount
    rest = {token: amount for token, amount in paid.items() if amount > 0}
    return left == 0 or (left >= k and Employers.of(rest).protected)


def _many_are_left(whole: QuantileCell, parts: Sequence[QuantileCell], k: int) -> bool:
    """Whether of a group without some of its parts nobody is left, or k with a value and k without one."""
    left = [
        len(all_of) - len(np.unique(np.concatenate(some)))
        for all_of, some in (
            (whole.members, [part.members for part in parts]),
            (whole.without, [part.without for part in parts]),
        )
    ]
    return not any(left) or min(left) >= k
