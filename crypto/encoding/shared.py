"""Composite keys that several persons of one file have in common: moved to persons drawn by lot.

A composite key is equal wherever its fields are. Between two files that is its purpose. Within one file,
which has each person once, it names no match and tells who are twins, or namesakes at one address: whoever
knows the one would learn the other. So before a file leaves the agency

- each of these persons gets a value of her own in the key's place, which looks like any other,
- and *other* persons of the file, drawn by lot, one for each, share values in the same way as these did.

The linker learns from a file how often different persons share a key, and it still can; who they are is in no
encoding any more. The price is a key for those who shared it (a key that two persons have says of neither
that it is she) and for as many others (who have more keys).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crypto.encoding.bloom import Keyed
from crypto.encoding.keys import lv

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


class Draw:
    """Who stands for whom, and with which values: the same for the same persons, under one secret.

    Were it drawn anew for each package, whoever compared several of one file would see which keys change, and
    so who shares one. A person more or less changes few draws.

    Parameters
    ----------
    key : bytes
        `Keys.moving`, 32 bytes.
    numbers : ndarray of uint64, shape (n,)
        Of the file's persons, :func:`numbers_of` their ids.
    """

    def __init__(self, key: bytes, numbers: Words) -> None:
        self._keyed = Keyed(key)
        self._numbers = numbers

    def others(self, sharers: NDArray[np.bool_]) -> Ints:
        """For each person who shares any key somebody of the file, no two the same; −1 for the rest.

        Each aims at a number of her own and gets the first person from there on whom nobody has yet, in the
        order of aims; at the end those who are left.

        Parameters
        ----------
        sharers : ndarray of bool, shape (n,)
        """
        rows, ring = np.flatnonzero(sharers), np.argsort(self._numbers, kind="stable")
        aims = self._values(rows, 1, "place").view(">u8").astype(np.uint64)[:, 0]
        rows, aims = rows[order := np.argsort(aims, kind="stable")], aims[order]
        count = np.arange(len(rows))
        place = np.maximum.accumulate(np.searchsorted(self._numbers[ring], aims) - count) + count
        free = np.ones(len(ring), np.bool_)
        free[place[place < len(ring)]] = False
        beyond = place >= len(ring)
        place[beyond] = np.flatnonzero(free)[: np.count_nonzero(beyond)]
        image = np.full(len(ring), -1, np.int32)
        image[rows] = ring[place]
        return image

    def moved(
        self, name: str, group: tuple[Ints, Ints], image: Ints, present: NDArray[np.bool_], words: int
    ) -> tuple[Ints, Words]:
        """Whose key changes, and to what.

        Parameters
        ----------
        name : str
            Of the key.
        group
            Persons and groups as of :func:`sharing`.
        image
            As of :meth:`others`.
        present : ndarray of bool, shape (n,)
            Who has the key: nobody gets one who had none.
        words : int
            64-bit words of a key.

        Returns
        -------
        (who, keys)
            Places of persons, ascending, and their new keys, shape (len(who), words).
        """
        persons, groups = group
        # The one with the least number stands for her group.
        first = np.lexsort((self._numbers[persons], groups))
        heads = persons[first][np.searchsorted(groups, np.arange(groups[-1] + 1 if len(groups) else 0))]
        others = image[persons]
        having = present[others]
        who = np.concatenate([persons, others[having]])
        made = np.concatenate(
            [
                self._values(persons, words, "own", name),
                self._values(heads, words, "group", name)[groups[having]],
            ]
        )
        # Whoever shares and is drawn as well stands for the one as whom she was drawn: the last of each.
        who, last = np.unique(who[::-1], return_index=True)
        return who, made[::-1][last]

    def _values(self, persons: NDArray[np.integer[Any]], words: int, *label: str) -> Words:
        """Keyed hashes of persons' numbers, shape (len(persons), words), bytes in filter order."""
        head, raw = lv(*(part.encode() for part in label)), self._numbers[persons].astype(">u8").tobytes()
        out = bytearray()
        for at in range(0, len(raw), 8):
            out += self._keyed.digest(head + lv(raw[at : at + 8]))[: 8 * words]
        return np.frombuffer(bytes(out), np.uint64).reshape(-1, words)


def numbers_of(ids: Iterable[str], key: bytes) -> Words:
    """Numbers of persons by the agency's ids, shape (n,)."""
    keyed = Keyed(key)
    raw = b"".join(keyed.digest(lv(b"person", one.encode()))[:8] for one in ids)
    return np.frombuffer(raw, ">u8").astype(np.uint64)


def without_sharers(keys: dict[str, tuple[Words, NDArray[np.bool_]]]) -> dict[str, Words]:
    """All keys of a whole file without ids, one row a person, after those that are shared were moved.

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
    draw = Draw(secrets.token_bytes(32), np.frombuffer(secrets.token_bytes(8 * len(sharers)), np.uint64))
    image, made = draw.others(sharers), {}
    for name, (words, present) in keys.items():
        who, fresh = draw.moved(name, found[name], image, present, words.shape[1])
        made[name] = words.copy()
        made[name][who] = fresh
    return made
