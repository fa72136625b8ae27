"""All pairs at least ``t`` alike: ours beside the peers, on the same filters, in one run, interleaved."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.filters import Words, diffused_filters, people_filters
from benchmarks.results import PEERS, table, versions, write_section
from linkage.scan import agreement_pairs, choose_subset
from linkage.scan.agreement import largest_distance
from linkage.scan.backends import BACKENDS, unavailable

ROWS, COLUMNS = 5_000, 100_000
THRESHOLDS = ("0.7", "0.8", "0.85", "0.9")
ROUNDS = 3
DIFFUSED_ROWS, DIFFUSED_COLUMNS, DIFFUSED_THRESHOLDS = 1_000, 50_000, ("0.55", "0.6", "0.65")
STATED_MISSES = (0.01, 0.001, 0.0001)

#: What LLVM may use of a processor with AVX2 and nothing newer (Haswell, 2013).
_AVX2_ONLY = {
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+avx,+avx2,+bmi,+bmi2,+cmov,+cx16,+f16c,+fma,+lzcnt,+movbe,+mmx,+popcnt,+sahf,"
    "+sse,+sse2,+sse3,+sse4.1,+sse4.2,+ssse3,+xsave",
}
_LABELS = {
    "amx": "Cohortlink, AMX tiles",
    "avx512": "Cohortlink, AVX-512 VPOPCNTDQ",
    "avx2": "Cohortlink, AVX2 alone",
    "plain": "Cohortlink, plain Numba",
    "anonlink": "anonlink",
    "numkong": "numkong (all distances, then the test)",
    "faiss": "faiss-cpu (range search, then the test)",
    "numpy": "NumPy `bitwise_count`",
}


class Worker:
    """A process that answers requests, so that contestants of both environments can take turns."""

    def __init__(self, python: str, folder: Path, environment: dict[str, str] | None = None) -> None:
        script = Path(__file__).with_name("kernel_worker.py")
        root = str(script.parent.parent)
        self.process = subprocess.Popen(
            [python, str(script), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", **(environment or {})},
        )

    def ask(self, contestant: str, threshold: str, threads: int = 1) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        request = {"contestant": contestant, "threshold": threshold, "threads": threads}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        print(f"   {contestant:9} t={threshold} threads={threads} {answer}", flush=True)
        return answer

    def close(self) -> None:
        self.process.communicate()


def _speed(pairs: float, seconds: float) -> float:
    """Million pairs a second."""
    return pairs / seconds / 1e6


def _compare(folder: Path, a: Words, b: Words, threshold: str) -> str:
    """What each side found that the other did not, in words."""
    ours, theirs = (np.load(folder / f"{name}.npy") for name in ("avx512", "anonlink"))
    extra, lost = np.setdiff1d(ours, theirs), np.setdiff1d(theirs, ours)
    i, j = extra // len(b), extra % len(b)
    t = Fraction(threshold)
    common = np.bitwise_count(a[i] & b[j]).sum(axis=1, dtype=np.int64)
    both = np.bitwise_count(a[i]).sum(axis=1, dtype=np.int64) + np.bitwise_count(b[j]).sum(
        axis=1, dtype=np.int64
    )
    exactly = int(np.sum(2 * common * t.denominator == t.numerator * both))
    return (
        f"- t = {threshold}: {len(ours)} pairs; {len(lost)} of anonlink's missing in ours; {len(extra)} of "
        f"ours missing in anonlink's, {exactly} of them exactly at t"
    )


def _same(folder: Path, names: Iterable[str]) -> bool:
    found = [np.load(folder / f"{name}.npy") for name in names]
    return all(np.array_equal(found[0], other) for other in found[1:])


def dice(folder: Path) -> None:
    """One core, the four thresholds; then both cores."""
    a, b = people_filters(ROWS, COLUMNS)
    np.save(folder / "a.npy", a)
    np.save(folder / "b.npy", b)
    ours, older = Worker(sys.executable, folder), Worker(sys.executable, folder, _AVX2_ONLY)
    peers = Worker(str(PEERS), folder)
    wide, no_tiles = unavailable(BACKENDS["avx512"]) is None, unavailable(BACKENDS["amx"])
    here = [name for name, runs in (("amx", no_tiles is None), ("avx512", wide)) if runs]
    every_round = [*((ours, name) for name in here), (older, "avx2"), (peers, "anonlink")]
    once = [(ours, "plain"), (peers, "numkong"), (peers, "faiss")]
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    notes = []
    for threshold in THRESHOLDS:
        for number in range(ROUNDS):
            for worker, name in [*every_round, *(once if number == 0 else [])]:
                seconds[name, threshold].append(worker.ask(name, threshold)["processor"])
        if threshold == "0.85":  # full counts: the threshold hardly matters
            seconds["numpy", threshold].append(peers.ask("numpy", threshold)["processor"])
        names = [name for name in _LABELS if (name, threshold) in seconds and name != "anonlink"]
        if wide:
            notes.append(_compare(folder, a, b, threshold))
        notes[-1] += f"; all others equal to ours: {'yes' if _same(folder, names) else 'NO'}"
    gains, load = [], os.getloadavg()[0]
    for threshold in THRESHOLDS:
        runs: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
        for _ in range(2 * ROUNDS + 1):
            for threads, answers in runs.items():
                answers.append(ours.ask("avx512" if wide else "avx2", threshold, threads))
        one, two = (min(run["wall"] for run in answers) for answers in runs.values())
        work = " / ".join(f"{median(run['processor'] for run in answers):.3f}" for answers in runs.values())
        speed = f"{_speed(ROWS * COLUMNS, two):,.0f}"
        gains.append([threshold, f"{one:.3f}", f"{two:.3f}", f"{one / two:.2f} ×", speed, work])
    for worker in (ours, older, peers):
        worker.close()

    rows = []
    for name, label in _LABELS.items():
        cells = [label]
        for threshold in THRESHOLDS:
            times = seconds.get((name, threshold))
            if not times:
                cells.append("")
                continue
            ratio = median(seconds["anonlink", threshold]) / median(times)
            cells.append(f"{_speed(ROWS * COLUMNS, median(times)):,.0f} ({ratio:.1f} ×)")
        if any(cells[1:]):
            rows.append(cells)
        elif name == "amx":
            rows.append([f"{label}: not available: {no_tiles}", *("" for _ in THRESHOLDS)])
    fill = 100 * np.bitwise_count(b).sum() / (64 * b.size)
    text = f"""{ROWS:,} × {COLUMNS:,} filters of 1024 bits, {fill:.0f} % set (bigrams of names, dates of
birth, ZIP). Million pairs a second on one core (× anonlink), by processor time, so that neighbours on the
machine do not count; median of {ROUNDS} interleaved rounds for anonlink and both vector kernels, one round
for the others. Timed from filters in memory to all matching pairs, sketches and their choice included.

