"""A state on a laptop: graduates × wage records, exhaustive at .85, both cores, time and memory."""

from __future__ import annotations

import argparse
import resource
import sys
import time

import numpy as np

from benchmarks import results
from benchmarks.filters import people_filters
from linkage.scan import dice_pairs

_THRESHOLD = "0.85"
#: People are made in slices, so that their names in clear do not count as the engine's memory.
_SLICE = 250_000
SMALL, STATE = (50_000, 1_000_000), (200_000, 5_000_000)


def memory() -> float:
    """Most memory that this process has held, in GB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def people(n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Filters of ``n`` and ``m`` people; half of each slice of the left are among the right."""
    slices = max(1, m // _SLICE)
    a = np.empty((n, 16), np.uint64)
    b = np.empty((m, 16), np.uint64)
    for s in range(slices):
        left, right = (
            slice(s * n // slices, (s + 1) * n // slices),
            slice(s * m // slices, (s + 1) * m // slices),
        )
        a[left], b[right] = people_filters(left.stop - left.start, right.stop - right.start, seed=s + 1)
    return a, b


def measure(n: int, m: int, threads: int) -> list[str]:
    a, b = people(n, m)
    before = memory()
    list(dice_pairs(a[:64], b[:64], _THRESHOLD, threads=threads))  # compiled before the clock starts
    start, pairs = time.perf_counter(), 0
    for block in dice_pairs(a, b, _THRESHOLD, threads=threads):
        pairs += len(block.i)
    took = time.perf_counter() - start
    print(f"{n:,} × {m:,}: {pairs:,} pairs in {took:.0f} s, {memory():.2f} GB", flush=True)
    return [
        f"{n:,} × {m:,}",
        f"{threads}",
        f"{took:,.0f} s",
        f"{n * m / took / 1e6:,.0f}",
        f"{pairs:,}",
        f"{before:.2f} GB",
        f"{memory():.2f} GB",
    ]


def run(state: bool = False) -> None:
    """The small size, and with ``state`` the full one; each writes its own section."""
    n, m = STATE if state else SMALL
    rows = [measure(n, m, 2)]
    head = ["records", "threads", "time", "million pairs/s", "pairs found", "memory before", "most memory"]
    results.write_section(
        "A state on a laptop" + (", full size" if state else ""),
        "Exhaustive Dice ≥ .85 over 1024-bit filters of fictitious people, streamed. The machine was shared "
        "with other work while this ran.\n\n" + results.table(head, rows),
        command="python -m benchmarks.linkage_scale" + (" --state" if state else ""),
        software=results.versions(["numpy", "numba"]),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.linkage_scale", description=__doc__)
    parser.add_argument("--state", action="store_true", help="200,000 × 5,000,000 (some ten minutes)")
    run(parser.parse_args().state)
