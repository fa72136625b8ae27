"""Who belongs to whom among a million candidates: the exact assignment beside anonlink's greedy solver."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.results import PEERS, table, versions, write_section
from linkage.assignment import Floats, Ints, one_to_one

_ROUNDS = 3
_SEED = 11

Case = tuple[Ints, Ints, Floats]


def many_small(records: int, rng: np.random.Generator) -> Case:
    """A true partner for each record, alike by .7 to 1, and four namesakes among its next neighbours."""
    own = np.arange(records)
    near = own[:, None] + rng.integers(-3, 4, (records, 6))
    kept = rng.random(near.shape) < 0.83
    left, right = np.repeat(own, kept.sum(1)), near[kept]
    inside = (right >= 0) & (right < records) & (left // 8 == right // 8)
    code = np.unique(np.concatenate([left[inside] * records + right[inside], own * (records + 1)]))
    left, right = code // records, code % records
    alike = np.where(left == right, rng.uniform(0.7, 1.0, len(code)), rng.uniform(0.5, 0.9, len(code)))
    return left, right, alike


def one_large(records: int, rng: np.random.Generator) -> Case:
    """As poor a comparison as can be: everybody hangs together with everybody."""
    own = np.arange(records)
    code = np.unique(
        np.concatenate(
            [np.repeat(own, 4) * records + rng.integers(0, records, 4 * records), own * (records + 1)]
        )
    )
    left, right = code // records, code % records
    alike = np.where(left == right, rng.uniform(0.7, 1.0, len(code)), rng.uniform(0.5, 0.9, len(code)))
    return left, right, alike


def _beside(name: str, case: Case, folder: Path) -> list[list[str]]:
    left, right, weight = case
    file, out = folder / "pairs.npz", folder / "taken.npz"
    np.savez(file, left=left, right=right, weight=weight)
    ours, theirs = [], []
    for _ in range(_ROUNDS):
        begun = time.process_time()
        chosen, _greedy = one_to_one(left, right, weight)
        ours.append(time.process_time() - begun)
        peer = Path(__file__).with_name("assignment_peer.py")
        subprocess.run([str(PEERS), str(peer), str(file), str(out)], check=True)
        theirs.append(float(np.load(out)["seconds"]))
    pairs = np.load(out)["pairs"]
    width = int(right.max()) + 1
    code = left * width + right
    taken = np.isin(code, pairs[:, 0] * width + pairs[:, 1])
    rows = (("exact on each component (ours)", chosen, ours), ("greedy (anonlink)", taken, theirs))
    return [
        [
            name,
            f"{len(weight):,}",
            label,
            f"{median(seconds):.2f}",
            f"{flags.sum():,}",
            f"{weight[flags].sum():,.0f}",
            f"{(left == right)[flags].sum() / len(np.unique(left)):.2%}",
        ]
        for label, flags, seconds in rows
    ]


def run() -> None:
    """Write the section."""
    rng = np.random.default_rng(_SEED)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = _beside("many small components", many_small(296_000, rng), folder)
        rows += _beside("one component", one_large(40_000, rng), folder)
    head = [
        "candidates hang together in",
        "pairs",
        "solver",
        "s",
        "links",
        "total weight",
        "true partners found",
    ]
    text = (
        "Invented similarities: true partners .7 to 1, others .5 to .9. Processor time on one core, median "
        f"of {_ROUNDS}, taking turns. Candidates are in memory in each solver's own form; anonlink's are "
        "sorted before the clock starts, and its groups are read after it stops.\n\n" + table(head, rows)
    )
    write_section(
        "Assignment",
        text,
        command="python -m benchmarks assignment",
        software=versions(["numpy", "scipy"]) + "; anonlink 0.15.3",
    )
