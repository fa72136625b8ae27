"""Cosignatures of witnesses (C2SP tlog-cosignature, version 1, Ed25519).

A witness says: at this time, this was the largest checkpoint of this log that I had seen, and it extended all
that I had seen before. A log that shows two histories needs two witnesses' lies.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Final, NamedTuple

from crypto.errors import LogError
from crypto.log.checkpoint import key_hash, parse_vkey, split_note, vkey
from crypto.signatures import PublicKey, SigningKey

#: Algorithm byte of cosignatures: the same key bytes as a log's key would be another key.
COSIGNATURE_V1: Final = b"\x04"

_MAX_TIME = 2**63 - 1


class Cosignature(NamedTuple):
    """A witness's name and the time at which it signed, seconds since 1970 UTC."""

    name: str
    timestamp: int


def witness_name(origin: str, key: PublicKey) -> str:
    """Return the name under which a key cosigns a log: it says which key it is, to be looked up by."""
    return witness_prefix(origin) + key.fingerprint


def witness_prefix(origin: str) -> str:
    """Return what the names of all witnesses of a log begin with."""
    return f"{origin}/witness/"


def witness_vkey(name: str, key: PublicKey) -> str:
    """Return the verifier key text of a witness (type 0x04)."""
    return vkey(name, key, COSIGNATURE_V1)


def parse_witness_vkey(text: str) -> tuple[str, PublicKey]:
    """Return name and key of a witness; errors as :func:`crypto.log.checkpoint.parse_vkey`."""
    return parse_vkey(text, COSIGNATURE_V1)


def cosign(note: str, key: SigningKey, name: str, timestamp: int) -> str:
    """Return the signature line (with its newline) that a witness adds to a checkpoint.

    It is left to the caller to have verified the note and that it extends what this witness saw before.
    """
    body, _ = split_note(note)
    value = key_hash(name, key.public, COSIGNATURE_V1) + timestamp.to_bytes(8, "big")
    value += key.sign_raw(_message(body, timestamp))
    return f"\u2014 {name} {base64.b64encode(value).decode('ascii')}\n"


def cosignatures(note: str, vkeys: Sequence[str]) -> list[Cosignature]:
    """Return the cosignatures on a note that are by these witnesses; others are passed over.

    Raises
    ------
    LogError
        ``NOTE_MALFORMED``, ``VKEY_MALFORMED``, or ``COSIGNATURE_INVALID`` for a line that names a known
        witness and does not verify.
    """
    known = {}
    for text in vkeys:
        name, key = parse_witness_vkey(text)
        known[name, key_hash(name, key, COSIGNATURE_V1)] = key
    body, lines = split_note(note)
    found = []
    for name, value in lines:
        verifier = known.get((name, value[:4]))
        if verifier is None:
            continue
        timestamp = int.from_bytes(value[4:12], "big")
        sound = len(value) == 76 and timestamp <= _MAX_TIME
        if not sound or not verifier.verify_raw(_message(body, timestamp), value[12:]):
            raise LogError("COSIGNATURE_INVALID", f"a cosignature by {name} does not cover this checkpoint")
        found.append(Cosignature(name, timestamp))
    return found


def _message(body: str, timestamp: int) -> bytes:
    return f"cosignature/v1\ntime {timestamp}\n{body}".encode()
