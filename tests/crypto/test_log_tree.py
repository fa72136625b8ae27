"""Merkle tree hashing and proofs, against published vectors and a plain reading of the standard."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.errors import LogError
from crypto.log.proof import verify_consistency, verify_inclusion
from crypto.log.tree import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "log-tree.json").read_text(encoding="utf-8"))
LEAVES = [bytes.fromhex(leaf) for leaf in VECTORS["leaves"]]
HASHES = [leaf_hash(n.to_bytes(2, "big")) for n in range(140)]
LIMIT = 130


def mth(hashes: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word for word."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(hashes[:k]) + mth(hashes[k:])).digest()


def path(m: int, hashes: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962, section 2.1.1."""
    if len(hashes) == 1:
        return []
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    if m < k:
        return [*path(m, hashes[:k]), mth(hashes[k:])]
    return [*path(m - k, hashes[k:]), mth(hashes[:k])]


def subproof(m: int, hashes: list[bytes], known: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962, section 2.1.2."""
    if m == len(hashes):
        return [] if known else [mth(hashes)]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    if m <= k:
        return [*subproof(m, hashes[:k], known), mth(hashes[k:])]
    return [*subproof(m - k, hashes[k:], False), mth(hashes[:k])]


@pytest.mark.parametrize("vector", VECTORS["roots"], ids=lambda vector: vector["desc"])
def test_root_published_leaves_have_the_published_root(vector):
    assert root(map(leaf_hash, LEAVES[: vector["size"]])).hex() == vector["root"]


@pytest.mark.parametrize("vector", VECTORS["inclusion"], ids=lambda vector: vector["desc"])
def test_inclusion_proof_published_leaves_have_the_published_path(vector):
    hashes = [leaf_hash(leaf) for leaf in LEAVES[: vector["size"]]]
    assert [item.hex() for item in inclusion_proof(hashes, vector["index"])] == vector["proof"]


@pytest.mark.parametrize("vector", VECTORS["consistency"], ids=lambda vector: vector["desc"])
def test_consistency_proof_published_leaves_have_the_published_proof(vector):
    hashes = [leaf_hash(leaf) for leaf in LEAVES[: vector["size"]]]
    assert [item.hex() for item in consistency_proof(hashes, vector["first"])] == vector["proof"]


def test_root_and_proofs_every_size_and_index_equal_the_standard_word_for_word():
    for size in range(70):
        assert root(HASHES[:size]) == mth(HASHES[:size])
        for index in range(size):
            assert inclusion_proof(HASHES[:size], index) == path(index, HASHES[:size])
        for first in range(1, size + 1):
            assert consistency_proof(HASHES[:size], first) == subproof(first, HASHES[:size], True)


def test_verify_inclusion_every_index_of_every_size_up_to_130_holds():
    for size in range(1, LIMIT + 1):
        top = root(HASHES[:size])
        for index in range(size):
            verify_inclusion(HASHES[index], index, size, inclusion_proof(HASHES[:size], index), top)


def test_verify_consistency_every_pair_of_sizes_up_to_130_holds():
    roots = [root(HASHES[:size]) for size in range(LIMIT + 1)]
    for size in range(1, LIMIT + 1):
        for first in range(1, size + 1):
            proof = consistency_proof(HASHES[:size], first)
            verify_consistency(first, size, roots[first], roots[size], proof)


@settings(max_examples=60)
@given(st.integers(1, LIMIT), st.data())
def test_verify_inclusion_any_other_statement_with_the_same_proof_is_refused(size, data):
    index = data.draw(st.integers(0, size - 1))
    proof, top = inclusion_proof(HASHES[:size], index), root(HASHES[:size])
    for other in range(size):
        if other != index:
            with pytest.raises(LogError):
                verify_inclusion(HASHES[index], other, size, proof, top)
            with pytest.raises(LogError):
                verify_inclusion(HASHES[other], index, size, proof, top)
    for changed in tampered(proof):
        with pytest.raises(LogError):
            verify_inclusion(HASHES[index], index, size, changed, top)
    with pytest.raises(LogError, match="INCLUSION_FAILED"):
        verify_inclusion(HASHES[index], index, size, proof, HASHES[139])


@settings(max_examples=60)
@given(st.integers(2, LIMIT), st.data())
def test_verify_consistency_any_other_statement_with_the_same_proof_is_refused(size, data):
    first = data.draw(st.integers(1, size - 1))
    proof = consistency_proof(HASHES[:size], first)
    old, new = root(HASHES[:first]), root(HASHES[:size])
    for changed in tampered(proof):
        with pytest.raises(LogError):
            verify_consistency(first, size, old, new, changed)
    for other_old, other_new in ((new, old), (HASHES[139], new), (old, HASHES[139])):
        with pytest.raises(LogError):
            verify_consistency(first, size, other_old, other_new, proof)
    for other in range(1, size + 1):
        if other != first:
            with pytest.raises(LogError):
                verify_consistency(other, size, root(HASHES[:other]), new, proof)


def tampered(proof: list[bytes]) -> list[list[bytes]]:
    """Proofs that are wrong in one way each."""
    wrong = [[*proof, HASHES[138]], [HASHES[138], *proof], [*proof, b""]]
    for place in range(len(proof)):
        wrong.append(proof[:place] + proof[place + 1 :])
        flipped = bytes([proof[place][0] ^ 0x10]) + proof[place][1:]
        wrong.append([*proof[:place], flipped, *proof[place + 1 :]])
        wrong.append([*proof[:place], proof[place][:-1], *proof[place + 1 :]])
    if len(proof) > 1:
        wrong.append(proof[::-1])
    return wrong


@settings(max_examples=60)
@given(st.integers(0, LIMIT), st.integers(0, LIMIT), st.data())
def test_verify_consistency_forked_histories_have_no_proof_that_we_would_make(first, size, data):
    """Histories that differ before the remembered size: no proof from the fork's leaves is accepted."""
    first, size = sorted((first, size))
    if first == 0:
        return
    changed = data.draw(st.integers(0, first - 1))
    fork = [*HASHES[:changed], leaf_hash(b"forged"), *HASHES[changed + 1 : size]]
    with pytest.raises(LogError, match="CONSISTENCY_FAILED"):
        verify_consistency(first, size, root(HASHES[:first]), root(fork), consistency_proof(fork, first))


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (5, 5), (-1, 4), (7, 4)])
def test_inclusion_entry_beyond_the_tree_is_refused(index, size):
    with pytest.raises(LogError, match="PROOF_OUT_OF_RANGE"):
        inclusion_proof(HASHES[:size], index)
    with pytest.raises(LogError, match="PROOF_OUT_OF_RANGE"):
        verify_inclusion(HASHES[0], index, size, [], HASHES[0])


