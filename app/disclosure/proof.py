"""Prove that what is hidden stays open, by worlds that agree with all that is published.

A *space* is the polytope of all such worlds for one kind of attacker, the truth among them. *Goals* say
which sums must be able to take which values. Each world serves all goals at once, so there are far fewer
programs than goals:

1. sweeps: the whole space, maximising all open goals together;
2. blocks: a part of the columns moves, all others stay at the truth. A world of a block is a world of the
   whole, and a small program is cheaper by far;
3. one goal by itself in its block, then in a larger one, at last in the whole space. Only what fails there is
   unproven; the duals of that program name the published figures that give it away.

Worlds stay worlds when more is hidden, so nothing is ever proven twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from app.disclosure.finest import Ints
from app.disclosure.worlds import TOLERANCE, Floats, Program, World

#: Columns of a block, at first and later.
BLOCKS = (1200, 3000)
#: Up to so many columns a goal without a world is proven to have none, and duals say what to hide.
_EXACT_COLUMNS = 3000
#: A later sweep that serves fewer goals is the last one.
_SWEEP_LEAST = 12
#: So many blocks in a row are looked at to tell whether blocks of a size still pay.
_WINDOW = 12
#: Above so many columns of one side there are no sweeps; blocks do the work.
_SWEEP_COLUMNS = 30_000
#: A sweep that serves less than this share of the open goals is the last one.
_SWEEP_YIELD = 0.2


@dataclass(frozen=True, eq=False)
class Space:
    """All worlds of one attacker.

    Attributes
    ----------
    matrix : csr_matrix, shape (n_rows, n_columns)
        Published sums, one row each.
    figure : array, shape (n_rows,)
        Which published figure a row is; the owner of the space knows what that means.
    truth, upper : array, shape (n_columns,)
        What is; and the most that may be (an attacker's knowledge, or a number that never binds).
    codes : array, shape (n_columns, n_axes)
        Where a column lies, to choose blocks by.
    side : array, shape (n_columns,)
        Found (0) or not found (1). Sides hang together by few rows or none: one of them moves at a time,
        until nothing but both will do.
    """

    matrix: sp.csr_matrix
    figure: Ints
    truth: Floats
    upper: Floats
    codes: Ints
    side: Ints


@dataclass(eq=False)
class Goals:
    """What must be possible: for each row of ``matrix`` a highest, a lowest value, a span.

    Attributes
    ----------
    matrix : csr_matrix, shape (n_goals, n_columns)
    highest, lowest : array, shape (n_goals,)
        Some world must reach at least / at most this; minus / plus infinity where nothing is asked.
    span : array, shape (n_goals,)
        Whole numbers within reach, less one; 0 where nothing is asked.
    cap : bool
        Whether a column above its goal may be cut off there while the goal is open (goals of one column).
    high, low : array, shape (n_goals,)
        Reached so far.
    """

    matrix: sp.csr_matrix
    highest: Floats
    lowest: Floats
    span: Floats
    cap: bool = False
    high: Floats = field(default_factory=lambda: np.zeros(0))
    low: Floats = field(default_factory=lambda: np.zeros(0))

    def note(self, goals: NDArray[np.intp], reached: Floats) -> None:
        """Take what a world reaches of some goals into account."""
        self.high[goals] = np.maximum(self.high[goals], reached)
        self.low[goals] = np.minimum(self.low[goals], reached)

    def open(self) -> NDArray[np.bool_]:
        """Which goals no world has served yet."""
        whole = np.floor(self.high + TOLERANCE) - np.ceil(self.low - TOLERANCE)
        return (
            (self.high < self.highest - TOLERANCE)
            | (self.low > self.lowest + TOLERANCE)
            | (whole < self.span)
        )

    def wish(self, chosen: NDArray[np.intp], coin: NDArray[np.bool_]) -> Floats:
        """Tell each goal's direction: up or down where only that is missing, else by coin."""
        up = self.high[chosen] < self.highest[chosen] - TOLERANCE
        down = self.low[chosen] > self.lowest[chosen] + TOLERANCE
        return np.where(up & ~down, 1.0, np.where(down & ~up, -1.0, np.where(coin, 1.0, -1.0)))


@dataclass
class Work:
    """What may still be spent, and what was: the unit is a non-zero of a program that was solved.

    Not seconds: the same data, policy and secret must give the same tables on any machine.
    """

    left: int
    spent: int = 0
    programs: int = 0

    def charge(self, units: int) -> None:
        self.left -= units
        self.spent += units
        self.programs += 1


@dataclass(frozen=True)
class Failure:
    """A goal without a world, and the published figures that hold it (with the size of their duals)."""

    goal: int
    figures: tuple[tuple[int, float], ...]


@dataclass(frozen=True, eq=False)
class _Attempt:
    """A program over a block, and the open goals that it can serve.

    ``sums`` has shape (n_goals, n_columns of the block); columns outside stay at the truth.
    """

    program: Program
    truth: Floats
    goals: NDArray[np.intp]
    sums: sp.csr_matrix


class OutOfWorkError(Exception):
    """The budget is spent; whatever is open is unproven."""


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
    """

    def __init__(
        self,
        space: Space,
        goals: Goals,
        work: Work,
        seed: int,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self.space, self.goals, self.work = space, goals, work
        self._random = np.random.default_rng(seed)
        self._progress = progress
        self._columns_of_goal = goals.matrix.tocsr()
        goals.high = goals.matrix @ space.truth
        goals.low = goals.high.copy()
        self._base = goals.high.copy()

    def enlarge(self, space: Space) -> None:
        """Go on in a larger space (some rows fewer): every world found so far is one of its worlds."""
        self.space = space

    def settle(self, repair: Callable[[Failure | None], Space]) -> None:
        """Serve every goal; ``repair`` enlarges the space for one that cannot be served.

        Raises
        ------
        OutOfWorkError
            The budget is spent. Call again with more, or with a larger space.
        """
        self._sweep(_SWEEP_YIELD)
        self._blocks(BLOCKS[0], None, least=2)
        if len(self.space.truth) <= _EXACT_COLUMNS:
            self._blocks(_EXACT_COLUMNS, repair, least=0)
            return
        # One program for each goal that is left would take hours. What several dozen worlds made for them do
        # not reach counts as out of reach: more is hidden than need be, and nothing less is proven.
        while self.goals.open().any():
            self._sweep(0.0)
            self._blocks(BLOCKS[1], None, least=1)
            if self.goals.open().any():
                self.space = repair(None)

    def _sweep(self, least: float) -> None:
        """Serve many goals at once, one side at a time, while at least this share is served."""
        for side in np.unique(self.space.side):
            columns = np.flatnonzero(self.space.side == side)
            inside = self._open_within(columns)
            while len(inside) and len(columns) <= _SWEEP_COLUMNS:
                self._serve(self._attempt(columns, inside), inside)
                left = inside[self.goals.open()[inside]]
                self._tell()
                if len(inside) - len(left) < max(least * len(inside), _SWEEP_LEAST):
                    break
                inside = left

    def _blocks(self, size: int, repair: Callable[[Failure | None], Space] | None, *, least: int) -> None:
        """Go from open goal to open goal; without ``repair`` only while blocks serve ``least`` goals each."""
        passed = np.zeros(len(self.goals.high), np.bool_)
        served: list[int] = []
        while True:
            pending = np.flatnonzero(self.goals.open() & ~passed)
            if not len(pending) or sum(served[-_WINDOW:]) < least * len(served[-_WINDOW:]) == least * _WINDOW:
                return
            seed = int(self._random.choice(pending))
            failure = self._try(seed, self._block(seed, size))
            if failure is not None and repair is not None:
                self.space = repair(failure)
            elif failure is not None:
                passed[seed] = True
            served.append(len(pending) - int((self.goals.open() & ~passed).sum()) - int(passed[seed]))
            self._tell()

    def _tell(self) -> None:
        total = len(self.goals.high)
        self._progress(total - int(self.goals.open().sum()), total)

    def _try(self, seed: int, block: NDArray[np.intp]) -> Failure | None:
        """Serve what a block can while that pays (warm starts make it cheap), then ``seed`` by itself."""
        inside = self._open_within(block)
        attempt = self._attempt(block, inside)
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

    def _serve(self, attempt: _Attempt, chosen: NDArray[np.intp]) -> None:
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

    def _attempt(self, block: NDArray[np.intp], goals: NDArray[np.intp]) -> _Attempt:
        part = self.space.matrix[:, block].tocsr()
        part = part[np.flatnonzero(np.diff(part.indptr))]
        truth, upper = self.space.truth[block], self.space.upper[block]
        sums = self._columns_of_goal[goals][:, block].tocsr()
        if self.goals.cap:
            wanted = np.full(len(block), np.inf)
            single = sums.tocoo()
            wanted[single.col] = self.goals.highest[goals][single.row]
            upper = np.minimum(upper, np.maximum(truth, wanted))
        return _Attempt(Program(part, part @ truth, np.zeros(len(block)), upper), truth, goals, sums)

    def _solve(self, attempt: _Attempt, chosen: NDArray[np.intp], coin: NDArray[np.bool_]) -> World | None:
        """Maximise a mixture of goals; its weights are far apart, so that some get all they need."""
        if self.work.left <= 0:
            raise OutOfWorkError
        weight = self.goals.wish(chosen, coin) * np.exp(2.0 * self._random.standard_normal(len(chosen)))
        rows = np.searchsorted(attempt.goals, chosen)
        self.work.charge(attempt.program.work)
        world = attempt.program.maximize(attempt.sums[rows].T @ weight)
        if world is not None:
            reached = self._base[attempt.goals] + attempt.sums @ (world.values - attempt.truth)
            self.goals.note(attempt.goals, reached)
        return world

    def _block(self, seed: int, size: int) -> NDArray[np.intp]:
        """Columns around those of a goal, about ``size``: a sub-grid, so that moves can keep sums."""
        codes = self.space.codes
        if len(codes) <= size:
            return np.arange(len(codes))
        own = self._columns_of_goal[seed].indices
        if size < _EXACT_COLUMNS:
            same = self.space.side == self.space.side[own[0]]
            if same.sum() <= size:
                return np.flatnonzero(same)
        else:
            same = np.ones(len(codes), np.bool_)
        inside = np.ones(len(codes), np.bool_)
        keep = []
        for axis in range(codes.shape[1]):
            mine = np.unique(codes[own, axis])
            others = np.setdiff1d(np.unique(codes[:, axis]), mine)
            keep.append((mine, self._random.permutation(others)))
        # Grow every axis in step until the sub-grid is large enough.
        low, high = 0.0, 1.0
        for _ in range(12):
            share = (low + high) / 2
            inside = self._sub_grid(keep, share) & same
            if inside.sum() > size:
                high = share
            else:
                low = share
        inside = self._sub_grid(keep, low) & same
        inside[own] = True
        return np.flatnonzero(inside)

    def _sub_grid(self, keep: list[tuple[Ints, Ints]], share: float) -> NDArray[np.bool_]:
        inside = np.ones(len(self.space.codes), np.bool_)
        for axis, (mine, others) in enumerate(keep):
            chosen = np.concatenate([mine, others[: max(1, round(share * len(others)))]])
            inside &= np.isin(self.space.codes[:, axis], chosen)
        return inside
