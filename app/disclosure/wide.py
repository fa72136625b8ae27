"""What tells of an employer at a place stays open in a union of cubes: of every layer, planned groups too.

Groups of a published cube that were withheld for this reason are as much a secret as those of the new one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from app.disclosure.goals import Goals
from app.disclosure.groups import Margin
from app.disclosure.joint import Joint
from app.disclosure.policy import Policy
from app.disclosure.sets import added, columns_of, differing_by_place
from app.disclosure.telling import Sizes, kept_wide, names_place, places_of

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class WideGoals:
    """Sums of columns, and how little and how much must be possible of each."""

    matrix: sp.csr_matrix
    lowest: Floats
    highest: Floats

    @property
    def rows(self) -> list[sp.csr_matrix]:
        """The sums one by one."""
        return [self.matrix[at] for at in range(self.matrix.shape[0])]


def wide_goals(
    joint: Joint, tables: Sequence[Sequence[Margin]], policy: Policy, *, total_shown: tuple[bool, bool]
) -> WideGoals:
    """Numerators of places that tell of an employer, and denominators of those whom somebody pays.

    Parameters
    ----------
    joint : Joint
        The new cube is its last layer.
    tables : sequence of sequence of Margin
        The tables of each layer.
    policy : Policy
    total_shown : tuple of (bool, bool)
        Whether the new cube shows N, and the numerator, of its total: what these bound by themselves is
        settled. Of what is out the union tells by itself what it bounds.
    """
    size = len(joint.truth)
    parts = [WideGoals(sp.csr_matrix((0, size)), np.zeros(0), np.zeros(0))]
    for layer, entries in enumerate(joint.layers):
        new = layer == len(joint.layers) - 1
        names = [axis.name for axis in entries.axes]
        margins = dict.fromkeys([*tables[layer], *((name,) for name in names), tuple(names)])
        for counted in (False, True):
            shown = new and total_shown[0 if counted else 1]
            for margin in margins:
                parts += _of_table(joint, layer, margin, policy, counted=counted, total_shown=shown)
    return WideGoals(
        sp.vstack([part.matrix for part in parts]).tocsr(),
        np.concatenate([part.lowest for part in parts]),
        np.concatenate([part.highest for part in parts]),
    )


def with_wide(goals: Goals, wide: WideGoals, kept: Sequence[bool]) -> Goals:
    """Goals, and those of the sums that are ``kept`` besides."""
    some = np.flatnonzero(np.array(kept, np.bool_))
    if not len(some):
        return goals
    return Goals(
        sp.vstack([goals.matrix, wide.matrix[some]]).tocsr(),
        np.concatenate([goals.highest, wide.highest[some]]),
        np.concatenate([goals.lowest, wide.lowest[some]]),
        np.concatenate([goals.span, np.zeros(len(some))]),
    )


def _of_table(
    joint: Joint, layer: int, margin: Margin, policy: Policy, *, counted: bool, total_shown: bool
) -> Iterator[WideGoals]:
    entries, k = joint.layers[layer], policy.min_cell
    places = places_of(entries, margin, counted=counted)
    paid = entries.paid_counted if counted else entries.paid
    if paid is None or not places.telling.any() or not margin:
        return
    persons, found = joint.sums_of(layer, margin, places.keys)
    sizes = np.rint(persons @ joint.truth).astype(np.int64)
    sets: list[tuple[int, ...]] = [(int(at),) for at in np.flatnonzero(places.telling)]
    few = differing_by_place(entries.axes, margin, places.keys, places.telling, sizes)
    if few and policy.sums_of_places:
        few = [few[at] for at in np.flatnonzero(paid.telling(added(places.members, few)))]
        plain, together = _without_places(joint, layer, margin), added(persons, few)
        sets += [each for at, each in enumerate(few) if columns_of(together, at) not in plain]
    persons, found = added(persons, sets), added(found, sets)
    n = np.rint(persons @ joint.truth)
    some = np.flatnonzero(n >= k)
    if not len(some):
        return
    persons, found, n = persons[some], found[some], n[some]
    several = np.array([len(each) > 1 for each in sets], np.bool_)[some]
    _, everybody, of_all = joint.sums(layer, ())
    whole = float((everybody @ joint.truth)[0]), float((of_all @ joint.truth)[0])
    inside = np.rint(persons.multiply(everybody).tocsr() @ joint.truth)
    if counted:
        highest = np.minimum(n + k, whole[0] + n - inside) if total_shown else n + k
        yield WideGoals(persons, np.where(several, n - k, np.floor(n / 2)), highest)
        return
    sizes = Sizes(n, np.rint(found @ joint.truth), inside)
    lowest, highest, _ = kept_wide(sizes, whole if total_shown else None, k)
    yield WideGoals(found, np.maximum(lowest, np.where(several, sizes.found - k, 0.0)), highest)


def _without_places(joint: Joint, layer: int, margin: Margin) -> set[bytes]:
    """The columns of each group of a margin, or of it without its places, that names no place."""
    axes = joint.layers[layer].axes
    places = {axis.name for axis in axes if axis.places}
    told = set()
    for table in (margin, tuple(name for name in margin if name not in places)):
        keys, persons, _ = joint.sums(layer, table)
        plain = np.flatnonzero(~names_place(axes, table, keys))
        told |= {columns_of(persons, int(at)) for at in plain}
    return told
