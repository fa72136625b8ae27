"""Sharing: no pair is known, but composite keys that two persons have in common are edges of a graph.

Who shares which keys with how many others is seen on both sides, in the stolen encodings and in the
attacker's register. Persons are told apart by that alone, and then by what their partners share, round after
round (colour refinement; Weisfeiler and Leman 1968). Each is given to somebody of the same colour; whoever
shares nothing has the colour of nearly everybody.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.attacks.encodings import View

Ints = NDArray[np.int64]
_ROUNDS = 4


def _groups(view: View) -> Ints:
    """Number of each person's value, −1 where it is nobody else's."""
    _, groups, counts = np.unique(
        np.packbits(view.signs < 0, axis=1), axis=0, return_inverse=True, return_counts=True
    )
    groups = groups.ravel()
    return np.where(view.present & (counts[groups] > 1), groups, -1)


def colours(views: Sequence[View]) -> list[tuple[object, ...]]:
    """What can be told of each person from keys that are shared; equal ones cannot be told apart."""
    shared = [_groups(view) for view in views]
    members: list[dict[int, list[int]]] = []
    for groups in shared:
        found: dict[int, list[int]] = {}
        for row in np.flatnonzero(groups >= 0).tolist():
            found.setdefault(int(groups[row]), []).append(row)
        members.append(found)
    colour: list[tuple[object, ...]] = [()] * len(views[0].signs)
    for _ in range(_ROUNDS):
        number = {c: place for place, c in enumerate(sorted(set(colour), key=repr))}
        before = [number[c] for c in colour]
        colour = [
            tuple(
                tuple(sorted(before[other] for other in found.get(int(groups[row]), ()) if other != row))
                for groups, found in zip(shared, members, strict=True)
            )
            for row in range(len(colour))
        ]
    return colour


def attack(victims: Sequence[View], register: Sequence[View], truth: Ints) -> float:
    """Expected share of the persons on both sides who are re-identified by guessing among equals.

    ``truth``: row of the register, −1 for those who are not in it.
    """
    mine = [view for view in victims if view.key]
    hers = [view for view in register if view.key and any(view.name == own.name for own in mine)]
    both = np.flatnonzero(truth >= 0)
    if not mine or not len(both):
        return 0.0
    seen, known = colours(mine), colours(hers)
    times: dict[tuple[object, ...], int] = {}
    for colour in known:
        times[colour] = times.get(colour, 0) + 1
    hits = (1 / times[seen[row]] for row in both.tolist() if seen[row] == known[truth[row]])
    return float(sum(hits) / len(both))
