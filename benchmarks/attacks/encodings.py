"""What the attacker sees, and what she can compute herself.

She knows the population, the profile and so every t; she lacks the secret. With a key of her own she makes
plain filters of everybody, and the similarity that diffusion leaves of them *without its noise*: a bit of
the diffused filters of two persons agrees with probability (1 + (1 − 2p)^t) / 2 if a part p of their plain
filters' bits differs. That is much stronger than her own diffused encodings, whose noise is not that of the
stolen ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.attacks.populations import Population
from crypto.encoding import shared
from crypto.encoding.encode import Encoder, prepare
from crypto.encoding.keys import Keys, Secret
from crypto.encoding.profile import Profile

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Packed = tuple[NDArray[np.uint8], Bools]
#: Simulated bits of a person, over all keys.
_WIDE = 8192


@dataclass(frozen=True)
class View:
    """One filter of everybody.

    Attributes
    ----------
    name : str
    signs : ndarray of float32, shape (n, width)
        −1 for a set bit, 1 for an unset one, 0 where the person lacks the filter.
    present : ndarray of bool, shape (n,)
    t : int
        Filter bits in an output bit; 1: not diffused.
    width : int
        Bits that travel.
    key : bool
        A composite key: equal or not, without any likeness between.
    """

    name: str
    signs: Floats
    present: Bools
    t: int
    width: int
    key: bool = False


def secret(seed: int) -> Secret:
    """A secret that is the same in every run of the benchmark; for nothing else."""
    return Secret("benchmark", 1, np.random.default_rng([2026, seed]).bytes(32))


def _views(population: Population, profile: Profile, key: int, files: Sequence[Ints] | None) -> list[View]:
    """Of everybody: what leaves agencies with these files, or plain filters where there are none."""
    prepared = prepare(population.table, profile)
    encoder = Encoder(prepared, profile, Keys(secret(key), profile))
    rows = np.arange(prepared.rows)
    made = encoder.plain(rows) if files is None else encoder.encode(rows).filters
    for file in files or ():
        _move(made, profile, file)
    found = []
    for item in profile.filters:
        packed, present = made[item.name]
        if not present.any():
            continue
        signs = 1 - 2 * np.unpackbits(packed, axis=1).astype(np.float32)
        signs[~present] = 0
        t = item.hardening.t if item.hardening else 1
        found.append(View(item.name, signs, present, t, item.out_width, item.composite))
    return found


def _move(made: Mapping[str, Packed], profile: Profile, file: Ints) -> None:
    """Keys that several persons of a file share are moved to others of it before it leaves."""
    words = {name: (made[name][0].view(np.uint64)[file], made[name][1][file]) for name in profile.moved_keys}
    for name, fresh in shared.without_sharers(words).items():
        made[name][0][file] = fresh.view(np.uint8)


def stolen(
    population: Population, profile: Profile, key: int = 1, files: Sequence[Ints] | None = None
) -> list[View]:
    """The encodings that the service holds; ``files`` are rows of each, by default all in one."""
    return _views(population, profile, key, files or [np.arange(len(population.numbers))])


def simulated(population: Population, profile: Profile, key: int = 2) -> list[View]:
    """Plain filters of the attacker's register under her own key."""
    return _views(population, profile, key, None)


def averaged(population: Population, profile: Profile) -> list[View]:
    """The same under several keys of her own, so that narrow filters lose the chance of any one key."""
    first = simulated(population, profile)
    several = max(1, _WIDE // max(view.signs.shape[1] for view in first))
    others = [simulated(population, profile, key) for key in range(20, 19 + several)]
    return [
        replace(view, signs=np.concatenate([view.signs, *(other[place].signs for other in others)], axis=1))
        for place, view in enumerate(first)
    ]


def only_keys(profile: Profile) -> Profile | None:
    """The profile with its composite keys alone (keys of another fingerprint, but as equal); None without."""
    document = profile.to_document()
    kept = [item for item in document["filters"] if item["hardening"] == {"kind": "key"}]
    used = {name for item in kept for name in item["fields"]}
    fields = [field for field in document["fields"] if field["name"] in used]
    return Profile.from_document({**document, "fields": fields, "filters": kept}) if kept else None


def likeness(a: View, b: View) -> Floats:
    """Share of equal bits minus share of different ones, shape (n_a, n_b); 0 where a filter is absent.

    Of keys 1 where they are equal, 0 elsewhere.
    """
    out: Floats = a.signs @ b.signs.T
    out /= a.signs.shape[1]
    return (out == 1).astype(np.float32) if a.key else out


def noise_free(a: View, b: View) -> Floats:
    """What :func:`likeness` of the stolen encodings would be without noise, from simulated plain filters."""
    out = likeness(a, b)
    return out if a.t == 1 else out**a.t
