"""Run by an interpreter that has pymerkle: roots and proofs of the leaves on standard input (JSON, hex)."""

import json
import sys

from pymerkle import InmemoryTree  # type: ignore[import-not-found]

leaves = [bytes.fromhex(text) for text in json.load(sys.stdin)]
tree = InmemoryTree(algorithm="sha256")
for leaf in leaves:
    tree.append_entry(leaf)
size = len(leaves)
json.dump(
    {
        "roots": [tree.get_state(count).hex() for count in range(1, size + 1)],
        "inclusion": [
            [value.hex() for value in tree.prove_inclusion(place, size).path] for place in range(1, size + 1)
        ],
    },
    sys.stdout,
)
