"""Composite keys that several persons of one file have in common: moved to persons drawn at random.

A composite key is equal wherever its fields are. Between two files that is its purpose. Within one file,
which has each person once, it names no match and tells who are twins, or namesakes at one address: whoever
knows the one would learn the other. So before a file leaves the agency

- each of these persons gets a random value in the key's place, which looks like any other and equals none,
- and *other* persons of the file, drawn at random, one for each, share values in the same way as these did.

The linker learns from a file how often different persons share a key, and it still can; who they are is in no
encoding any more. The price is a key for those who shared it (a key that two persons have says of neither
that it is she) and for as many others (who have more keys).
"""

from __future__ import annotations

import secrets

import numpy as np
from numpy.typing import NDArray

#: Numbers of persons of one file: four bytes each, since there are as many as persons.
Ints = NDArray[np.int32]
Words = NDArray[np.uint64]


def shuffled(count: int) -> NDArray[np.int64]:
    """A secret random order of ``count`` rows."""
    words = np.frombuffer(secrets.token_bytes(16 * count), np.uint64).reshape(count, 2)
    return np.lexsort((words[:, 0], words[:, 1])).astype(np.int64)


def sharing(keys: Words) -> tuple[Ints, Ints]:
    """Who shares a key with somebody else, and the number of each one's group.

    Parameters
    ----------
    keys : ndarray of uint64, shape (n,)
        The first 64 bits of each person's key; zero: none.

    Returns
    -------
    (persons, groups) : ndarrays of int32, shape (m,)
        Places in ``keys``, ascending within each group, and groups from 0 on.
    """
    order = np.argsort(keys, kind="stable")
    ascending = keys[order]
    first = np.ones(len(keys) + 1, np.bool_)
    first[1:-1] = ascending[1:] != ascending[:-1]
    several = ~(first[:-1] & first[1:]) & (ascending != 0)
    return order[several].astype(np.int32), np.cumsum(first[:-1][several], dtype=np.int32) - np.int32(1)


def drawn(sharers: NDArray[np.bool_]) -> Ints:
    """For each person who shares any key somebody of the file at random, no two the same; −1 for the others.

    Parameters
    ----------
    sharers : ndarray of bool, shape (n,)
    """
    image = np.full(len(sharers), -1, np.int32)
    image[sharers] = shuffled(len(sharers))[: np.count_nonzero(sharers)]
    return image


def moved(
    persons: Ints, groups: Ints, image: Ints, present: NDArray[np.bool_], words: int
) -> tuple[Ints, Words]:
    """Whose key changes, and to what.

    Parameters
    ----------
    persons, groups
        As of :func:`sharing`.
    image
        As of :func:`drawn`.
    present : ndarray of bool, shape (n,)
        Who has the key: nobody gets one who had none.
    words : int
        64-bit words of a key.

    Returns
    -------
    (who, keys)
        Places of persons, ascending, and their new keys, shape (len(who), words).
    """
    others = image[persons]
    having = present[others]
    who = np.concatenate([persons, others[having]])
    several = _random(int(groups[-1]) + 1 if len(groups) else 0, words)
    made = np.concatenate([_random(len(persons), words), several[groups[having]]])
    # Whoever shares and is drawn as well stands for the one as whom she was drawn: the last of each.
    who, last = np.unique(who[::-1], return_index=True)
    return who, made[::-1][last]


def _random(count: int, words: int) -> Words:
    return np.frombuffer(secrets.token_bytes(8 * count * words), np.uint64).reshape(count, words)


def without_sharers(
    keys: dict[str, tuple[Words, NDArray[np.bool_]]],
) -> dict[str, Words]:
    """All keys of a whole file, one row a person, after those that are shared were moved.

    Parameters
    ----------
    keys : dict of str to (words, present)
        By key; shapes (n, width // 64) and (n,).
    """
    found = {
        name: sharing(np.where(present, words[:, 0], np.uint64(0))) for name, (words, present) in keys.items()
    }
    sharers = np.zeros(max((len(present) for _, present in keys.values()), default=0), np.bool_)
    for persons, _ in found.values():
        sharers[persons] = True
    image, made = drawn(sharers), {}
    for name, (words, present) in keys.items():
        who, fresh = moved(*found[name], image, present, words.shape[1])
        made[name] = words.copy()
        made[name][who] = fresh
    return made