def test_consistency_from_nothing_or_backwards_is_refused():
    for first, size in ((0, 1), (0, 8), (2, 1), (-1, 3)):
        with pytest.raises(LogError, match="PROOF_OUT_OF_RANGE"):
            consistency_proof(HASHES[:size], first)
        with pytest.raises(LogError, match="PROOF_OUT_OF_RANGE"):
            verify_consistency(first, size, EMPTY_ROOT, HASHES[0], [])


def test_consistency_of_a_tree_with_itself_needs_the_same_root_and_no_proof():
    verify_consistency(3, 3, HASHES[0], HASHES[0], [])
    verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    for old, new, proof in ((HASHES[0], HASHES[1], []), (HASHES[0], HASHES[0], [HASHES[0]])):
        with pytest.raises(LogError):
            verify_consistency(3, 3, old, new, proof)


def test_leaf_that_looks_like_two_nodes_has_another_hash_than_their_parent():
    assert leaf_hash(HASHES[0] + HASHES[1]) != node_hash(HASHES[0], HASHES[1])


@given(st.lists(st.integers(0, 40), max_size=6))
def test_frontier_appended_in_any_steps_has_the_root_of_all_leaves(steps):
    frontier, done = Frontier(), 0
    for step in steps:
        step = min(step, len(HASHES) - done)
        frontier = Frontier(frontier.size, frontier.nodes).extend(HASHES[done : done + step])
        done += step
        assert frontier.size == done
        assert frontier.root() == mth(HASHES[:done])


@pytest.mark.parametrize(
    ("size", "nodes"), [(1, ()), (0, (HASHES[0],)), (3, (HASHES[0],)), (1, (b"x",)), (-1, ())]
)
def test_frontier_with_other_nodes_than_its_size_needs_is_refused(size, nodes):
    with pytest.raises(LogError, match="FRONTIER_MALFORMED"):
        Frontier(size, nodes)
