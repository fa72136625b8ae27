"""A new cube beside what is published of the same persons: hide of it what the union would give away.

What is published stays; it is a constraint. Proven is, over the columns of all layers together (`joint`):

- **R2**, who does not know N: every column (a pattern of a common cell: found by one and not by the other, in
  one denominator and not in the other, there at the correction and not before) may hold k persons;
- **R3**, who knows how many stand in every common cell: what numerator is not shown, of the new cube or of
  a published one, stays open as in `suppression`, and so does the difference of two that are not both shown.

What is out may fail such a goal by itself. That says nothing of the new cube, so it hides nothing: such goals
are found first, with nothing of the new cube published, and asked again as all the room that they have then
(`room`).

Where there is no world, the finest and cheapest figure of the new cube that the duals name is hidden, one at
a time. With all of it hidden every goal has a world, so the search ends, and mostly long before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import scipy.sparse as sp

from app.disclosure.contained import tells_of_few
from app.disclosure.goals import Failure, Goals, OutOfWorkError, Space
from app.disclosure.groups import Margin
from app.disclosure.joint import FOUND, Entries, Joint
from app.disclosure.policy import Policy
from app.disclosure.proof import Prover
from app.disclosure.room import Room, restate
from app.disclosure.standardised import is_standardised, standardised_row
from app.disclosure.suppression import Progress, Suppression
from app.disclosure.table import Guarded
from app.disclosure.wide import wide_goals, with_wide
from app.disclosure.worlds import Program

Hide = Callable[[Suppression], None]
#: So many figures are hidden one by one for a goal; then twice as many each time.
_ONE_BY_ONE = 6
#: Up to so many columns every goal that is missed is asked of programs before anything is hidden for it.
_EXACT_COLUMNS = 6_000


class _NothingNewError(Exception):
    """Nothing of the new cube is left that is not published already."""


class Beside(Guarded):
    """The union of a new cube and what is published.

    Parameters
    ----------
    published : sequence of (Entries, sequence of mapping)
        Each published cube: its entries, counted again, and its documents; the oldest first.
    new : Entries
    policy : Policy
    progress : callable
    """

    __slots__ = (
        "_fixed",
        "_found",
        "_joint",
        "_persons",
        "_policy",
        "_price",
        "_progress",
        "_tables",
        "_weighted",
        "_weighted_new",
        "statistics",
    )

    def __init__(
        self,
        published: Sequence[tuple[Entries, Sequence[Mapping[str, Any]]]],
        new: Entries,
        policy: Policy,
        progress: Progress,
    ) -> None:
        self._joint = Joint([*(layer for layer, _ in published), new])
        rows = [self._joint.published(at, documents) for at, (_, documents) in enumerate(published)]
        self._fixed = sp.vstack(rows).tocsr()
        told = [at for at, (layer, documents) in enumerate(published) if documents and is_standardised(layer)]
        self._weighted = [standardised_row(self._joint, at) for at in told]
        self._weighted_new = [standardised_row(self._joint, len(rows))] if is_standardised(new) else []
        self._policy, self._progress = policy, progress
        axes = [{axis.name for axis in layer.axes} for layer, _ in published]
        self._tables: list[list[Margin]] = [
            [tuple(each["by"]) for each in documents if set(each["by"]) <= names]
            for names, (_, documents) in zip(axes, published, strict=True)
        ]
        self.statistics: dict[str, Any] = {
            "columns": len(self._joint.truth),
            "published": self._fixed.shape[0],
        }

    @property
    def columns(self) -> int:
        """How many columns the union has."""
        return len(self._joint.truth)

    def hide(self, state: Suppression, *, whole: bool = False) -> None:
        """Hide figures of the new cube until the union is proven, or nothing of it is left.

        Parameters
        ----------
        state : Suppression
        whole : bool, optional
            The figures are shown together or not at all: the first that must be hidden hides all of them.
        """
        layer, groups = len(self._joint.layers) - 1, state.groups
        persons, found = [], []
        for at, margin in enumerate(groups.margins):
            n, m = self._joint.sums_of(layer, margin, groups.keys[at])
            persons.append(n)
            found.append(m)
        self._persons, self._found = sp.vstack(persons).tocsr(), sp.vstack(found).tocsr()
        self._price = groups.n * np.array(
            [
                0.75 + 0.5 * self._policy.chance("beside", str(at), *map(str, key))
                for at, keys in enumerate(groups.keys)
                for key in keys
            ]
        )
        if whole:
            # Where figures differ by few nothing has to be proven.
            told = state.n_shown.sum() + state.found_shown.sum()
            self._hide_contained(state, frozenset())
            if state.n_shown.sum() + state.found_shown.sum() < told:
                _hide_all(state)
                return
        self._prove(state, "beside, unknown N", self._unknown_goals(), known=False, whole=whole)
        self._prove(state, "beside, known N", self._known_goals(state), known=True, whole=whole)

    def _space(self, state: Suppression, *, known: bool, new: bool = True) -> Space:
        """Worlds that agree with what is published; without ``new``, with what was before."""
        n, m = (np.flatnonzero(shown & new) for shown in (state.n_shown, state.found_shown))
        parts = [self._fixed, self._persons[n], self._found[m]]
        figure = [np.zeros(self._fixed.shape[0], np.int64), 2 * n + 3, 2 * m + 2]
        cells = int(self._joint.cell.max()) + 1
        size = len(self._joint.truth)
        if known:
            ones = np.ones(size)
            parts.append(sp.csr_matrix((ones, (self._joint.cell, np.arange(size))), shape=(cells, size)))
            figure.append(np.zeros(cells, np.int64))
            weighted = [*self._weighted, *(self._weighted_new if new and state.found_shown.any() else [])]
            parts += weighted
            figure.append(np.zeros(len(weighted), np.int64))
        ceiling = float(max(self._joint.truth.sum(), 10 * self._policy.min_cell))
        codes = self._joint.places[-1].codes[self._joint.cell]
        return Space(
            sp.vstack(parts).tocsr(),
            np.concatenate(figure),
            self._joint.truth,
            np.full(size, ceiling),
            codes,
            self._joint.cell if known else np.zeros(size, np.int64),
            ceiling,
        )

    def _unknown_goals(self) -> Goals:
        size = len(self._joint.truth)
        k = float(self._policy.min_cell)
        nothing = np.full(size, np.inf)
        return Goals(sp.identity(size, format="csr"), np.full(size, k), nothing, np.zeros(size), cap=True)

    def _known_goals(self, state: Suppression) -> Goals:
        """Numerators that are not shown, of every layer and group; differences of layers that may differ."""
        k, t = self._policy.min_cell, self._policy.found_from
        shown = self._shown_sums(state)
        sums, persons, differs = [], [], []
        for layer, entries in enumerate(self._joint.layers):
            margins = state.groups.margins if layer == len(self._joint.layers) - 1 else ()
            names = [axis.name for axis in entries.axes]
            # In a stable order: which goal fails first decides what is hidden.
            for margin in dict.fromkeys([*margins, (), *((name,) for name in names), tuple(names)]):
                _, n, m = self._joint.sums(layer, margin)
                sums.append(m)
                persons.append(np.rint(n @ self._joint.truth))
                differs.append(np.full(m.shape[0], bool(entries.of)))
            for other in range(layer):
                moved = (self._joint.pattern[:, layer] == FOUND) != (self._joint.pattern[:, other] == FOUND)
                for margin in dict.fromkeys([*margins, ()]):
                    _, n, _ = self._joint.sums(layer, margin)
                    part = n.multiply(sp.csr_matrix(moved.astype(float))).tocsr()
                    sums.append(part)
                    persons.append(np.rint(n @ self._joint.truth))
                    differs.append(np.ones(part.shape[0], np.bool_))
        matrix = sp.vstack(sums).tocsr()
        n, loose = np.concatenate(persons), np.concatenate(differs)
        rows = [matrix[i] for i in range(matrix.shape[0])]
        hidden = np.array([row.nnz > 0 and _name(row) not in shown for row in rows], np.bool_)
        matrix, n, loose = matrix[hidden], n[hidden], loose[hidden]
        span = np.where(loose, 1.0, np.where(n < k, np.ceil(n / 2), np.where(n < 2 * t, 1.0, 0.0)))
        large = (n >= 2 * t) & ~loose
        goals = Goals(matrix, np.where(large, float(t), -np.inf), np.where(large, n - t, np.inf), span)
        if not self._policy.employers_of_places:
            return goals
        totals = bool(state.n_shown[0]), bool(state.found_shown[0])
        wide = wide_goals(self._joint, [*self._tables, state.groups.margins], k, total_shown=totals)
        return with_wide(goals, wide, [_name(row) not in shown for row in wide.rows])

    def _shown_sums(self, state: Suppression) -> set[bytes]:
        """Sums that are told outright; a group that holds the same columns is no secret of its own."""
        rows = sp.vstack([self._fixed, self._found[np.flatnonzero(state.found_shown)]]).tocsr()
        told = {_name(rows[i]) for i in range(rows.shape[0])}
        for i in np.flatnonzero(state.found_shown):
            # Where both numerators are shown their difference is: R2 has seen to it that it is large.
            for layer in range(len(self._joint.layers) - 1):
                moved = (self._joint.pattern[:, -1] == FOUND) != (self._joint.pattern[:, layer] == FOUND)
                told.add(_name(self._persons[i].multiply(sp.csr_matrix(moved.astype(float))).tocsr()))
        return told

    def _prove(self, state: Suppression, step: str, goals: Goals, *, known: bool, whole: bool) -> None:
        if not goals.matrix.shape[0] or not state.n_shown.any():
            return
        seed = int(self._policy.chance("proof", step) * 2**53)
        tell: Callable[[int, int], None] = lambda done, total: self._progress("beside", done, total)  # noqa: E731
        tries: dict[int, int] = {}
        restated: frozenset[int] = frozenset()

        def repair(failures: Sequence[Failure]) -> Space:
            # A world of this space is one still when more is hidden.
            room = cache(lambda: Room(self._space(state, known=known), state.work))
            for failure in failures:
                if self._says_nothing_new(state):
                    # What is left stands in what is out, so every goal has the room that it had.
                    raise _NothingNewError
                exact = whole or failure.goal in restated or self.columns <= _EXACT_COLUMNS
                if exact and _is_open(goals, failure.goal, room()):
                    continue
                tries[failure.goal] = tries.get(failure.goal, 0) + 1
                if whole:
                    _hide_all(state)
                    raise _NothingNewError
                count = 2 ** max(0, tries[failure.goal] - _ONE_BY_ONE)
                self._hide(state, self._candidates(state, goals, failure, known=known), count)
            return self._space(state, known=known)

        try:
            before = self._space(state, known=known, new=False)
            restated = restate(before, goals, state.work, seed, tell)
            if not known:
                self._hide_contained(state, restated)
            Prover(self._space(state, known=known), goals, state.work, seed, tell).settle(repair)
        except _NothingNewError:
            pass
        except OutOfWorkError:
            # Not proven within the budget: nothing of the new cube is shown.
            _hide_all(state)
            state.dropped[:] = [margin for margin in state.groups.margins if margin]
        self.statistics[step] = {
            "goals": int(goals.matrix.shape[0]),
            "restated": len(restated),
            "repairs": sum(tries.values()),
        }

    def _hide_contained(self, state: Suppression, restated: frozenset[int]) -> None:
        """Hide what no program need be asked about: figures that differ from published ones by few."""
        k, truth = self._policy.min_cell, self._joint.truth
        spared = np.zeros(len(truth), np.bool_)
        spared[sorted(restated)] = True
        for sums, shown in ((self._persons, state.n_shown), (self._found, state.found_shown)):
            at = np.flatnonzero(shown)
            shown[at[tells_of_few(sums[at], self._fixed, truth, k, spared)]] = False
            state.found_shown &= state.n_shown

    def _says_nothing_new(self, state: Suppression) -> bool:
        """Whether each figure of the new cube that is still shown is published already."""
        if state.found_shown.any():
            return False
        told = {_name(self._fixed[i]) for i in range(self._fixed.shape[0])}
        return all(_name(self._persons[i]) in told for i in np.flatnonzero(state.n_shown))

    def _candidates(self, state: Suppression, goals: Goals, failure: Failure, *, known: bool) -> list[int]:
        """Figures of the new cube that hold a goal, at its upper or lower end."""
        named = [figure for figure, _ in failure.figures if figure > 1 and self._shows(state, figure)]
        if named:
            return named
        space = self._space(state, known=known)
        value = space.matrix @ space.truth
        program = Program(space.matrix, value, np.zeros(len(space.truth)), space.upper)
        for sign in (1.0, -1.0):
            state.work.charge(program.work, programs=1)
            world = program.maximize(sign * goals.matrix[failure.goal].toarray().ravel())
            if world is not None and len(world.duals):
                figures = space.figure[np.abs(world.duals) > 1e-5]
                named += [int(figure) for figure in figures if figure > 1]
        if named:
            return named
        wanted = goals.matrix[failure.goal]
        n = np.flatnonzero(state.n_shown & (np.asarray((self._persons @ wanted.T).todense()).ravel() > 0))
        m = np.flatnonzero(state.found_shown & (np.asarray((self._found @ wanted.T).todense()).ravel() > 0))
        # A figure that touches no column of the goal may hold it through others.
        far_n, far_m = np.flatnonzero(state.n_shown), np.flatnonzero(state.found_shown)
        return [*(2 * m + 2), *(2 * n + 3)] or [*(2 * far_m + 2), *(2 * far_n + 3)]

    @staticmethod
    def _shows(state: Suppression, figure: int) -> bool:
        return bool((state.n_shown if figure % 2 else state.found_shown)[figure // 2 - 1])

    def _hide(self, state: Suppression, figures: Sequence[int], count: int) -> None:
        """Hide the finest and cheapest, numerators first."""
        depth = state.groups.depth
        order = sorted(
            {int(figure) for figure in figures},
            key=lambda each: (each % 2, -depth[each // 2 - 1], self._price[each // 2 - 1], each),
        )
        for figure in order[:count]:
            group = figure // 2 - 1
            state.found_shown[group] = False
            if figure % 2:
                state.n_shown[group] = False


def _hide_all(state: Suppression) -> None:
    state.n_shown[:] = state.found_shown[:] = False


def _is_open(goals: Goals, goal: int, room: Room) -> bool:
    """Whether a goal is open after all: at the ends of what there is room for, proofs are not exact."""
    least, most = room.ends(goals.matrix[goal])
    goals.note(np.array([goal, goal]), np.array([float(least), float(most)]))
    return not goals.open()[goal]


def _name(row: sp.csr_matrix) -> bytes:
    """The columns of a sum, to tell sums apart."""
    return np.sort(row.indices[row.data != 0]).astype(np.int64).tobytes()
