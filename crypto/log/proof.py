"""Verification of inclusion and consistency proofs (RFC 9162, sections 2.1.3.2 and 2.1.4.2).

A proof that is too long is refused like one that is too short: there is one proof for each question.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from crypto.errors import LogError
from crypto.log.tree import HASH_BYTES, consistency_ranges, inclusion_ranges, node_hash


def verify_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf is entry ``index`` of the tree with this size and root.

    It is left to the caller to know that size and root come from a checkpoint whose signature holds.

    Raises
    ------
    LogError
        ``PROOF_OUT_OF_RANGE``, ``PROOF_MALFORMED`` or ``INCLUSION_FAILED``.
    """
    _check_hashes([leaf_hash, root, *proof])
    ranges = inclusion_ranges(index, size)
    if len(proof) != len(ranges):
        raise LogError("PROOF_MALFORMED", f"this proof has {len(ranges)} hashes, not {len(proof)}")
    result = leaf_hash
    for (_, end), sibling in zip(ranges, proof, strict=True):
        result = node_hash(sibling, result) if end <= index else node_hash(result, sibling)
    if not hmac.compare_digest(result, root):
        raise LogError("INCLUSION_FAILED", f"entry {index} is not in the tree of {size} entries")


def verify_consistency(
    first_size: int, second_size: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the second tree is the first with entries appended, nothing removed or rewritten.

    Everything extends the empty tree, so a proof from there says nothing and is refused.

    Raises
    ------
    LogError
        ``PROOF_OUT_OF_RANGE``, ``PROOF_MALFORMED`` or ``CONSISTENCY_FAILED``.
    """
    _check_hashes([first_root, second_root, *proof])
    ranges = [] if first_size == second_size == 0 else consistency_ranges(first_size, second_size)
    if len(proof) != len(ranges):
        raise LogError("PROOF_MALFORMED", f"this proof has {len(ranges)} hashes, not {len(proof)}")
    old = new = first_root
    steps = list(zip(ranges, proof, strict=True))
    # Where the last complete subtree of the old tree is not all of it, the proof opens with its root;
    # otherwise that root is the old root, which the verifier holds.
    if ranges and ranges[0][1] == first_size:
        old = new = steps.pop(0)[1]
    for (_, end), sibling in steps:
        if end <= first_size:  # to the left: part of both trees
            old, new = node_hash(sibling, old), node_hash(sibling, new)
        else:  # to the right: only the new tree reaches there
            new = node_hash(new, sibling)
    same = hmac.compare_digest(old, first_root), hmac.compare_digest(new, second_root)
    if not all(same):
        raise LogError(
            "CONSISTENCY_FAILED", f"the tree of {second_size} entries does not extend that of {first_size}"
        )


def _check_hashes(hashes: Sequence[bytes]) -> None:
    if any(len(item) != HASH_BYTES for item in hashes):
        raise LogError("PROOF_MALFORMED", "a hash has 32 bytes")
