"""Where a file is refused for its leak: the profile that would pass, and what it costs on this very file.

A higher t tells less of who resembles whom, and less of who is the same person with an error in the record.
Both are known from the agency's own file alone: the leak by `risk`, the cost by damaging its persons' records
and looking how many of them could still be told from strangers. It is a proposal: the profile belongs to the
agreement, and all parties must encode with the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from crypto.encoding import risk
from crypto.encoding.encode import Encoder, Prepared, PreparedField
from crypto.encoding.keys import Keys, Secret
from crypto.encoding.profile import Profile

#: Deviations above chance from which the likeness of two views tells a person from strangers in files of some
#: thousands; what is less alike is found by a composite key or not at all.
TOLD_APART: Final = 4.5
#: Columns of a record that are damaged, at most.
MOST_DAMAGED: Final = 3
#: Of the bound, to which a stronger profile is held: it is measured on a part of the file, and `encode` draws
#: another, with more relatives in it or fewer.
MARGIN: Final = 0.8

Bools = NDArray[np.bool_]


def stronger(
    profile: Profile, leaks: Mapping[str, risk.Leak], bound: float = MARGIN * risk.MOST_LEAK_SNR
) -> Profile | None:
    """The profile with the least t by which all its filters together leak at most ``bound``.

    Returns
    -------
    Profile or None
        The profile itself if it leaks no more; None if no t is enough.
    """
    t = {name: leak.t for name, leak in leaks.items()}
    while (worst := _worst(leaks, t, bound)) is not None:
        if t[worst] >= len(leaks[worst].by_t):
            return None
        t[worst] += 1
    filters = tuple(
        replace(item, hardening=replace(item.hardening, t=t[item.name]))
        if item.hardening and item.name in t
        else item
        for item in profile.filters
    )
    return replace(profile, filters=filters)


def _worst(leaks: Mapping[str, risk.Leak], t: Mapping[str, int], bound: float) -> str | None:
    """The filter that leaks most with these t; None if all together leak no more than ``bound``."""
    snr = {name: leak.by_t[t[name] - 1] for name, leak in leaks.items()}
    if not snr or sum(value**2 for value in snr.values()) <= bound**2:
        return None
    return max(snr, key=lambda name: snr[name])


def found_again(prepared: Prepared, profiles: Mapping[str, Profile]) -> list[dict[str, float]]:
    """Share of persons who would be told from strangers by a record of theirs in which columns are wrong.

    Parameters
    ----------
    prepared : Prepared
        A sample of the persons.
    profiles : mapping of str to Profile
        Profiles that differ in nothing but their t, by any name.

    Returns
    -------
    list of dict
        For one wrong column, two and three: by the profile's name the share, in [0, 1]. Of a person only
        columns that she has are made wrong; they then hold what somebody else has there. The damaged record
        has no strong identifier, for whoever has one is found by it.
    """
    plainest = next(iter(profiles.values()))
    strong = {field.name for field in plainest.fields if field.strong}
    keys, rows = Keys(Secret.generate(), plainest), np.arange(prepared.rows)
    whole = Encoder(prepared, plainest, keys).plain(rows)
    found = []
    for damaged in range(1, MOST_DAMAGED + 1):
        hurt = Encoder(_damaged(prepared, damaged, strong), plainest, keys).plain(rows)
        shared, alike = np.zeros(len(rows), np.bool_), {}
        for item in plainest.filters:
            both = whole[item.name][1] & hurt[item.name][1]
            apart = np.bitwise_count(whole[item.name][0] ^ hurt[item.name][0]).sum(axis=1, dtype=np.int64)
            if item.composite:
                shared |= both & (apart == 0)
            else:
                alike[item.name] = np.where(both, 1 - 2 * apart / item.width, 0.0)
        found.append({name: _told(profile, alike, shared) for name, profile in profiles.items()})
    return found


def _told(profile: Profile, alike: Mapping[str, NDArray[np.float64]], shared: Bools) -> float:
    told = shared.copy()
    for item in profile.filters:
        if item.hardening:
            left = alike[item.name] ** item.hardening.t * np.sqrt(item.hardening.width)
            told |= left >= TOLD_APART
    return float(told.mean()) if len(told) else 0.0


def _damaged(prepared: Prepared, columns: int, without: Set[str]) -> Prepared:
    """The table with so many columns of each person's replaced by somebody else's, the same for the same.

    ``without``: fields that nobody has in it.
    """
    fields = {name: field for name, field in prepared.fields.items() if name not in without}
    sources = sorted({field.source for field in fields.values()})
    filled = np.zeros((prepared.rows, len(sources)), np.bool_)
    for field in fields.values():
        filled[:, sources.index(field.source)] |= field.column.codes >= 0
    random = np.random.default_rng(columns)
    # Of the columns that a person has, the first in a random order.
    order = np.argsort(np.where(filled, random.random(filled.shape), 2.0), axis=1)[:, :columns]
    hurt = np.zeros_like(filled)
    np.put_along_axis(hurt, order, True, axis=1)
    circle = random.permutation(prepared.rows)
    other = np.empty_like(circle)
    other[circle] = np.roll(circle, 1)

    def with_damage(field: PreparedField) -> PreparedField:
        codes = field.column.codes
        wrong = hurt[:, sources.index(field.source)] & (codes >= 0)
        return replace(field, column=replace(field.column, codes=np.where(wrong, codes[other], codes)))

    return replace(prepared, fields={name: with_damage(field) for name, field in fields.items()})
