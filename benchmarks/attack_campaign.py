"""The adversary at length: random populations, dimensions, depths and policies; what the attacks recover.

``python -m benchmarks.attack_campaign [POPULATIONS] [SEED] [MINUTES] [PROCESSES]``. Each population is
attacked by the programs of ``tests/attacks`` twice, with the whole protection and without it (one cube: with
the small-cell rule alone; several cubes over the same persons: each protected by itself; employers: with the
rules for persons alone). A population is the same whatever the number of processes. When the minutes are
over, or at Ctrl-C, what has been played by then is reported.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from multiprocessing import TimeoutError as NotYetError
from multiprocessing import get_context

from benchmarks.attack_games import Played, play
from benchmarks.results import table, versions, write_section
from tests.attacks.cells import K

ATTACKS = {
    "one cube: joint programs, denominators not known": "unknown",
    "one cube: joint programs, every denominator known": "known",
    "one cube: whole numbers (without overlapping rows)": "whole",
    "one-way tables alone, two of them nearly alike: denominators not known": "rows unknown",
    "one-way tables alone, two of them nearly alike: every denominator known": "rows known",
    "employers of places: sets of places, joint programs, denominators not known": "employers unknown",
    "employers of places: sets of places, joint programs, every denominator known": "employers known",
    "rows by sector and by state: sets of industries that are few employers'": "sectors",
    "rows by place: subtraction, joint programs over sets of places": "places",
    "percentiles: groups that differ by few persons or one employer": "percentiles",
    "flows: what is left of the total, few employers": "flows",
    "several cubes: joint programs, denominators not known": "layers unknown",
    "several cubes: joint programs, every denominator known": "layers known",
}


def play_all(populations: int, seed: int, processes: int, end: float) -> Iterator[Played]:
    """Every population as soon as it has been played, until the clock says ``end``, or Ctrl-C."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    with get_context("spawn").Pool(processes, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        coming = pool.imap_unordered(partial(play, seed), range(populations))
        try:
            while True:
                yield coming.next(max(0.0, end - time.monotonic()))
        except (StopIteration, NotYetError, KeyboardInterrupt):
            return


def merge(all_played: Iterable[Played], populations: int) -> tuple[int, Counter[str], list[str]]:
    """How many were played, their counts together, and what was recovered by the populations' numbers."""
    counts, recovered, number = Counter[str](), dict[int, list[str]](), 0
    for number, played in enumerate(all_played, 1):
        counts += played.counts
        if played.recovered:
            recovered[played.number] = played.recovered
            print(played.number, played.recovered, flush=True)
        if number % 25 == 0:
            print(f"{number}/{populations} {dict(counts)}", flush=True)
    return number, counts, [line for at in sorted(recovered) for line in recovered[at]]


def run(populations: int = 2000, seed: int = 1, minutes: int = 600, processes: int = 1) -> None:
    """Attack, count, and write the section; what is recovered is named with the seed that gave it."""
    began = time.monotonic()
    coming = play_all(populations, seed, processes, began + 60 * minutes)
    played, counts, recovered = merge(coming, populations)
    taken = (time.monotonic() - began) / 60
    rows = [
        [words, *(f"{counts[f'{attack} {what}']:,}" for what in ("played", "bare", "whole"))]
        for words, attack in ATTACKS.items()
    ]
    write_section(
        "Disclosure: the adversary's campaign",
        f"{played:,} random populations (seed {seed}) in {taken:.0f} minutes, processes: {processes}.\n"
        "A quarter each has one cube: up to 900 persons, all tables to depth 1–3, an overlapping dimension\n"
        "in half of them; one-way tables alone, two of which are nearly the same groups; several cubes:\n"
        "up to 540 persons, two or three vintages or indicators, each made beside those before; one cube\n"
        "by county, and by state in some, where one employer or two pay most counties. Rows by place and by\n"
        "sector, percentiles and flows are drawn for each. She knows which finest cells are empty.\n"
        f"Populations in which she recovered anything below {K}, or an employer's number to within so\n"
        "many:\n\n"
        + table(["attack", "populations", "unprotected twin", "whole protection"], rows)
        + "\nThe twin of one cube has the small-cell rule alone; that of several protects each by itself;\n"
        + "that of employers has the rules for persons.\n"
        + f"{counts['published']:,} of {counts['rows']:,} rows were published with a rate; "
        + f"{counts['refused']:,} populations were refused a further cube.\n"
        + "".join(f"\n- {line}" for line in recovered),
        command=f"python -m benchmarks.attack_campaign {populations} {seed} {minutes} {processes}",
        software=versions(["highspy", "scipy"]),
    )


if __name__ == "__main__":
    run(*map(int, sys.argv[1:5]))
