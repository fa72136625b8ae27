"""``python -m benchmarks.attacks.growth``: what known pairs give away as the population grows."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np

from benchmarks import results
from benchmarks.attacks import known_pairs
from benchmarks.attacks.clk import plain_clk
from benchmarks.attacks.encodings import simulated, stolen
from benchmarks.attacks.populations import Population, demo
from benchmarks.attacks.run import LEAST_ON_PLAIN
from crypto.encoding.profile import Profile, default_profile

PERSONS = (5_000, 10_000, 20_000, 50_000)
#: As many known pairs in every population: she learns no more of whom she knows because others live there.
KNOWN = (50, 250, 1_000, 2_500)
TITLE = "Attacks on encodings: known pairs in populations of {} to {}"


def row_of(population: Population, name: str, profile: Profile) -> tuple[list[str], float]:
    """A row of the table, and what the most known pairs give away."""
    victims, register = stolen(population, profile), simulated(population, profile)
    total = len(population.numbers)
    away = [known_pairs.attack(victims, register, n, np.random.default_rng([11, total])) for n in KNOWN]
    leak = known_pairs.leak_snr(register, population)
    return [f"{total:,}", name, f"{leak:.3f}", *(f"{100 * share:.2f} %" for share in away)], away[-1]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attacks.growth", description=__doc__)
    parser.add_argument("--persons", type=int, nargs="*", default=PERSONS)
    sizes: Sequence[int] = parser.parse_args().persons
    rows, weak = [], []
    for persons in sizes:
        population = demo(persons)
        for name, profile in (
            ("plain CLK", plain_clk()),
            ("record-hardened", default_profile("record-hardened")),
        ):
            row, most = row_of(population, name, profile)
            print(" | ".join(row), flush=True)
            rows.append(row)
            if name == "plain CLK" and most < LEAST_ON_PLAIN:
                weak.append(f"{persons:,}")
    verdict = (
        f"**Void for {', '.join(weak)} persons:** on the plain CLK it stays below {LEAST_ON_PLAIN:.0%}."
        if weak
        else "Valid: with the most pairs the attack breaks the plain CLK at every size."
    )
    text = (
        "The demo's population, whole households, clean text on both sides. Share of the other persons who "
        "are re-identified among all others, by the number of pairs that are known (of many others some "
        f"thousands, drawn at random, are asked for). {verdict}\n\n"
        + results.table(["persons", "profile", "leak-SNR", *(f"{known:,} known" for known in KNOWN)], rows)
    )
    results.write_section(
        TITLE.format(f"{min(sizes):,}", f"{max(sizes):,}"),
        text,
        command=" ".join(["python -m benchmarks.attacks.growth", *sys.argv[1:]]),
        software=results.versions(["numpy", "scipy"]),
    )


if __name__ == "__main__":
    main()
