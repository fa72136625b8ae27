"""Disclosure control: how much is published, how long proving takes, and what the peers make of one table.

A process for each size (memory is measured). Times are processor seconds of all threads.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from app.disclosure.cube import protect_cube
from app.disclosure.finest import Axis, FinestCells
from app.disclosure.groups import Groups, plan_margins
from app.disclosure.policy import Policy
from app.disclosure.suppression import suppress
from app.disclosure.table import Coverage, Description
from benchmarks.results import PEERS, table, versions, write_section
from tests.attacks.cells import joint

K = 10
#: persons, codes by dimension, depth
SIZES: tuple[tuple[int, tuple[int, ...], int], ...] = (
    (2_500, (4, 3, 6, 4), 2),
    (2_500, (4, 3, 6, 4), 3),
    (8_000, (5, 4, 7, 6), 2),
    (20_000, (6, 5, 12, 8, 4), 2),
)
ABOUT = Description("employed_q4", "", "", "2021-22", "FINAL", Coverage(""))


def population(persons: int, sizes: Sequence[int], seed: int = 1) -> FinestCells:
    """Codes by Zipf's law, independent of one another; about 72 % found, by group more or less."""
    rng = np.random.default_rng(seed)
    columns, logit = [], np.full(persons, np.log(0.72 / 0.28))
    for size in sizes:
        weights = rng.permutation(1 / np.arange(1, size + 1))
        columns.append(rng.choice(size, persons, p=weights / weights.sum()))
        logit += rng.normal(0, 0.3, size)[columns[-1]]
    found = rng.random(persons) < 1 / (1 + np.exp(-logit))
    keys, inverse = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    axes = []
    for at, size in enumerate(sizes):
        codes = tuple(map(str, range(size)))
        axes.append(Axis(f"d{at}", codes, codes))
    return FinestCells(
        ABOUT,
        tuple(axes),
        keys,
        np.bincount(inverse),
        np.bincount(inverse, weights=found).astype(np.int64),
    )


def measure(persons: int, sizes: Sequence[int], depth: int) -> dict[str, Any]:
    """One cube in this process."""
    cells = population(persons, sizes)
    begun = time.process_time()
    decided = suppress(cells, plan_margins(cells.axes, depth), Policy(K, b"a secret for benchmarks"))
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
        "aims": decided.work.aims,
        "programs": decided.work.programs,
        "work": decided.work.spent,
        "dropped": len(decided.dropped),
        "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def single_tables(persons: int, sizes: Sequence[int], tables: Sequence[Sequence[str]]) -> list[list[str]]:
    """Rows of the report: tau-ARGUS and OpenDP beside the cube on the same tables.

    tau-ARGUS protects each table for itself, as its users do; the joint attack of the test suite reads all of
    them. OpenDP shows every row and is off by its noise.
    """
    cells = population(persons, sizes)
    each = np.repeat(np.arange(len(cells.n)), cells.n)
    offset = np.arange(len(each)) - np.repeat(np.cumsum(cells.n) - cells.n, cells.n)
    columns = {axis.name: [f"c{code}" for code in cells.codes[each, i]] for i, axis in enumerate(cells.axes)}
    columns["f"] = ["f1" if found else "f0" for found in offset < cells.found[each]]
    asked = {"columns": columns, "tables": tables, "k": K}
    program = Path(__file__).with_name("disclosure_peers.py")
    with tempfile.TemporaryDirectory() as scratch:
        # The solvers of tau-ARGUS leave their logs where they stand.
        done = subprocess.run(
            [PEERS, program], input=json.dumps(asked), capture_output=True, text=True, check=True, cwd=scratch
        )
    margins = [(), *((axis.name,) for axis in cells.axes), *map(tuple, tables)]
    begun = time.process_time()
    cube = protect_cube(
        cells, Policy(K, b"a secret for benchmarks"), 1, named=[tuple(each) for each in tables]
    )
    seconds = time.process_time() - begun
    ours = [cube.table(margin).to_document() for margin in margins]
    what = f"{persons:,} · {'×'.join(map(str, sizes))} · {len(tables)} tables"
    report = [[what, "Cohortlink", *_share(cells, ours, tables), *_broken(cells, ours), f"{seconds:.2f}"]]
    for label, answers in json.loads(done.stdout).items():
        took = f"{sum(answer['seconds'] for answer in answers):.2f}"
        if label.startswith("OpenDP"):
            error = [abs(100 * m / n - truth) for n, m, truth in _rates(cells, answers, tables) if n > 0]
            report.append([what, label, "100.0 %", f"off by {np.mean(error):.1f} points", "–", "–", took])
            continue
        documents = _documents(answers, tables)
        report.append([what, label, *_share(cells, documents, tables), *_broken(cells, documents), took])
    return report


