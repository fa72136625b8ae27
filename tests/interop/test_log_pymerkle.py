"""Roots and proofs beside pymerkle's, which lives in the environment of the benchmarks' peers."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from crypto.errors import LogError
from crypto.log.entry import Entry
from crypto.log.proof import verify_inclusion
from crypto.log.tree import inclusion_proof, leaf_hash, root

HERE = Path(__file__).parent
PEERS = HERE.parent.parent / ".venv-bench" / "bin" / "python"
LEAVES = [
    Entry(
        number,
        "organization.created",
        "2026-11-22T09:00:00Z",
        "service",
        None,
        {"organization": f"o{number}", "name": "An organization"},
    ).leaf()
    for number in range(67)
]


@pytest.fixture(scope="module")
def theirs() -> dict[str, list[str]]:
    found = (
        PEERS.exists()
        and not subprocess.run([PEERS, "-c", "import pymerkle"], capture_output=True).returncode
    )
    if not found:
        pytest.skip(
            "pymerkle is not in the peers' environment ('make bench' makes it): its comparison did NOT run"
        )
    given = json.dumps([leaf.hex() for leaf in LEAVES])
    done = subprocess.run(
        [PEERS, HERE / "pymerkle_worker.py"], input=given, capture_output=True, text=True, check=True
    )
    answer: dict[str, list[str]] = json.loads(done.stdout)
    return answer


def test_pymerkle_finds_the_same_root_at_every_size(theirs: dict[str, list[str]]) -> None:
    hashes = [leaf_hash(leaf) for leaf in LEAVES]
    assert theirs["roots"] == [root(hashes[:size]).hex() for size in range(1, len(hashes) + 1)]


def test_we_verify_the_paths_of_pymerkle_and_make_the_same(theirs: dict[str, list[str]]) -> None:
    hashes = [leaf_hash(leaf) for leaf in LEAVES]
    for index, (leaf, *path) in enumerate([bytes.fromhex(v) for v in given] for given in theirs["inclusion"]):
        assert leaf == hashes[index]
        assert path == inclusion_proof(hashes, index)
        verify_inclusion(leaf, index, len(hashes), path, root(hashes))
        with pytest.raises(LogError, match="INCLUSION_FAILED"):
            verify_inclusion(hashes[index - 1], index, len(hashes), path, root(hashes))
