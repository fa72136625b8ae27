"""Proofs against the vectors of transparency-dev, and everything that one change makes of them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crypto.errors import LogError
from crypto.log.proof import verify_consistency, verify_inclusion
from tests.crypto.log_probes import (
    consistency_additional,
    consistency_probes,
    inclusion_additional,
    inclusion_probes,
)

VECTORS = json.loads(
    (Path(__file__).parent.parent / "vectors" / "log-merkle-transparency-dev.json").read_text()
)
Vector = dict[str, Any]


def raw(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def include(v: Vector) -> None:
    proof = [raw(text) for text in v["proof"]]
    verify_inclusion(raw(v["leafHash"]), v["leafIdx"], v["treeSize"], proof, raw(v["root"]))


def extend(v: Vector) -> None:
    proof = [raw(text) for text in v["proof"]]
    verify_consistency(v["size1"], v["size2"], raw(v["root1"]), raw(v["root2"]), proof)


def named(vectors: list[Vector]) -> list[Any]:
    return [pytest.param(each, id=each["file"].removeprefix("testdata/")) for each in vectors]


@pytest.mark.parametrize("vector", named(VECTORS["inclusion"]))
def test_inclusion_vectors_of_others_come_out_as_they_say(vector: Vector) -> None:
    if vector["wantErr"]:
        with pytest.raises(LogError):
            include(vector)
    else:
        include(vector)


@pytest.mark.parametrize("vector", named(VECTORS["consistency"]))
def test_consistency_vectors_of_others_come_out_as_they_say(vector: Vector) -> None:
    if vector["wantErr"]:
        with pytest.raises(LogError):
            extend(vector)
    else:
        extend(vector)


def made(kind: str) -> list[Vector]:
    """What their list makes of each sound vector, and the odd ones beside it."""
    make = inclusion_probes if kind == "inclusion" else consistency_probes
    odd = inclusion_additional() if kind == "inclusion" else consistency_additional()
    return [wrong for each in VECTORS[kind] if not each["wantErr"] for wrong in make(each)] + odd


@pytest.mark.parametrize("kind", ["inclusion", "consistency"])
def test_their_wrong_vectors_are_found_among_what_is_made_by_their_list(kind: str) -> None:
    found = {each["file"]: each for each in made(kind)}
    verbatim = [each for each in VECTORS[kind] if each["wantErr"]]
    assert len(verbatim) >= 3
    for theirs in verbatim:
        assert found[theirs["file"]] == theirs


@pytest.mark.parametrize(
    ("vector", "check"),
    [pytest.param(each, include, id=each["file"].removeprefix("testdata/")) for each in made("inclusion")]
    + [pytest.param(each, extend, id=each["file"].removeprefix("testdata/")) for each in made("consistency")],
)
def test_everything_that_their_list_makes_is_refused(vector: Vector, check: Callable[[Vector], None]) -> None:
    with pytest.raises(LogError):
        check(vector)


def altered(vector: Vector, places: tuple[str, ...], hashes: tuple[str, str]) -> Iterator[Vector]:
    """The families of wrong inputs that those vectors are made of, at every place and not at one."""
    proof = vector["proof"]
    for name in places:
        for value in (vector[name] + 1, vector[name] - 1, vector[name] ^ 2, vector[name] * 2, 2**63):
            if value != vector[name]:
                yield vector | {name: value}
    for name in hashes:
        yield vector | {name: _flipped(vector[name])}
    for place in range(len(proof)):
        yield vector | {"proof": [*proof[:place], _flipped(proof[place]), *proof[place + 1 :]]}
        yield vector | {"proof": [*proof[:place], *proof[place + 1 :]]}
        yield vector | {"proof": [*proof[:place], proof[place], *proof[place:]]}
    yield vector | {"proof": [vector[hashes[0]], *proof]}
    yield vector | {"proof": [*proof, vector[hashes[1]]]}


def _flipped(text: str) -> str:
    value = bytearray(raw(text))
    value[3] ^= 16
    return base64.b64encode(value).decode()


def test_every_single_change_of_a_sound_vector_is_refused() -> None:
    tried = 0
    for vector in VECTORS["inclusion"]:
        # Not the sizes: a root does not hold its size, and trees of several sizes share a path. The
        # checkpoint signs both.
        for wrong in [] if vector["wantErr"] else altered(vector, ("leafIdx",), ("root", "leafHash")):
            with pytest.raises(LogError):
                include(wrong)
            tried += 1
    for vector in VECTORS["consistency"]:
        for wrong in [] if vector["wantErr"] else altered(vector, (), ("root1", "root2")):
            with pytest.raises(LogError):
                extend(wrong)
            tried += 1
    assert tried > 80
