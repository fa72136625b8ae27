"""A new cube beside what is published of the same persons: hide of it what the union would give away.

What is published stays; it is a constraint. Proven is, over the columns of all layers together (`joint`):

- **R2**, who does not know N: every column (a pattern of a common cell: found by one and not by the other, in
  one denominator and not in the other, there at the correction and not before) may hold k persons;
- **R3**, who knows how many stand in every common cell: what numerator is not shown, of the new cube or of
  a published one, stays open as in `suppression`, and so does the difference of two that are not both shown.

What is out may fail such a goal by itself. That says nothing of the new cube, so it hides nothing: goals
that fail with nothing of the new cube published are asked again as all the room that they have then (`room`).
Unions of few figures are proven over kinds of cells (`alike`), others over columns (`proof`).

Where there is no world, the finest and cheapest figure of the new cube that the duals name is hidden, one at
a time. With all of it hidden every goal has a world, so the search ends, and mostly long before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from app.disclosure.alike import Alike
from app.disclosure.asked import known_goals, name_of
from app.disclosure.contained import tells_of_few
from app.disclosure.finest import Ints
from app.disclosure.goals import Failure, Goals, OutOfWorkError, Space, each_reaches
from app.disclosure.groups import Margin
from app.disclosure.joint import Entries, Joint
from app.disclosure.one_layer import serve_by_layer
from app.disclosure.policy import Policy
from app.disclosure.proof import Prover
from app.disclosure.room import Before, Ends, ask_less
from app.disclosure.standardised import is_standardised, standardised_row
from app.disclosure.suppression import Progress, Suppression
from app.disclosure.table import Guarded
from app.disclosure.worlds import Program

Hide = Callable[[Suppression], None]
#: So many figures are hidden one by one for a goal; then twice as many each time.
_ONE_BY_ONE = 6
#: Unions of up to so many figures times kinds are proven by programs alone.
_SMALL = 2_500_000
#: In others programs are asked about goals that worlds miss, before anything is hidden for them, up to so
#: many columns; or so many figures, where denominators are not known.
_EXACT_COLUMNS, _EXACT_FIGURES = 6_000, 400
#: Where they are not asked, nothing is hidden for a goal until it was missed more often than that.
_PATIENCE = 3
#: What a standardised rate of the new cube is called among its figures.
_WEIGHTED = -1


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
        "_ceiling",
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
        self._fixed = sp.vstack([sp.csr_matrix((0, len(self._joint.truth))), *rows]).tocsr()
        told = [at for at, (layer, documents) in enumerate(published) if documents and is_standardised(layer)]
        self._weighted = [standardised_row(self._joint, at) for at in told]
        self._weighted_new = [standardised_row(self._joint, len(rows))] if is_standardised(new) else []
        self._policy, self._progress = policy, progress
        axes = [{axis.name for axis in layer.axes} for layer, _ in published]
        self._tables: list[list[Margin]] = [
            [tuple(each["by"]) for each in documents if set(each["by"]) <= names]
            for names, (_, documents) in zip(axes, published, strict=True)
        ]
        #: An upper end for what is otherwise unbounded.
        self._ceiling = float(max(self._joint.truth.sum(), 10 * policy.min_cell))
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
            self._hide_contained(state, lambda columns: False)
            if state.n_shown.sum() + state.found_shown.sum() < told:
                _hide_all(state)
                return
        self._prove(
            state,
            "beside, unknown N",
            each_reaches(self.columns, self._policy.min_cell),
            known=False,
            whole=whole,
        )
        self._prove(
            state,
            "beside, known N",
            known_goals(
                self._joint, state, self._policy, self._fixed, (self._persons, self._found), self._tables
            ),
            known=True,
            whole=whole,
        )

    def _figures(self, state: Suppression, *, known: bool, new: bool) -> tuple[sp.csr_matrix, Ints]:
        """Rows of what is published, and what each is called: 0 where it is out already."""
        n, m = (np.flatnonzero(shown & new) for shown in (state.n_shown, state.found_shown))
        parts = [self._fixed, self._persons[n], self._found[m]]
        names = [np.zeros(self._fixed.shape[0], np.int64), 2 * n + 3, 2 * m + 2]
        if known:
            told = self._weighted_new if new and state.found_shown.any() else []
            parts += [*self._weighted, *told]
            names += [np.zeros(len(self._weighted), np.int64), np.full(len(told), _WEIGHTED)]
        return sp.vstack(parts).tocsr(), np.concatenate(names)

    def _space(self, state: Suppression, *, known: bool, new: bool = True) -> Space:
        """Worlds that agree with what is published; without ``new``, with what was before."""
        matrix, figure = self._figures(state, known=known, new=new)
        size = len(self._joint.truth)
        if known:
            cells = int(self._joint.cell.max()) + 1
            own = sp.csr_matrix((np.ones(size), (self._joint.cell, np.arange(size))), shape=(cells, size))
            matrix = sp.vstack([matrix, own]).tocsr()
            figure = np.concatenate([np.maximum(figure, 0), np.zeros(cells, np.int64)])
        return Space(
            matrix,
            figure,
            self._joint.truth,
            np.full(size, self._ceiling),
            self._joint.places[-1].codes[self._joint.cell],
            self._joint.cell if known else np.zeros(size, np.int64),
            self._ceiling,
        )

    def _alike(self, state: Suppression, goals: Goals, *, known: bool, new: bool = True) -> Alike:
        """The same worlds, by kinds."""
        figures = self._figures(state, known=known, new=new)
        truth, pattern, cell = self._joint.truth, self._joint.apart, self._joint.cell if known else None
        work, anew = state.work, self._policy.programs_anew
        return Alike(*figures, truth, pattern, cell, goals, work, self._ceiling, self._tell, anew=anew)

    def _prove(self, state: Suppression, step: str, goals: Goals, *, known: bool, whole: bool) -> None:
        if not goals.matrix.shape[0] or not (state.n_shown | state.found_shown).any():
            return
        told: dict[str, int] = {"goals": int(goals.matrix.shape[0])}
        self.statistics[step] = told
        try:
            alike = self._alike(state, goals, known=known)
            told["kinds"] = alike.size
            small = len(alike.numbers) * alike.size <= _SMALL
            prove = self._prove_kinds if small else self._prove_columns
            prove(state, step, alike, told, known=known, whole=whole)
        except _NothingNewError:
            pass
        except OutOfWorkError:
            # Not proven within the budget: nothing of the new cube is shown.
            _hide_all(state)
            state.dropped[:] = [margin for margin in state.groups.margins if margin]

    def _prove_kinds(
        self, state: Suppression, step: str, alike: Alike, told: dict[str, int], *, known: bool, whole: bool
    ) -> None:
        """Prove over kinds: whatever fails has no world, and is looked at beside what was out before."""
        goals, tries, restated = alike.goals, dict[int, int](), set[int]()

        @cache
        def before() -> Alike:
            return self._alike(state, _afresh(goals), known=known, new=False)

        def repair(failure: Failure) -> None:
            goal = failure.goal
            if goal not in restated and before().fails(goal):
                restated.add(goal)
                ask_less(goals, goal, before().ends(goal)[:2])
                return
            self._hide_for(state, goals, failure, tries, known=known, whole=whole)
            self._free(state, alike)

        try:
            if not known:
                self._hide_contained(state, lambda columns: all(before().fails(int(at)) for at in columns))
                self._free(state, alike)
            alike.scatter(np.random.default_rng(self._seed(step)))
            alike.settle(repair)
        finally:
            told |= {"restated": len(restated), "repairs": sum(tries.values())}

    def _prove_columns(
        self, state: Suppression, step: str, alike: Alike, told: dict[str, int], *, known: bool, whole: bool
    ) -> None:
        """Prove over columns, by worlds for many goals at once, and ask programs about what they miss."""
        goals, restated = alike.goals, dict[int, Ends]()
        tries, missed = dict[int, int](), dict[int, int]()
        few = len(alike.numbers) <= _EXACT_FIGURES and not known
        exact = whole or few or self.columns <= _EXACT_COLUMNS
        before = Before(
            self._space(state, known=known, new=False),
            self._alike(state, _afresh(goals), known=known, new=False),
            state.work,
            self._seed(step),
            self._tell,
        )

        def repair(failures: Sequence[Failure]) -> Space:
            # A world of this space is one still when more is hidden.
            failed = before.failing(failure.goal for failure in failures)
            hidden = set[int]()
            for failure in failures:
                goal = failure.goal
                missed[goal] = missed.get(goal, 0) + 1
                if goal in failed and goal not in restated:
                    restated[goal] = failed[goal]
                    ask_less(goals, goal, failed[goal])
                    continue
                if exact or goal in restated:
                    failure = alike.ask(goal)
                    if not goals.open()[goal]:
                        continue
                elif missed[goal] <= _PATIENCE or hidden & {figure for figure, _ in failure.figures}:
                    # Fewer goals are looked for longer, at last by programs; and what was hidden for others
                    # may have opened it.
                    continue
                hidden |= self._hide_for(state, goals, failure, tries, known=known, whole=whole)
                self._free(state, alike)
            return self._space(state, known=known)

        try:
            if known:
                rows, _ = self._figures(state, known=True, new=True)
                serve_by_layer(self._joint, rows, goals, state.work, self._seed(step), self._tell)
            else:
                self._hide_contained(state, lambda columns: len(before.failing(columns)) == len(columns))
                self._free(state, alike)
            reached = np.column_stack([goals.high, goals.low])
            prover = Prover(self._space(state, known=known), goals, state.work, self._seed(step), self._tell)
            goals.note_all(reached)
            prover.settle(repair)
        finally:
            told |= {"restated": len(restated), "repairs": sum(tries.values())}

    def _tell(self, done: int, total: int) -> None:
        self._progress("beside", done, total)

    def _seed(self, step: str) -> int:
        return int(self._policy.chance("proof", step) * 2**53)

    def _free(self, state: Suppression, alike: Alike) -> None:
        """Let a proof know which figures are shown no longer."""
        hidden = [name for name in alike.numbers if name > 1 and not self._shows(state, name)]
        alike.free([*hidden, *([] if state.found_shown.any() else [_WEIGHTED])])

    def _hide_for(
        self,
        state: Suppression,
        goals: Goals,
        failure: Failure,
        tries: dict[int, int],
        *,
        known: bool,
        whole: bool,
    ) -> set[int]:
        """Hide some of what holds a goal, and tell what; all where figures stand together or not at all."""
        if self._says_nothing_new(state):
            # What is left stands in what is out, so every goal has the room that it had.
            raise _NothingNewError
        tries[failure.goal] = tries.get(failure.goal, 0) + 1
        if whole:
            _hide_all(state)
            raise _NothingNewError
        count = 2 ** max(0, tries[failure.goal] - _ONE_BY_ONE)
        figures = self._candidates(state, goals, failure, known=known)
        self._hide(state, figures, count)
        return {figure for figure in figures if not self._shows(state, figure)}

    def _says_nothing_new(self, state: Suppression) -> bool:
        """Whether each figure of the new cube that is still shown is published already."""
        if state.found_shown.any():
            return False
        told = {name_of(self._fixed[i]) for i in range(self._fixed.shape[0])}
        return all(name_of(self._persons[i]) in told for i in np.flatnonzero(state.n_shown))

    def _hide_contained(self, state: Suppression, spared: Callable[[NDArray[np.intp]], bool]) -> None:
        """Hide what no program need be asked about: figures that differ from published ones by few."""
        k, truth = self._policy.min_cell, self._joint.truth
        for sums, shown in ((self._persons, state.n_shown), (self._found, state.found_shown)):
            at = np.flatnonzero(shown)
            few = at[tells_of_few(sums[at], self._fixed, truth, k, spared)]
            shown[few] = state.found_shown[few] = False

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


def _afresh(goals: Goals) -> Goals:
    """The same goals, of which nothing is known yet."""
    asked = (goals.highest.copy(), goals.lowest.copy(), goals.span.copy())
    return Goals(goals.matrix, *asked, cap=goals.cap)
