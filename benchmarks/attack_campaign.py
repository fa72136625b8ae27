"""The adversary at length: random populations, dimensions, depths and policies; what the attacks recover.

``python -m benchmarks.attack_campaign [POPULATIONS] [SEED] [MINUTES]``. Each population is attacked by the
programs of ``tests/attacks`` twice, with the whole protection and without it (one cube: with the small-cell
rule alone; several cubes over the same persons: each protected by itself). When the minutes are over, what
has been played by then is reported.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np

from app.disclosure.errors import DisclosureError
from app.disclosure.finest import FinestCells
from app.disclosure.policy import Policy
from benchmarks.figure_attacks import GAMES
from benchmarks.results import table, versions, write_section
from tests.attacks.adversary import FOUND, MISSED, Layer, System, one_layer
from tests.attacks.adversary import small as small_rows
from tests.attacks.cells import K, axis, joint, published, random_cells, small, unprotected
from tests.attacks.layers import CHANGES, fits, published_layers, random_layers
from tests.attacks.populations import ABOUT

SIZES = ((2, 3, 4), (3, 3, 3), (5, 6), (2, 2, 2, 3), (4, 5, 3), (12, 4))
#: Of one-way tables: who is in the second is nearly told by the first.
NEARLY = ((4, 4, 2), (6, 5), (5, 4, 3), (8, 7))
#: Of populations with several cubes: each pattern of each finest cell is a column of the attacker's.
FEWER = ((2, 3), (3, 3), (2, 2, 2), (5,))
RATES = (0.03, 0.3, 0.6, 0.75, 0.9, 0.97)

ATTACKS = {
    "one cube: joint programs, denominators not known": "unknown",
    "one cube: joint programs, every denominator known": "known",
    "one cube: whole numbers (without overlapping rows)": "whole",
    "one-way tables alone, two of them nearly alike: denominators not known": "rows unknown",
    "one-way tables alone, two of them nearly alike: every denominator known": "rows known",
    "rows by place: subtraction, joint programs over sets of places": "places",
    "percentiles: groups that differ by few persons or one employer": "percentiles",
    "flows: what is left of the total, few employers": "flows",
    "several cubes: joint programs, denominators not known": "layers unknown",
    "several cubes: joint programs, every denominator known": "layers known",
}


class Campaign:
    """Counts of a campaign, and what was recovered."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.counts: Counter[str] = Counter()
        self.recovered: list[str] = []

    def one_cube(self) -> None:
        """A population with one cube."""
        rng = self.rng
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

    def one_way(self) -> None:
        """A population of which one-way tables alone are published."""
        rng = self.rng
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

    def figures(self) -> None:
        """Rows by place, percentiles and flows, one of each."""
        for attack, game in GAMES.items():
            own = int(self.rng.integers(2**32))
            bare, hits = game(np.random.default_rng(own), _policy(own))
            self._note(attack, f"{attack}, {own}", bool(bare), hits)

    def several_cubes(self) -> None:
        """A population with two or three cubes: vintages, and indicators."""
        rng = self.rng
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

    def _note(self, attack: str, name: str, bare: bool, hits: Sequence[str]) -> None:
        self.counts[f"{attack} played"] += 1
        self.counts[f"{attack} bare"] += bare
        self.counts[f"{attack} whole"] += bool(hits)
        if hits:
            self.recovered.append(f"{name}: {list(hits[:3])}")
            print(self.recovered[-1], flush=True)

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


def run(populations: int = 2000, seed: int = 1, minutes: int = 600) -> None:
    """Attack, count, and write the section; what is recovered is named with the seed that gave it."""
    campaign, end, played = Campaign(seed), time.monotonic() + 60 * minutes, 0
    counts = campaign.counts
    for number in range(populations):
        if time.monotonic() > end:
            break
        (campaign.one_cube, campaign.one_way, campaign.several_cubes)[number % 3]()
        campaign.figures()
        played += 1
        if played % 25 == 0:
            print(f"{played}/{populations} {dict(counts)}", flush=True)
    rows = [
        [words, *(f"{counts[f'{attack} {what}']:,}" for what in ("played", "bare", "whole"))]
        for words, attack in ATTACKS.items()
    ]
    write_section(
        "Disclosure: the adversary's campaign",
        f"{played:,} random populations (seed {seed}). A third has one cube: up to 900 persons, all tables\n"
        "to depth 1–3, an overlapping dimension in half of them; a third one-way tables alone, two of which\n"
        "are nearly the same groups; a third several cubes:\n"
        "up to 540 persons, two or three vintages or indicators, each made beside those before. She\n"
        f"knows which finest cells are empty. Populations in which she recovered anything below {K}:\n\n"
        + table(["attack", "populations", "unprotected twin", "whole protection"], rows)
        + "\nThe twin of one cube has the small-cell rule alone; that of several protects each by itself.\n"
        + f"{counts['published']:,} of {counts['rows']:,} rows were published with a rate; "
        + f"{counts['refused']:,} populations were refused a further cube.\n"
        + "".join(f"\n- recovered: {line}" for line in campaign.recovered),
        command=f"python -m benchmarks.attack_campaign {populations} {seed} {minutes}",
        software=versions(["highspy", "scipy"]),
    )


if __name__ == "__main__":
    run(*map(int, sys.argv[1:4]))
