"""What the peers make of tables of persons found and not found; in their environment, JSON in and out.

In: ``{"columns": {name: [code, ...]}, "tables": [[name, ...], ...], "k": int}``; the column ``f`` tells
who was found.
Out: by method and table, ``[[code, ...], n or null, found or null]`` per row, and processor seconds.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import opendp.prelude as dp
import pytauargus

#: Methods of suppression, as tau-ARGUS names them.
METHODS = {"tau-ARGUS optimal": "OPT(1)", "tau-ARGUS modular": "MOD(1)"}
TOTAL = "Total"


def argus(asked: dict[str, Any], names: list[str], method: str) -> dict[str, Any]:
    """Protect one table, found and not found as a further dimension, so that both are protected."""
    columns = {name: asked["columns"][name] for name in [*names, "f"]}
    begun = time.process_time()
    # A frequency rule of k, and intervals of 30 % as its manual proposes.
    result = pytauargus.protect(
        {**columns, "one": [1.0] * len(columns["f"])}, [*names, "f"], "one", f"FREQ({asked['k']},30)", method
    )
    seconds = time.process_time() - begun
    safe: dict[tuple[str, ...], dict[str, int | None]] = {}
    for row in (
        result.tables[0].rows if isinstance(result.tables, list) else next(iter(result.tables.values())).rows
    ):
        cell = safe.setdefault(tuple(row[name] for name in names), {})
        cell[row["f"]] = int(row["freq"]) if row["status"] == "S" else None
    rows = []
    for key, cell in safe.items():
        found, not_found, n = (cell.get(code) for code in ("f1", "f0", TOTAL))
        both = found is not None and not_found is not None
        rows.append(
            [list(key), n if n is not None else found + not_found if both else None, found if both else None]
        )
    return {"rows": rows, "seconds": seconds}


def laplace(asked: dict[str, Any], names: list[str], epsilon: float) -> dict[str, Any]:
    """Counts found and not found of every row with discrete Laplace noise; one person is in one row."""
    dp.enable_features("contrib")
    noise = dp.m.make_laplace(
        dp.vector_domain(dp.atom_domain(T=int)), dp.l1_distance(T=int), scale=1 / epsilon
    )
    counts: dict[tuple[str, ...], list[int]] = {}
    for *key, f in zip(*(asked["columns"][name] for name in [*names, "f"]), strict=True):
        counts.setdefault(tuple(key), [0, 0])[f == "f1"] += 1
    begun = time.process_time()
    noisy = noise([count for pair in counts.values() for count in pair])
    seconds = time.process_time() - begun
    pairs = zip(counts, zip(noisy[::2], noisy[1::2], strict=True), strict=True)
    return {"rows": [[list(key), a + b, b] for key, (a, b) in pairs], "seconds": seconds}


def main() -> None:
    asked = json.load(sys.stdin)
    answer = {
        label: [argus(asked, names, method) for names in asked["tables"]] for label, method in METHODS.items()
    }
    answer["OpenDP, epsilon 1"] = [laplace(asked, names, 1.0) for names in asked["tables"]]
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
