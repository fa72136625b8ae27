"""Figures by which whoever receives encodings sees that something is wrong with them, without any key.

Pure: filters in, figures out; nothing here needs or tells a secret. From 2,500 records on
(`tests/crypto/test_screening.py`) the frequencies of the bits of diffused filters hardly vary and those of
plain ones do, which tells an upload without hardening; bit frequencies of plain filters agree between batches
under one secret and do not under two; and batches of diffused filters that share persons have pairs of
records far more alike than chance under one secret, and none under two; composite keys in common, as
namesakes have them even where two states have nobody in common, exist under one secret only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from crypto.encoding.types import Encodings, FilterColumn, LinkSpec

#: Records from which the figures can tell a wrong key or a missing diffusion.
LEAST_RECORDS: Final = 2_500
#: Standard deviation over bits of the share of records that set the bit, above which nothing was diffused.
MOST_DIFFUSED_STD: Final = 0.05
#: Standard deviations of chance from which two records are alike: one pair of 10^15 by chance.
ALIKE: Final = 8.0
#: Standard deviations of chance above which plain bit frequencies agree: another key reaches 4 at most.
AGREES: Final = 6.0
#: Weights further from the mean than this, in standard deviations, are outliers.
OUTLIER: Final = 6.0
#: Records among which near copies are looked for.
NEAR_SAMPLE: Final = 1_000
#: Records whose composite keys are compared between batches.
KEY_RECORDS: Final = 10_000
#: Pairs of records among whom, under one secret, some share a birthday and the first letters of a name, or
#: are namesakes, wherever they live (`benchmarks.attacks.another_secret`). None do under two secrets.
ENOUGH_PAIRS: Final = 5_000**2
#: Composite keys, at least, that so many have and some share within each file.
KEYS_ASKED: Final = 3
#: Records whose digests are kept, to find equal ones.
MOST_DIGESTS: Final = 1_000_000
_ROWS: Final = 256
_BLOCK: Final = 512
_WORDS: Final = 8

#: What two batches' filters say of their secrets.
SameKey = Literal["same", "another", "strangers", "unknown"]


@dataclass(frozen=True, eq=False, repr=False)
class Sample:
    """What of a batch is compared with other batches.

    The order of a batch is that of its random references, so nobody's choice.

    Attributes
    ----------
    filters : mapping of filter name to FilterColumn
        Of the first 2,500 records.
    starts : mapping of filter name to ndarray of uint64
        First 64 bits of each filter of the first 10,000 records, of those who have it: all of a composite
        key, or of a longer one as much as says whether two are equal.
    """

    filters: Mapping[str, FilterColumn]
    starts: Mapping[str, NDArray[np.uint64]]


class Screening:
    """The figures of a batch, a piece of its records at a time.

    What is kept between pieces is two counts per bit, the first 2,500 records, the first 64 bits of the
    filters of the first 10,000, and 8 bytes per record of a sample of at most a million.
    """

    def __init__(self) -> None:
        self._records = 0
        self._filters: dict[str, _Counts] = {}
        self._digests: list[NDArray[np.uint64]] = []
        self._kept = 0
        #: Digests are kept that are a multiple of this: copies of a record have one digest, so a sample by
        #: digest has all copies of what is in it.
        self._every = np.uint64(1)
        self._random = np.random.default_rng()
        self._factors: NDArray[np.uint64] | None = None
        self._sample: list[Encodings] = []
        self._starts: dict[str, list[NDArray[np.uint64]]] = {}

    def add(self, encodings: Encodings) -> None:
        """Look at some more records."""
        if self._records < LEAST_RECORDS:
            self._sample.append(_head(encodings, LEAST_RECORDS - self._records))
        for name, column in encodings.filters.items():
            rows = slice(max(KEY_RECORDS - self._records, 0))
            self._starts.setdefault(name, []).append(column.words[rows][column.present[rows], 0])
        self._records += len(encodings)
        for name, column in encodings.filters.items():
            self._filters.setdefault(name, _Counts(column.width)).add(column)
        digests = self._digest(encodings)
        self._digests.append(digests[digests % self._every == 0])
        self._kept += len(self._digests[-1])
        while self._kept > MOST_DIGESTS:
            self._every *= np.uint64(2)
            self._digests = [kept[kept % self._every == 0] for kept in self._digests]
            self._kept = sum(map(len, self._digests))

    def sample(self) -> Sample:
        """What is compared with other batches."""
        filters = {
            name: FilterColumn(
                np.concatenate([piece.filters[name].words for piece in self._sample]),
                np.concatenate([piece.filters[name].present for piece in self._sample]),
            )
            for name in self._filters
        }
        return Sample(filters, {name: np.concatenate(parts) for name, parts in self._starts.items()})

    def figures(self) -> dict[str, Any]:
        """What was seen, as counts and decimal strings.

        Returns
        -------
        dict
            ``records``; ``duplicates``: records beyond the first of every group of equal ones, from a million
            records on estimated from a sample; ``near``: of
            ``near_of`` records, those with a near copy among them; and for every filter ``present``,
            ``empty`` (present without a set bit), ``fill`` (mean share of set bits), ``bit_std`` (standard
            deviation over bits of the share of records that set the bit: .177 for a plain CLK, .009 when
            diffused, PRIVACY 2), ``outliers`` (records whose number of set bits is far from the others')
            and ``constant`` (every record has the same filter).
        """
        digests = np.concatenate([np.empty(0, np.uint64), *self._digests])
        digests.sort()
        repeated = int((digests[1:] == digests[:-1]).sum())
        sample = self.sample().filters
        return {
            "records": self._records,
            "duplicates": repeated * int(self._every) if self._filters else 0,
            "near": near_copies(list(sample.values())),
            "near_of": min(self._records, NEAR_SAMPLE),
            "filters": {name: counts.figures() for name, counts in self._filters.items()},
        }

    def _digest(self, encodings: Encodings) -> NDArray[np.uint64]:
        """64 bits of each record's filters, shape (n,): equal records have equal ones, others by chance.

        The factors are drawn anew each time, so nobody can prepare records that collide.
        """
        columns = list(encodings.filters.values())
        words = [column.words.astype(np.uint64, copy=False) for column in columns]
        words.append(np.stack([column.present for column in columns], axis=1).astype(np.uint64))
        width = sum(part.shape[1] for part in words)
        if self._factors is None:
            self._factors = self._random.integers(0, 2**64, (2, width), dtype=np.uint64) | np.uint64(1)
        total = np.zeros(len(encodings), np.uint64)
        at = 0
        for part in words:
            for number in range(part.shape[1]):
                mixed = (part[:, number] ^ self._factors[0, at]) * self._factors[1, at]
                mixed ^= mixed >> np.uint64(29)
                mixed *= self._factors[0, at]
                total += mixed ^ (mixed >> np.uint64(32))
                at += 1
        return total


def same_key(one: Sample, other: Sample, spec: LinkSpec) -> SameKey:
    """Whether two batches were encoded under one secret.

    Parameters
    ----------
    one, other : Sample
        From :meth:`Screening.sample`.
    spec : LinkSpec
        Tells plain filters (compared by Dice) from diffused ones and from composite keys.

    Returns
    -------
    {"same", "another", "strangers", "unknown"}
        ``another`` of plain filters of enough records with some structure, whose bit frequencies are the
        language's under one secret; and where some 5,000 records of each have not one composite key in
        common, which not even two states without a person in common do
        (`benchmarks.attacks.another_secret`). ``strangers``: none among fewer, but 2,500 of each: another
        secret most likely, or places that have nothing to do with each other. Diffused filters alone,
        without a pair alike, tell nothing: nobody may be in both.
    """
    by_keys = _by_keys(one, other, spec)
    if by_keys == "same":  # first, for it is the least work
        return by_keys
    scores = []
    for item in spec.filters:
        first, second = one.filters[item.name], other.filters[item.name]
        if item.similarity == "agreement":
            if alike_pairs(first, second):
                return "same"
            continue
        if item.similarity == "dice" and _least(first, second) >= LEAST_RECORDS // 2:
            frequencies = [bit_frequencies(column.words[column.present]) for column in (first, second)]
            # Without structure, as of random identifiers, frequencies say nothing under any secret.
            if min(float(counts.std()) for counts in frequencies) > MOST_DIFFUSED_STD:
                scores.append(cohort_z(frequencies[0], frequencies[1]))
    if not scores:
        return by_keys
    return "same" if max(scores) > AGREES else "another"


def _by_keys(one: Sample, other: Sample, spec: LinkSpec) -> SameKey:
    """What composite keys say of the secrets."""
    pairs = []
    for item in spec.filters:
        if item.similarity == "key":
            first, second = one.starts[item.name], other.starts[item.name]
            if len(np.intersect1d(first, second)):
                return "same"
            # A key that no two of a file have, as of a number, no two strangers would have either.
            if all(len(np.unique(keys)) < len(keys) for keys in (first, second)):
                pairs.append(len(first) * len(second))
    if len(pairs) < KEYS_ASKED:
        return "unknown"
    least = sorted(pairs)[-KEYS_ASKED]
    if least >= ENOUGH_PAIRS:
        return "another"
    return "strangers" if least >= LEAST_RECORDS**2 else "unknown"


def _least(one: FilterColumn, other: FilterColumn) -> int:
    return min(int(one.present.sum()), int(other.present.sum()))


def bit_frequencies(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Share of rows that set each bit, shape (width,); zeros of no rows."""
    return np.asarray(_bit_counts(words) / max(len(words), 1))


def cohort_z(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Correlation of two batches' bit frequencies, in standard deviations of chance.

    Large for plain filters under one secret, within a few of zero under two. Diffused filters of fill near
    one half tell nothing by it whatever their secret; see :func:`alike_pairs`.
    """
    if one.std() == 0 or other.std() == 0:
        return 0.0
    correlation = float(np.corrcoef(one, other)[0, 1])
    return float(np.arctanh(np.clip(correlation, -0.999999, 0.999999)) * np.sqrt(len(one) - 3))


def alike_pairs(one: FilterColumn, other: FilterColumn) -> int:
    """Pairs of a record of each batch far more alike than chance, among the first 2,500 of each.

    Batches of overlapping populations have some under one secret, and none under two. None does not prove two
    secrets: the batches may have nobody in common.
    """
    words = [column.words[column.present][:LEAST_RECORDS] for column in (one, other)]
    if not min(len(words[0]), len(words[1])):
        return 0
    means = [np.float32(1) - 2 * bit_frequencies(part).astype(np.float32) for part in words]
    limit = ALIKE * np.sqrt(np.float32(one.width))
    pairs = 0
    # A block of each batch at a time: a matrix of all pairs would be larger than all else that is held.
    for first in range(0, len(words[0]), _BLOCK):
        for second in range(0, len(words[1]), _BLOCK):
            blocks = words[0][first : first + _BLOCK], words[1][second : second + _BLOCK]
            alike = np.zeros((len(blocks[0]), len(blocks[1])), np.float32)
            for at in range(0, blocks[0].shape[1], _WORDS):
                bits = slice(at * 64, (at + _WORDS) * 64)
                centred = [
                    1 - 2 * _bits(part[:, at : at + _WORDS]) - mean[bits]
                    for part, mean in zip(blocks, means, strict=True)
                ]
                alike += centred[0] @ centred[1].T
            pairs += int((alike > limit).sum())
    return pairs


def repeated_share(one: Mapping[str, FilterColumn], other: Mapping[str, FilterColumn], others: int) -> float:
    """About which share of a batch's records stand, equal in all filters, in another batch of ``others``.

    Told from samples of both, whose records were chosen by references that mean nothing: each pair of copies
    is in both samples by chance.
    """
    first, second = (_whole_records(sample) for sample in (one, other))
    found = sum(record in second for record in first)
    seen = len(next(iter(other.values())).present) if other else 0
    return min(1.0, found / len(first) * others / seen) if first and seen else 0.0


def _whole_records(sample: Mapping[str, FilterColumn]) -> set[bytes]:
    columns = [sample[name] for name in sorted(sample)]
    parts = [np.where(column.present[:, None], column.words, 0) for column in columns]
    parts += [column.present[:, None].astype(np.uint64) for column in columns]
    rows = np.concatenate(parts, axis=1) if parts else np.zeros((0, 0), np.uint64)
    return {row.tobytes() for row in rows if row.any()}  # who has no filter is nobody's copy


def near_copies(columns: Sequence[FilterColumn]) -> int:
    """Of the first 1,000 records, those with a near copy among them.

    A near copy differs in less than a third of the bits that strangers differ in, over all filters together.
    """
    if not columns:
        return 0
    words = np.concatenate(
        [np.where(column.present[:, None], column.words, 0)[:NEAR_SAMPLE] for column in columns], axis=1
    )
    words = words[words.any(axis=1)]  # who has no filter at all is nobody's copy
    if len(words) < 3:
        return 0
    apart = np.zeros((len(words), len(words)), np.float32)
    for at in range(0, words.shape[1], _WORDS):
        bits = _bits(words[:, at : at + _WORDS])
        sizes = bits.sum(axis=1)
        apart += sizes[:, None] + sizes[None, :] - 2 * (bits @ bits.T)
    np.fill_diagonal(apart, np.inf)
    return int((apart.min(axis=1) * 3 < np.median(apart)).sum())


@dataclass
class _Counts:
    """Counts of one filter."""

    width: int

    def __post_init__(self) -> None:
        self.present = 0
        self.bits = np.zeros(self.width, np.int64)
        self.weights = np.zeros(self.width + 1, np.int64)

    def add(self, column: FilterColumn) -> None:
        words = column.words[column.present]
        self.present += len(words)
        self.weights += np.bincount(np.bitwise_count(words).sum(axis=1), minlength=self.width + 1)
        self.bits += _bit_counts(words)

    def figures(self) -> dict[str, Any]:
        if not self.present:
            zero = {"fill": "0.0000", "bit_std": "0.0000"}
            return {"present": 0, "empty": 0, **zero, "outliers": 0, "constant": False}
        sizes = np.arange(self.width + 1)
        mean = float(self.weights @ sizes) / self.present
        spread = float(np.sqrt(self.weights @ (sizes - mean) ** 2 / self.present))
        outliers = int(self.weights[np.abs(sizes - mean) > OUTLIER * spread].sum()) if spread else 0
        return {
            "present": self.present,
            "empty": int(self.weights[0]),
            "fill": f"{mean / self.width:.4f}",
            "bit_std": f"{(self.bits / self.present).std():.4f}",
            "outliers": outliers,
            "constant": bool(np.isin(self.bits, (0, self.present)).all()),
        }


def _head(encodings: Encodings, rows: int) -> Encodings:
    """The first records, copied, so that the piece they came in can go."""
    return Encodings(
        encodings.record_refs[:rows].copy(),
        {
            name: FilterColumn(column.words[:rows].copy(), column.present[:rows].copy())
            for name, column in encodings.filters.items()
        },
    )


def _bits(words: NDArray[np.uint64]) -> NDArray[np.float32]:
    packed = np.ascontiguousarray(words.astype(">u8")).view(np.uint8)
    return np.unpackbits(packed, axis=1).astype(np.float32)


def _bit_counts(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Rows that set each bit, in slices: a matrix of all bits would be 8 times the size of the filters."""
    counts = np.zeros(words.shape[1] * 64, np.int64)
    for start in range(0, len(words), _ROWS):
        packed = np.ascontiguousarray(words[start : start + _ROWS].astype(">u8")).view(np.uint8)
        counts += np.unpackbits(packed, axis=1).sum(axis=0, dtype=np.int64)
    return counts
