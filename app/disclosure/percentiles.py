"""Percentiles of a cohort and of all its groups, protected together.

They carry no counts, so nothing can be added or subtracted. But where two shown groups differ by a few
persons, a percentile of the one beside that of the other tells on which side of it these few are, and how far
they move it; and the wages of whom one employer pays are that employer's (20 CFR 603). So:

- k persons earn less than each percentile, k more, and k of the group have no value;
- at least 3 employers paid, and none above 80 per cent;
- what is left of a shown group without shown groups that lie within it is nobody, or keeps both rules;
- two shown groups differ by nobody, or by k persons at least.

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


def shown_groups(figures: Sequence[Quantiles], policy: Policy) -> frozenset[Group]:
    """Choose the groups whose percentiles are shown.

    Parameters
    ----------
    figures : sequence of Quantiles
        Every table of the plan, of one cohort and indicator: they share the total.
    policy : Policy
    """
    cells = {TOTAL: figures[0].total} | {
        (at, row): cell for at, figure in enumerate(figures) for row, cell in enumerate(figure.cells)
    }
    k, names = policy.min_cell, figures[0].names
    shown = {group: cell for group, cell in cells.items() if _stands_alone(cell, names, k)}
    while (group := _next_to_hide(shown, k)) is not None:
        del shown[group]
    return frozenset(shown)


def _stands_alone(cell: QuantileCell, names: Sequence[str], k: int) -> bool:
    # All percentiles or none: which of them is missing would bound how many persons there are.
    return (
        cell.others >= k
        and all(name in cell.values and min(cell.values[name][1:]) >= k for name in names)
        and Employers.of(cell.paid).protected
    )


def _next_to_hide(shown: dict[Group, QuantileCell], k: int) -> Group | None:
    """The smallest group that must not stand beside others; None if all may."""
    common = _common(list(shown.values()))
    at = {group: number for number, group in enumerate(shown)}
    size = {group: len(cell.members) for group, cell in shown.items()}

    def smaller(groups: Sequence[Group]) -> Group:
        return min((group for group in groups if group != TOTAL), key=lambda group: (size[group], group))

    wrong: list[Group] = []
    for one, other in combinations(shown, 2):
        if 0 < size[one] + size[other] - 2 * common[at[one], at[other]] < k:
            wrong.append(smaller([one, other]))
    for whole, cell in shown.items():
        for table in {group[0] for group in shown} - {whole[0], TOTAL[0]}:
            inside = [
                group
                for group in shown
                if group[0] == table and common[at[group], at[whole]] == size[group] < size[whole]
            ]
            if inside and not _may_be_left(cell, [shown[group] for group in inside], k):
                wrong.append(smaller(inside))
    return smaller(wrong) if wrong else None


def _common(cells: Sequence[QuantileCell]) -> NDArray[np.int64]:
    """How many values each two groups have in common."""
    from scipy.sparse import csr_array

    members = np.concatenate([cell.members for cell in cells]) if cells else np.zeros(0, np.int64)
    _, columns = np.unique(members, return_inverse=True)
    ends = np.cumsum([0, *(len(cell.members) for cell in cells)])
    inside = csr_array(
        (np.ones(len(members), np.int64), columns.reshape(-1), ends), (len(cells), len(members))
    )
    counted: NDArray[np.int64] = (inside @ inside.T).toarray()
    return counted


def _may_be_left(whole: QuantileCell, parts: Sequence[QuantileCell], k: int) -> bool:
    """Whether what is left of a group without some of its parts may be known."""
    left = len(whole.members) - len(np.unique(np.concatenate([part.members for part in parts])))
    paid = dict(whole.paid)
    for part in parts:
        for token, amount in part.paid.items():
            paid[token] = paid.get(token, Decimal(0)) - amount
    rest = {token: amount for token, amount in paid.items() if amount > 0}
    return left == 0 or (left >= k and Employers.of(rest).protected)
