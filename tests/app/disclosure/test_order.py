"""What is published does not depend on the order in which a process happens to keep its sets.

Python draws that order anew for every process. Which goal is looked at first decides what is hidden, so a
release that is made again elsewhere would differ, and could be subtracted from the first.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from app.disclosure.beside import Beside
from app.disclosure.cube import protect_cube
from app.disclosure.policy import Policy
from app.disclosure.protect import protect
from app.disclosure.table import Table
from tests.attacks.cells import K
from tests.attacks.layers import cells_of, entries_of, random_layers
from tests.attacks.payers import random_paying
from tests.attacks.populations import ABOUT, places

SECRET = b"the attacker does not know this."
ROOT = Path(__file__).parents[3]


def made() -> Iterator[Any]:
    """Documents and statistics of cubes beside others, of counties with few employers, of rows by place."""
    for seed in range(3):
        people = random_layers(seed, 150, (2, 2, 2), 1.0, 0.6, ["late wages", "another indicator"])
        before: list[Any] = []
        for at in range(len(people.states)):
            entries = entries_of(people, at)
            union = Beside(before, entries, Policy(K, SECRET), lambda *_: None) if before else None
            hide = union.hide if union else lambda state: None
            cube = protect_cube(cells_of(people, at), Policy(K, SECRET), 2, beside=hide)
            documents = [json.loads(json.dumps(cube.table(by).to_document())) for by in cube.plan]
            before.append((entries, documents))
            yield [documents, cube.proof, union and union.statistics]
    for seed in range(2):
        rng = np.random.default_rng(seed)
        cube = protect_cube(random_paying(rng).cells, Policy(K, SECRET), 2)
        yield [[cube.table(by).to_document() for by in cube.plan], cube.proof]
        where = rng.random((300, 5)) < 0.2
        where[:, 0] |= ~where.any(axis=1)
        table = places(where, rng.random(300) < 0.6)
        whole = Table(ABOUT, (), keys=(), labels=(), cells=(), total=table.total)
        yield protect([whole, table], Policy(K, SECRET)).table(("place",)).to_document()


def test_cubes_and_their_proofs_are_the_same_in_processes_that_order_their_sets_differently() -> None:
    program = f"import json; from {__name__} import made; print(json.dumps(list(made())))"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
        )
        for seed in ("1", "2")
    ]
    told = [child.communicate()[0] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert told[0] == told[1]
    assert b'"published"' in told[0]
