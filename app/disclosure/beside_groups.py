"""Rows by place beside the tables by group of the same persons and indicator: those that give few away go.

By themselves, and beside the total, rows by place are proven (`places`). Whoever knows besides in which
groups nobody works at which place can solve both together. So both are sums of columns that are split by
places (`worked`), and rows by place are hidden until every column may hold k persons for somebody who knows
no denominator, and what is hidden stays open for somebody who knows all. Tables by group stay as they are.

Groups that are in no table are asked about like those of tables that are withheld: how many a county has is
known without any, and once rows by place are out, nothing that comes later mends them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from app.disclosure.asked import known_goals
from app.disclosure.beside import Beside
from app.disclosure.finest import Axis, FinestCells
from app.disclosure.goals import Goals, Work, each_reaches
from app.disclosure.groups import Groups
from app.disclosure.joint import Entries
from app.disclosure.policy import Policy
from app.disclosure.suppression import Progress, Suppression
from app.disclosure.table import Place

#: Units of work at most, whatever of the policy's budget is left: rows by place are few.
MOST_WORK = 60_000_000
#: Rows that are hidden for the sake of others stay open themselves; so often it is asked whether they do.
ROUNDS = 2


def budget(cube: Suppression) -> Work:
    """What may be spent on the rows by place of a cube, in all."""
    return Work(min(cube.work.left, MOST_WORK))


class BesideGroups(Beside):
    """The union of rows by place, the cube that they stand beside, and what is out.

    Parameters
    ----------
    published : sequence of (Entries, sequence of mapping)
        As of `Beside`.
    new : Entries
        Of the cube, with the places of those found.
    documents : sequence of mapping
        Its tables by group.
    policy : Policy
    progress : callable
    """

    __slots__ = ("_new",)

    def __init__(
        self,
        published: Sequence[tuple[Entries, Sequence[Mapping[str, Any]]]],
        new: Entries,
        documents: Sequence[Mapping[str, Any]],
        policy: Policy,
        progress: Progress,
    ) -> None:
        super().__init__(published, new, policy, progress)
        self._new = new
        self._fixed = sp.vstack([self._fixed, self._joint.published(len(published), documents)]).tocsr()

    def shown(self, places: Sequence[Place], cube: Suppression, work: Work) -> frozenset[Place]:
        """Which of some rows by place can be shown.

        Parameters
        ----------
        places : sequence of Place
            Those that are shown beside the total alone.
        cube : Suppression
            What is shown of the groups.
        work : Work
        """
        if not places:
            return frozenset()
        self._found = self._joint.found_at(len(self._joint.layers) - 1, places)
        self._persons = sp.csr_matrix(self._found.shape)
        state = self._rows(places, work)
        self._price = state.groups.n * np.array(
            [0.75 + 0.5 * self._policy.chance("places", *place) for place in places]
        )
        goals = each_reaches(self.columns, self._policy.min_cell)
        self._prove(state, "places, unknown N", goals, known=False, whole=False)
        for _ in range(ROUNDS):
            before = state.found_shown.copy()
            self._prove(state, "places, known N", self._known_goals(cube, state), known=True, whole=False)
            if np.array_equal(before, state.found_shown):
                return frozenset(place for place, told in zip(places, state.found_shown, strict=True) if told)
        return frozenset()

    def _rows(self, places: Sequence[Place], work: Work) -> Suppression:
        """Rows by place as figures of a cube of their own."""
        assert self._new.about is not None
        n = np.rint(self._found @ self._joint.truth).astype(np.int64)
        words = tuple(" ".join(place) for place in places)
        cells = FinestCells(self._new.about, (Axis("place", words, words),), np.arange(len(n)), n, n)
        return Suppression(
            Groups(cells, [("place",)]), np.zeros(len(n), np.bool_), np.ones(len(n), np.bool_), work
        )

    def _known_goals(self, cube: Suppression, state: Suppression) -> Goals:
        layer, groups = len(self._joint.layers) - 1, cube.groups
        sums = [
            self._joint.sums_of(layer, margin, groups.keys[at]) for at, margin in enumerate(groups.margins)
        ]
        told, at_places = self._fixed, self._found[np.flatnonzero(state.found_shown)]
        if not self._policy.places_beside_all_groups:
            told = sp.vstack([told, at_places]).tocsr()
        new = sp.vstack([n for n, _ in sums]).tocsr(), sp.vstack([m for _, m in sums]).tocsr()
        return known_goals(self._joint, cube, self._policy, told, new, self._tables, at_places)
