"""How much an agency's own encodings would betray, computed before anything leaves its machine.

The leak-SNR of a diffused filter is the standard deviation, over pairs of different persons, of (1 − 2p)^t,
times the root of the output width; p is the share of bits in which the plain filters of the two differ. It
is how far the likeness of two encodings tells the likeness of two persons above the noise of diffusion, and
it predicted what known pairs gave away in every attack that was measured (`benchmarks/attacks`): with half
of the persons known, .02 gave 1 %, .03 some 4 %, .06 16 to 28 %. Leakages of several filters of one person
add as squares. The profile's t belongs to the agreement, so it is not changed here: above the bound the
program refuses, and says which t would do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from crypto.encoding.encode import Encoder
from crypto.encoding.profile import Profile
from crypto.errors import ProfileError

#: Of all diffused filters of a person together.
MOST_LEAK_SNR: Final = 0.02
#: From so many persons on, a leak is refused; in fewer, one pair of twins decides the figure.
LEAST_PERSONS: Final = 1_000
#: Of the persons of a file, as many may share a composite key; half of them fall if half are known.
MOST_SHARED_KEYS: Final = 0.08
#: Persons of whom all pairs are compared: rare relatives are what leaks, and few pairs would miss them.
SAMPLE: Final = 2_000
_MOST_T: Final = 16
_BLOCK: Final = 512


@dataclass(frozen=True)
class Leak:
    """The leak-SNR of one diffused filter for every t.

    Attributes
    ----------
    t, width : int
        Of the profile.
    persons : int
        In the sample, with this filter.
    by_t : tuple of float
        Leak-SNR with t = 1, 2, …, 16.
    """

    t: int
    width: int
    persons: int
    by_t: tuple[float, ...]

    @property
    def snr(self) -> float:
        """With the profile's t."""
        return self.by_t[self.t - 1]

    def needed_t(self, bound: float) -> int | None:
        """The least t with a leak-SNR of at most ``bound``; None if 16 is not enough."""
        return next((t + 1 for t, leak in enumerate(self.by_t) if leak <= bound), None)


