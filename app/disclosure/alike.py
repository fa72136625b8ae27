"""Columns that stand in the same figures are one: proofs over kinds of cells instead of cells.

Who stand in the same published figures may change places, and nobody could tell. So a proof needs no more
than how many there are of each *kind*: columns that no figure tells apart, or, for somebody who knows how
many stand in every common cell, cells whose columns none tells apart. The worlds of kinds are exactly those
of columns, added up. What a sum of columns can be in a world of kinds follows: at most as many as it has
places for in each kind, at least what the others of the kind have no place for. Nothing is lost by it, and
unions of few figures become small: tens of thousands of columns may be of some hundred kinds.

Programs over kinds are solved to the optimum. Where there are few, they are asked for many goals at once, in
random directions, while that pays; then for one goal at a time. What fails has no world.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from app.disclosure.finest import Ints
from app.disclosure.goals import Failure, Goals, OutOfWorkError, Work
from app.disclosure.programs import TOLERANCE, Capped, Optimum, Sums
from app.disclosure.worlds import Floats

#: Programs for many goals at once go on while each serves so many: one goal by itself costs a part of that.
_PAYS = 8
#: A program that goes on where another ended is charged as one part in so many: measured, it is less.
_GOES_ON = 8
#: A figure holds a goal if its dual is at least this.
_HOLDS = 1e-5


@dataclass(frozen=True, eq=False)
class Kinds:
    """Which columns are one.

    Attributes
    ----------
    column : array, shape (n_columns,)
        The merged column that a column is part of.
    first : array, shape (n_merged,)
        One column of each.
    kind : array, shape (n_merged,)
        Of what kind it is.
    unit : array, shape (n_columns,)
        The cell of a column where its persons are known, else the column itself; every unit is of one kind.
    kind_of_unit : array, shape (n_units,)
    """

    column: Ints
    first: Ints
    kind: Ints
    unit: Ints
    kind_of_unit: Ints


def kinds_of(figures: sp.csr_matrix, pattern: Ints, cell: Ints | None) -> Kinds:
    """Merge columns that stand in the same figures.

    Parameters
    ----------
    figures : csr_matrix, shape (n_figures, n_columns)
    pattern : array, shape (n_columns, n_layers)
    cell : array, shape (n_columns,), optional
        Common cell of a column, where it is known how many stand in each.
    """
    by_column = figures.tocsc()
    by_column.sort_indices()
    names: dict[tuple[bytes, ...], int] = {}
    alike = np.empty(figures.shape[1], np.int64)
    words = np.ascontiguousarray(pattern, np.int64)
    for at, (start, end) in enumerate(zip(by_column.indptr[:-1], by_column.indptr[1:], strict=True)):
        rows, by = by_column.indices[start:end].tobytes(), by_column.data[start:end].tobytes()
        # Patterns are kept apart in cells: what goals add up of a cell is some of its patterns.
        name = (rows, by) if cell is None else (rows, by, words[at].tobytes())
        alike[at] = names.setdefault(name, len(names))
    if cell is None:
        first = np.unique(alike, return_index=True)[1]
        return Kinds(alike, first, np.arange(len(first)), np.arange(len(alike)), alike)
    order = np.lexsort((alike, cell))
    starts = np.searchsorted(cell[order], np.arange(int(cell.max()) + 2))
    sorts: dict[bytes, int] = {}
    parts = (alike[order[a:b]].tobytes() for a, b in pairwise(starts))
    kind_of_cell = np.array([sorts.setdefault(part, len(sorts)) for part in parts], np.int64)
    both = np.column_stack([kind_of_cell[cell], alike])
    merged, first, column = np.unique(both, axis=0, return_index=True, return_inverse=True)
    return Kinds(column.reshape(-1), first, merged[:, 0], cell, kind_of_cell)


class Alike:
    """What goals can be in all worlds of kinds.

    Parameters
    ----------
    figures : csr_matrix, shape (n_figures, n_columns)
        What is published.
    numbers : array, shape (n_figures,)
        What each is called; the owner of the figures knows what that means.
    truth : array, shape (n_columns,)
    pattern : array, shape (n_columns, n_layers)
    cell : array, shape (n_columns,), optional
        Common cell of a column, where it is known how many stand in each.
    goals : Goals
        Sums of all columns that have some patterns in some cells. What they can be is noted here.
    work : Work
    ceiling : float
        The most that a column may be: a number that never binds.
    progress : callable, optional
        Called with the number of goals served, and of all.
    anew : bool, optional
        As of `Sums`.

    Raises
    ------
    ValueError
        A goal that is no such sum.

    Attributes
    ----------
    size : int
        Merged columns.
    """

    def __init__(
        self,
        figures: sp.csr_matrix,
        numbers: Ints,
        truth: Floats,
        pattern: Ints,
        cell: Ints | None,
        goals: Goals,
        work: Work,
        ceiling: float,
        progress: Callable[[int, int], None] = lambda done, total: None,
        *,
        anew: bool = False,
    ) -> None:
        self.goals, self.work, self.numbers, self._ceiling = goals, work, numbers, ceiling
        self._progress = progress
        kinds = kinds_of(figures, pattern, cell)
        size, self._many = len(kinds.first), int(kinds.kind.max(initial=-1)) + 1
        held = figures[:, kinds.first].tocsr()
        if cell is not None:
            own = sp.csr_matrix((np.ones(size), (kinds.kind, np.arange(size))), shape=(self._many, size))
            held = sp.vstack([held, own]).tocsr()
        merged = np.bincount(kinds.column, weights=truth, minlength=size).astype(np.float64)
        self.size, self._begun = size, False
        self._sums = Sums(held, held @ merged, ceiling, anew=anew)
        self._known = cell is not None
        self._pair(kinds, truth)
        if not len(goals.high):
            goals.high = goals.matrix @ truth
            goals.low = goals.high.copy()
        self._note(merged)

    def _pair(self, kinds: Kinds, truth: Floats) -> None:
        """For each goal and kind: which merged columns it adds up, and places inside and outside of it."""
        entries = self.goals.matrix.tocoo()
        unit = kinds.unit[entries.col]
        units = len(kinds.kind_of_unit)
        pairs, pair = np.unique(entries.row * self._many + kinds.kind_of_unit[unit], return_inverse=True)
        inside = np.unique(pair.reshape(-1).astype(np.int64) * units + unit)
        own, its = np.divmod(inside, units)
        columns = np.unique(pair.reshape(-1).astype(np.int64) * self.size + kinds.column[entries.col])
        row, column = np.divmod(columns, self.size)
        many = np.bincount(own, minlength=len(pairs))
        if np.any(np.bincount(pair.reshape(-1)) != many * np.bincount(row, minlength=len(pairs))):
            raise ValueError("A goal adds up patterns of cells.")
        self._goal, kind = np.divmod(pairs, self._many)
        if self._known:
            persons = np.bincount(kinds.unit, weights=truth, minlength=units)
            self._inside = np.bincount(own, weights=persons[its], minlength=len(pairs))
            self._outside = np.bincount(kinds.kind_of_unit, weights=persons)[kind] - self._inside
        else:
            others = np.bincount(kinds.kind_of_unit)[kind] - many
            self._inside = np.full(len(pairs), np.inf)
            self._outside = np.where(others > 0, np.inf, 0.0)
        shape = len(pairs), self.size
        self._part = sp.csr_matrix((np.ones(len(row)), (row, column)), shape=shape)
        order = np.arange(len(pairs))
        shape = self.goals.matrix.shape[0], len(pairs)
        self._of_goal = sp.csr_matrix((np.ones(len(pairs)), (self._goal, order)), shape=shape)
        self._starts = np.searchsorted(self._goal, np.arange(shape[0] + 1))

    def free(self, figures: Sequence[int]) -> None:
        """Publish some figures no longer; worlds stay worlds."""
        self._sums.free(np.flatnonzero(np.isin(self.numbers, figures)))

    def _note(self, world: Floats) -> None:
        part = self._part @ world
        self.goals.note_all(
            np.column_stack(
                [
                    self._of_goal @ np.minimum(part, self._inside),
                    self._of_goal @ np.maximum(part - self._outside, 0.0),
                ]
            )
        )

    def _solve(self, cost: Floats, capped: Sequence[Capped] = (), upper: Floats | None = None) -> Optimum:
        if self.work.left <= 0:
            raise OutOfWorkError
        self.work.charge(self._sums.work // (_GOES_ON if self._begun else 1), programs=1)
        self._begun = True
        found = self._sums.best(cost, capped, upper)
        if found is None:
            raise OutOfWorkError
        self._note(found.values)
        total = len(self.goals.high)
        self._progress(total - int(self.goals.open().sum()), total)
        return found

    def scatter(self, random: np.random.Generator) -> None:
        """Serve goals by programs for all of them, in random directions, while that pays."""
        left = np.flatnonzero(self.goals.open())
        while len(left):
            wish = self.goals.wish(left, random.random(len(left)) < 0.5)
            weight = np.zeros(len(self.goals.high))
            weight[left] = wish * np.exp(random.standard_normal(len(left)))
            self._solve(self._part.T @ weight[self._goal], upper=self._upper(left))
            before, left = len(left), np.flatnonzero(self.goals.open())
            if before - len(left) < _PAYS:
                return

    def _upper(self, left: NDArray[np.intp]) -> Floats | None:
        """Goals of one column, as many as there are in it, are wanted no further than they need."""
        if not self.goals.cap or self._known:
            return None
        upper = np.full(self.size, self._ceiling)
        pairs = self._starts[left]
        upper[self._part.indices[self._part.indptr[pairs]]] = self.goals.highest[left]
        return upper

    def ends(self, goal: int) -> tuple[int, int, list[int]]:
        """Least and most whole number that a goal can be, and the figures that hold it there."""
        least, below = self._end(goal, up=False)
        most, above = self._end(goal, up=True)
        named = [*dict.fromkeys([*above, *below])]
        return math.ceil(least - TOLERANCE), math.floor(most + TOLERANCE), named

    def _end(self, goal: int, *, up: bool) -> tuple[float, list[int]]:
        pairs = np.arange(self._starts[goal], self._starts[goal + 1])
        inside, outside = self._inside[pairs], self._outside[pairs]
        # Kinds that lie in a goal wholly count as they are; what others make room for is no least number.
        whole = (outside == 0) | np.isinf(inside) if up else outside == 0
        cost = np.asarray(self._part[pairs[whole]].sum(axis=0)).ravel()
        capped = []
        for pair in pairs[~whole]:
            columns = self._part.indices[self._part.indptr[pair] : self._part.indptr[pair + 1]]
            if up:
                capped.append(Capped(columns, 0.0, float(self._inside[pair])))
            elif np.isfinite(self._outside[pair]):
                capped.append(Capped(columns, float(self._outside[pair]), np.inf))
        found = self._solve(cost if up else -cost, capped)
        reached = found.best if up else -found.best
        self.goals.note(np.array([goal]), np.array([reached]))
        held = np.abs(found.duals[: len(self.numbers)]) > _HOLDS
        return reached, [int(number) for number in np.unique(self.numbers[held])]

    def fails(self, goal: int) -> bool:
        """Whether a goal has no world."""
        if self.goals.open()[goal]:
            self.ask(goal)
        return bool(self.goals.open()[goal])

    def settle(self, repair: Callable[[Failure], None]) -> None:
        """Serve every goal; ``repair`` asks less of one that fails, or frees figures that hold it.

        Raises
        ------
        OutOfWorkError
        """
        for goal in np.flatnonzero(self.goals.open()):
            while self.goals.open()[goal]:
                failure = self.ask(int(goal))
                if self.goals.open()[goal]:
                    repair(failure)

    def ask(self, goal: int) -> Failure:
        """Look for what a goal misses; if it still does, it has no world, and these figures hold it."""
        goals, held = self.goals, list[int]()
        if goals.high[goal] < goals.highest[goal] - TOLERANCE or goals.span[goal] > 0:
            held += self._end(goal, up=True)[1]
        if goals.low[goal] > goals.lowest[goal] + TOLERANCE or (goals.span[goal] > 0 and goals.open()[goal]):
            held += self._end(goal, up=False)[1]
        return Failure(goal, tuple((figure, 1.0) for figure in dict.fromkeys(held)))
