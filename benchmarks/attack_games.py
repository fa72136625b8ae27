"""One random population of the adversary's campaign: what her attacks recover with protection and without.

A population is drawn from the campaign's seed and its own number, so it is the same in whatever process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from app.disclosure.errors import DisclosureError
from app.disclosure.finest import FinestCells
from app.disclosure.policy import Policy
from benchmarks.figure_attacks import GAMES
from tests.attacks.adversary import FOUND, MISSED, Layer, System, one_layer
from tests.attacks.adversary import small as small_rows
from tests.attacks.cells import K, axis, joint, published, random_cells, small, unprotected
from tests.attacks.layers import CHANGES, fits, published_layers, random_layers
from tests.attacks.payers import random_paying, recovered
from tests.attacks.populations import ABOUT

SIZES = ((2, 3, 4), (3, 3, 3), (5, 6), (2, 2, 2, 3), (4, 5, 3), (12, 4))
#: Of one-way tables: who is in the second is nearly told by the first.
NEARLY = ((4, 4, 2), (6, 5), (5, 4, 3), (8, 7))
#: Of populations with several cubes: each pattern of each finest cell is a column of the attacker's.
FEWER = ((2, 3), (3, 3), (2, 2, 2), (5,))
RATES = (0.03, 0.3, 0.6, 0.75, 0.9, 0.97)


@dataclass
class Played:
    """A population's counts, and what was recovered of it.

    Attributes
    ----------
    seed, number : int
    counts : Counter of str
        By attack: how often it was played, and recovered something of the unprotected twin, and of the whole.
    recovered : list of str
        Of the whole, in words, with the seed that gave it.
    """

    seed: int
    number: int
    counts: Counter[str] = field(default_factory=Counter)
    recovered: list[str] = field(default_factory=list)

    def one_cube(self, rng: np.random.Generator) -> None:
        """A population with one cube."""
        own, depth = int(rng.integers(2**32)), int(rng.integers(1, 4))
        sizes = SIZES[rng.integers(len(SIZES))]
        persons, rate = int(rng.integers(0, 900)), float(rng.choice(RATES))
        skew, twice = float(rng.choice([0.0, 1.0, 2.0])), float(rng.choice([0.0, 0.0, 0.02, 0.2]))
        cells = random_cells(own, persons, sizes, skew, rate, twice=twice)
        open_ones = unprotected(cells, depth, small_hidden=True) if len(cells.n) else []
        protected = published(cells, depth, _policy(own))
        name = f"one cube, {own} {persons} {sizes} {depth} {rate} {skew} {twice}"
        self._published([protected])
        for attack, know_n in (("unknown", False), ("known", True)):
            hits = joint(cells, protected, know_n=know_n) + small(protected)
            self._note(attack, name, bool(joint(cells, open_ones, know_n=know_n)), hits)
        if not twice and len(cells.n) and len(cells.n) <= 24:
            people = _people(cells.n, cells.found, cells.codes)
            bare, whole = (
                System([Layer(documents, *people)], one_layer).at_most(whole=True)
                for documents in (open_ones, protected)
            )
            self._note("whole", name, bool(bare), whole)

    def one_way(self, rng: np.random.Generator) -> None:
        """A population of which one-way tables alone are published."""
        own, sizes = int(rng.integers(2**32)), NEARLY[rng.integers(len(NEARLY))]
        persons, rate, tied = (
            int(rng.integers(30, 900)),
            float(rng.choice(RATES)),
            rng.choice([0.8, 0.95, 1.0]),
        )
        cells = _nearly_alike(own, persons, sizes, rate, float(tied))
        open_ones, protected = unprotected(cells, 1, small_hidden=True), published(cells, 1, _policy(own))
        name = f"one-way, {own} {persons} {sizes} {rate} {tied}"
        self._published([protected])
        for attack, know_n in (("rows unknown", False), ("rows known", True)):
            hits = joint(cells, protected, know_n=know_n) + small(protected)
            self._note(attack, name, bool(joint(cells, open_ones, know_n=know_n)), hits)

    def figures(self, rng: np.random.Generator) -> None:
        """Rows by place and by sector, percentiles and flows, one of each."""
        for attack, game in GAMES.items():
            own = int(rng.integers(2**32))
            bare, hits = game(np.random.default_rng(own), _policy(own))
            self._note(attack, f"{attack}, {own}", bool(bare), hits)

    def several_cubes(self, rng: np.random.Generator) -> None:
        """A population with two or three cubes: vintages, and indicators."""
        own, sizes = int(rng.integers(2**32)), FEWER[rng.integers(len(FEWER))]
        persons, rate = int(rng.integers(30, 500)), float(rng.choice(RATES[1:-1]))
        changes = [CHANGES[at] for at in rng.integers(len(CHANGES), size=int(rng.integers(1, 3)))]
        skew = float(rng.choice([0.0, 1.0, 2.0]))
        people = random_layers(own, persons, sizes, skew, rate, changes)
        name = f"several cubes, {own} {persons} {sizes} {rate} {skew} {changes}"
        try:
            layers = published_layers(people, 2, _policy(own))
        except DisclosureError:
            self.counts["refused"] += 1
            return
        bare = published_layers(people, 2, _policy(own), beside=False)
        self._published([layer.documents for layer in layers])
        below = [hit for layer in layers for hit in small_rows(layer.documents)]
        possible = fits(people)
        first, second = System(bare, possible), System(layers, possible)
        self._note("layers unknown", name, bool(first.at_most()), second.at_most() + below)
        open_ones, hits = first.pinned() + first.between(), second.pinned() + second.between()
        self._note("layers known", name, bool(open_ones), hits)

    def employers(self, rng: np.random.Generator) -> None:
        """A population of which few employers pay some places; the twin has the rules for persons alone."""
        own, depth = int(rng.integers(2**32)), int(rng.integers(1, 4))
        paying = random_paying(np.random.default_rng(own))
        protected = published(paying.cells, depth, _policy(own))
        bare = published(paying.cells, depth, replace(_policy(own), employers_of_places=False))
        self._published([protected])
        for attack, know_n in (("employers unknown", False), ("employers known", True)):
            hits = recovered(paying, protected, know_n=know_n)
            broken = bool(recovered(paying, bare, know_n=know_n))
            self._note(attack, f"employers, {own} {depth}", broken, hits)

    def _note(self, attack: str, name: str, bare: bool, hits: Sequence[str]) -> None:
        self.counts[f"{attack} played"] += 1
        self.counts[f"{attack} bare"] += bare
        self.counts[f"{attack} whole"] += bool(hits)
        if hits:
            self.recovered.append(f"recovered, {attack}: {name}: {list(hits[:3])}")

    def _published(self, cubes: Sequence[Sequence[dict[str, object]]]) -> None:
        rows = [row for documents in cubes for document in documents for row in document["rows"]]  # type: ignore[attr-defined]
        self.counts["rows"] += len(rows)
        self.counts["published"] += sum(row["status"] == "published" for row in rows)


def _nearly_alike(own: int, persons: int, sizes: Sequence[int], rate: float, tied: float) -> FinestCells:
    """Finest cells whose second code follows from the first for a share ``tied`` of persons."""
    rng = np.random.default_rng(own)
    codes = np.column_stack([rng.choice(size, persons, p=rng.dirichlet(np.ones(size))) for size in sizes])
    home = rng.integers(sizes[1], size=sizes[0])
    codes[:, 1] = np.where(rng.random(persons) < tied, home[codes[:, 0]], codes[:, 1])
    keys, at, n = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    found = np.bincount(at.reshape(-1), weights=rng.random(persons) < rate).astype(np.int64)
    axes = tuple(axis(f"d{number}", size) for number, size in enumerate(sizes))
    return FinestCells(ABOUT, axes, keys, n, found)


def _policy(own: int) -> Policy:
    return Policy(K, f"campaign {own} of the adversary".encode())


def _people(
    n: np.ndarray, found: np.ndarray, codes: np.ndarray
) -> tuple[dict[str, int], dict[str, dict[str, str]]]:
    """The persons of finest cells, one by one."""
    state, placed = {}, {}
    for cell, (persons, hits) in enumerate(zip(n, found, strict=True)):
        for at in range(persons):
            name = f"{cell}.{at}"
            state[name] = FOUND if at < hits else MISSED
            placed[name] = {f"d{j}": f"d{j}{code}" for j, code in enumerate(codes[cell])}
    return state, placed


def play(seed: int, number: int) -> Played:
    """Draw a population and attack it: its kind goes by its number.

    Where the protection itself fails, that is told beside what was recovered, and the others are played.
    """
    rng, played = np.random.default_rng([seed, number]), Played(seed, number)
    try:
        (played.one_cube, played.one_way, played.several_cubes, played.employers)[number % 4](rng)
        played.figures(rng)
    except Exception as error:  # noqa: BLE001 (whatever it is)
        played.recovered.append(f"population {number} failed: {error!r}")
    return played
