"""What of a cube is shown: primary rule, line residuals, proof and repair.

1. **R1**: N from k persons, m only where found and not found are k too (``small_cells``).
2. **Lines**: where a shown group is the sum of shown and hidden ones, the hidden ones together are a group:
   fewer than k persons (found, not found) in it, and a further one is hidden.
3. **Denominators are proven**, by denominators alone: they are the same for every indicator of a cohort, and
   what one indicator hides as a companion another must not show.
4. **R2**, who does not know N: every populated finest cell may hold k persons, k found, k not found.
5. **R3**, who knows every N: whatever group is not shown stays open (`known`).

Numerators of places that tell of an employer are withheld like small ones, and kept open further (`telling`).

Where 3 to 5 find no world, the finest and cheapest published figure that the duals name is hidden. A figure
that is hidden for others' sake passes R1 itself, so the truth is a world for it: hiding never creates a goal
that was not there, and the search ends, at worst with nothing shown but the total.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.disclosure.board import lay_out
from app.disclosure.finest import FinestCells
from app.disclosure.goals import Failure, Goals, OutOfWorkError, Space, Work, each_reaches
from app.disclosure.groups import Groups, Margin
from app.disclosure.known import counted_goals, known_goals
from app.disclosure.policy import Policy
from app.disclosure.proof import Prover
from app.disclosure.spaces import Flags, Spaces
from app.disclosure.telling import Telling, telling_figures
from app.disclosure.whole import WholeProof

Progress = Callable[[str, int, int], None]

#: Up to so many finest cells every goal has a world in whole numbers.
_WHOLE_CELLS = 300
#: Tables of so many dimensions are deep.
_DEEP = 3
#: Where more than so many of a sample of goals fail, figures of deep tables go that are below so many minimum
#: cells: denominators first where no rate could be shown anyway.
_MANY, _MANY_LARGE = 8, 5
_N_LEVELS, _FOUND_LEVELS = (2.0,), (1.3, 1.6, 1.9, 2.2)
#: Those of large spaces, where such groups hold few persons, and each look costs minutes;
_LARGE_LEVELS = (3.0, 4.0, 6.0)
#: but where so few goals are left, what holds them is hidden and nothing else.
_LEFT = 128


@dataclass(eq=False)
class Suppression:
    """Which figures of which groups are shown.

    Attributes
    ----------
    groups : Groups
    n_shown, found_shown : array, shape (n_groups,)
        ``found_shown`` implies ``n_shown``, unless it is told of a total alone (`Entries.found_alone`).
    dropped : list of Margin
        Tables that could not be proven within the budget.
    work : Work
    proven : dict of str to int
        Goals that have a world, by step.
    """

    groups: Groups
    n_shown: Flags
    found_shown: Flags
    work: Work
    dropped: list[Margin] = field(default_factory=list)
    proven: dict[str, int] = field(default_factory=dict)


def suppress(
    cells: FinestCells,
    margins: Sequence[Margin],
    policy: Policy,
    progress: Progress = lambda step, done, total: None,
) -> Suppression:
    """Decide what of the planned tables is shown, and prove the rest open.

    Parameters
    ----------
    cells : FinestCells
    margins : sequence of Margin
        The plan, the total among it.
    policy : Policy
        Minimum cell, secret and budget.
    progress : callable, optional
        ``(step, goals served, goals)``.
    """
    groups = Groups(cells, margins)
    k, t = policy.min_cell, policy.found_from
    total = groups.n[0], groups.found[0]
    n_shown = groups.n >= k
    found_shown = n_shown & (groups.found >= t) & (groups.n - groups.found >= t)
    telling = telling_figures(cells, groups, policy)
    n_shown &= ~telling[1]
    found_shown &= n_shown & ~telling[0]
    if total[0] < k:
        n_shown[:] = False
    if not n_shown[0] or min(total[1], total[0] - total[1]) < t:
        found_shown[:] = False
    result = Suppression(groups, n_shown, found_shown & n_shown, Work(policy.work))
    if not n_shown[0]:
        return result
    search = _Search(cells, result, policy, telling, progress)
    search.run()
    return result


class _Search:
    """The steps of one suppression, over one state."""

    def __init__(
        self, cells: FinestCells, state: Suppression, policy: Policy, telling: Telling, progress: Progress
    ) -> None:
        self.cells, self.state, self.policy, self.progress = cells, state, policy, progress
        self.telling = telling
        groups = state.groups
        self.lines = groups.lines(cells.axes)
        self.spaces = Spaces(cells, groups, self.lines)
        self.price = _prices(cells, groups, policy)
        self.grid = lay_out(cells, groups)

    def run(self) -> None:
        self._mend(n=True)
        self._prove("denominators", self._n_space, self._n_goals(), n=True)
        if self.telling[True].any():
            wide = counted_goals(self.cells, self.state.groups, self.telling[True], self.policy)
            self._prove("denominators of places", self._n_space, wide, n=True)
        self.state.found_shown &= self.state.n_shown
        self._mend(n=False)
        if self.state.found_shown.any():
            self._prove("unknown N", self._unknown_space, self._unknown_goals(), n=False)
        if self.state.found_shown.any():
            goals = self._known_n()
            if goals is None:
                self.state.found_shown[:] = False
            else:
                self._prove("known N", self._known_space, goals, n=False)
        self._give_back(n=True)
        self._give_back(n=False)

    # ------------------------------------------------------------------ lines

    def _mend(self, *, n: bool) -> None:
        """Hide companions until the hidden part of every line is a group that passes R1."""
        groups, k, t = self.state.groups, self.policy.min_cell, self.policy.found_from
        shown = self.state.n_shown if n else self.state.found_shown
        changed = True
        while changed:
            changed = False
            for line in self.lines:
                if not shown[line.parent]:
                    continue
                open_ones = shown[line.children]
                while not open_ones.all() and open_ones.any():
                    hidden = line.children[~open_ones]
                    persons, found = groups.n[hidden].sum(), groups.found[hidden].sum()
                    small = persons < k or (not n and min(found, persons - found) < t)
                    if not small and not self._tell(hidden, n=n):
                        break
                    candidates = line.children[open_ones]
                    shown[candidates[np.argmin(self.price[candidates])]] = False
                    open_ones = shown[line.children]
                    changed = True

    def _tell(self, hidden: NDArray[np.intp], *, n: bool) -> bool:
        """Whether what is left of a group, and follows from it, tells of an employer at places."""
        paid = self.cells.paid_counted if n else self.cells.paid
        if paid is None or not self.telling[n][hidden].any():
            return False  # Groups that tell of nobody do not together.
        return paid.together(self.state.groups.matrix[hidden])

    def _give_back(self, *, n: bool) -> None:
        """Show what follows from what is shown and passes R1 itself: nothing is learnt from it."""
        groups, k, t = self.state.groups, self.policy.min_cell, self.policy.found_from
        shown = self.state.n_shown if n else self.state.found_shown
        may = (groups.n >= k) & ~self.telling[n]
        if not n:
            may &= (groups.found >= t) & (groups.n - groups.found >= t) & self.state.n_shown
        kept = np.array([groups.margins[i] not in self.state.dropped for i in range(len(groups.margins))])
        may &= kept[groups.margin_of]
        changed = True
        while changed:
            changed = False
            for line in self.lines:
                missing = line.children[~shown[line.children]]
                if not shown[line.parent] and not len(missing) and may[line.parent]:
                    shown[line.parent] = changed = True
                elif shown[line.parent] and len(missing) == 1 and may[missing[0]]:
                    shown[missing[0]] = changed = True

    # ------------------------------------------------------------------ spaces

    def _n_space(self) -> Space:
        return self.spaces.denominators(self.state.n_shown)

    def _unknown_space(self) -> Space:
        return self.spaces.unknown(self.state.n_shown, self.state.found_shown)

    def _known_space(self) -> Space:
        return self.spaces.known(self.state.found_shown)

    # ------------------------------------------------------------------ goals

    def _n_goals(self) -> Goals:
        return each_reaches(len(self.cells.n), self.policy.min_cell)

    def _unknown_goals(self) -> Goals:
        return each_reaches(2 * len(self.cells.n), self.policy.min_cell)

    def _known_n(self) -> Goals | None:
        return known_goals(self.cells, self.state.groups, self.state.found_shown, self.policy)

    # ------------------------------------------------------------------ proof and repair

    def _prove(self, step: str, space: Callable[[], Space], goals: Goals, *, n: bool) -> None:
        seed = int(self.policy.chance("proof", step, self.cells.about.cohort) * 2**53)
        work = self.state.work
        prover = Prover(
            space(), goals, work, seed, lambda done, total: self.progress(step, done, total), self.grid
        )
        whole = WholeProof(goals, prover.space.truth, work, seed)
        tries: dict[int, int] = {}
        levels = iter(_N_LEVELS if n else _LARGE_LEVELS if prover.large else _FOUND_LEVELS)

        def repair(failures: Sequence[Failure]) -> Space:
            if len(failures) > 1:
                many = len(failures) > (_MANY_LARGE if prover.large else _MANY)
                wide = prover.large and int(goals.open().sum()) > _LEFT
                level = next(levels, None) if many and (n or prover.scouting or wide) else None
                for failure in failures:
                    tries[failure.goal] = tries.get(failure.goal, 0) + 1
                if level is not None:
                    self._hide_below(level, n=n)
                if level is None or prover.large:
                    self._hide_cover(failures, tries, n=n)
                # What is hidden alone in a line is not hidden.
                self._mend(n=n)
                return space()
            for failure in failures:
                tries[failure.goal] = tries.get(failure.goal, 0) + 1
                self._hide(failure, goals, 2 ** (tries[failure.goal] - 1), n=n)
            return space()

        while True:
            try:
                prover.settle(repair)
                while len(goals.high) and len(self.cells.n) <= _WHOLE_CELLS:
                    failures = whole.failures(space())
                    if not failures:
                        break
                    for failure in failures:
                        repair([failure])
                self.state.proven[step] = len(goals.high)
                return
            except OutOfWorkError:
                # What is not proven is not published: deepest tables go, the rest gets some more.
                if not self._drop(float(goals.open().mean()), n=n):
                    return
                work.left = max(self.policy.work // 10, 1)
                prover.enlarge(space())

    def _hide(self, failure: Failure, goals: Goals, count: int, *, n: bool) -> None:
        """Hide the finest and cheapest figures that hold a goal; if the duals are mute, any that touch it."""
        shown = self.state.n_shown if n else self.state.found_shown
        named = {figure for figure, _ in failure.figures if figure > 0 and shown[figure]}
        if not named:
            size = len(self.cells.n)
            columns = np.unique(goals.matrix[failure.goal].indices % size)
            touching = np.flatnonzero(np.diff(self.state.groups.matrix[:, columns].tocsr().indptr))
            named = {int(group) for group in touching if group > 0 and shown[group]}
        if not named:
            shown[1:] = False  # Nothing but the total is left, and it is not enough: only it stays.
        depth = self.state.groups.depth
        order = sorted(named, key=lambda group: (-depth[group], self.price[group], group))
        for group in order[:count]:
            shown[group] = False

    def _hide_below(self, level: float, *, n: bool) -> None:
        """Hide figures of deep tables that are hardly above the minimum: many, and they hold whole cubes."""
        groups = self.state.groups
        least = groups.n if n else np.minimum(groups.found, groups.n - groups.found)
        chance = self.price / np.maximum(groups.n, 1)
        few = (groups.depth >= _DEEP) & (least * chance < level * self.policy.min_cell)
        (self.state.n_shown if n else self.state.found_shown)[few] = False

    def _hide_cover(self, failures: Sequence[Failure], tries: Mapping[int, int], *, n: bool) -> None:
        """Hide few and cheap figures that together hold many failures; the others may come free by that.

        One for each, and one more each time that it fails again.
        """
        shown = self.state.n_shown if n else self.state.found_shown
        named, wanted = [], []
        for failure in failures:
            held = {figure: by for figure, by in failure.figures if figure > 0 and shown[figure]}
            whole = sum(held.values())
            named.append({figure: by / whole for figure, by in held.items()})
            wanted.append(min(tries[failure.goal], len(held)))
        if not any(named):
            # Nothing that could be hidden is named: the finest and cheapest of what is shown goes.
            left = np.flatnonzero(shown[1:]) + 1
            if not len(left):
                raise OutOfWorkError
            depth = self.state.groups.depth
            shown[min(left, key=lambda group: (-depth[group], self.price[group]))] = False
            return
        while any(wanted):
            worth: dict[int, float] = {}
            for held, more in zip(named, wanted, strict=True):
                for figure, by in held.items() if more else ():
                    worth[figure] = worth.get(figure, 0.0) + by
            best = max(worth, key=lambda figure: (worth[figure] / self.price[figure], -figure))
            shown[best] = False
            wanted = [more - (best in held and more > 0) for held, more in zip(named, wanted, strict=True)]
            for held in named:
                held.pop(best, None)

    def _drop(self, part: float, *, n: bool) -> bool:
        """Withhold ``part`` of the deepest tables that show something, the finest; false if there is none."""
        shown = self.state.n_shown if n else self.state.found_shown
        groups = self.state.groups
        left = [i for i in range(1, len(groups.margins)) if shown[groups.margin_of == i].any()]
        if not left:
            return False
        left.sort(key=lambda i: (len(groups.margins[i]), int(np.sum(groups.margin_of == i)), i))
        deepest = [i for i in left if len(groups.margins[i]) == len(groups.margins[left[-1]])]
        for last in deepest[-max(1, round(part * len(deepest))) :]:
            shown[groups.margin_of == last] = False
            self.state.dropped.append(groups.margins[last])
        return True


def _prices(cells: FinestCells, groups: Groups, policy: Policy) -> NDArray[np.float64]:
    """Price of hiding a group: about its persons, times a factor in [0.75, 1.25) that the secret decides.

    Without the factor "the smallest of the rest was taken" would tell something of sizes. It does not depend
    on the indicator.
    """
    codes = {axis.name: axis.codes for axis in cells.axes}
    factors = []
    for margin, keys in zip(groups.margins, groups.keys, strict=True):
        lists = [codes[name] for name in margin]
        for key in keys:
            words = [one[i] for one, i in zip(lists, key, strict=True)]
            factors.append(0.75 + 0.5 * policy.chance(cells.about.cohort, *margin, *words))
    return np.asarray(groups.n * np.array(factors), np.float64)
