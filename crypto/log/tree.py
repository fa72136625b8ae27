"""Merkle tree hashing, roots and proofs as in RFC 6962 (section 2.1) and RFC 9162 (section 2.1).

A tree is its sequence of leaf hashes, 32 bytes each. What a proof needs is first said as ranges of leaves
and only then hashed, so that whoever stores inner nodes can answer the ranges from those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from crypto.errors import LogError

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(leaf: bytes) -> bytes:
    """Return SHA-256(0x00 || leaf)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 || left || right); the other prefix keeps a node from passing for a leaf."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True)
class Frontier:
    """All that appending to a tree needs of its past: the roots of its complete subtrees.

    Parameters
    ----------
    size
        Number of leaves.
    nodes
        One root for each one-bit of ``size``, the largest subtree (leftmost leaves) first.

    Raises
    ------
    LogError
        ``FRONTIER_MALFORMED``.
    """

    size: int = 0
    nodes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.nodes) != self.size.bit_count():
            raise LogError("FRONTIER_MALFORMED", "one node is needed for each complete subtree")
        if any(len(node) != HASH_BYTES for node in self.nodes):
            raise LogError("FRONTIER_MALFORMED", "a node has 32 bytes")

    def extend(self, leaf_hashes: Iterable[bytes]) -> Frontier:
        """Return the frontier after appending leaves: about one node hash each; the past is not read."""
        size, nodes = self.size, list(self.nodes)
        for current in leaf_hashes:
            node, completed = current, size
            while completed & 1:  # two complete subtrees of the same size become one
                node = node_hash(nodes.pop(), node)
                completed >>= 1
            nodes.append(node)
            size += 1
        return Frontier(size, tuple(nodes))

    def root(self) -> bytes:
        """Return the tree's root: the incomplete right edge is folded from the small subtrees upward."""
        if not self.nodes:
            return EMPTY_ROOT
        result = self.nodes[-1]
        for node in reversed(self.nodes[:-1]):
            result = node_hash(node, result)
        return result


def root(leaf_hashes: Iterable[bytes]) -> bytes:
    """Return the root over the leaf hashes; SHA-256 of nothing for the empty tree."""
    return Frontier().extend(leaf_hashes).root()


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """Return the half-open leaf ranges whose roots prove leaf ``index`` in a tree of ``size``, lowest first.

    PATH(m, D[n]) of RFC 6962, section 2.1.1.

    Raises
    ------
    LogError
        ``PROOF_OUT_OF_RANGE`` unless 0 <= index < size.
    """
    if not 0 <= index < size:
        raise LogError("PROOF_OUT_OF_RANGE", f"a tree of {size} entries has no entry {index}")
    begin, end = 0, size
    ranges: list[tuple[int, int]] = []
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin = middle
    return ranges[::-1]


def consistency_ranges(first: int, size: int) -> list[tuple[int, int]]:
    """Return the leaf ranges whose roots prove that a tree of ``size`` extends its first ``first`` leaves.

    PROOF(m, D[n]) of RFC 6962, section 2.1.2; empty where the sizes are the same.

    Raises
    ------
    LogError
        ``PROOF_OUT_OF_RANGE`` unless 0 < first <= size: everything extends the empty tree, so there is
        nothing to prove.
    """
    if not 0 < first <= size:
        raise LogError("PROOF_OUT_OF_RANGE", f"no proof leads from {first} to {size} entries")
    begin, end = 0, size
    ranges: list[tuple[int, int]] = []
    while end > first:  # the old tree ends inside [begin, end)
        middle = begin + _split(end - begin)
        if first <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin = middle
    # [begin, first) is a complete subtree of both trees. The verifier already holds it, as the old root,
    # exactly if it is the whole old tree.
    if begin > 0:
        ranges.append((begin, end))
    return ranges[::-1]


def inclusion_proof(leaf_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Return the audit path of leaf ``index`` in the tree of all the given leaf hashes."""
    return [root(leaf_hashes[a:b]) for a, b in inclusion_ranges(index, len(leaf_hashes))]


def consistency_proof(leaf_hashes: Sequence[bytes], first: int) -> list[bytes]:
    """Return the proof that the tree of all the given leaf hashes extends that of the first ``first``."""
    return [root(leaf_hashes[a:b]) for a, b in consistency_ranges(first, len(leaf_hashes))]


def _split(size: int) -> int:
    """Return the largest power of two below ``size`` (at least 2)."""
    return 1 << ((size - 1).bit_length() - 1)
