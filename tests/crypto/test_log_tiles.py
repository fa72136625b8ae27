"""Tiles: names as in the specification, and proofs out of them that are those of the whole tree."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.errors import LogError
from crypto.log.tiles import Tile, TileReader, completed, entry_bundle, read_bundle, tiles_of
from crypto.log.tree import consistency_proof, inclusion_proof, root

SIZE = 66_500
LEAVES = [hashlib.sha256(str(number).encode()).digest() for number in range(SIZE)]


class Stored:
    """What a log stores: leaf hashes, and the hashes that appends completed."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.levels: dict[int, list[bytes]] = {0: []}
        for leaf in leaves:
            self.levels[0].append(leaf)
            if len(self.levels[0]) % 256 == 0:
                for level, place, value in completed(len(self.levels[0]), self.read):
                    kept = self.levels.setdefault(level, [])
                    assert len(kept) == place
                    kept.append(value)

    def read(self, level: int, start: int, end: int) -> Sequence[bytes]:
        return self.levels.get(level, [])[start:end]


STORED = Stored(LEAVES)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0, 256), "0/000"),
        (Tile(0, 1_234_067, 256), "0/x001/x234/067"),
        (Tile(1, 0, 17), "1/000.p/17"),
        (Tile(None, 273, 112), "entries/273.p/112"),
        (Tile(63, 999, 1), "63/999.p/1"),
        (Tile(2, 1000, 256), "2/x001/000"),
    ],
)
def test_a_tile_has_one_path(tile: Tile, path: str) -> None:
    assert tile.path() == path
    assert Tile.parse(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "", "0", "0/0", "0/00", "00/000", "64/000", "0/000.p/0", "0/000.p/256", "0/000.p/01", "0/x000/000",
        "0/001/000", "0/000/", "/0/000", "0/000.p/", "x/000", "entries/x1/000", "0/٠٠٠", "../0/000", "-1/000",
    ],
)  # fmt: skip
def test_another_spelling_is_no_path(path: str) -> None:
    with pytest.raises(LogError, match="TILE_PATH"):
        Tile.parse(path)


def test_the_tiles_of_a_tree_are_those_of_the_specification() -> None:
    tiles = tiles_of(70_000)
    assert len([tile for tile in tiles if tile.level == 0 and tile.width == 256]) == 273
    assert tiles[273:] == [Tile(0, 273, 112), Tile(1, 0, 256), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert tiles_of(256) == [Tile(0, 0, 256), Tile(1, 0, 1)]
    assert tiles_of(0) == []
    assert all(tile.is_of(70_000) for tile in tiles)
    assert not Tile(0, 273, 113).is_of(70_000)


def test_stored_hashes_are_roots_of_complete_subtrees() -> None:
    assert [len(STORED.levels[level]) for level in (0, 1, 2)] == [SIZE, SIZE // 256, 1]
    assert STORED.levels[1][3] == root(LEAVES[768:1024])
    assert STORED.levels[2][0] == root(LEAVES[:65_536])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_proofs_out_of_tiles_are_those_of_the_whole_tree(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 1400))
    index = data.draw(st.integers(0, size - 1))
    first = data.draw(st.integers(1, size))
    tree = TileReader(STORED.read, size)
    assert tree.root() == root(LEAVES[:size])
    assert tree.inclusion_proof(index) == inclusion_proof(LEAVES[:size], index)
    assert tree.consistency_proof(first) == consistency_proof(LEAVES[:size], first)
    assert tree.leaf_hash(index) == LEAVES[index]


def test_a_proof_in_a_large_tree_reads_few_tiles() -> None:
    tree = TileReader(STORED.read, SIZE)
    assert tree.root() == root(LEAVES)
    assert tree.inclusion_proof(1234) == inclusion_proof(LEAVES, 1234)
    assert tree.tiles_read <= 6


def test_a_missing_hash_is_noticed_and_not_hashed_over() -> None:
    with pytest.raises(LogError, match="TILE_INCOMPLETE"):
        TileReader(lambda level, start, end: STORED.read(level, start, end)[:-1], 1000).root()


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_an_entry_bundle_gives_its_entries_back(leaves: list[bytes]) -> None:
    data = entry_bundle(leaves)
    assert read_bundle(data) == leaves
    if data and leaves[-1]:
        with pytest.raises(LogError, match="BUNDLE_MALFORMED"):
            read_bundle(data[:-1])
