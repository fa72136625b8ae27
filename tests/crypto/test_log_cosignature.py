"""Cosignatures as C2SP tlog-cosignature writes them, and what a verifier demands of them."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from crypto.errors import LogError
from crypto.log.checkpoint import Checkpoint, open_note, split_note, vkey
from crypto.log.cosignature import (
    cosign,
    cosignatures,
    parse_witness_vkey,
    witness_name,
    witness_vkey,
)
from crypto.log.entry import Entry
from crypto.log.tree import leaf_hash, root
from crypto.log.verify import Anchor, LogCopy, verify_copy
from crypto.signatures import SigningKey

ORIGIN = "log.cohortlink.example"
KEY, WITNESS, OTHER = (SigningKey(bytes([number]) * 32) for number in (1, 2, 3))
NAME = witness_name(ORIGIN, WITNESS.public)
WITNESS_KEY = witness_vkey(NAME, WITNESS.public)
LEAVES = [
    Entry(
        n,
        "organization.created",
        "2026-11-22T09:00:00Z",
        "service",
        None,
        {"organization": f"o{n}", "name": "x"},
    ).leaf()
    for n in range(9)
]


def note(size: int = 9) -> str:
    return Checkpoint(ORIGIN, size, root(map(leaf_hash, LEAVES[:size]))).sign(KEY, ORIGIN)


def test_the_example_of_the_specification_is_read() -> None:
    text = (
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q"
        "1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
        "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin"
        "1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
    )
    _, lines = split_note(text)
    assert [(name, len(value)) for name, value in lines] == [
        ("example.com/behind-the-sofa", 68),
        ("witness.example.com/w1", 76),
    ]
    assert int.from_bytes(lines[1][1][4:12], "big") == 1679315147


def test_a_cosignature_covers_header_time_and_note() -> None:
    line = cosign(note(), WITNESS, NAME, 1679315147)
    value = base64.b64decode(line.split(" ")[2])
    message = b"cosignature/v1\ntime 1679315147\n" + note().rpartition("\n\n")[0].encode() + b"\n"
    Ed25519PublicKey.from_public_bytes(WITNESS.public.raw).verify(value[12:], message)
    assert cosignatures(note() + line, [WITNESS_KEY]) == [(NAME, 1679315147)]
    assert open_note(note() + line, [vkey(ORIGIN, KEY.public)]).size == 9


def test_a_cosignature_of_another_checkpoint_time_or_key_is_refused() -> None:
    line = cosign(note(), WITNESS, NAME, 5)
    with pytest.raises(LogError, match="COSIGNATURE_INVALID"):
        cosignatures(note(8) + line, [WITNESS_KEY])
    value = bytearray(base64.b64decode(line.split(" ")[2]))
    value[11] ^= 1
    with pytest.raises(LogError, match="COSIGNATURE_INVALID"):
        cosignatures(note() + f"— {NAME} {base64.b64encode(value).decode()}\n", [WITNESS_KEY])
    assert cosignatures(note() + cosign(note(), OTHER, NAME, 5), [WITNESS_KEY]) == []


def test_a_logs_own_signature_is_no_cosignature_and_the_other_way_round() -> None:
    own = witness_vkey(ORIGIN, KEY.public)
    assert cosignatures(note(), [own]) == []
    with pytest.raises(LogError, match="VKEY_MALFORMED"):
        parse_witness_vkey(vkey(ORIGIN, KEY.public))
    with pytest.raises(LogError, match="NOTE_UNSIGNED"):
        open_note(
            note().replace(note().split("\n\n")[1], cosign(note(), KEY, ORIGIN, 5)),
            [vkey(ORIGIN, KEY.public)],
        )


def verify(text: str, *earlier: str, witnesses: tuple[str, ...] = (WITNESS_KEY,)):  # type: ignore[no-untyped-def]
    copy = LogCopy(
        Anchor("the checkpoint", text),
        iter(LEAVES),
        vkey(ORIGIN, KEY.public),
        [Anchor("e", e) for e in earlier],
    )
    return verify_copy(copy, key=vkey(ORIGIN, KEY.public), witnesses=witnesses)


def test_a_demanded_witness_must_have_cosigned() -> None:
    assert verify(note() + cosign(note(), WITNESS, NAME, 5)).ok
    report = verify(note())
    assert not report.ok
    assert [check.detail for check in report.checks if not check.ok] == [
        "cosigned none of the checkpoints at hand"
    ]


def test_an_older_cosigned_checkpoint_is_enough_and_the_rest_is_told() -> None:
    report = verify(note(), note(6) + cosign(note(6), WITNESS, NAME, 1_700_000_000))
    assert report.ok
    said = next(check.detail for check in report.checks if check.name.startswith("witness "))
    assert said == "cosigned 6 entries at 2023-11-14T22:13:20Z; 3 entries since then are not cosigned yet"


def test_a_rewritten_log_that_is_signed_with_the_right_key_fails_against_its_witness() -> None:
    before = note(6) + cosign(note(6), WITNESS, NAME, 5)
    forged = [*LEAVES]
    forged[5] = LEAVES[5].replace(b'"x"', b'"y"')
    fork = Checkpoint(ORIGIN, 9, root(map(leaf_hash, forged))).sign(KEY, ORIGIN)
    copy = LogCopy(
        Anchor("the checkpoint", fork), iter(forged), vkey(ORIGIN, KEY.public), [Anchor("witnessed", before)]
    )
    report = verify_copy(copy, witnesses=(WITNESS_KEY,))
    assert [check.name for check in report.checks if not check.ok] == ["entries reach witnessed"]
