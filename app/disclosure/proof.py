"""Prove that what is hidden stays open, by worlds that agree with all that is published.

A *space* is the polytope of all such worlds for one kind of attacker, the truth among them. *Goals* say
which sums must be able to take which values. Each world serves all goals at once, so there are far fewer
programs than goals:

1. moves (``moves``): whole-number worlds by steps from the truth, a millisecond or so for a goal, where the
   space is large;
2. crowds (``crowd``): worlds from the middle of the space, each pushed towards many goals at once;
3. aims (``centre``): from the middle of the space, by projections, towards one goal each. Where the space is
   large, a sample of aims comes first: while many of it fail, more is hidden before anything is proven;
4. blocks: a program over a part of the columns, all others stay where they are in the middle. A world of a
   block is a world of the whole, and a small program is cheaper by far;
5. one goal by itself in its block, then in a larger one, at last in the whole space if it is not too large.
   What fails there is unproven; the duals of that program name the published figures that give it away.

Worlds stay worlds when more is hidden, so nothing is ever proven twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from app.disclosure.blocks import Attempt, attempt_at, block
from app.disclosure.board import Grid
from app.disclosure.centre import STEPS, Range, aims_work, centre_work, find_centre, numbers_of, one_thread
from app.disclosure.gather import Gathering
from app.disclosure.goals import Failure, Goals, OutOfWorkError, Space, Work
from app.disclosure.moves import Moves, pays
from app.disclosure.worlds import Floats, World

#: Columns of a block, at first and later.
BLOCKS = (1000, 3000)
#: Up to so many columns a goal without a world is proven to have none, and duals say what to hide.
_EXACT_COLUMNS = 1000
#: So many blocks in a row are looked at to tell whether blocks of a size still pay.
_WINDOW = 12
#: So many goals without a world are collected in a large space before more is hidden for all of them.
_FAILURES = 40
#: Open goals of a large space that are looked at to tell what to hide, and the share of them that may fail
#: before all are looked at.
_SAMPLE, _SAMPLE_SHARE = 128, 0.04
#: So many goals are asked of programs that aims missed before, though more was hidden for them, and as often.
_STUBBORN = 64, 2
#: Rounds of an aim: at a sample of goals, at all.
_ROUNDS = (15, 40)
#: Newton steps from one centre to the next; one in large spaces, where each takes seconds.
_AGAIN = 3
#: A factorisation of more numbers, three of which are held at a time, is not tried: 1.2 GB each.
_NUMBERS = 150_000_000
#: A figure holds a goal if its multiplier is at least this share of the largest.
_HOLDS = 0.2


class Prover:
    """Serves the goals of one space.

    Parameters
    ----------
    space : Space
    goals : Goals
    work : Work
    seed : int
        Chooses blocks and directions; the same seed takes the same steps.
    progress : callable, optional
        Called with the number of goals served, and of all.

    Attributes
    ----------
    scouting : bool
        Whether only a sample of goals is looked at yet, to tell what must be hidden.
    """

    def __init__(
        self,
        space: Space,
        goals: Goals,
        work: Work,
        seed: int,
        progress: Callable[[int, int], None] = lambda done, total: None,
        grid: Grid | None = None,
    ) -> None:
        self.space, self.goals, self.work, self._grid = space, goals, work, grid
        self._random = np.random.default_rng(seed)
        self._progress = progress
        self._columns_of_goal = goals.matrix.tocsr()
        goals.high = goals.matrix @ space.truth
        goals.low = goals.high.copy()
        self._stand(space.truth)
        self._inside = self._closed = False
        self._steps = STEPS
        self._range: Range | None = None
        self.scouting = False
        self._most = space.most(self._columns_of_goal)
        self._missed = np.zeros(len(goals.high), np.int64)
        self._moves: Moves | None = None

    def enlarge(self, space: Space) -> None:
        """Go on in a larger space (some rows fewer): every world found so far is one of its worlds."""
        self.space = space
        self._range = self._moves = None
        self._steps = STEPS

    def settle(self, repair: Callable[[Sequence[Failure]], Space]) -> None:
        """Serve every goal; ``repair`` enlarges the space for some that cannot be served.

        Raises
        ------
        OutOfWorkError
            The budget is spent. Call again with more, or with a larger space.
        """
        with one_thread():
            self._settle(repair)

    def _settle(self, repair: Callable[[Sequence[Failure]], Space]) -> None:
        if len(self.space.truth) <= _EXACT_COLUMNS:
            self._aim(_ROUNDS[1])
            self._blocks(BLOCKS[0], least=2)
            while self.goals.open().any():
                failures = self._blocks(_EXACT_COLUMNS, least=0, most=1)
                if failures:
                    self.space = repair(failures)
            return
        # Goals of many columns are missed by aims that a crowd serves: a sample would tell too little.
        self.scouting = self.goals.cap
        sample = _SAMPLE
        while self.goals.open().any():
            if self.scouting:
                failures = self._aim(_ROUNDS[0], _SAMPLE)
            else:
                # Few columns are not worth a crowd.
                if not self.goals.cap or int(self.goals.open().sum()) > _SAMPLE:
                    self._gather()
                    self._tell()
                patient = int(self.goals.open().sum()) <= _SAMPLE
                sample *= 2
                failures = self._aim(_ROUNDS[1] if patient else _ROUNDS[0], sample if self.large else None)
            if self._closed:
                failures = self._blocks(BLOCKS[1], least=0, most=_FAILURES)
            elif len(failures) <= _STUBBORN[0]:
                failures = self._ask(failures)
            few = len(failures) <= _SAMPLE_SHARE * _SAMPLE or int(self.goals.open().sum()) <= _SAMPLE
            if failures:
                self.space = repair(failures)
                self._range = self._moves = None
            self.scouting = self.scouting and not few

    def _move(self, chosen: NDArray[np.intp]) -> bool:
        """Serve some goals by moves from the truth; false where crowds and aims cost less."""
        if self._grid is None or not self.large:
            return False
        if self._moves is None:
            self._moves = Moves(self.space, self.goals, self._grid, self.work)
        self._moves.serve_open(chosen, self._random, self._tell)
        return True

    def _gather(self) -> None:
        """Serve open goals by crowds, and by moves where these cost less than aims."""
        around = self._around()
        if around is not None:
            Gathering(
                around, self.space, self.goals, self._most, self._random, self.large, self._move,
                lambda worlds, rounds: self._charge_aims(worlds, 4 * rounds), self._tell,
            ).serve()  # fmt: skip

    @property
    def large(self) -> bool:
        """Whether moves serve goals of the space for less than aims do."""
        aim = aims_work(self.space.matrix, self.space.side, _ROUNDS[1] // 4)
        return self._grid is not None and pays(aim)

    def _around(self) -> Range | None:
        """The middle of the space, with its factorisation; none where bounds leave no room."""
        if self._range is None:
            space = self.space
            value = space.matrix @ space.truth
            upper = np.where(space.upper < space.unbounded, space.upper, np.inf)
            centre = self._find_centre(value, upper)
            self._most = space.most(self._columns_of_goal)
            self._closed = centre is None
            if centre is not None:
                self._range = Range(space.matrix, value, upper, centre, space.side)
        return self._range

    def _aim(self, rounds: int, sample: int | None = None) -> list[Failure]:
        """Aim at every open goal, or at some; return those that were missed."""
        looked = np.flatnonzero(self.goals.open())
        if sample is not None and len(looked) > sample:
            looked = np.sort(self._random.choice(looked, sample, replace=False))
            if self.scouting:
                self._move(looked)
                looked = looked[self.goals.open()[looked]]
        around = self._around() if len(looked) else None
        if around is None:
            return []
        failures: dict[int, Failure] = {}
        most = self._most
        for aims in (
            self.goals.outer,
            lambda left: self.goals.window(left, self._base[left], most[left]),
            lambda left: self.goals.upward(left, most[left]),
            self.goals.downward,
        ):
            chosen, wanted = aims(looked[self.goals.open()[looked]])
            self._charge_aims(len(chosen), rounds)
            for aimed in around.aim(self._columns_of_goal[chosen], wanted, rounds):
                reached = chosen[aimed.reached]
                self.goals.note(reached, wanted[aimed.reached])
                for at, goal in enumerate(chosen[aimed.missed]):
                    failures[int(goal)] = Failure(int(goal), self._named(aimed.held[:, at]))
            self._tell()
        return [failures[goal] for goal in sorted(failures) if self.goals.open()[goal]]

    def _ask(self, failures: Sequence[Failure]) -> list[Failure]:
        """Ask programs about goals that aims keep missing: there may be worlds at the very edge."""
        left = []
        for failure in failures:
            goal = failure.goal
            self._missed[goal] += 1
            if self._missed[goal] > _STUBBORN[1] and self.goals.open()[goal]:
                own = self._columns_of_goal[goal].indices
                asked = self._try(goal, block(self.space, own, BLOCKS[1], self._random, one_side=False))
                left += [asked] if asked is not None else []
            else:
                left.append(failure)
        return [failure for failure in left if self.goals.open()[failure.goal]]

    def _named(self, held: Floats) -> tuple[tuple[int, float], ...]:
        # What its owner will not hide (no figure, or one that others decide about) is not named.
        held = np.where(self.space.figure > 0, held, 0.0)
        rows = np.flatnonzero(held > _HOLDS * held.max(initial=0.0))
        return tuple((int(self.space.figure[row]), float(held[row])) for row in rows)

    def _find_centre(self, value: Floats, upper: Floats) -> Floats | None:
        space = self.space
        if numbers_of(space.matrix, space.side) > _NUMBERS:
            return None
        if self._inside:
            start = self._point
        else:
            mean = space.truth.sum() / len(space.truth)
            share = space.truth.sum() / max(space.upper.sum(), 1.0)
            start = np.where(np.isfinite(upper), np.clip(share, 0.05, 0.95) * space.upper, mean)
        # A centre of the space before is a world of this one: some steps bring it near to the new middle.
        centre, steps = find_centre(space.matrix, value, upper, start, side=space.side, steps=self._steps)
        self._charge(steps * centre_work(space.matrix, space.side), centres=1)
        self._inside = centre is not None
        self._steps = (1 if self.large else _AGAIN) if self._inside else STEPS
        self._stand(space.truth if centre is None else centre)
        return centre

    def _stand(self, point: Floats) -> None:
        """Take a world for the place where columns stay that do not move."""
        self._point = point
        self._base = self.goals.matrix @ point

    def _charge_aims(self, goals: int, rounds: int) -> None:
        self._charge(aims_work(self.space.matrix, self.space.side, goals * rounds // 4), aims=goals)

    def _charge(self, units: int, *, programs: int = 0, centres: int = 0, aims: int = 0) -> None:
        if self.work.left <= 0:
            raise OutOfWorkError
        self.work.charge(units, programs=programs, centres=centres, aims=aims)

    def _blocks(self, size: int, *, least: int, most: int = 0) -> list[Failure]:
        """Go from open goal to open goal, while blocks serve ``least`` goals each; each goal once.

        Returns up to ``most`` that have no world in their block, and stops there.
        """
        passed = np.zeros(len(self.goals.high), np.bool_)
        served: list[int] = []
        failures: list[Failure] = []
        while True:
            pending = np.flatnonzero(self.goals.open() & ~passed)
            if not len(pending) or sum(served[-_WINDOW:]) < least * len(served[-_WINDOW:]) == least * _WINDOW:
                return failures
            seed = int(self._random.choice(pending))
            own = self._columns_of_goal[seed].indices
            one_side = size < _EXACT_COLUMNS
            failure = self._try(seed, block(self.space, own, size, self._random, one_side=one_side))
            if failure is not None:
                passed[seed] = True
                failures.append(failure)
                if len(failures) == most:
                    return failures
            served.append(len(pending) - int((self.goals.open() & ~passed).sum()) - int(passed[seed]))
            self._tell()

    def _tell(self) -> None:
        total = len(self.goals.high)
        self._progress(total - int(self.goals.open().sum()), total)

    def _try(self, seed: int, block: NDArray[np.intp]) -> Failure | None:
        """Serve what a block can while that pays (warm starts make it cheap), then ``seed`` by itself."""
        inside = self._open_within(block)
        attempt = attempt_at(self.space, self.goals, self._point, block, inside)
        while len(inside) > 1:
            self._serve(attempt, inside)
            left = inside[self.goals.open()[inside]]
            if len(inside) - len(left) < 2:
                break
            inside = left
        world = None
        for side in (True, False):
            if not self.goals.open()[seed]:
                return None
            world = self._solve(attempt, np.array([seed]), np.array([side])) or world
        if not self.goals.open()[seed]:
            return None
        return Failure(seed, self._figures(block, world))

    def _serve(self, attempt: Attempt, chosen: NDArray[np.intp]) -> None:
        coin = self._random.random(len(chosen)) < 0.5
        self._solve(attempt, chosen, coin)
        if not self.goals.cap:
            self._solve(attempt, chosen, ~coin)

    def _figures(self, block: NDArray[np.intp], world: World | None) -> tuple[tuple[int, float], ...]:
        rows = self._rows(block)
        if world is None or len(world.duals) != len(rows):
            return tuple((int(self.space.figure[row]), 1.0) for row in rows)
        held = np.flatnonzero(np.abs(world.duals) > 1e-5)
        return tuple((int(self.space.figure[rows[i]]), float(abs(world.duals[i]))) for i in held)

    def _rows(self, block: NDArray[np.intp]) -> NDArray[np.intp]:
        return np.flatnonzero(np.diff(self.space.matrix[:, block].tocsr().indptr))

    def _open_within(self, block: NDArray[np.intp]) -> NDArray[np.intp]:
        """Open goals that a block touches."""
        mask = np.zeros(self.space.matrix.shape[1])
        mask[block] = 1.0
        return np.flatnonzero(self.goals.open() & (self._columns_of_goal @ mask > 0))

    def _solve(self, attempt: Attempt, chosen: NDArray[np.intp], coin: NDArray[np.bool_]) -> World | None:
        """Maximise a mixture of goals; its weights are far apart, so that some get all they need."""
        weight = self.goals.wish(chosen, coin) * np.exp(2.0 * self._random.standard_normal(len(chosen)))
        rows = np.searchsorted(attempt.goals, chosen)
        self._charge(attempt.program.work, programs=1)
        world = attempt.program.maximize(attempt.sums[rows].T @ weight)
        if world is not None:
            reached = self._base[attempt.goals] + attempt.sums @ (world.values - attempt.point)
            self.goals.note(attempt.goals, reached)
        return world
