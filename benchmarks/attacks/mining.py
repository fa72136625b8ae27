"""Pattern mining: bits that are set together betray the positions of one frequent token.

After Christen, Vidanage, Ranbaduge and Schnell, "Pattern-mining based cryptanalysis of Bloom filters"
(PAKDD 2018). Measured is the first step, without which there is no second: the share of bits that have a
companion, from which patterns grow. What an attacker does with patterns (giving them tokens by frequency) is
not played: an encoding in which no bit has a companion has no pattern to name.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.attacks.encodings import View

#: Bits are of one group if they correlate this many standard deviations beyond chance.
_SIGNIFICANT = 6.0


def correlated(view: View) -> NDArray[np.float32]:
    """Correlation of every two bits over the persons, shape (width, width), the diagonal zero."""
    signs = view.signs[view.present]
    centred = signs - signs.mean(axis=0)
    spread = centred.std(axis=0)
    centred /= np.where(spread == 0, np.float32(1), spread)
    found: NDArray[np.float32] = (centred.T @ centred) / np.float32(len(signs))
    np.fill_diagonal(found, 0)
    return found


def attack(view: View) -> float:
    """Share of the bits that have a significantly correlated companion, beyond what chance gives.

    Six standard deviations make .00001 of the bits' pairs by chance, that is nothing; a bit with a companion
    is the start of a pattern, one without holds none.
    """
    limit = _SIGNIFICANT / np.sqrt(max(int(view.present.sum()), 1))
    return float((correlated(view).max(axis=1) > limit).mean())