{table(["", *(f"t = {t}" for t in THRESHOLDS)], rows)}
Result sets:

{chr(10).join(notes)}

Both cores, by the clock, the fastest of {2 * ROUNDS + 1} interleaved runs, and the median processor time of
1 / 2 threads. The machine's load when they began, others' work included, was {load:.1f}: a gain by the clock
is only to be had from an idle second core; equal processor times say that the second thread costs nothing.

{table(["t", "1 thread, s", "2 threads, s", "gain", "million pairs/s", "processor time, s"], gains)}"""
    write_section(
        "Comparison kernel: Dice",
        text,
        command="python -m benchmarks kernels",
        software=f"{versions(['numpy', 'numba', 'llvmlite'])}; {_peer_versions()}",
    )


def _peer_versions() -> str:
    script = (
        "from importlib.metadata import version as v;"
        "print(', '.join(f'{p} {v(p)}' for p in ('anonlink', 'numkong', 'faiss-cpu')))"
    )
    return subprocess.run([PEERS, "-c", script], check=True, capture_output=True, text=True).stdout.strip()


def _timed(a: Words, b: Words, threshold: str, subset: Any) -> tuple[float, int]:
    start, found = time.process_time(), 0
    for block in agreement_pairs(a, b, threshold, subset=subset, threads=1):
        found += len(block.i)
    return time.process_time() - start, found


def _measured_misses(
    threshold: str, stated: float, draws: int = 100, pairs: int = 500
) -> tuple[float, float, float]:
    """(mean bound, measured share, standard error) of matches planted exactly at the threshold."""
    distance = largest_distance(4096, Fraction(threshold))
    a, b = diffused_filters(2 * pairs, 2 * pairs, distance=distance, seed=11)
    missed, bounds = 0, 0.0
    for seed in range(draws):
        subset = choose_subset(a, b, threshold, stated, seed=seed)
        if subset is None:
            return 0.0, 0.0, 0.0
        bounds += subset.miss_bound
        found = sum(
            int(np.sum((block.i == block.j) & (block.i < pairs)))
            for block in agreement_pairs(a, b, threshold, subset=subset, threads=1)
        )
        missed += pairs - found
    return bounds / draws, missed / (draws * pairs), (bounds / draws / (draws * pairs)) ** 0.5


def agreement() -> None:
    """Wide diffused filters: in full, and by random subsets of the bits."""
    pairs = DIFFUSED_ROWS * DIFFUSED_COLUMNS
    rows = []
    for threshold in DIFFUSED_THRESHOLDS:
        distance = largest_distance(4096, Fraction(threshold))
        a, b = diffused_filters(DIFFUSED_ROWS, DIFFUSED_COLUMNS, distance=distance)
        _timed(a[:2], b[:2], threshold, None)
        full = median(_timed(a, b, threshold, None)[0] for _ in range(ROUNDS))
        rows.append([threshold, "exact, full count", "4096", f"{_speed(pairs, full):,.0f}", "", "", ""])
        for stated in STATED_MISSES:
            subset = choose_subset(a, b, threshold, stated)
            if subset is None:
                rows.append([threshold, f"at most {stated}", "4096", "a full count is cheaper", "", "", ""])
                continue
            seconds = median(_timed(a, b, threshold, subset)[0] for _ in range(ROUNDS))
            bound, measured, error = _measured_misses(threshold, stated)
            speed, gain = f"{_speed(pairs, seconds):,.0f}", f"{full / seconds:.1f} ×"
            bits = str(len(subset.positions))
            rows.append(
                [
                    threshold,
                    f"at most {stated}",
                    bits,
                    speed,
                    gain,
                    f"{bound:.5f}",
                    f"{measured:.5f} ± {error:.5f}",
                ]
            )
        print("  ", *rows[-4:], sep="\n   ", flush=True)
    header = ["t", "misses allowed", "bits looked at", "million pairs/s", "gain", "bound", "measured"]
    text = f"""{DIFFUSED_ROWS:,} × {DIFFUSED_COLUMNS:,} balanced filters of 4096 bits, all pairs with a
share of equal bits ≥ t; one core, processor time, median of {ROUNDS}. Misses are measured on 500 pairs
planted *exactly at* the threshold, the worst case, over 100 draws of the subset (50,000 chances to miss; ±
the standard error of a share equal to the bound); a pair well above the threshold is missed far more seldom.

{table(header, rows)}"""
    write_section(
        "Comparison kernel: share of equal bits",
        text,
        command="python -m benchmarks kernels",
        software=versions(["numpy", "numba", "llvmlite", "scipy"]),
    )


def run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        dice(Path(folder))
    agreement()
