"""Prove for every hidden cell that all published tables together leave it open (PRIVACY.md, section 3).

R2, an attacker who does not know denominators: for each hidden populated cell there is a world, consistent
with everything published, where its N is at least k, one where its m is, and one where its u is.

R3, an attacker who knows every denominator: a hidden m of a group below k spans at least half of N and so
pins neither none nor all; a hidden m of N >= 2k may be at least k, and so may u; any other is not pinned.

A world is a solution of a linear program. One world clears every cell that it serves, so there are far fewer
programs than cells. What is not proven is reported, and the caller hides more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.disclosure.programs import TOLERANCE, Worlds
from app.disclosure.system import CellId, System

World = NDArray[np.float64]


@dataclass(frozen=True)
class Unproven:
    """A hidden cell that is not open enough; ``n`` tells whether it is the denominator."""

    cell: CellId
    n: bool


def audit(system: System, k: int) -> list[Unproven]:
    """Return every hidden cell for which R2 or R3 is not proven; empty if the system may be published."""
    if not system.found_hidden:
        return []
    order = sorted(system.cells)
    return [*_unknown_denominators(system, order, k), *_known_denominators(system, order, k)]


def _worlds(system: System, order: list[CellId], *, know_n: bool) -> Worlds:
    """Variables: m of each cell in ``order``, then u of each cell."""
    size = len(order)
    # An upper end for what is otherwise unbounded; far above anything real, so it never decides.
    ceiling = 10.0 * max(cell.n for cell in system.cells.values()) + 1000.0
    lower, upper = [0.0] * (2 * size), [ceiling] * (2 * size)
    for i, cell_id in enumerate(order):
        if cell_id not in system.found_hidden:
            cell = system.cells[cell_id]
            lower[i] = upper[i] = float(cell.found)
            lower[size + i] = upper[size + i] = float(cell.not_found)
    worlds = Worlds(lower, upper)
    for i, cell_id in enumerate(order):
        if cell_id in system.found_hidden and (know_n or cell_id not in system.n_hidden):
            n = float(system.cells[cell_id].n)
            worlds.add({i: 1.0, size + i: 1.0}, n, n)
    at = {cell_id: i for i, cell_id in enumerate(order)}
    for line in system.lines:
        plus, minus = system.sums(line.plus), system.sums(line.minus)
        signs = {at[cell]: 1.0 for cell in line.plus} | {at[cell]: -1.0 for cell in line.minus}
        found = float(plus.found - minus.found)
        worlds.add(signs, found, found)
        if not know_n:
            n = float(plus.n - minus.n)
            worlds.add(signs | {size + i: sign for i, sign in signs.items()}, n, n)
    return worlds


def _unknown_denominators(system: System, order: list[CellId], k: int) -> Iterator[Unproven]:
    size = len(order)
    wanted: list[tuple[CellId, bool, dict[int, float]]] = []
    for i, cell_id in enumerate(order):
        if cell_id in system.n_hidden:
            wanted.append((cell_id, True, {i: 1.0, size + i: 1.0}))
        if cell_id in system.found_hidden:
            wanted += [(cell_id, False, {i: 1.0}), (cell_id, False, {size + i: 1.0})]
    worlds = _worlds(system, order, know_n=False)

    def reached(world: World, coefficients: dict[int, float]) -> bool:
        return bool(sum(world[i] for i in coefficients) >= k - TOLERANCE)

    while wanted:
        cell_id, n, coefficients = wanted[0]
        world = worlds.best(coefficients, maximize=True)
        if world is None or not reached(world, coefficients):
            yield Unproven(cell_id, n)
            wanted = wanted[1:]
        if world is not None:
            seen = world
            wanted = [item for item in wanted if not reached(seen, item[2])]


def _known_denominators(system: System, order: list[CellId], k: int) -> Iterator[Unproven]:
    worlds = _worlds(system, order, know_n=True)
    least = np.full(len(order), math.inf)
    most = np.full(len(order), -math.inf)

    def note(world: World | None) -> bool:
        if world is None:
            return False
        np.minimum(least, world[: len(order)], out=least)
        np.maximum(most, world[: len(order)], out=most)
        return True

    for i, cell_id in enumerate(order):
        if cell_id not in system.found_hidden:
            continue
        is_open = open_enough(system.cells[cell_id].n, k)
        if is_open(least[i], most[i]):
            continue
        highest = note(worlds.best({i: 1.0}, maximize=True))
        lowest = note(worlds.best({i: 1.0}, maximize=False))
        if not (highest and lowest) or not is_open(least[i], most[i]):
            yield Unproven(cell_id, n=False)


def open_enough(n: int, k: int) -> Callable[[float, float], bool]:
    """What R3 asks of the interval of a hidden m, for somebody who knows ``n``."""

    def check(least: float, most: float) -> bool:
        if least > most:
            return False
        low, high = math.ceil(least - TOLERANCE), math.floor(most + TOLERANCE)
        if n < k:
            return 2 * (high - low) >= n
        if n >= 2 * k:
            return high >= k and n - low >= k
        return high > low

    return check
