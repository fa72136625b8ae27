"""What employers paid whom: kept only to tell whether a figure would tell of one of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from app.disclosure.table import MAX_SHARE, MIN_EMPLOYERS, Guarded

Flags = NDArray[np.bool_]


class Paid(Guarded):
    """Cents above zero by employer, for finest cells or for entries; of persons found alone.

    Parameters
    ----------
    size : int
        Cells or entries.
    amounts : iterable of (int, str, int)
        Position of a cell or entry, employer, cents; several of the same two add up.
    """

    __slots__ = ("_cents",)

    def __init__(self, size: int, amounts: Iterable[tuple[int, str, int]]) -> None:
        numbers: dict[str, int] = {}
        rows, columns, cents = [], [], []
        for row, employer, amount in amounts:
            rows.append(row)
            columns.append(numbers.setdefault(employer, len(numbers)))
            cents.append(float(amount))
        # Whole numbers below 2 to the 53rd, so that sums of floats are exact.
        self._cents = sp.csr_matrix((cents, (rows, columns)), shape=(size, max(len(numbers), 1)))

    def telling(self, members: sp.csr_matrix) -> Flags:
        """Which sums of rows tell of an employer: fewer than 3 paid, or one more than 80 per cent.

        A sum of nobody found tells of nobody.

        Parameters
        ----------
        members : csr_matrix, shape (n_sums, size)
            Ones where a cell or entry counts.
        """
        paid = (members @ self._cents).tocsr()
        number = np.diff(paid.indptr)
        whole = np.asarray(paid.sum(axis=1)).ravel()
        top = paid.max(axis=1).toarray().ravel() if paid.shape[0] else whole
        dominated = top * MAX_SHARE.denominator > whole * MAX_SHARE.numerator
        return np.asarray((number > 0) & ((number < MIN_EMPLOYERS) | dominated), np.bool_)

    def together(self, members: sp.csr_matrix) -> bool:
        """Whether several groups that have no row in common tell of an employer if they are taken as one."""
        return bool(self.telling(sp.csr_matrix(members.sum(axis=0)))[0])

    def added(self, rows: NDArray[np.intp], size: int) -> Paid:
        """The same with rows added up: ``rows`` says where each goes, below zero for nowhere."""
        kept = np.flatnonzero(rows >= 0)
        into = sp.csr_matrix((np.ones(len(kept)), (rows[kept], kept)), shape=(size, len(rows)))
        other = Paid(size, ())
        other._cents = (into @ self._cents).tocsr()
        return other
