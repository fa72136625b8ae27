"""A walk through whole-number tables that leave all published sums alone, compiled.

See :mod:`app.disclosure.moves`, which reads what came of it, and :mod:`app.disclosure.board`.

A step alternates between two codes in each of several dimensions, with alternating signs. In one dimension
more than the deepest table has, no published sum changes. In as many, sums of one margin do, at the stars.

All of it is one file because Numba's cache notices a change only in the file of the function that it keeps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.disclosure.board import Board, Chance, Ints, State
from linkage.scan.compiled import compiled

#: Positions in ``State.counts``: places out of bounds, places touched.
_BAD, _TOUCHED = 0, 1
#: One candidate for a step in so many is of the kind that changes sums, where there are some to change;
_STAR_SHARE = 6
#: one code in so many is taken though its place has nothing to give.
_STRANGE = 8
#: Fractions of a person that steps are compared by.
_FINE = 64
#: More than any change.
_FAR = 1 << 60


@compiled
def _draw(chance: Chance, below: int) -> int:
    """Draw a number below another (splitmix64)."""
    chance[0] += np.uint64(0x9E3779B97F4A7C15)
    mixed = chance[0]
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    return int((mixed >> np.uint64(33)) % np.uint64(below))


@compiled
def _lack(least: int, most: int, value: int) -> int:
    """By how much a value leaves its bounds."""
    return max(0, least - value, value - most)


@compiled
def _put(state: State, place: int, value: int) -> None:
    """Give a place a value, and keep the list of those out of bounds."""
    count = state.counts
    if state.marked[place] == 0:
        state.marked[place] = 1
        state.touched[count[_TOUCHED]] = place
        count[_TOUCHED] += 1
    lack = _lack(state.least[place], state.most[place], value)
    state.value[place] = value
    spot = state.spot[place]
    if lack > 0 and spot < 0:
        state.spot[place] = count[_BAD]
        state.bad[count[_BAD]] = place
        count[_BAD] += 1
    elif lack == 0 and spot >= 0:
        count[_BAD] -= 1
        last = state.bad[count[_BAD]]
        state.bad[spot] = last
        state.spot[last] = spot
        state.spot[place] = -1


@compiled
def _look_around(board: Board, state: State, place: int, way: int) -> None:
    """List the codes by which a place can alternate, those in front whose places have something to give."""
    inside = place % board.volume
    value, alike, bound = state.value, state.alike, state.least if way > 0 else state.most
    for axis in range(len(board.sizes)):
        stride = board.strides[axis]
        code = (inside // stride) % (board.sizes[axis] + 1)
        glad = some = 0
        for other in range(board.sizes[axis]):
            by = (other - code) * stride
            if by == 0:
                continue
            alike[axis, some] = by
            if (value[place + by] - bound[place + by]) * way > 0:
                alike[axis, some] = alike[axis, glad]
                alike[axis, glad] = by
                glad += 1
            some += 1
        state.many[axis, 0], state.many[axis, 1] = some, glad


@compiled
def _alternate(
    alike: Ints, many: Ints, axes: Ints, chance: Chance, corner: Ints, sign: Ints, dimensions: int
) -> int:
    """Write the corners of a step behind its first; return how many, or 0 if an axis has one code only."""
    size = 1
    for i in range(dimensions):
        axis = axes[i]
        some, glad = many[axis, 0], many[axis, 1]
        if some == 0:
            return 0
        by = alike[axis, _draw(chance, glad if glad > 0 and _draw(chance, _STRANGE) > 0 else some)]
        for at in range(size):
            corner[size + at] = corner[at] + by
            sign[size + at] = -sign[at]
        size *= 2
    return size


@compiled
def _stars(
    sizes: Ints,
    strides: Ints,
    volume: int,
    link: Ints,
    axes: Ints,
    corner: Ints,
    sign: Ints,
    dimensions: int,
    last: int,
) -> int:
    """Write the stars of the first corners behind them; return where they end."""  # fmt: skip
    shift = 0
    inside = corner[0] % volume
    for i in range(dimensions, len(axes)):
        axis = axes[i]
        code = (inside // strides[axis]) % (sizes[axis] + 1)
        shift += (sizes[axis] - code) * strides[axis]
    for at in range(last):
        corner[last + at], sign[last + at] = link[corner[at] + shift], sign[at]
    return 2 * last


@compiled
def _mirror(volume: int, twin: Ints, link: Ints, corner: Ints, sign: Ints, last: int) -> int:
    """Add the opposite step on the other side; a star that both share stays. Return where corners end."""
    for at in range(last):
        place = corner[at]
        layer = place // volume
        other = link[place + (twin[layer] - layer) * volume]
        corner[last + at], sign[last + at] = other, -sign[at]
        if other == place:
            sign[at] = sign[last + at] = 0
    return 2 * last


@compiled
def _choose(axes: Ints, chance: Chance, dimensions: int) -> None:
    """Shuffle some axes to the front."""
    for i in range(dimensions):
        j = i + _draw(chance, len(axes) - i)
        axes[i], axes[j] = axes[j], axes[i]


@compiled
def _take(axes: Ints, margin: Ints) -> None:
    """Put the axes of a margin in front."""
    for i in range(len(margin)):
        for j in range(i, len(axes)):
            if axes[j] == margin[i]:
                axes[i], axes[j] = axes[j], axes[i]
                break


@compiled
def _margin_of(board: Board, place: int) -> int:
    """Which margin the star of a group belongs to."""
    inside = place % board.volume
    for margin in range(len(board.margins)):
        kept = 0
        for i in range(board.margins.shape[1]):
            axis = board.margins[margin, i]
            if (inside // board.strides[axis]) % (board.sizes[axis] + 1) < board.sizes[axis]:
                kept += 1
        if kept == board.margins.shape[1]:
            return margin
    return -1


@compiled
def _open_margin(board: Board, state: State, place: int) -> int:
    """A margin whose group around a place is not shown, by chance; -1 if all are."""
    sizes, strides, link, open_ones = board.sizes, board.strides, board.link, board.open
    found, seen = -1, 0
    inside = place % board.volume
    beyond = 0
    for axis in range(len(sizes)):
        beyond += (sizes[axis] - (inside // strides[axis]) % (sizes[axis] + 1)) * strides[axis]
    for margin in range(len(board.margins)):
        star = place + beyond
        for i in range(board.margins.shape[1]):
            axis = board.margins[margin, i]
            star -= (sizes[axis] - (inside // strides[axis]) % (sizes[axis] + 1)) * strides[axis]
        if open_ones[link[star]] != 0:
            seen += 1
            if _draw(state.chance, seen) == 0:
                found = margin
    return found


@compiled
def _held(least: Ints, most: Ints, group: Ints, corner: Ints, sign: Ints, last: int) -> bool:
    """Whether a step changes a sum that is shown."""
    for at in range(last):
        place = corner[at]
        if group[place] >= 0 and sign[at] != 0 and least[place] == most[place]:
            return True
    return False


@compiled
def _weigh(
    least: Ints, most: Ints, value: Ints, corner: Ints, sign: Ints, last: int, need: int
) -> tuple[int, int]:
    """How far a step goes, and by how many persons more places leave their bounds after it.

    As far as is needed and as those places let it that have something to give.
    """
    step = need
    for at in range(last):
        place = corner[at]
        room = most[place] - value[place] if sign[at] > 0 else value[place] - least[place]
        if sign[at] != 0 and 0 < room < step:
            step = room
    more = 0
    for at in range(last):
        place = corner[at]
        before, low, high = value[place], least[place], most[place]
        more += _lack(low, high, before + sign[at] * step) - _lack(low, high, before)
    return step, more


@compiled
def _aim(board: Board, state: State, wrong: int) -> tuple[int, int, bool]:
    """Where to step so as to move a place: a place, a margin (-1: no sum changes), whether on both sides."""
    layer, group = wrong // board.volume, board.group[wrong]
    other = board.twin[layer]
    if group < 0:
        return wrong, -1, False
    first, last = board.first[group], board.first[group + 1]
    place = board.member[first + _draw(state.chance, last - first)]
    twin = False
    if other >= 0:
        shared = board.link[wrong + (other - layer) * board.volume] == wrong
        coin = _draw(state.chance, 2) == 0
        if shared and coin:
            layer = other
        twin = coin and not shared
    return place + layer * board.volume, _margin_of(board, wrong), twin


@compiled
def _step(board: Board, state: State, tries: int) -> None:
    """Move a place that is out of bounds by the best of some steps, for better or worse."""
    value, low, high = state.value, state.least, state.most
    corner, sign, axes, chance = state.corner, state.sign, state.axes, state.chance
    best, best_sign, alike, many = state.best, state.best_sign, state.alike, state.many
    sizes, strides, link, twins, group = board.sizes, board.strides, board.link, board.twin, board.group
    wrong = state.bad[_draw(chance, state.counts[_BAD])]
    way, need = 1, low[wrong] - value[wrong]
    if need <= 0:
        way, need = -1, value[wrong] - high[wrong]
    place, always, shared = _aim(board, state, wrong)
    _look_around(board, state, place, way)
    least, size, corners = _FAR, 0, 0
    for _ in range(tries):
        margin, twin = always, shared
        if group[wrong] < 0 and _draw(chance, _STAR_SHARE) == 0:
            margin = _open_margin(board, state, wrong)
            twin = margin >= 0 and twins[wrong // board.volume] >= 0 and _draw(chance, 2) == 0
        dimensions = board.reach
        if margin < 0:
            _choose(axes, chance, dimensions)
        else:
            dimensions -= 1
            _take(axes, board.margins[margin])
        corner[0], sign[0] = place, way
        end = _alternate(alike, many, axes, chance, corner, sign, dimensions)
        if margin >= 0:
            end = _stars(sizes, strides, board.volume, link, axes, corner, sign, dimensions, end)
        if twin:
            end = _mirror(board.volume, twins, link, corner, sign, end)
        # Only a group that is to change itself may push others: else too much is to be put right.
        if end == 0 or (margin >= 0 and group[wrong] < 0 and _held(low, high, group, corner, sign, end)):
            continue
        step, worse = _weigh(low, high, value, corner, sign, end, need)
        if worse * _FINE // step < least:
            least, size, corners = worse * _FINE // step, step, end
            for at in range(end):
                best[at], best_sign[at] = corner[at], sign[at]
    for at in range(corners):
        _put(state, best[at], value[best[at]] + best_sign[at] * size)


@compiled
def _agrees(board: Board, state: State, truth: Ints) -> bool:
    """Whether all that was touched is within its bounds, and every published sum is as it was."""
    good = True
    for i in range(state.counts[_TOUCHED]):
        place = state.touched[i]
        value = state.value[place]
        good = good and board.least[place] <= value <= board.most[place]
        column = board.column[place]
        if column >= 0:
            for at in range(board.start[column], board.start[column + 1]):
                state.sums[board.row[at]] += value - truth[place]
    for i in range(state.counts[_TOUCHED]):
        column = board.column[state.touched[i]]
        if column >= 0:
            for at in range(board.start[column], board.start[column + 1]):
                good = good and state.sums[board.row[at]] == 0
                state.sums[board.row[at]] = 0
    return good


@compiled
def walk(
    board: Board,
    state: State,
    goals: Ints,
    seed: int,
    tries: int,
    steps: int,
    high: Ints,
    low: Ints,
    served: NDArray[np.bool_],
) -> int:
    """Look for a world for each goal; return how many steps that took.

    Parameters
    ----------
    board : Board
    state : State
        As :func:`app.disclosure.moves` makes it; afterwards it is as before.
    goals : array, shape (n_goals, 3)
        A place, its least and its most.
    seed : int
    tries : int
        Steps that one is chosen from.
    steps : int
        At most so many for a goal.
    high, low : array, shape (n_columns,)
        Highest and lowest value of each column in the worlds that were found; raised and lowered here.
    served : array, shape (n_goals,)
        Set where a world was found.
    """
    taken = 0
    for goal in range(len(goals)):
        place, least, most = goals[goal]
        # Each goal begins at the truth with numbers of its own: who else is asked for changes nothing.
        state.chance[0] = np.uint64(seed) * np.uint64(1_000_003) + np.uint64(place)
        state.counts[:] = 0
        for axis in range(len(state.axes)):
            state.axes[axis] = axis
        held = state.least[place], state.most[place]
        state.least[place], state.most[place] = max(held[0], least), min(held[1], most)
        column = board.column[place]
        if column >= 0 and (high[column] >= least and low[column] <= most):
            served[goal] = True
        else:
            _put(state, place, state.value[place])
            for _ in range(steps):
                if state.counts[_BAD] == 0:
                    break
                _step(board, state, tries)
                taken += 1
            if state.counts[_BAD] == 0 and _agrees(board, state, board.truth):
                served[goal] = True
                _note(board, state, high, low)
        state.least[place], state.most[place] = held
        _restore(board, state)
    return taken


@compiled
def _note(board: Board, state: State, high: Ints, low: Ints) -> None:
    for i in range(state.counts[_TOUCHED]):
        column = board.column[state.touched[i]]
        if column >= 0:
            high[column] = max(high[column], state.value[state.touched[i]])
            low[column] = min(low[column], state.value[state.touched[i]])


@compiled
def _restore(board: Board, state: State) -> None:
    """Put everything back as it is in truth."""
    for i in range(state.counts[_TOUCHED]):
        place = state.touched[i]
        state.value[place] = board.truth[place]
        state.marked[place] = 0
    for i in range(state.counts[_BAD]):
        state.spot[state.bad[i]] = -1