def _documents(answers: Sequence[Any], tables: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Answers of tau-ARGUS in the shape of ours: each table, and the margins that stand in it."""
    documents = []
    for answer, names in zip(answers, tables, strict=True):
        for key, n, found in answer["rows"]:
            by = [name for name, code in zip(names, key, strict=True) if code != "Total"]
            where = {name: code[1:] for name, code in zip(names, key, strict=True) if code != "Total"}
            row = {"key": where, "n": n, "found": found}
            documents.append({"by": by, "rows": [row] if by else [], "total": row})
    return documents


def _share(cells: FinestCells, documents: Sequence[Any], tables: Sequence[Sequence[str]]) -> tuple[str, str]:
    """Populated rows of the tables that show a rate, and persons in them."""
    groups = Groups(cells, [tuple(names) for names in tables])
    shown = [
        row["n"]
        for document in documents
        if document["by"] in [list(names) for names in tables]
        for row in document["rows"]
        if row["found"] is not None
    ]
    return f"{100 * len(shown) / len(groups):.1f} %", f"{100 * sum(shown) / groups.n.sum():.1f} %"


def _broken(cells: FinestCells, documents: Sequence[Any]) -> tuple[str, str]:
    hits = [len(joint(cells, documents, know_n=know_n)) for know_n in (False, True)]
    return str(hits[0]), str(hits[1])


def _rates(
    cells: FinestCells, answers: Sequence[Any], tables: Sequence[Sequence[str]]
) -> Iterator[tuple[int, int, float]]:
    """Noisy N and m, and the true rate, of rows of at least k persons."""
    groups = Groups(cells, [tuple(names) for names in tables])
    for at, answer in enumerate(answers):
        place = {
            tuple(f"c{code}" for code in key): groups.starts[at] + i for i, key in enumerate(groups.keys[at])
        }
        for key, n, found in answer["rows"]:
            group = place[tuple(key)]
            if groups.n[group] >= K:
                yield n, found, 100 * groups.found[group] / groups.n[group]


def run() -> None:
    """Write the section."""
    rows = []
    for persons, sizes, depth in SIZES:
        asked = json.dumps([persons, sizes, depth])
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.disclosure", asked], capture_output=True, text=True, check=True
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
                f"{got['mb']:.0f}",
            ]
        )
    peers = []
    if PEERS.exists():
        peers = single_tables(800, (4, 5), [["d0", "d1"]])
        peers += single_tables(800, (3, 4, 3), [["d0", "d1"], ["d0", "d2"], ["d1", "d2"]])
    titles = [
        "persons · codes · tables", "method", "rows with a rate", "persons",
        "small groups read", "the same, knowing every N", "s",
    ]  # fmt: skip
    head = [
        "persons · codes · depth", "finest cells", "groups", "rate passes R1", "rate shown",
        "persons with a rate", "tables dropped", "aims", "programs", "s", "MB",
    ]  # fmt: skip
    write_section(
        "Disclosure: the protected cube",
        f"Every group is proven open by R2 and R3, k = t = {K}; *persons with a rate* is over all tables.\n\n"
        + table(head, rows)
        + "\nBeside the peers on the same tables, read by the joint programs of the test suite:\n\n"
        + table(titles, peers),
        command="python -m benchmarks disclosure",
        software=versions(["highspy", "numpy", "scipy"]),
    )


if __name__ == "__main__":
    json.dump(measure(*json.loads(sys.argv[1])), sys.stdout)
