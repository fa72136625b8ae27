"""Figures by which whoever receives encodings sees that something is wrong with them, without any key.

Pure: filters in, figures out. With 2,500 records or more (`tests/crypto/test_hardening_screening.py`), the
frequencies of the bits of diffused filters hardly vary, those of plain ones do. Batches under one secret have
records that are far more alike than chance where they share persons, batches under two secrets have none. Bit
frequencies of plain filters also correlate between batches under one secret; those of well diffused filters
do not any more, which is as it should be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from crypto.encoding.types import FilterColumn

#: Records from which the figures can tell a wrong key or a missing diffusion.
LEAST_RECORDS: Final = 2_500
#: Standard deviation over bits of the share of records that set the bit, above which nothing was diffused.
MOST_DIFFUSED_STD: Final = 0.05
#: Standard deviations of chance from which two records are alike: one pair of 10^15 by chance.
ALIKE: Final = 8.0
#: Weights further from the mean than this, in standard deviations, are outliers.
OUTLIER: Final = 6.0
_ROWS: Final = 4096


@dataclass(frozen=True)
class Screened:
    """Figures of one filter of a batch.

    Attributes
    ----------
    records, present, empty : int
        All records; those with the filter; those of them whose filter has no bit set.
    fill : float
        Mean share of set bits.
    frequencies : ndarray of float, shape (width,)
        Share of records that set each bit.
    outliers : int
        Records whose number of set bits is far from the others'.
    repeated : int
        Records beyond the first of every group of equal filters.
    near : int
        Of a sample of records, those with a near copy in it: fewer bits apart than a third of chance.
    """

    records: int
    present: int
    empty: int
    fill: float
    frequencies: NDArray[np.float64]
    outliers: int
    repeated: int
    near: int

    @property
    def bit_std(self) -> float:
        """Standard deviation over bits of their frequencies: .18 for a plain CLK, .01 when diffused."""
        return float(self.frequencies.std())

    @property
    def looks_plain(self) -> bool:
        """Whether, of enough records, the filter was certainly not diffused."""
        return self.present >= LEAST_RECORDS and self.bit_std > MOST_DIFFUSED_STD


def screen_filter(column: FilterColumn, sample: int = 1_000) -> Screened:
    """All figures of one filter; near copies are looked for in the first ``sample`` records that have it."""
    words = column.words[column.present]
    weights = np.bitwise_count(words).sum(axis=1, dtype=np.int64)
    spread = float(weights.std()) if len(weights) else 0.0
    distinct = len({row.tobytes() for row in words})
    return Screened(
        records=len(column.present),
        present=len(words),
        empty=int((weights == 0).sum()),
        fill=float(weights.mean() / column.width) if len(words) else 0.0,
        frequencies=bit_frequencies(words),
        outliers=int((np.abs(weights - weights.mean()) > OUTLIER * spread).sum()) if spread else 0,
        repeated=len(words) - distinct,
        near=_near(words[:sample]),
    )


def bit_frequencies(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Share of rows that set each bit, shape (width,); zeros of no rows."""
    counts = np.zeros(words.shape[1] * 64, np.int64)
    for start in range(0, len(words), _ROWS):
        packed = words[start : start + _ROWS].astype(">u8").view(np.uint8)
        counts += np.unpackbits(packed, axis=1).sum(axis=0, dtype=np.int64)
    return np.asarray(counts / max(len(words), 1))


def _near(words: NDArray[np.uint64]) -> int:
    """Rows that differ from some other row in less than a third of the bits that strangers differ in."""
    if len(words) < 3:
        return 0
    packed = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1).astype(np.float32)
    sizes = packed.sum(axis=1)
    apart = sizes[:, None] + sizes[None, :] - 2 * (packed @ packed.T)
    np.fill_diagonal(apart, np.inf)
    return int((apart.min(axis=1) * 3 < np.median(apart)).sum())


def cohort_z(one: Screened, other: Screened) -> float:
    """Correlation of two batches' bit frequencies, in standard deviations of chance.

    Large for plain filters under one secret, within a few of zero under two. Diffused filters of fill near
    one half tell nothing by it whatever their secret; see :func:`alike_pairs`.
    """
    if one.frequencies.std() == 0 or other.frequencies.std() == 0:
        return 0.0
    correlation = float(np.corrcoef(one.frequencies, other.frequencies)[0, 1])
    return float(np.arctanh(np.clip(correlation, -0.999999, 0.999999)) * np.sqrt(len(one.frequencies) - 3))


def alike_pairs(one: FilterColumn, other: FilterColumn, sample: int = LEAST_RECORDS) -> int:
    """Pairs of a record of each batch far more alike than chance, among the first ``sample`` of each.

    Batches of overlapping populations have some under one secret, and none under two. None does not prove two
    secrets: the batches may have nobody in common.
    """
    parts = []
    for column in (one, other):
        words = column.words[column.present][:sample]
        packed = np.unpackbits(words.astype(">u8").view(np.uint8), axis=1)
        signs = 1 - 2 * packed.astype(np.float32)
        parts.append(signs - signs.mean(axis=0) if len(signs) else signs)
    alike = parts[0] @ parts[1].T / np.sqrt(np.float32(one.width))
    return int((alike > ALIKE).sum())
