"""The rejects file: every problem of a file of facts by row number, never with a value."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path

from crypto.errors import InputError

#: Problems that a rejects file lists of one file of facts.
MAX_REJECTS = 1_000_000


def write_rejects(path: Path, refused: Iterable[tuple[str, InputError]]) -> int:
    """Write ``kind,row,column,code,detail`` for each problem, in the order of rows, and return how many.

    Parameters
    ----------
    path : Path
        Overwritten, readable by its owner alone: row numbers are about persons, if only to who has the file.
    refused : iterable of (str, InputError)
        Kind of facts and what was wrong with them.
    """
    count = 0
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "w", encoding="utf-8", newline="") as stream:  # noqa: PTH123 (a handle)
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["kind", "row", "column", "code", "detail"])
        for kind, error in refused:
            for problem in error.problems:
                row = "" if problem.row is None else problem.row
                writer.writerow([kind, row, problem.column or "", problem.code, problem.detail])
                count += 1
    return count
