"""Dictionary attacks: encode a register and look for the nearest, with the leaked secret or a wrong one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.attacks.encodings import View, likeness


def attack(victims: Sequence[View], dictionary: Sequence[View]) -> float:
    """Share of victims whose nearest entry is their own; row i of both is person i.

    A view that either side lacks adds nothing; those that both have are summed in standard deviations.
    """
    by_name = {view.name: view for view in dictionary}
    shared = [view for view in victims if view.name in by_name]
    total = sum(likeness(view, by_name[view.name]) * np.float32(np.sqrt(view.width)) for view in shared)
    score = np.asarray(total)
    return float((score.argmax(axis=1) == np.arange(len(score))).mean())
