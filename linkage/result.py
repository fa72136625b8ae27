"""What linking two sources gives, and its form as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from linkage.units import pack, unpack

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Pseudo-counts of m by comparison and number of its categories.
Borrowed = dict[tuple[tuple[str, ...], int], Floats]


@dataclass
class PairResult:
    """Links between two sources, ordered by (left, right), and the figures.

    Attributes
    ----------
    left, right : ndarray of int64, shape (n_links,)
        Rows of the two sources.
    probability, weight : ndarray of float, shape (n_links,)
        Probability with competition taken into account; match weight in log2.
    report : dict
        JSON-able.
    borrowed : dict
        Pseudo-counts of m per comparison, for smaller source pairs to lean on.
    """

    left: Ints
    right: Ints
    probability: Floats
    weight: Floats
    report: dict[str, object]
    borrowed: Borrowed = field(default_factory=dict)


def pack_result(result: PairResult, groups: Sequence[tuple[str, ...]]) -> bytes:
    """A result, and the groups of filters that are compared as one from then on."""
    head = {
        "report": result.report,
        "groups": [list(g) for g in groups],
        "borrowed": [[list(group), size] for group, size in result.borrowed],
    }
    columns = {name: getattr(result, name) for name in ("left", "right", "probability", "weight")}
    return pack(head, columns | {f"m{n}": m for n, m in enumerate(result.borrowed.values())})


def unpack_result(data: bytes) -> tuple[PairResult, list[tuple[str, ...]]]:
    """Inverse of `pack_result`."""
    head, arrays = unpack(data)
    borrowed = {(tuple(g), int(size)): arrays[f"m{n}"] for n, (g, size) in enumerate(head["borrowed"])}
    left, right, probability, weight = (arrays[n] for n in ("left", "right", "probability", "weight"))
    result = PairResult(left, right, probability, weight, head["report"], borrowed)
    return result, [tuple(g) for g in head["groups"]]
