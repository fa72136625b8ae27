"""Gathering in large spaces: side by side, hiding by whole levels, aims at a sample alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.disclosure import gather, proof, suppression
from app.disclosure.centre import Aimed, Range
from app.disclosure.crowd import Crowd
from app.disclosure.gather import Gathering
from app.disclosure.goals import Work
from app.disclosure.groups import plan_margins
from app.disclosure.policy import Policy
from app.disclosure.proof import Prover
from app.disclosure.suppression import suppress
from tests.app.disclosure.test_moves import search, space_and_goals
from tests.attacks.cells import joint, published, random_cells

POLICY = Policy(10, b"a secret of 32 bytes for testing")


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every space for one in which an aim costs more than moves."""
    monkeypatch.setattr(proof, "_EXACT_COLUMNS", 0)
    monkeypatch.setattr(proof, "aims_work", lambda *of: 10_000)
    monkeypatch.setattr(gather, "_FEW", 0)


@pytest.mark.parametrize("apart", [True, False])
def test_goals_are_gathered_side_by_side_in_a_large_space_and_together_in_a_small_one(
    apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    space, goals = space_and_goals(search(1), "unknown")
    prover = Prover(space, goals, Work(10**9), 1)
    around = prover._around()
    assert around is not None
    sides: list[set[int]] = []
    passed = Gathering._pass

    def seen(self: Gathering, crowd: Crowd, chosen: Any, size: int, rounds: int) -> tuple[int, int]:
        sides.append({int(side) for side in space.side[goals.matrix[chosen].indices]})
        return passed(self, crowd, chosen, size, rounds)

    monkeypatch.setattr(gather, "_FEW", 0)
    monkeypatch.setattr(Gathering, "_pass", seen)
    before = int(goals.open().sum())
    Gathering(
        around, space, goals, space.most(goals.matrix), np.random.default_rng(1), apart,
        lambda chosen: None, lambda worlds, rounds: None, lambda: None,
    ).serve()  # fmt: skip
    first = [found for found in sides if found]
    assert ({0, 1} in first) is not apart
    assert int(goals.open().sum()) < before


def test_large_space_is_aimed_at_by_samples_that_grow(large: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "_SAMPLE", 2)
    monkeypatch.setattr(Gathering, "serve", lambda self: None)
    monkeypatch.setattr(proof.Moves, "serve_open", lambda self, *asked: None)
    monkeypatch.setattr(suppression, "_MANY_LARGE", 1000)
    asked: list[int] = []
    aim = Range.aim

    def counting(self: Range, sums: Any, wanted: Any, rounds: int) -> Any:
        asked.append(sums.shape[0])
        found: list[Aimed] = list(aim(self, sums, wanted, rounds))
        return found

    monkeypatch.setattr(Range, "aim", counting)
    cells = random_cells(3, 700, (3, 4, 5), 0.7, 0.7)
    decided = suppress(cells, plan_margins(cells.axes, 2), POLICY)
    assert len(decided.proven) == 3
    scouted, first = asked[0], next(size for size in asked if size > 2)
    assert scouted <= 2
    assert first <= 4


def test_large_space_whose_sample_fails_hides_a_level_and_is_not_broken(
    large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suppression, "_DEEP", 2)
    monkeypatch.setattr(suppression, "_LARGE_LEVELS", (3.0,))
    cells = random_cells(3, 700, (3, 4, 5), 0.7, 0.7)
    shown = []
    for many in (-1, 1000):
        monkeypatch.setattr(suppression, "_MANY_LARGE", many)
        decided = suppress(cells, plan_margins(cells.axes, 2), POLICY)
        assert len(decided.proven) == 3
        shown.append(int(decided.found_shown.sum()))
        if many < 0:
            documents = published(cells, 2, POLICY)
            for know_n in (False, True):
                assert not joint(cells, documents, know_n=know_n)
    assert shown[0] < shown[1]


def test_large_space_in_which_few_goals_are_left_hides_no_further_level(
    large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Gathering, "serve", lambda self: None)
    monkeypatch.setattr(proof.Moves, "serve_open", lambda self, *asked: None)
    monkeypatch.setattr(proof, "_SAMPLE", 8)
    # The sample is looked at once, and costs nothing.
    monkeypatch.setattr(proof, "_SAMPLE_SHARE", 1.0)
    monkeypatch.setattr(suppression, "_LARGE_LEVELS", (0.0, 1000.0))
    monkeypatch.setattr(suppression, "_DEEP", 2)
    monkeypatch.setattr(suppression, "_MANY_LARGE", 0)
    cells = random_cells(3, 700, (3, 4, 5), 0.7, 0.7)
    shown = []
    for left in (0, 1000):
        monkeypatch.setattr(suppression, "_LEFT", left)
        decided = suppress(cells, plan_margins(cells.axes, 2), POLICY)
        assert len(decided.proven) == 3
        shown.append(int(decided.found_shown.sum()))
    assert shown[0] < shown[1]
