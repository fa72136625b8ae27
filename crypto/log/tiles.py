"""Tiles of a log's tree (C2SP tlog-tiles): which hashes are kept, under which names, and proofs made of them.

A tile is up to 256 consecutive hashes of one level; the hashes of level ``l`` are the roots of complete
subtrees of 256**l leaves, so level 0 are the leaf hashes. Whoever keeps those can answer the root of any
range of leaves, hence any proof, from a few tiles (``O(log n)`` of them), and never reads the leaves.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from crypto.errors import LogError
from crypto.log.tree import (
    EMPTY_ROOT,
    consistency_ranges,
    inclusion_ranges,
    node_hash,
    root,
)

HEIGHT: Final = 8
WIDTH: Final = 1 << HEIGHT
MAX_LEVEL: Final = 63
#: An entry bundle gives each entry's length in two bytes.
MAX_LEAF_BYTES: Final = 65_535

_PATH = re.compile(
    r"(?P<level>entries|0|[1-9][0-9]?)/(?P<number>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?",
    re.ASCII,
)

#: ``read(level, start, end)``: the hashes [start, end) of a level, 32 bytes each.
Read = Callable[[int, int, int], Sequence[bytes]]


class Tile(NamedTuple):
    """A tile's address: level (None: the entry bundle of level 0), number, hashes that it holds."""

    level: int | None
    number: int
    width: int

    @property
    def start(self) -> int:
        """Place of its first hash within its level."""
        return self.number * WIDTH

    def path(self) -> str:
        """``<L>/<N>[.p/<W>]`` as it follows ``tile/``."""
        level = "entries" if self.level is None else str(self.level)
        digits = f"{self.number:03d}"
        digits = "0" * (-len(digits) % 3) + digits
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        number = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        return f"{level}/{number}" + ("" if self.width == WIDTH else f".p/{self.width}")

    @classmethod
    def parse(cls, path: str) -> Tile:
        """Read a path strictly: there is one spelling of each tile.

        Raises
        ------
        LogError
            ``TILE_PATH``.
        """
        match = _PATH.fullmatch(path)
        if match is None:
            raise LogError("TILE_PATH", "not the path of a tile")
        level = None if match["level"] == "entries" else int(match["level"])
        number = int(match["number"].replace("x", "").replace("/", ""))
        tile = cls(level, number, int(match["width"] or WIDTH))
        if (level or 0) > MAX_LEVEL or tile.path() != path:
            raise LogError("TILE_PATH", "not the path of a tile")
        return tile

    def is_of(self, size: int) -> bool:
        """Tell whether a tree of ``size`` leaves has these hashes."""
        return self.start + self.width <= size >> (HEIGHT * (self.level or 0))


def tiles_of(size: int) -> list[Tile]:
    """Return the tiles of hashes of a tree of ``size`` leaves, lowest level first."""
    found = []
    level, count = 0, size
    while count:
        found += [Tile(level, number, WIDTH) for number in range(count // WIDTH)]
        if count % WIDTH:
            found.append(Tile(level, count // WIDTH, count % WIDTH))
        level, count = level + 1, count // WIDTH
    return found


def completed(size: int, read: Read) -> list[tuple[int, int, bytes]]:
    """Return the (level, place, hash) that the last of ``size`` leaves completed; usually none.

    ``read`` must answer level 0 up to that leaf, and higher levels with what this returned before: each level
    is asked only after the one below it was told.
    """
    found: list[tuple[int, int, bytes]] = []
    below: dict[int, bytes] = {}
    level, count = 0, size
    while count and count % WIDTH == 0:
        hashes = list(read(level, count - WIDTH, count - bool(below)))
        hashes += [below[count - 1]] if below else []
        level, count = level + 1, count // WIDTH
        below = {count - 1: root(hashes)}
        found.append((level, count - 1, below[count - 1]))
    return found


class TileReader:
    """Roots of ranges of leaves and proofs, out of tiles; each tile is read once.

    Parameters
    ----------
    read
        Hashes of a level.
    size
        Leaves of the tree: nothing beyond it is read.
    """

    def __init__(self, read: Read, size: int) -> None:
        self._read = read
        self._size = size
        self._tiles: dict[tuple[int, int], Sequence[bytes]] = {}

    @property
    def tiles_read(self) -> int:
        """How many tiles were needed so far."""
        return len(self._tiles)

    def root(self) -> bytes:
        """Return the root of the whole tree."""
        return self.range_root(0, self._size)

    def range_root(self, start: int, end: int) -> bytes:
        """Return the root of leaves [start, end), a range as in :func:`crypto.log.tree.inclusion_ranges`.

        The range is cut into complete subtrees from the left, whose roots are folded from the right.
        """
        roots = []
        while start < end:
            height = min((end - start).bit_length() - 1, (start & -start).bit_length() - 1 if start else 64)
            roots.append(self._subtree(height, start >> height))
            start += 1 << height
        if not roots:
            return EMPTY_ROOT
        result = roots.pop()
        while roots:
            result = node_hash(roots.pop(), result)
        return result

    def inclusion_proof(self, index: int) -> list[bytes]:
        """Return the audit path of leaf ``index``; errors as :func:`crypto.log.tree.inclusion_ranges`."""
        return [self.range_root(a, b) for a, b in inclusion_ranges(index, self._size)]

    def consistency_proof(self, first: int) -> list[bytes]:
        """Return the proof that the tree extends its first ``first`` leaves."""
        return [self.range_root(a, b) for a, b in consistency_ranges(first, self._size)]

    def leaf_hash(self, index: int) -> bytes:
        """Return the hash of one leaf."""
        return self._subtree(0, index)

    def _subtree(self, height: int, number: int) -> bytes:
        """Root of the complete subtree ``number`` among those of 2**height leaves."""
        level, above = divmod(height, HEIGHT)
        start = number << above
        tile = self._tile(level, start // WIDTH)
        return root(tile[start % WIDTH : (start % WIDTH) + (1 << above)])

    def _tile(self, level: int, number: int) -> Sequence[bytes]:
        found = self._tiles.get((level, number))
        if found is None:
            end = min((number + 1) * WIDTH, self._size >> (HEIGHT * level))
            found = self._read(level, number * WIDTH, end)
            if len(found) != end - number * WIDTH:
                raise LogError("TILE_INCOMPLETE", f"level {level} of the tree lacks hashes in tile {number}")
            self._tiles[level, number] = found
        return found


def entry_bundle(leaves: Sequence[bytes]) -> bytes:
    """Return leaves as an entry bundle: each after its length, two bytes, big-endian."""
    return b"".join(struct.pack(">H", len(leaf)) + leaf for leaf in leaves)


def read_bundle(data: bytes) -> list[bytes]:
    """Return the leaves of an entry bundle.

    Raises
    ------
    LogError
        ``BUNDLE_MALFORMED`` where it is cut off.
    """
    leaves, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 2], "big")
        leaf = data[at + 2 : at + 2 + length]
        if at + 2 > len(data) or len(leaf) != length:
            raise LogError("BUNDLE_MALFORMED", "an entry bundle is cut off")
        leaves.append(leaf)
        at += 2 + length
    return leaves
