"""anonlink's greedy solver on the pairs of a file, in the peers' own environment.

``python assignment_peer.py FILE OUT`` reads left, right and weight of an ``.npz``, and writes the seconds of
processor time that solving took and the pairs that were taken. The pairs are sorted as anonlink's own search
hands them over, outside the clock.
"""

from __future__ import annotations

import sys
import time
from array import array

import numpy as np
from anonlink.solving import greedy_solve


def main(file: str, out: str) -> None:
    """Solve once."""
    given = np.load(file)
    order = np.argsort(-given["weight"], kind="stable")
    left, right = given["left"][order], given["right"][order]
    sources = array("I", [0] * len(order)), array("I", [1] * len(order))
    records = array("I", left.tolist()), array("I", right.tolist())
    candidates = array("d", given["weight"][order].tolist()), sources, records
    begun = time.process_time()
    groups = greedy_solve(candidates)
    seconds = time.process_time() - begun
    pairs = np.array([[dict(group)[0], dict(group)[1]] for group in groups], np.int64)
    np.savez(out, seconds=seconds, pairs=pairs)


if __name__ == "__main__":
    main(*sys.argv[1:])
