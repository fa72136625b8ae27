"""Exhaustive comparison of filters, exactly and at the speed of the hardware."""

from __future__ import annotations

from linkage.scan.dice import dice_pairs, dice_pairs_twin
from linkage.scan.stream import PairBlock

__all__ = ["PairBlock", "dice_pairs", "dice_pairs_twin"]
