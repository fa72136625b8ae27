"""The service with its protection switched off, to show that an attack would succeed. Tests only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.disclosure import cube
from app.disclosure.goals import Work
from app.disclosure.groups import Groups
from app.disclosure.policy import Policy
from app.disclosure.protect import ProtectedRow
from app.disclosure.rounding import per_cent
from app.disclosure.suppression import Suppression
from app.disclosure.table import Cell
from app.flows import population, release_question
from app.outcomes import union


def show_everything(patch: pytest.MonkeyPatch) -> None:
    """Every figure of every table, however small."""

    def all_of(cells: Any, margins: Any, policy: Policy, progress: Any) -> Suppression:
        groups = Groups(cells, margins)
        every = np.ones(len(groups), np.bool_)
        return Suppression(groups, every, every.copy(), Work(1))

    def row(key: Any, label: str, cell: Cell, policy: Policy, *, n: bool, found: bool) -> ProtectedRow:
        rate = per_cent(cell.found, cell.n) if cell.n else None
        return ProtectedRow(key, label, "published", cell.n, cell.found, rate)

    patch.setattr(cube, "suppress", all_of)
    patch.setattr(cube, "protected_row", row)


def hide_small_cells_alone(patch: pytest.MonkeyPatch) -> None:
    """The small-cell rule and nothing beyond it, as in a spreadsheet."""

    def primary(cells: Any, margins: Any, policy: Policy, progress: Any) -> Suppression:
        groups, k = Groups(cells, margins), policy.min_cell
        found = (groups.found >= k) & (groups.n - groups.found >= k)
        return Suppression(groups, groups.n >= k, found & (groups.n >= k), Work(1))

    patch.setattr(cube, "suppress", primary)


def forget_what_is_out(patch: pytest.MonkeyPatch) -> None:
    """Every cube by itself: nothing is protected beside what is published, and cohorts may overlap."""
    patch.setattr(union, "union", lambda *_: None)
    patch.setattr(population, "require_one_method", lambda *_: None)
    patch.setattr(release_question, "overlap", lambda *_: False)
