"""Several cubes over the same random persons, each protected beside those before: vintages, indicators."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from app.disclosure.beside import Beside
from app.disclosure.cube import protect_cube
from app.disclosure.finest import FinestCells
from app.disclosure.joint import Entries
from app.disclosure.policy import Policy
from tests.attacks.adversary import ABSENT, FOUND, MISSED, Layer
from tests.attacks.cells import axis
from tests.attacks.populations import ABOUT

#: What changes from one cube to the next.
CHANGES = ("late wages", "one more", "a batch more", "one less", "one dies", "another indicator", "within")


@dataclass(frozen=True)
class People:
    """Codes of all persons who are ever there, and the state of each in every layer."""

    sizes: tuple[int, ...]
    codes: np.ndarray
    states: tuple[np.ndarray, ...]
    indicators: tuple[str, ...]

    @property
    def only_grows(self) -> bool:
        """Whether every layer is a vintage in which nobody is lost."""
        pairs = pairwise(self.states)
        return all(bool(np.all(a <= b)) for a, b in pairs)

    @property
    def only_shrinks(self) -> bool:
        """Whether every layer is a vintage in which somebody may be gone, and all else is as before."""
        pairs = pairwise(self.states)
        return all(bool(np.all((a == b) | (b == ABSENT))) for a, b in pairs)


def random_layers(
    seed: int, persons: int, sizes: Sequence[int], skew: float, rate: float, changes: Sequence[str]
) -> People:
    """A cohort, and what becomes of it by ``changes``."""
    rng = np.random.default_rng(seed)
    more = 40

    def split(size: int) -> np.ndarray:
        weights = np.arange(1, size + 1) ** -skew
        return rng.choice(size, persons + more, p=rng.permutation(weights) / weights.sum())

    codes = np.stack([split(size) for size in sizes], axis=1)
    found = np.where(rng.random(persons + more) < rate, FOUND, MISSED)
    state = np.where(np.arange(persons + more) < persons, found, ABSENT)
    states, indicators = [state], ["employed_q4"]
    for change in changes:
        now, name = states[-1].copy(), indicators[-1]
        here, gone = np.flatnonzero(now), np.flatnonzero(now == ABSENT)
        missed = np.flatnonzero(now == MISSED)
        few = int(rng.integers(1, 5))
        match change:
            case "late wages":
                now[rng.permutation(missed)[:few]] = FOUND
            case "one more" | "a batch more":
                chosen = gone[:1] if change == "one more" else gone
                now[chosen] = found[chosen]
            case "one less" | "one dies":
                now[rng.permutation(here)[:1]] = ABSENT
            case "another indicator":
                moved = here[rng.random(len(here)) < 0.1]
                now[moved] = MISSED + FOUND - now[moved]
                name = "employed_q2"
            case "within":
                inside = np.flatnonzero(now == FOUND)
                now[inside[rng.random(len(inside)) < 0.4]] = MISSED
                name = "attached_erdc"
        states.append(now)
        indicators.append(name)
    return People(tuple(sizes), codes, tuple(states), tuple(indicators))


def entries_of(people: People, at: int) -> Entries:
    there = np.flatnonzero(people.states[at])
    axes = tuple(axis(f"d{i}", size) for i, size in enumerate(people.sizes))
    within = ("employed_q4", "employed_q2") if people.indicators[at] == "attached_erdc" else ()
    return Entries(
        people.indicators[at],
        axes,
        keys=[f"p{i}" for i in there],
        codes=people.codes[there],
        masks={frozenset(): np.ones(len(there), np.bool_)},
        found=people.states[at][there] == FOUND,
        counted=np.ones(len(there), np.bool_),
        within=within,
    )


def cells_of(people: People, at: int) -> FinestCells:
    there = np.flatnonzero(people.states[at])
    keys, inverse = np.unique(people.codes[there], axis=0, return_inverse=True)
    found = people.states[at][there] == FOUND
    axes = tuple(axis(f"d{i}", size) for i, size in enumerate(people.sizes))
    n = np.bincount(inverse.reshape(-1), minlength=len(keys))
    m = np.bincount(inverse.reshape(-1), weights=found, minlength=len(keys)).astype(np.int64)
    return FinestCells(ABOUT, axes, keys, n, m)


def published_layers(people: People, depth: int, policy: Policy, *, beside: bool = True) -> list[Layer]:
    """Every cube in turn; without ``beside`` each by itself (test only)."""
    before: list[tuple[Entries, list[Mapping[str, Any]]]] = []
    layers = []
    for at, state in enumerate(people.states):
        entries = entries_of(people, at)
        hide = Beside(before, entries, policy, lambda *_: None).hide if before and beside else lambda _: None
        cube = protect_cube(cells_of(people, at), policy, depth, beside=hide)
        documents = [json.loads(json.dumps(cube.table(by).to_document())) for by in cube.plan]
        before.append((entries, documents))
        codes = {
            f"p{i}": {f"d{j}": f"d{j}{code}" for j, code in enumerate(people.codes[i])}
            for i in np.flatnonzero(np.any(people.states, axis=0))
        }
        layers.append(Layer(documents, {f"p{i}": int(s) for i, s in enumerate(state) if s}, codes))
    return layers


def fits(people: People) -> Any:
    """What an attacker holds possible who knows what the cubes are."""

    def possible(pattern: tuple[int, ...]) -> bool:
        for i, j in zip(range(len(pattern)), range(1, len(pattern)), strict=False):
            if people.indicators[i] == people.indicators[j]:
                gone = pattern[j] not in (pattern[i], ABSENT)
                wrong = (people.only_grows and pattern[i] > pattern[j]) or (people.only_shrinks and gone)
            else:
                arrives = ABSENT in (pattern[i], pattern[j]) and pattern[i] != pattern[j]
                inside = people.indicators[j] == "attached_erdc"
                wrong = arrives or (inside and pattern[j] == FOUND != pattern[i])
            if wrong:
                return False
        return True

    return possible
