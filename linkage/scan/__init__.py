"""Exhaustive comparison of filters: exact, streamed in order, at the speed of the hardware."""

from __future__ import annotations

from linkage.scan.agreement import SubsetTest, agreement_pairs, agreement_pairs_twin, choose_subset
from linkage.scan.dice import dice_pairs, dice_pairs_twin
from linkage.scan.stream import PairBlock

__all__ = [
    "PairBlock",
    "SubsetTest",
    "agreement_pairs",
    "agreement_pairs_twin",
    "choose_subset",
    "dice_pairs",
    "dice_pairs_twin",
]
