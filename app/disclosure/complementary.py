"""Secondary rule: hide companions, so that no hidden group follows from the shown ones by subtraction."""

from __future__ import annotations

from collections.abc import Sequence

from app.disclosure.policy import Policy
from app.disclosure.system import TOTAL, CellId, Line, System

#: Greedy searches with different random prices, of which the cheapest result is taken.
ATTEMPTS = 32


def price(system: System, policy: Policy, cell_id: CellId) -> float:
    """Price of hiding a cell: about its persons, so that few readers lose a figure.

    The factor in [0.75, 1.25) comes from the policy's secret. Without it, "the smallest of the rest was
    taken" would tell something about sizes. It is the same for every indicator of a cohort: they share their
    denominators, and a denominator that one of them hides as a companion must not be shown by another.
    """
    by, key = cell_id
    return system.cells[cell_id].n * (0.75 + 0.5 * policy.chance(system.tables[0].about.cohort, *by, *key))


def cheapest(
    system: System, policy: Policy, cells: Sequence[CellId], *, n: bool, attempt: int = 0
) -> CellId | None:
    """Cheapest of ``cells`` that still shows its denominator (``n``) or numerator; never the total.

    Attempts after the first look further afield: their prices are off by a factor of up to ten.
    """
    hidden = system.n_hidden if n else system.found_hidden

    def cost(cell_id: CellId) -> float:
        by, key = cell_id
        stray = 10 ** policy.chance("attempt", str(attempt), *by, *key) if attempt else 1.0
        return price(system, policy, cell_id) * stray

    candidates = [cell for cell in cells if cell not in hidden and cell != TOTAL]
    return min(candidates, key=lambda cell: (cost(cell), cell), default=None)


def choose_companions(system: System, policy: Policy) -> System:
    """Return the cheapest of several ways to hide companions; a choice in one table drags others along.

    Denominators are decided first and by denominators alone, whatever the indicator found; see :func:`price`.
    """
    for n in (True, False):
        ways = []
        for attempt in range(ATTEMPTS):
            way = system.copy()
            _mend_lines(way, policy, n=n, attempt=attempt)
            hidden = sorted(way.n_hidden if n else way.found_hidden)
            ways.append((sum(price(way, policy, cell) for cell in hidden), attempt, way))
        system = min(ways, key=lambda way: way[:2])[2]
    return system


def hide_companions(system: System, policy: Policy) -> None:
    """Hide further cells until no line gives a denominator or a numerator away by itself.

    A line is mended while

    - one hidden cell is alone in it: subtraction gives it exactly;
    - hidden cells of one sign together count fewer than k persons, found or not found: their sum is a group;
    - it is shown whole and the persons counted twice in it are fewer than k: they are a group as well.

    Each step hides one more cell, so it ends.
    """
    for n in (True, False):
        _mend_lines(system, policy, n=n, attempt=0)


def _mend_lines(system: System, policy: Policy, *, n: bool, attempt: int) -> None:
    changed = True
    while changed:
        changed = False
        for line in system.lines:
            while _needs_companion(system, policy, line, n=n):
                companion = cheapest(system, policy, line.cells, n=n, attempt=attempt)
                if companion is None:
                    break
                system.hide(companion, n=n)
                changed = True


def _needs_companion(system: System, policy: Policy, line: Line, *, n: bool) -> bool:
    k = policy.min_cell
    hidden_set = system.n_hidden if n else system.found_hidden
    hidden = [cell for cell in line.cells if cell in hidden_set]
    if TOTAL in hidden:
        return False
    if not hidden:
        return line.overlapping and _reveals_twice_counted(system, line, k, n=n)
    if len(hidden) == 1:
        return True
    if not (set(hidden) <= set(line.plus) or set(hidden) <= set(line.minus)):
        return False
    group = system.sums(hidden)
    return group.n < k if n else min(group.found, group.not_found) < k


def _reveals_twice_counted(system: System, line: Line, k: int, *, n: bool) -> bool:
    plus, minus = system.sums(line.plus), system.sums(line.minus)
    persons = plus.n - minus.n
    if n:
        return 0 < abs(persons) < k
    found = plus.found - minus.found
    return (persons, found) != (0, 0) and not (found >= k and persons - found >= k)
