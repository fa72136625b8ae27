"""Disclosure control: how much is published, and how long proving takes.

A process for each size (memory is measured), with processor seconds of all threads and seconds by the clock.
``python -m benchmarks.disclosure --large`` measures what takes longer, ``--sparse`` a cube with few persons
for its size.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from app.disclosure.groups import plan_margins
from app.disclosure.policy import Policy
from app.disclosure.suppression import suppress
from benchmarks import disclosure_tables
from benchmarks.disclosure_tables import K, population
from benchmarks.results import table, versions, write_section

#: persons, codes by dimension, depth
SIZES: tuple[tuple[int, tuple[int, ...], int], ...] = (
    (2_500, (4, 3, 6, 4), 2),
    (2_500, (4, 3, 6, 4), 3),
    (8_000, (5, 4, 7, 6), 2),
    (20_000, (6, 5, 12, 8, 4), 2),
    (20_000, (6, 5, 12, 8, 4), 3),
)
LARGE: tuple[tuple[int, tuple[int, ...], int], ...] = ((200_000, (6, 5, 12, 8, 4, 3, 2), 3),)
#: Fewer than two persons a combination of codes.
SPARSE: tuple[tuple[int, tuple[int, ...], int], ...] = ((60_000, (6, 5, 12, 8, 4, 3), 3),)
HEAD = [
    "persons · codes · depth", "finest cells", "groups", "rate passes R1", "rate shown",
    "persons with a rate", "tables dropped", "aims", "programs", "processor s", "s", "MB",
]  # fmt: skip


class _Progress:
    """Says on the error output, at times, how far a proof is."""

    def __init__(self, begun: float) -> None:
        self._begun, self._said = begun, begun

    def __call__(self, step: str, done: int, total: int) -> None:
        now = time.process_time()
        if now > self._said + 5:
            self._said = now
            print(f"{now - self._begun:.0f} s  {step}: {done:,} of {total:,}", file=sys.stderr, flush=True)


def measure(persons: int, sizes: Sequence[int], depth: int) -> dict[str, Any]:
    """One cube in this process."""
    cells = population(persons, sizes)
    begun, clock = time.process_time(), time.perf_counter()
    policy = Policy(K, b"a secret for benchmarks")
    decided = suppress(cells, plan_margins(cells.axes, depth), policy, _Progress(begun))
    seconds = time.process_time() - begun
    groups = decided.groups
    primary = np.minimum(np.minimum(groups.n, groups.found), groups.n - groups.found) >= K
    return {
        "finest": len(cells.n),
        "groups": len(groups),
        "primary": int(primary.sum()),
        "shown": int(decided.found_shown.sum()),
        "persons": float(groups.n[decided.found_shown].sum() / groups.n.sum()),
        "seconds": seconds,
        "clock": time.perf_counter() - clock,
        "aims": decided.work.aims,
        "programs": decided.work.programs,
        "work": decided.work.spent,
        "dropped": len(decided.dropped),
        "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _rows(cubes: Sequence[tuple[int, tuple[int, ...], int]]) -> list[list[str]]:
    """A row for each cube, each made in a process of its own."""
    rows = []
    for persons, sizes, depth in cubes:
        asked = json.dumps([persons, sizes, depth])
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.disclosure", asked],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        got = json.loads(done.stdout)
        print(persons, sizes, depth, got, flush=True)
        rows.append(
            [
                f"{persons:,} · {'×'.join(map(str, sizes))} · {depth}",
                f"{got['finest']:,}",
                f"{got['groups']:,}",
                f"{got['primary']:,}",
                f"{got['shown']:,}",
                f"{100 * got['persons']:.1f} %",
                str(got["dropped"]),
                f"{got['aims']:,}",
                f"{got['programs']:,}",
                f"{got['seconds']:.1f}",
                f"{got['clock']:.1f}",
                f"{got['mb']:.0f}",
            ]
        )
    return rows


def _write(title: str, cubes: Sequence[tuple[int, tuple[int, ...], int]], command: str) -> None:
    write_section(
        title,
        f"Every group is proven open by R2 and R3, k = t = {K}; *persons with a rate* is over all tables. "
        f"By the clock: {os.environ.get('OPENBLAS_NUM_THREADS', 'all')} threads at a load of "
        f"{os.getloadavg()[1]:.1f} on {os.cpu_count()} processors.\n\n" + table(HEAD, _rows(cubes)),
        command=command,
        software=versions(["highspy", "numpy", "scipy"]),
    )


def run() -> None:
    """Write the section."""
    _write("Disclosure: the protected cube", SIZES, "python -m benchmarks disclosure")
    disclosure_tables.run()


if __name__ == "__main__":
    if sys.argv[1:] == ["--large"]:
        _write("Disclosure: a large protected cube", LARGE, "python -m benchmarks.disclosure --large")
    elif sys.argv[1:] == ["--sparse"]:
        _write("Disclosure: a sparse protected cube", SPARSE, "python -m benchmarks.disclosure --sparse")
    else:
        json.dump(measure(*json.loads(sys.argv[1])), sys.stdout)