def differing_bits(filters: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How many pairs of different rows differ in 0, 1, … bits, shape (width + 1,).

    Parameters
    ----------
    filters : ndarray of uint8, shape (n, width // 8)
    """
    bits = np.unpackbits(filters, axis=1).astype(np.float32)
    width, sizes = bits.shape[1], bits.sum(axis=1)
    counts = np.zeros(width + 1, np.int64)
    for start in range(0, len(bits), _BLOCK):
        block = bits[start : start + _BLOCK]
        # Whole numbers far below 2**24: exact in single precision.
        apart = sizes[start : start + _BLOCK, None] + sizes[None, start:] - 2 * (block @ bits[start:].T)
        above = np.arange(apart.shape[1])[None, :] > np.arange(len(block))[:, None]
        counts += np.bincount(apart[above].astype(np.int64), minlength=width + 1)
    return counts


def leak_of(filters: NDArray[np.uint8], t: int, width: int) -> Leak:
    """The leak of plain filters, shape (n, m // 8), that are diffused to ``width`` bits with ``t``."""
    if len(filters) < 2:
        return Leak(t, width, len(filters), (0.0,) * _MOST_T)
    counts = differing_bits(filters)
    likeness = 1 - 2 * np.arange(len(counts)) / (len(counts) - 1)
    total = counts.sum()
    by_t = []
    for power in range(1, _MOST_T + 1):
        left = likeness**power
        mean = (counts @ left) / total
        by_t.append(float(np.sqrt((counts @ (left - mean) ** 2) / total * width)))
    return Leak(t, width, len(filters), tuple(by_t))


def shared_keys(encoder: Encoder, profile: Profile, rows: NDArray[np.int64], persons: int) -> float:
    """Expected share of ``persons`` who have a composite key in common with somebody else.

    Such a key gives the one away to whoever knows the other. ``rows`` are a sample of the persons: everybody
    has as many more partners among all as there are more persons.
    """
    plain = encoder.plain(rows)
    whole = np.concatenate([filters for filters, _ in plain.values()], axis=1)
    _, kept = np.unique(whole, axis=0, return_index=True)
    shared = np.zeros(len(kept), np.bool_)
    for item in profile.filters:
        if item.composite:
            filters, present = plain[item.name]
            values, counts = np.unique(filters[kept], axis=0, return_inverse=True, return_counts=True)[1:]
            shared |= present[kept] & (counts[values.ravel()] > 1)
    return min(1.0, float(shared.mean()) * persons / len(kept)) if len(kept) else 0.0


def sample_rows(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most :data:`SAMPLE` of the rows, the same for the same rows."""
    if len(rows) <= SAMPLE:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, SAMPLE, replace=False))


def assess(encoder: Encoder, profile: Profile, rows: NDArray[np.int64]) -> dict[str, Leak]:
    """The leak of each diffused filter of the profile on these rows of a file (or a sample of them)."""
    plain = encoder.plain(sample_rows(rows))
    # A person who stands in the file twice is no pair of different persons.
    whole = np.concatenate([filters for filters, _ in plain.values()], axis=1)
    _, kept = np.unique(whole, axis=0, return_index=True)
    found = {}
    for item in profile.filters:
        if item.hardening:
            filters, present = plain[item.name]
            rows_of = kept[present[kept]]
            found[item.name] = leak_of(filters[rows_of], item.hardening.t, item.hardening.width)
    return found


def together(leaks: Mapping[str, Leak]) -> float:
    """Leak-SNR of all filters of a person together."""
    return float(np.sqrt(sum(leak.snr**2 for leak in leaks.values())))


def advice(leaks: Mapping[str, Leak], bound: float = MOST_LEAK_SNR) -> dict[str, int | None]:
    """The least t of each filter that leaks more than its share, if all are to stay within ``bound``.

    Filters that do not leak have no share; None stands where no t is enough. Empty where all stay within it.
    """
    if together(leaks) <= bound:
        return {}
    leaking = {name: leak for name, leak in leaks.items() if leak.snr > bound / 10}
    share = bound / np.sqrt(max(len(leaking), 1))
    return {name: leak.needed_t(share) for name, leak in leaking.items() if leak.snr > share}


def refuse_leakage(leaks: Mapping[str, Leak], bound: float = MOST_LEAK_SNR) -> None:
    """Refuse to encode persons whose encodings would tell too much.

    Raises
    ------
    ProfileError
        ``LEAK_TOO_HIGH``.
    """
    enough = any(leak.persons >= LEAST_PERSONS for leak in leaks.values())
    if not enough or together(leaks) <= bound:
        return
    words = [
        f"{name} needs t = {t}" if t else f"no t is enough for {name}" for name, t in advice(leaks).items()
    ]
    raise ProfileError(
        "LEAK_TOO_HIGH",
        f"on these persons the profile's encodings have a leak-SNR of {together(leaks):.3f}, above {bound}: "
        f"who knows some of them could learn others. The parties must agree on a stronger profile "
        f"({'; '.join(words)}), or on more persons in one file; `profile check --stronger FILE` writes it "
        "and tells what it costs",
    )


def refuse_shared_keys(share: float, persons: int, bound: float = MOST_SHARED_KEYS) -> None:
    """Refuse to encode persons too many of whom share a composite key.

    Raises
    ------
    ProfileError
        ``LEAK_TOO_HIGH``.
    """
    if persons >= LEAST_PERSONS and share > bound:
        raise ProfileError(
            "LEAK_TOO_HIGH",
            f"about {share:.1%} of these persons would share a composite key with somebody else, more than "
            f"{bound:.0%}: who knows the one learns the other. The parties must agree on a profile without "
            "the keys that namesakes and relatives share",
        )
