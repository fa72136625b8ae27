"""Two Dask workers against one, over mutual TLS on this machine: the same pairs, and how much sooner."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import psutil

from benchmarks import results
from benchmarks.filters import people_filters
from linkage.scan import dice_pairs
from linkage.scan.inputs import silent
from linkage.scan.stream import PairBlock
from tests.linkage.dask_cluster import Running

_LEFT, _RIGHT, _THRESHOLD, _ROUNDS = 20_000, 150_000, "0.7", 2


def _gathered(blocks: Iterable[PairBlock]) -> str:
    """Of all blocks together, since their edges differ."""
    found = list(blocks)
    total = hashlib.sha256()
    for name in ("i", "j", "bits"):
        parts = [np.asarray(getattr(block, name), np.int64) for block in found]
        total.update(np.concatenate(parts).tobytes())
    return total.hexdigest()


def _with_a_killed_worker(running: Running, a: np.ndarray, b: np.ndarray) -> str:
    """A digest of the pairs, with `kill -9` for one of two workers when a quarter is done."""
    killed = False

    def kill(_stage: str, done: int, total: int) -> None:
        nonlocal killed
        if not killed and 4 * done > total:
            running.workers[1].kill()
            killed = True

    found = _gathered(running.cluster.pairs("dice", a, b, _THRESHOLD, kill))
    assert killed
    return found


def measure(workers: int, a: np.ndarray, b: np.ndarray) -> tuple[float, float, list[str]]:
    """Seconds by the clock and of the busiest worker's processor, at best, and digests of the pairs."""
    with tempfile.TemporaryDirectory() as folder:
        running = Running(Path(folder), workers)
        try:
            running.wait(workers)
            watched = [psutil.Process(process.pid) for process in running.workers]

            def spent() -> list[float]:
                return [sum(process.cpu_times()[:2]) for process in watched]

            rounds = []
            digest = _gathered(running.cluster.pairs("dice", a[:2048], b[:2048], _THRESHOLD, silent))
            for _ in range(_ROUNDS):
                before, start = spent(), time.perf_counter()
                digest = _gathered(running.cluster.pairs("dice", a, b, _THRESHOLD, silent))
                took = time.perf_counter() - start
                rounds.append((took, max(y - x for x, y in zip(before, spent(), strict=True))))
            digests = [digest] + ([_with_a_killed_worker(running, a, b)] if workers > 1 else [])
            return min(r[0] for r in rounds), min(r[1] for r in rounds), digests
        finally:
            running.stop()


def run() -> None:
    """Measure and write the section; different pairs void it."""
    a, b = people_filters(_LEFT, _RIGHT, seed=3)
    here = _gathered(dice_pairs(a, b, _THRESHOLD, threads=1))
    one, two = measure(1, a, b), measure(2, a, b)
    if {here, *one[2], *two[2]} != {here}:
        raise RuntimeError("the cluster's pairs are not those of this machine")
    rows = [
        ["1", f"{one[0]:.1f}", "", f"{one[1]:.1f}", ""],
        ["2", f"{two[0]:.1f}", f"{one[0] / two[0]:.2f} ×", f"{two[1]:.1f}", f"{one[1] / two[1]:.2f} ×"],
    ]
    text = (
        f"All pairs of {_LEFT:,} × {_RIGHT:,} filters of 1024 bits with Dice ≥ {_THRESHOLD}, sending the "
        "filters included; scheduler and workers of one thread each are programs of this machine. Best of "
        f"{_ROUNDS}. The pairs equal the local scan's bit for bit, also when one of two workers is "
        "killed (`kill -9`) with a quarter done. By the clock a gain is only to be had "
        "from an idle second core (the machine's load at the end, others' work included, was "
        f"{psutil.getloadavg()[0]:.1f}); the busiest worker's processor time tells how evenly the work was "
        "split.\n\n"
    )
    head = ["workers", "seconds by the clock", "gain", "busiest worker, s of processor time", "gain"]
    results.write_section(
        "Two workers",
        text + results.table(head, rows),
        command="python -m benchmarks.linkage_cluster",
        software=results.versions(["numpy", "numba", "distributed"]),
    )
    print("\n".join(" | ".join(row) for row in rows))


if __name__ == "__main__":
    run()
