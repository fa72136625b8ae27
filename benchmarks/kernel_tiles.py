"""The scan on tiles: what of it needs no tiles, measured anywhere; how fast it is, where there are any."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from statistics import median
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.filters import Words, people_filters
from benchmarks.kernels import COLUMNS, ROWS, THRESHOLDS
from benchmarks.results import table, versions, write_section
from linkage.scan import dice_pairs
from linkage.scan.backends import BACKENDS, unavailable
from linkage.scan.projection import bits, choose_projection, pack_columns, rounded, side_limits, sketch
from linkage.scan.sketch import choose_fold, dice_side_limits, fold, halves, popcounts

AMX, FOLDS = BACKENDS["amx"], BACKENDS["avx512"]
_ROUNDS, _ROUNDED, _LOOKED_AT = 3, 20_000, 100_000
#: Where tiles are: enough pairs that finding the directions is little beside them.
_MANY_ROWS, _MANY_COLUMNS = 50_000, 1_000_000


def _seconds(work: Callable[[], Any]) -> float:
    """Processor time, median."""
    taken = []
    for _ in range(_ROUNDS):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return median(taken)


def _row(a: Words, b: Words, threshold: str) -> list[str]:
    """One threshold: what is chosen, what that costs, and what it leaves for the full count."""
    t = Fraction(threshold)
    limits = dice_side_limits(popcounts(a), t, 0), dice_side_limits(popcounts(b), t, 1)
    tile = AMX.rows * AMX.columns

    def choose() -> Any:
        return choose_projection(a, b, *limits, AMX.cost, tile)

    projection = choose()
    choosing = _seconds(choose)
    some, own = b[:_ROUNDED], limits[1][:_ROUNDED]
    projected: Any = bits(some)
    if projection.matrix is not None:
        projected = projected.astype(np.float32) @ projection.matrix.T.astype(np.float32)

    def finish() -> None:
        part = rounded(projected, projection)
        side_limits(part, own, projection, left=False)
        pack_columns(part.numbers, AMX.columns)

    rounding, projecting = _seconds(finish), _seconds(lambda: sketch(some, projection))
    picks = np.random.default_rng(3)
    i, j = picks.integers(0, len(a), _LOOKED_AT), picks.integers(0, len(b), _LOOKED_AT)
    x, y = sketch(a[i], projection), sketch(b[j], projection)
    product = np.einsum("ij,ij->i", x.numbers.astype(np.int32), 255 - y.numbers.astype(np.int32))
    reach = side_limits(x, limits[0][i], projection, left=True) + side_limits(
        y, limits[1][j], projection, left=False
    )
    depth = choose_fold(a, b, *limits, FOLDS.cost, FOLDS.rows * FOLDS.columns)
    folded = np.bitwise_count(fold(halves(a[i] ^ b[j]), depth)).sum(axis=1, dtype=np.int32)
    return [
        threshold,
        str(len(projection.start)),
        f"{1e6 * np.mean(product <= reach):,.0f}",
        f"{choosing:.2f}",
        f"{1e6 * rounding / len(some):.2f}",
        f"{1e6 * projecting / len(some):.2f}",
        f"{32 * depth}",
        f"{1e6 * np.mean(folded <= limits[0][i] + limits[1][j]):,.0f}",
    ]


def _speeds(why_not: str | None) -> str:
    if why_not:
        return f"How fast the scan on tiles is: not available: {why_not}."
    a, b = people_filters(_MANY_ROWS, _MANY_COLUMNS)
    list(dice_pairs(a[:2], b[:2], "1", backend=AMX.name))
    rows = []
    for threshold in THRESHOLDS:
        speeds = []
        for name in (AMX.name, FOLDS.name):

            def scan(threshold: str = threshold, name: str = name) -> None:
                for _ in dice_pairs(a, b, threshold, threads=1, backend=name):
                    pass

            speeds.append(_MANY_ROWS * _MANY_COLUMNS / _seconds(scan) / 1e6)
        rows.append([threshold, *(f"{speed:,.0f}" for speed in speeds)])
    return (
        f"{_MANY_ROWS:,} × {_MANY_COLUMNS:,} such filters, one core, sketches included, million pairs a "
        f"second:\n\n{table(['t', 'AMX tiles', 'AVX-512'], rows)}"
    )


def run() -> None:
    a, b = people_filters(ROWS, COLUMNS)
    with threadpool_limits(1):
        rows = [_row(a, b, threshold) for threshold in THRESHOLDS]
        speeds = _speeds(unavailable(AMX))
    header = [
        "t",
        "numbers",
        "left of a million",
        "choose, s",
        "round, µs",
        "project, µs",
        "fold, bits",
        "left",
    ]
    text = f"""{ROWS:,} × {COLUMNS:,} filters of 1024 bits. The sketch chosen for tiles (bytes), how many of
a million pairs it leaves for the full count, by {_LOOKED_AT:,} random ones; beside it the fold that
AVX-512 takes. Processor time of one thread, median of {_ROUNDS}: to choose the sketch, once a job; for each
record to round, limit and pack it; and to project and round it where there are no tiles to project with.

{table(header, rows)}
{speeds}"""
    write_section(
        "Comparison kernel: sketches for tiles",
        text,
        command="python -m benchmarks kernel_tiles",
        software=versions(["numpy", "numba", "llvmlite"]),
    )
