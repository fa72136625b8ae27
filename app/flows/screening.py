"""Screening of encodings on arrival: figures for the agency, and the refusals that need no judgement.

Pure: encodings in, figures out. Figures are decimal strings, because they are signed and logged.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from app.errors import Problem, RefusedError
from crypto.encoding.types import Encodings, FilterColumn

MAX_FILL = 0.95
MAX_DUPLICATES = 0.5
MANY = 20


def screen(encodings: Encodings) -> dict[str, Any]:
    """Fill rate, per-bit frequencies, empty filters and exact duplicates.

    Returns
    -------
    dict
        `{"records", "duplicates", "filters": {name: {"present", "empty", "fill", "bit_std"}}}`;
        `fill` is the mean share of set bits, `bit_std` the standard deviation over bits of the share of
        records that set the bit (.177 for a plain CLK, .009 when diffused, PRIVACY 2).
    """
    return {
        "records": len(encodings),
        "duplicates": _duplicates(encodings),
        "filters": {name: _figures(column) for name, column in encodings.filters.items()},
    }


def refuse_by_policy(figures: dict[str, Any]) -> None:
    """Refuse what cannot be real data whoever sent it.

    Raises
    ------
    RefusedError
        `SCREENING_FAILED` with a problem per filter.
    """
    problems = []
    for name, item in figures["filters"].items():
        if item["empty"]:
            problems.append(Problem("EMPTY_FILTER", "filters are present without a set bit", column=name))
        if item["present"] and float(item["fill"]) > MAX_FILL:
            problems.append(Problem("FILL_TOO_HIGH", "filters are nearly full", column=name))
    if figures["records"] >= MANY and figures["duplicates"] > MAX_DUPLICATES * figures["records"]:
        problems.append(Problem("DUPLICATES", "most records are exact copies of others"))
    if problems:
        raise RefusedError("SCREENING_FAILED", "The encodings do not look like real data.", problems)


def _figures(column: FilterColumn) -> dict[str, Any]:
    words = column.words[column.present]
    if not len(words):
        return {"present": 0, "empty": 0, "fill": "0.0000", "bit_std": "0.0000"}
    set_bits = np.bitwise_count(words).sum(axis=1)
    counts = np.zeros(column.width, dtype=np.int64)
    # In slices: a bit matrix of all records at once would be 8 times the size of the encodings.
    for start in range(0, len(words), 4096):
        piece = np.ascontiguousarray(words[start : start + 4096]).view(np.uint8)
        counts += np.unpackbits(piece, axis=1).sum(axis=0, dtype=np.int64)
    return {
        "present": len(words),
        "empty": int((set_bits == 0).sum()),
        "fill": f"{set_bits.mean() / column.width:.4f}",
        "bit_std": f"{(counts / len(words)).std():.4f}",
    }


def _duplicates(encodings: Encodings) -> int:
    """Records that are bit for bit the copy of another in every filter, counted beyond the first."""
    if not len(encodings) or not encodings.filters:
        return 0
    columns = [np.ascontiguousarray(column.words) for column in encodings.filters.values()]
    present = np.stack([column.present for column in encodings.filters.values()], axis=1)
    whole = np.concatenate([column.view(np.uint8) for column in columns] + [present.view(np.uint8)], axis=1)
    rows = np.ascontiguousarray(whole).view([("", f"V{whole.shape[1]}")]).ravel()
    return len(rows) - len(set(rows["f0"].tolist()))
