"""Single tables beside the peers, in one run: what each shows, how far off, and what is read of it.

tau-ARGUS withholds, as we do; the package of the ONS (cell keys), controlled rounding and OpenDP change what
is shown. The attacker of suppression solves what is shown as it is. Of changed figures she knows the method,
and by how much a figure may be off: that is her interval.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linprog

from app.disclosure.alternatives import protect_otherwise
from app.disclosure.cell_key import MOST
from app.disclosure.cube import protect_cube
from app.disclosure.finest import Axis, FinestCells
from app.disclosure.groups import Groups
from app.disclosure.joint import Entries
from app.disclosure.policy import Policy
from app.disclosure.table import Coverage, Description
from app.disclosure.treatment import Treatment
from benchmarks.results import PEERS, table, versions, write_section
from tests.attacks.bounds import told_by
from tests.attacks.cells import figures, joint

K = 10
ROUNDED_TO = 10
SECRET = b"a secret for benchmarks"
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
    cube = protect_cube(cells, Policy(K, SECRET), 1, named=[tuple(each) for each in tables])
    seconds = time.process_time() - begun
    ours = [cube.table(margin).to_document() for margin in margins]
    what = f"{persons:,} · {'×'.join(map(str, sizes))} · {len(tables)} tables"
    exact = [*_share(cells, ours, tables), "0.0", *_broken(cells, ours)]
    report = [[what, "Cohortlink", *exact, f"{seconds:.2f}"]]
    for label, answers in json.loads(done.stdout).items():
        took = f"{sum(answer['seconds'] for answer in answers):.2f}"
        if label.startswith("OpenDP"):
            error = [abs(100 * m / n - truth) for n, m, truth in _rates(cells, answers, tables) if n > 0]
            report.append([what, label, "100.0 %", "100.0 %", f"{np.mean(error):.1f}", "–", "–", took])
            continue
        documents = _documents(answers, tables)
        exact = [*_share(cells, documents, tables), "0.0", *_broken(cells, documents)]
        report.append([what, label, *exact, took])
    found = np.array([code == "f1" for code in columns["f"]])
    for label, most, documents, seconds in _changed(cells, each, found, tables):
        shares = _share(cells, documents, tables)
        read = _narrowed(cells, documents, most)
        report.append(
            [what, label, *shares, f"{_off(cells, documents, tables):.1f}", *read, f"{seconds:.2f}"]
        )
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


def _changed(
    cells: FinestCells, each: np.ndarray, found: np.ndarray, tables: Sequence[Sequence[str]]
) -> Iterator[tuple[str, int, list[dict[str, Any]], float]]:
    """Figures by our other methods: name, by how much one may be off, documents, seconds."""
    size = len(each)
    counted = Entries(
        "employed_q4",
        cells.axes,
        keys=[str(at) for at in range(size)],
        codes=cells.codes[each],
        masks={frozenset(): np.ones(size, np.bool_)},
        found=found,
        counted=np.ones(size, np.bool_),
        persons=[str(at) for at in range(size)],
        about=ABOUT,
    )
    for name, most, treatment in (
        ("cell key, the ONS package", MOST, Treatment("cell_key")),
        (
            f"controlled rounding to {ROUNDED_TO}",
            ROUNDED_TO - 1,
            Treatment("controlled_rounding", rounding_base=ROUNDED_TO),
        ),
    ):
        begun = time.process_time()
        cube = protect_otherwise(counted, Policy(K, SECRET), treatment, 1, [tuple(names) for names in tables])
        seconds = time.process_time() - begun
        yield name, most, [cube.table(margin).to_document() for margin in cube.plan], seconds


def _off(cells: FinestCells, documents: Sequence[Any], tables: Sequence[Sequence[str]]) -> float:
    """By how many points the rates of the tables are off, on average."""
    truth = {}
    for margin, keys, at in zip(*_groups(cells, tables), strict=True):
        for i, key in enumerate(keys):
            truth[margin, tuple(str(code) for code in key)] = at + i
    groups = Groups(cells, [tuple(names) for names in tables])
    errors = []
    for document in documents:
        for row in document["rows"]:
            place = truth.get((tuple(document["by"]), tuple(row["key"].values())))
            if row["found"] is not None and place is not None:
                errors.append(abs(row["found"] / row["n"] - groups.found[place] / groups.n[place]))
    return 100 * float(np.mean(errors)) if errors else float("nan")


def _groups(cells: FinestCells, tables: Sequence[Sequence[str]]) -> tuple[Any, Any, Any]:
    groups = Groups(cells, [tuple(names) for names in tables])
    return groups.margins, groups.keys, groups.starts[:-1]


def _narrowed(cells: FinestCells, documents: Sequence[Any], most: int) -> tuple[str, str]:
    """Small groups that she reads who knows that no figure is off by more than ``most``; as `joint`."""
    matrix, rows = figures(cells, documents)
    size = len(cells.n)
    left, right = [], []
    for member, row in zip(matrix, rows, strict=True):
        for told, columns in (
            (row["found"], np.concatenate([member, 0 * member])),
            (row["n"], np.concatenate([member, member])),
        ):
            if told is not None:
                left += [columns, -columns]
                right += [told + most, most - told]

    def bound(cost: np.ndarray, sign: int, known: bool) -> float:
        exact = {"A_eq": np.hstack([np.eye(size)] * 2), "b_eq": cells.n} if known else {}
        upper = {"A_ub": np.array(left), "b_ub": np.array(right)} if left else {}
        solved = linprog(-sign * cost, bounds=(0, 1e5), method="highs", **exact, **upper)
        return float(sign * -solved.fun) if solved.status == 0 else sign * np.inf

    counts = [0, 0]
    hidden = [member for member, row in zip(matrix, rows, strict=True) if row["found"] is None]
    for member in [*hidden, *np.eye(size)]:
        n, nothing = int(member @ cells.n), 0 * member
        found = np.concatenate([member, nothing])
        for cost in (found, np.concatenate([nothing, member])):
            counts[0] += bound(cost, 1, known=False) < K - 1e-4
        low, high = (bound(found, sign, known=True) for sign in (-1, 1))
        counts[1] += bool(told_by(int(np.ceil(low - 1e-4)), int(np.floor(high + 1e-4)), n, K))
    return str(counts[0]), str(counts[1])


def run() -> None:
    """Write the section."""
    if not PEERS.exists():
        print("The peers are not installed: make .venv-bench/.installed")
        return
    rows = single_tables(800, (4, 5), [["d0", "d1"]])
    rows += single_tables(800, (3, 4, 3), [["d0", "d1"], ["d0", "d2"], ["d1", "d2"]])
    titles = [
        "persons · codes · tables", "method", "rows with a rate", "persons", "rates off by, points",
        "small groups read", "the same, knowing every N", "s",
    ]  # fmt: skip
    write_section(
        "Disclosure: single tables beside the peers",
        "The same tables by each method, one run. *Small groups read*: groups and finest cells of which the\n"
        f"joint programs bound found or not found below {K}; with every N known, those that they narrow\n"
        "(R3). "
        f"Of changed figures she knows how far off one may be: cell keys {MOST} persons, rounding less than\n"
        f"{ROUNDED_TO}. Noise of differential privacy has no bound; 95 % of counts are within 3 persons.\n\n"
        + table(titles, rows),
        command="python -m benchmarks.disclosure_tables",
        software=versions(["highspy", "numpy", "scipy", "cell-key-perturbation"]),
    )


if __name__ == "__main__":
    run()
