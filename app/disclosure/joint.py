"""Several cubes over the same persons as one system: what each counts, as sums over common cells.

A *layer* is one cube: an indicator of a cohort under an agreement, as of a run. A common cell holds entries
that every layer puts into the same place: the same codes, in the denominator or not. Within it, they differ
in their *pattern*: for each layer not counted, not found, or found. A column is a pattern of a common cell,
and every figure of every layer is a sum of columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from app.disclosure.errors import DisclosureError
from app.disclosure.finest import Axis, Ints
from app.disclosure.groups import Margin
from app.disclosure.paid import Paid
from app.disclosure.table import Description, Guarded
from app.disclosure.table import Place as WorkPlace
from app.disclosure.worked import Worked

Flags = NDArray[np.bool_]

ABSENT, MISSED, FOUND = 0, 1, 2
#: More columns than these are not proven together.
MAX_COLUMNS = 120_000


class Entries(Guarded):
    """The entries of one layer.

    Parameters
    ----------
    indicator : str
    axes : tuple of Axis
    keys : sequence of str
        By which an entry is known again in other layers; each once.
    codes : array, shape (n, n_axes)
    masks : mapping of frozenset of str to array of bool, shape (n,)
        As in `FinestCells`.
    found, counted : array of bool, shape (n,)
    of : str, optional
        Indicator among whose found persons the denominator is.
    of_within : tuple of str
        Further indicators among whose found persons the denominator is.
    within : tuple of str
        Indicators among whose found persons this one's are.
    among : tuple of tuple of str
        Sets of indicators, among whose found persons taken together this one's are.
    persons : sequence of str
        Whose each entry is, by a name that lasts from run to run.
    about : Description, optional
        What is said beside figures that are made of the entries alone.
    paid : Paid, optional
        By whom those found are paid, where being found says that somebody paid.
    paid_counted : Paid, optional
        By whom everybody is paid who is counted, where that says that somebody paid.
    found_alone : bool
        Whether those found are told of a total whose denominator is a secret: of how many are counted in
        another layer and not in this one nothing follows then, and who of them is found stays open.
    worked : Worked, optional
        Where those found work, if rows by place are told of the layer.
    """

    __slots__ = (
        "about",
        "among",
        "axes",
        "codes",
        "counted",
        "found",
        "found_alone",
        "indicator",
        "keys",
        "masks",
        "of",
        "of_within",
        "paid",
        "paid_counted",
        "persons",
        "within",
        "worked",
    )

    def __init__(
        self,
        indicator: str,
        axes: tuple[Axis, ...],
        *,
        keys: Sequence[str],
        codes: Ints,
        masks: Mapping[frozenset[str], Flags],
        found: Flags,
        counted: Flags,
        of: str | None = None,
        of_within: tuple[str, ...] = (),
        within: tuple[str, ...] = (),
        among: tuple[tuple[str, ...], ...] = (),
        persons: Sequence[str] = (),
        about: Description | None = None,
        paid: Paid | None = None,
        paid_counted: Paid | None = None,
        found_alone: bool = False,
        worked: Worked | None = None,
    ) -> None:
        self.indicator = indicator
        self.axes = axes
        self.keys = list(keys)
        self.codes = np.asarray(codes, np.int64).reshape(len(self.keys), len(axes))
        self.masks = dict(masks)
        self.found = found & counted
        self.counted = counted
        self.of = of
        self.of_within = of_within
        self.within = within
        self.among = among
        self.persons = list(persons)
        self.about = about
        self.paid = paid
        self.paid_counted = paid_counted
        self.found_alone = found_alone
        self.worked = worked

    def along(self, name: str) -> Entries:
        """The same entries by one of their axes, or by none where they have no such axis."""
        at = [number for number, axis in enumerate(self.axes) if axis.name == name]
        axes = tuple(replace(self.axes[number], parent=None) for number in at)
        free = {axis.name for axis in axes if axis.overlapping}
        return Entries(
            self.indicator,
            axes,
            keys=self.keys,
            codes=self.codes[:, at],
            masks={some: mask for some, mask in self.masks.items() if some <= free},
            found=self.found,
            counted=self.counted,
            of=self.of,
            of_within=self.of_within,
            within=self.within,
            among=self.among,
            persons=self.persons,
            about=self.about,
            paid=self.paid,
            paid_counted=self.paid_counted,
            found_alone=self.found_alone,
            worked=self.worked,
        )


@dataclass(frozen=True, eq=False)
class Place:
    """Where a layer puts the common cells: -1 where it does not have them."""

    codes: Ints
    masks: Mapping[frozenset[str], Flags]
    present: Flags


class Joint(Guarded):
    """Common cells and columns of some layers.

    Attributes
    ----------
    layers : tuple of Entries
    places : tuple of Place
        Of each layer.
    cell : array, shape (n_columns,)
        The common cell of a column.
    pattern : array, shape (n_columns, n_layers)
    where : array, shape (n_columns, n_layers)
        At which set of places those found in a layer work (`Worked`); 0 where nothing is told of that.
    truth : array, shape (n_columns,)

    Raises
    ------
    DisclosureError
        ``NOT_IN_PLAN``: too many columns to be proven together.
    """

    __slots__ = ("cell", "layers", "pattern", "places", "truth", "where")

    def __init__(self, layers: Sequence[Entries]) -> None:
        self.layers = tuple(layers)
        order = sorted({key for layer in layers for key in layer.keys})
        position = {key: at for at, key in enumerate(order)}
        columns: list[Ints] = []
        state = np.zeros((len(order), len(layers)), np.int64)
        worked = np.zeros_like(state)
        spans: list[tuple[int, int, list[frozenset[str]]]] = []
        for at, layer in enumerate(layers):
            where = np.array([position[key] for key in layer.keys], np.intp)
            sets = sorted(layer.masks, key=sorted)
            # Who is in a denominator that is itself an outcome is not to be known from where she is.
            placed = np.ones(len(where), np.bool_) if layer.of else layer.counted
            block = np.full((len(order), layer.codes.shape[1] + len(sets)), -1, np.int64)
            block[where[placed]] = np.column_stack([layer.codes, *(layer.masks[s] for s in sets)])[placed]
            present = np.zeros((len(order), 1), np.int64)
            present[where[placed]] = 1
            start = sum(part.shape[1] for part in columns)
            columns += [present, block]
            spans.append((start, layer.codes.shape[1], sets))
            state[where, at] = np.where(layer.counted, np.where(layer.found, FOUND, MISSED), ABSENT)
            if layer.worked is not None:
                worked[where, at] = layer.worked.number
        whole = np.column_stack(columns)
        cells, cell_of = np.unique(whole, axis=0, return_inverse=True)
        self.places: tuple[Place, ...] = tuple(
            Place(
                cells[:, start + 1 : start + 1 + width],
                {s: cells[:, start + 1 + width + i] == 1 for i, s in enumerate(sets)},
                cells[:, start] == 1,
            )
            for start, width, sets in spans
        )
        self._columns(cell_of.reshape(-1), np.column_stack([state, worked]))

    def _columns(self, cell_of: Ints, state: Ints) -> None:
        """Patterns that definitions allow in each common cell, and those that are there.

        Where places are told of those found, only such as somebody of the cell has: which are empty is known.
        """
        populated, counts = np.unique(np.column_stack([cell_of, state]), axis=0, return_counts=True)
        width = len(self.layers)
        there = {tuple(int(v) for v in row): int(count) for row, count in zip(populated, counts, strict=True)}
        possible: dict[tuple[bool, ...], list[tuple[int, ...]]] = {}
        shape = np.column_stack([place.present for place in self.places])
        wanted = dict(there)
        seen = {key[: width + 1] for key in there}
        sets: dict[int, set[tuple[int, ...]]] = {}
        for key in there:
            sets.setdefault(key[0], set()).add(key[width + 1 :])
        for at, present in enumerate(map(tuple, shape)):
            if present not in possible:
                possible[present] = list(self._allowed(present))
            for pattern in possible[present]:
                if (at, *pattern) not in seen:
                    wanted |= dict.fromkeys(self._at_places(at, pattern, sets[at]), 0)
            if len(wanted) > MAX_COLUMNS:
                raise DisclosureError(
                    "NOT_IN_PLAN", "Too much is published of these persons to prove more beside it."
                )
        order = sorted(wanted)
        self.cell = np.array([key[0] for key in order], np.intp)
        self.pattern = np.array([key[1 : width + 1] for key in order], np.int64).reshape(len(order), width)
        self.where = np.array([key[width + 1 :] for key in order], np.int64).reshape(len(order), width)
        self.truth = np.array([wanted[key] for key in order], np.float64)

    def _at_places(
        self, cell: int, pattern: tuple[int, ...], sets: set[tuple[int, ...]]
    ) -> set[tuple[int, ...]]:
        """Columns of a pattern that nobody of a cell has, by the places that somebody of it has."""
        if all(layer.worked is None for layer in self.layers):
            return {(cell, *pattern, *(0 for _ in self.layers))}
        asked = [
            layer.worked is not None
            and pattern[at] == FOUND
            and bool(self.places[at].masks.get(frozenset(), self.places[at].present)[cell])
            for at, layer in enumerate(self.layers)
        ]
        told = {tuple(n if ask else 0 for n, ask in zip(some, asked, strict=True)) for some in sets}
        return {
            (cell, *pattern, *some)
            for some in told
            if all(n > 0 for n, ask in zip(some, asked, strict=True) if ask)
        }

    @property
    def apart(self) -> Ints:
        """By what columns of one common cell differ, shape (n_columns, …)."""
        return np.column_stack([self.pattern, self.where])

    def found_at(self, layer: int, places: Sequence[WorkPlace]) -> sp.csr_matrix:
        """Matrix (places × columns) that sums whoever of a layer was found at each place."""
        worked = self.layers[layer].worked
        sets = worked.sets if worked is not None else ()
        inside = np.array([[False, *(place in some for some in sets)] for place in places], np.bool_)
        told = inside.reshape(len(places), 1 + len(sets))[:, self.where[:, layer]]
        return sp.csr_matrix((told & (self.pattern[:, layer] == FOUND)).astype(float))

    def _allowed(self, present: Sequence[bool]) -> list[tuple[int, ...]]:
        """Patterns that an attacker holds possible who knows the definitions, and where counts changed."""
        states = [
            ((ABSENT, MISSED, FOUND) if layer.of else (MISSED, FOUND)) if there else (ABSENT,)
            for layer, there in zip(self.layers, present, strict=True)
        ]
        return [pattern for pattern in product(*states) if self._fits(pattern, present)]

    def _fits(self, pattern: Sequence[int], present: Sequence[bool]) -> bool:
        for i, one in enumerate(self.layers):
            for j, other in enumerate(self.layers):
                if i == j or not (present[i] and present[j]):
                    continue
                # Counted again: whoever is told apart by that is a group only where somebody is.
                if one.indicator == other.indicator and pattern[i] != pattern[j]:
                    return False
                if other.indicator in one.within and pattern[i] == FOUND != pattern[j]:
                    return False
                # Whoever is found lies within the found ones of whom the other counts some further.
                if other.of in one.within and pattern[i] == FOUND and pattern[j] == ABSENT:
                    return False
                if other.indicator in one.of_within and pattern[i] > ABSENT and pattern[j] != FOUND:
                    return False
                if one.of == other.indicator and (pattern[i] > ABSENT) is not (pattern[j] == FOUND):
                    return False
            if present[i] and pattern[i] == FOUND and not self._found_among(one, pattern, present):
                return False
        return True

    def _found_among(self, one: Entries, pattern: Sequence[int], present: Sequence[bool]) -> bool:
        """Whether somebody found in a layer is found in one of each set, where all of the set are layers."""
        states = {
            other.of or other.indicator: FOUND if other.of and pattern[j] > ABSENT else pattern[j]
            for j, other in enumerate(self.layers)
            if present[j]
        }
        return all(
            FOUND in (states[each] for each in some) for some in one.among if states.keys() >= set(some)
        )

    def groups(self, layer: int, margin: Margin) -> tuple[Ints, NDArray[np.intp]]:
        """Keys of the groups of a layer's table, and which of them a common cell is in; -1 for none."""
        place, axes = self.places[layer], self.layers[layer].axes
        names = [axis.name for axis in axes]
        overlapping = frozenset(axis.name for axis in axes if axis.overlapping) & frozenset(margin)
        inside = place.present & place.masks.get(overlapping, place.present)
        chosen = place.codes[inside][:, [names.index(name) for name in margin]]
        number = np.full(len(inside), -1, np.intp)
        if not margin:
            number[inside] = 0
            return np.zeros((1, 0), np.int64), number
        keys, inverse = np.unique(chosen, axis=0, return_inverse=True)
        number[inside] = inverse.reshape(-1)
        return keys, number

    def sums(self, layer: int, margin: Margin) -> tuple[Ints, sp.csr_matrix, sp.csr_matrix]:
        """Keys of a table's groups; matrices (groups × columns) that sum their persons, and those found."""
        keys, number = self.groups(layer, margin)
        at, state = number[self.cell], self.pattern[:, layer]
        parts = []
        for inside in ((at >= 0) & (state != ABSENT), (at >= 0) & (state == FOUND)):
            columns = np.flatnonzero(inside)
            ones = np.ones(len(columns))
            parts.append(sp.csr_matrix((ones, (at[columns], columns)), shape=(len(keys), len(self.truth))))
        return keys, parts[0], parts[1]

    def sums_of(self, layer: int, margin: Margin, keys: Ints) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """The matrices of :meth:`sums` for some keys of a table.

        A layer whose denominator is an outcome has groups besides, in which nobody is counted.
        """
        there, persons, found = self.sums(layer, margin)
        position = {tuple(key): at for at, key in enumerate(there.tolist())}
        at = [position[tuple(key)] for key in keys.tolist()]
        return persons[at], found[at]

    def published(self, layer: int, documents: Sequence[Mapping[str, Any]]) -> sp.csr_matrix:
        """One row for each figure that is published of a layer.

        Raises
        ------
        DisclosureError
            ``NOT_IN_PLAN``: the data do not give what is published, so nothing could be proven.
        """
        axes = {axis.name: axis for axis in self.layers[layer].axes}
        rows, values = [], []
        for document in documents:
            margin = tuple(document["by"])
            if not set(margin) <= axes.keys():
                if self.layers[layer].worked is not None:
                    told = [row for row in document["rows"] if row["found"] is not None]
                    rows += list(self.found_at(layer, [(margin[0], row["key"][margin[0]]) for row in told]))
                    values += [row["found"] for row in told]
                continue
            keys, persons, found = self.sums(layer, margin)
            position = {tuple(int(code) for code in key): at for at, key in enumerate(keys)}
            shown = document["rows"] if margin else [{**document["total"], "key": {}}]
            for row in shown:
                key = row["key"]
                codes = tuple(axes[name].codes.index(key[name]) for name in margin)
                for matrix, figure in ((persons, row["n"]), (found, row["found"])):
                    if figure is not None:
                        at = position.get(codes)
                        rows.append(matrix[at] if at is not None else sp.csr_matrix((1, len(self.truth))))
                        values.append(figure)
        if not rows:
            return sp.csr_matrix((0, len(self.truth)))
        whole = sp.vstack(rows).tocsr()
        if np.any(np.rint(whole @ self.truth) != np.array(values)):
            raise DisclosureError(
                "NOT_IN_PLAN", "What is published of these persons cannot be counted again from the data."
            )
        return whole
