"""What is out and rows by place together, one dimension at a time.

Columns that are split by places and by what several indicators find are many; over all dimensions they are
too many to be proven. Whoever takes rows by place and tables by group for one table takes one dimension, with
all that is told of its groups. So what two indicators tell is proven along each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from app.disclosure.alternatives import finest
from app.disclosure.beside import Beside
from app.disclosure.goals import Work
from app.disclosure.groups import Groups, plan_margins
from app.disclosure.joint import Entries
from app.disclosure.policy import Policy
from app.disclosure.suppression import Progress, Suppression

Layer = tuple[Entries, Sequence[Mapping[str, Any]]]
#: A margin and codes of a group of it.
_Key = tuple[tuple[str, ...], tuple[str, ...]]


def along(layer: Layer, name: str) -> Layer:
    """A layer by one dimension: its total, its table by that, and its rows by place."""
    entries, documents = layer
    places = {place for place, _ in entries.worked.places} if entries.worked is not None else set()
    told = [each for each in documents if set(each["by"]) <= {name} or set(each["by"]) <= places]
    return entries.along(name), told


def told_along(layer: Layer) -> list[str]:
    """Dimensions of which a layer shows the numerator of some group; an empty name if of none."""
    entries, documents = layer
    names = [
        axis.name
        for axis in entries.axes
        if any(
            row["found"] is not None
            for each in documents
            if each["by"] == [axis.name]
            for row in each["rows"]
        )
    ]
    return names or [""]


def shown_of(entries: Entries, documents: Sequence[Mapping[str, Any]], depth: int, work: Work) -> Suppression:
    """What some tables, the total's first, show of the groups of entries up to a depth."""
    assert entries.about is not None
    groups = Groups(finest(entries, entries.about), plan_margins(entries.axes, depth))
    rows: dict[_Key, Mapping[str, Any]] = {}
    for each in documents:
        rows[(), ()] = each["total"]
        rows |= {(tuple(each["by"]), tuple(row["key"].values())): row for row in each["rows"]}
    nothing = {"n": None, "found": None}
    told = [rows.get((margin, key), nothing) for margin, key in _keys(entries, groups)]
    n, found = (np.array([row[each] is not None for row in told], np.bool_) for each in ("n", "found"))
    return Suppression(groups, n, found, work)


def hide_along(state: Suppression, new: Entries, out: Layer, policy: Policy, progress: Progress) -> None:
    """Hide of a new cube what its tables by one dimension would give away beside rows by place that are out.

    Raises
    ------
    DisclosureError
        As `Beside`.
    """
    position = {each: at for at, each in enumerate(_keys(new, state.groups))}
    for axis in new.axes:
        if not state.found_shown[0] or (axis.name,) not in state.groups.margins:
            continue
        part = shown_of(new.along(axis.name), [], 1, state.work)
        where = np.array([position[each] for each in _keys(new, part.groups)], np.intp)
        part.n_shown[:], part.found_shown[:] = state.n_shown[where], state.found_shown[where]
        Beside([along(out, axis.name)], new.along(axis.name), policy, progress).hide(part)
        state.n_shown[where], state.found_shown[where] = part.n_shown, part.found_shown
    if not state.found_shown[0]:
        state.found_shown[:] = False
    if not state.n_shown[0]:
        state.n_shown[:] = False


def _keys(entries: Entries, groups: Groups) -> list[_Key]:
    """Margin and codes of each group."""
    codes = {axis.name: axis.codes for axis in entries.axes}
    return [
        (margin, tuple(codes[name][code] for name, code in zip(margin, key, strict=True)))
        for margin, keys in zip(groups.margins, groups.keys, strict=True)
        for key in keys
    ]
