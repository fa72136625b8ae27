"""The wrong proofs that transparency-dev's vectors are made of, made again from their sound ones.

The vectors (``testdata`` of github.com/transparency-dev/merkle) are what a generator makes of sound proofs:
each is changed in every way that its ``proof/verify_test.go`` lists. Of the some hundred files a few lie here
verbatim; the rest is made here by the same list, and the verbatim ones are found among what is made.
"""

from __future__ import annotations

import base64
from typing import Any

from crypto.log.tree import EMPTY_ROOT

Vector = dict[str, Any]

_NEVER = bytes.fromhex("abacaba000000000000000000000000000000000000000000060061e00123456")
_WORD = 1 << 64


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _flipped(hashes: list[str], place: int, bit: int) -> list[str]:
    value = bytearray(base64.b64decode(hashes[place]))
    value[0] ^= 1 << bit
    return [*hashes[:place], text(bytes(value)), *hashes[place + 1 :]]


def inclusion_probes(sound: Vector) -> list[Vector]:
    """Every wrong vector that belongs to a sound proof of inclusion."""
    index, size, root, proof = sound["leafIdx"], sound["treeSize"], sound["root"], sound["proof"]
    changes: dict[str, Vector] = {
        "leafIdx - 1": {"leafIdx": (index - 1) % _WORD},
        "leafIdx + 1": {"leafIdx": index + 1},
        "leafIdx ^ 2": {"leafIdx": index ^ 2},
        "treeSize * 2": {"treeSize": size * 2},
        "treeSize div 2": {"treeSize": size // 2},
        "wrong leaf": {"leafHash": text(b"WrongLeaf")},
        "empty root": {"root": text(EMPTY_ROOT)},
        "random root": {"root": text(_NEVER)},
        "trailing garbage": {"proof": [*proof, ""]},
        "trailing root": {"proof": [*proof, root]},
        "preceding garbage": {"proof": ["", *proof]},
        "preceding root": {"proof": [root, *proof]},
    }
    for place in range(len(proof)):
        changes[f"modified proof[{place}] bit 3"] = {"proof": _flipped(proof, place, 3)}
    if proof:
        changes["removed component"] = {"proof": proof[:-1]}
    if len(proof) > 1:
        changes["inserted component"] = {"proof": [proof[0], text(_NEVER), *proof[1:]]}
    return _made(sound, changes)


def consistency_probes(sound: Vector) -> list[Vector]:
    """Every wrong vector that belongs to a sound proof of consistency between two sizes."""
    first, second, proof = sound["size1"], sound["size2"], sound["proof"]
    one, two = sound["root1"], sound["root2"]
    changes: dict[str, Vector] = {
        "size1 - 1": {"size1": first - 1},
        "size1 + 1": {"size1": first + 1},
        "size1 ^ 2": {"size1": first ^ 2},
        "size2 * 2": {"size2": second * 2},
        "size2 div 2": {"size2": second // 2},
        "wrong root1": {"root1": text(b"WrongRoot")},
        "wrong root2": {"root2": text(b"WrongRoot")},
        "swapped roots": {"root1": two, "root2": one},
        "empty proof": {"proof": []},
        "trailing garbage": {"proof": [*proof, ""]},
        "trailing root1": {"proof": [*proof, one]},
        "trailing root2": {"proof": [*proof, two]},
        "preceding garbage": {"proof": ["", *proof]},
        "preceding root1": {"proof": [one, *proof]},
        "preceding root2": {"proof": [two, *proof]},
        "preceding proof[0]": {"proof": [proof[0], *proof]},
        "truncated proof": {"proof": proof[:-1]},
    }
    for place in range(len(proof)):
        changes[f"modified proof[{place}] bit 4"] = {"proof": _flipped(proof, place, 4)}
    return _made(sound, changes)


def _made(sound: Vector, changes: dict[str, Vector]) -> list[Vector]:
    folder = sound["file"].rpartition("/")[0]
    return [
        {**sound, **change, "desc": name, "wantErr": True, "file": f"{folder}/{name.replace(' ', '-')}.json"}
        for name, change in changes.items()
    ]


def inclusion_additional() -> list[Vector]:
    """Trees and leaves that cannot be: of no entries, beyond the end, roots and leaves that are no hash."""
    made = []
    for number, (index, size) in enumerate([(0, 0), (0, 1), (1, 0), (2, 1)]):
        for name, leaf, root in (
            ("random leaf", text(_NEVER), ""),
            ("empty root", "", text(EMPTY_ROOT)),
            ("empty root and random leaf", text(_NEVER), text(EMPTY_ROOT)),
        ):
            file = f"testdata/inclusion/additional/{number}/{name.replace(' ', '-')}.json"
            vector = {"leafIdx": index, "treeSize": size, "leafHash": leaf, "root": root, "proof": []}
            made.append({**vector, "desc": name, "wantErr": True, "file": file})
    return made


def consistency_additional() -> list[Vector]:
    """Sizes and roots for which there is no proof.

    Theirs takes equal sizes with equal roots that are no hashes; ours refuses them, as it refuses to prove
    anything of no entries: nothing follows from that.
    """
    other, another, empty = text(b"don't care 1"), text(b"don't care 2"), text(EMPTY_ROOT)
    cases = [
        (0, 0, other, another, []),
        (1, 1, other, another, []),
        (0, 0, other, other, []),
        (1, 1, another, another, []),
        (1, 0, other, another, []),
        (2, 1, other, another, []),
        (1, 2, other, another, []),
        (0, 0, empty, another, []),
        (1, 1, empty, another, []),
        (0, 0, empty, empty, [empty]),
        (0, 1, empty, empty, [empty]),
        (1, 1, empty, empty, [empty]),
    ]
    names = ("size1", "size2", "root1", "root2", "proof")
    made = []
    for number, case in enumerate(cases):
        about = {
            "desc": f"case {number}",
            "wantErr": True,
            "file": f"testdata/consistency/additional/{number}",
        }
        made.append(dict(zip(names, case, strict=True)) | about)
    return made
