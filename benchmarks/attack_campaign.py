"""The adversary at length: random populations, dimensions, depths and policies; what the attacks recover.

``python -m benchmarks.attack_campaign [POPULATIONS] [SEED]``. Each population is attacked twice, with the
small-cell rule alone and with the whole protection, by the programs of ``tests/attacks``.
"""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np

from app.disclosure.policy import Policy
from benchmarks.results import table, versions, write_section
from tests.attacks.cells import K, joint, published, random_cells, small, unprotected

SIZES = ((2, 3, 4), (3, 3, 3), (5, 6), (2, 2, 2, 3), (4, 5, 3), (12, 4))


def run(populations: int = 2000, seed: int = 1) -> None:
    """Attack, count, and write the section; what is recovered is named with the seed that gave it."""
    rng = np.random.default_rng(seed)
    counts: Counter[str] = Counter()
    recovered: list[str] = []
    for number in range(populations):
        own, depth = int(rng.integers(2**32)), int(rng.integers(1, 4))
        sizes = SIZES[rng.integers(len(SIZES))]
        persons, rate = int(rng.integers(0, 900)), float(rng.choice([0.03, 0.3, 0.6, 0.75, 0.9, 0.97]))
        skew, twice = float(rng.choice([0.0, 1.0, 2.0])), float(rng.choice([0.0, 0.0, 0.02, 0.2]))
        cells = random_cells(own, persons, sizes, skew, rate, twice=twice)
        open_ones = unprotected(cells, depth, small_hidden=True) if len(cells.n) else []
        protected = published(cells, depth, Policy(K, f"campaign {own} of the adversary".encode()))
        counts["rows"] += sum(len(document["rows"]) for document in protected)
        counts["published"] += sum(
            row["status"] == "published" for document in protected for row in document["rows"]
        )
        for know_n in (False, True):
            counts[f"small cells, {know_n}"] += bool(joint(cells, open_ones, know_n=know_n))
            hits = joint(cells, protected, know_n=know_n) + small(protected)
            counts[f"whole, {know_n}"] += bool(hits)
            if hits:
                recovered.append(f"{own} {persons} {sizes} {depth} {rate} {skew} {twice}: {hits[:3]}")
        if (number + 1) % 50 == 0:
            print(f"{number + 1}/{populations} {dict(counts)}", flush=True)
    rows = [
        [f"joint programs, {words}", str(counts[f"small cells, {know_n}"]), str(counts[f"whole, {know_n}"])]
        for know_n, words in ((False, "denominators not known"), (True, "every denominator known"))
    ]
    write_section(
        "Disclosure: the adversary's campaign",
        f"{populations:,} random populations of up to 900 persons (seed {seed}), all tables\n"
        "to depth 1–3, an overlapping dimension in half of them; she knows which finest cells are\n"
        "empty. Populations in which she "
        f"recovered anything below {K}:\n\n"
        + table(["attack", "small-cell rule alone", "whole protection"], rows)
        + f"\n{counts['published']:,} of {counts['rows']:,} rows were published with a rate.\n"
        + "".join(f"\n- recovered: {line}" for line in recovered),
        command="python -m benchmarks.attack_campaign",
        software=versions(["highspy", "scipy"]),
    )


if __name__ == "__main__":
    run(*map(int, sys.argv[1:3]))
