"""`crypto.encoding.shared` for files larger than memory: keys go to files, and are looked at one by one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crypto.encoding import shared
from crypto.encoding.keys import Keys
from crypto.encoding.profile import Profile
from crypto.wire import filter_array

Refs = NDArray[np.bytes_]
_PERSON, _NUMBER = "person", "number"
#: Persons per mark in the list of those who get another key: a chunk reads the list from the mark before it.
_STEP = 1 << 15


class MovedKeys:
    """Collects the composite keys of a file's rows, settles which move where, and gives them back by person.

    A person is told by the first 64 bits of her reference, in whose order all is kept.

    Parameters
    ----------
    folder : Path
        Private; holds keyed hashes, nothing of a row in clear.
    profile : Profile
    keys : Keys
    """

    def __init__(self, folder: Path, profile: Profile, keys: Keys) -> None:
        self._folder = folder
        self._key = keys.moving
        self._words = {
            item.name: item.width // 64 for item in profile.filters if item.name in profile.moved_keys
        }
        self._place = {name: place for place, name in enumerate(self._words)}
        self._persons = np.zeros(0, np.uint64)
        #: Of each key, how many of those who get another come before every so many persons.
        self._starts: dict[str, NDArray[np.int64]] = {}
        #: Persons who shared a key with somebody.
        self.sharers = 0
        if self._words:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def add(self, refs: Refs, ids: pa.Array, rows: Mapping[str, pa.Array]) -> None:
        """Note the keys of rows by their references and the agency's ids; keys under ``filter <name>``."""
        for name in self._words:
            column = rows[f"filter {name}"]
            first = np.zeros(len(column), np.uint64)
            has = column.is_valid().to_numpy(zero_copy_only=False)
            first[has] = _packed(column)[has][:, 0]
            self._append(name, first)
        if self._words:
            self._append(_PERSON, places(refs))
            self._append(_NUMBER, shared.numbers_of(ids.to_pylist(), self._key))

    def settle(self) -> None:
        """Decide who gets which key, once all rows are known; two of a person's rows say the same."""
        if not self._words:
            return
        self._persons, rows = np.unique(np.fromfile(self._path(_PERSON), np.uint64), return_index=True)
        sharers = np.zeros(len(self._persons), np.bool_)
        for name in self._words:
            persons, groups = shared.sharing(self._keys(name, rows))
            np.stack([persons, groups]).tofile(self._path(name, "sharing"))
            sharers[persons] = True
        draw = shared.Draw(self._key, self._keys(_NUMBER, rows))
        self.sharers, image = int(np.count_nonzero(sharers)), draw.others(sharers)
        for name, words in self._words.items():
            persons, groups = np.fromfile(self._path(name, "sharing"), np.int32).reshape(2, -1)
            present = self._keys(name, rows) != 0
            who, keys = draw.moved(name, (persons, groups), image, present, words)
            who.tofile(self._path(name, "who"))
            keys.tofile(self._path(name, "moved"))
            self._starts[name] = np.searchsorted(who, np.arange(0, len(sharers) + _STEP, _STEP))

    def of(self, name: str, refs: Refs, column: pa.Array) -> pa.Array:
        """A filter's column for persons by ascending references, with the keys that moved."""
        if name not in self._words or not len(refs):
            return column
        mine = np.searchsorted(self._persons, places(refs))
        start, end = self._starts[name][[mine[0] // _STEP, mine[-1] // _STEP + 1]].tolist()
        who = np.fromfile(self._path(name, "who"), np.int32, end - start, offset=4 * start)
        size = 8 * self._words[name]
        raw = np.fromfile(self._path(name, "moved"), np.uint8, (end - start) * size, offset=start * size)
        at = np.searchsorted(mine, who)
        # Persons who are left out of the package are in the file all the same.
        among = mine[np.minimum(at, len(mine) - 1)] == who
        if not among.any():
            return column
        packed = _packed(column).copy()
        packed[at[among]] = raw.view(np.uint64).reshape(-1, self._words[name])[among]
        present = column.is_valid().to_numpy(zero_copy_only=False)
        return filter_array(packed.view(np.uint8), present)

    def _keys(self, name: str, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
        return np.fromfile(self._path(name), np.uint64)[rows]

    def _append(self, name: str, values: NDArray[np.uint64]) -> None:
        with self._path(name).open("ab") as stream:
            stream.write(values.tobytes())

    def _path(self, name: str, what: str = "") -> Path:
        place = self._place.get(name, name)
        return self._folder / f"{what or 'all'}-{place}"


def places(refs: Refs) -> NDArray[np.uint64]:
    """The first 64 bits of references of 16 bytes, as numbers in the references' order."""
    return refs.view(">u8").reshape(len(refs), 2)[:, 0].astype(np.uint64)


def _packed(column: pa.Array) -> NDArray[np.uint64]:
    """Keys of a column, shape (n, words), bytes in filter order; of absent ones anything."""
    width = column.type.byte_width
    raw = np.frombuffer(column.buffers()[1], np.uint8)
    start = column.offset * width
    return raw[start : start + len(column) * width].reshape(len(column), width).view(np.uint64)
