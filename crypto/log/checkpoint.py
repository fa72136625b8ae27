"""Checkpoints (C2SP tlog-checkpoint) as signed notes (C2SP signed-note), with Ed25519 keys.

A checkpoint says "the log of this name had this many entries, with this root". As text::

    log.example                                          origin, which is also the log's key name
    1234                                                 entries, decimal
    9lZRvYrd5Pz3ftOdZK5j5hnYHFXB/NVKFJwxfA/sY1M=         root, base64
                                                         an empty line, then signatures
    — log.example AbCdEf...=                             base64(key hash (4) || signature (64))

Signature lines by keys that the reader does not know are passed over: that is where cosignatures go.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from crypto.errors import CohortlinkError, LogError
from crypto.log.tree import HASH_BYTES
from crypto.signatures import PublicKey, SigningKey, strict_b64decode

#: Algorithm byte of a log's own signatures.
ED25519 = b"\x01"
_MAX_NOTE_BYTES = 1_000_000
_MAX_SIGNATURES = 100
_MAX_SIZE = 2**63 - 1
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
_SIGNATURE_PREFIX = "\u2014 "


@dataclass(frozen=True)
class Checkpoint:
    """The state of a log.

    Parameters
    ----------
    origin
        The log's unique name: no spaces, no plus sign.
    size
        Entries.
    root
        32 bytes, RFC 6962 tree hash.
    extensions
        Further lines, opaque here; part of what is signed.

    Raises
    ------
    LogError
        ``CHECKPOINT_MALFORMED``.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _is_name(self.origin):
            raise _malformed("the origin is not a key name")
        if not 0 <= self.size <= _MAX_SIZE:
            raise _malformed("the size is out of range")
        if len(self.root) != HASH_BYTES:
            raise _malformed("the root has 32 bytes")
        if any(not line or not _is_text(line) or "\n" in line for line in self.extensions):
            raise _malformed("an extension is one line that is not empty")

    def body(self) -> str:
        """Return the text that is signed; it ends in a newline."""
        root = base64.b64encode(self.root).decode("ascii")
        return "".join(f"{line}\n" for line in (self.origin, str(self.size), root, *self.extensions))

    def sign(self, key: SigningKey, name: str, *also: SigningKey) -> str:
        """Return the signed note; ``name`` is the log's key name and equals the origin.

        ``also`` are further keys of the log that sign, each on a line of its own.

        Raises
        ------
        LogError
            ``CHECKPOINT_MALFORMED`` for another name: no reader would accept the note.
        """
        if name != self.origin:
            raise _malformed("a log signs under its origin")
        body = self.body()
        lines = []
        for each in (key, *also):
            value = key_hash(name, each.public) + each.sign_raw(body.encode("utf-8"))
            lines.append(f"{_SIGNATURE_PREFIX}{name} {base64.b64encode(value).decode('ascii')}\n")
        return f"{body}\n{''.join(lines)}"

    @classmethod
    def parse_body(cls, body: str) -> Checkpoint:
        """Read the signed text, strictly: the result's :meth:`body` is the same text again."""
        lines = body.split("\n")
        if len(lines) < 4 or lines[-1]:
            raise _malformed("a checkpoint has at least three lines")
        origin, size, root, *extensions = lines[:-1]
        raw = strict_b64decode(root)
        if not _DECIMAL.fullmatch(size) or raw is None:
            raise _malformed("the size is not decimal or the root not base64")
        return cls(origin, int(size), raw, tuple(extensions))


def vkey(name: str, key: PublicKey, algorithm: bytes = ED25519) -> str:
    """Return the verifier key text ``name+hash+base64(algorithm || key)`` of C2SP signed-note."""
    if not _is_name(name):
        raise LogError("VKEY_MALFORMED", "a key name has no spaces and no plus sign")
    encoded = base64.b64encode(algorithm + key.raw).decode("ascii")
    return f"{name}+{key_hash(name, key, algorithm).hex()}+{encoded}"


def parse_vkey(text: str, algorithm: bytes = ED25519) -> tuple[str, PublicKey]:
    """Return name and key of a verifier key text (one trailing newline is allowed: it comes from files).

    Raises
    ------
    LogError
        ``VKEY_MALFORMED``, also for key types other than ``algorithm`` (a log's, unless told otherwise) and
        where the hash is not the key's.
    """
    parts = text.removesuffix("\n").split("+", 2)
    raw = strict_b64decode(parts[2]) if len(parts) == 3 else None
    if raw is None or len(raw) != 33 or raw[:1] != algorithm or not _is_name(parts[0]):
        raise LogError("VKEY_MALFORMED", "not a verifier key of the type that belongs here")
    try:
        key = PublicKey(raw[1:])
    except CohortlinkError:
        raise LogError("VKEY_MALFORMED", "the verifier key is not a sound Ed25519 key") from None
    if parts[1] != key_hash(parts[0], key, algorithm).hex():
        raise LogError("VKEY_MALFORMED", "the hash in the verifier key is not that of its name and key")
    return parts[0], key


def open_note(text: str, vkeys: Sequence[str]) -> Checkpoint:
    """Verify a signed checkpoint.

    1. The note is well formed.
    2. Every signature line that names one of ``vkeys`` (by name and key hash) verifies; one that fails
       refuses the note, others are passed over.
    3. At least one of those keys has the checkpoint's origin for a name: the log itself signed.

    It is left to the caller to know that the keys are the right ones and that the checkpoint is not older
    than, or inconsistent with, one seen before.

    Raises
    ------
    LogError
        ``NOTE_MALFORMED``, ``CHECKPOINT_MALFORMED``, ``VKEY_MALFORMED``, ``NOTE_SIGNATURE_INVALID``, or
        ``NOTE_UNSIGNED`` where no known key of the log signed.
    """
    known = {}
    for key_text in vkeys:
        name, key = parse_vkey(key_text)
        known[name, key_hash(name, key)] = key
    body, signatures = split_note(text)
    message = body.encode("utf-8")
    signers = set()
    for name, value in signatures:
        verifier = known.get((name, value[:4]))
        if verifier is None:
            continue
        if not verifier.verify_raw(message, value[4:]):
            raise LogError("NOTE_SIGNATURE_INVALID", "a signature by a known key does not cover this text")
        signers.add(name)
    checkpoint = Checkpoint.parse_body(body)
    if checkpoint.origin not in signers:
        raise LogError("NOTE_UNSIGNED", "not signed by a known key of the log that it names")
    return checkpoint


def split_note(text: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Return the signed text and (name, key hash || signature) of each signature line, unverified.

    Raises
    ------
    LogError
        ``NOTE_MALFORMED``.
    """
    if not _is_text(text) or len(text.encode("utf-8")) > _MAX_NOTE_BYTES:
        raise _bad_note("control characters, or too long")
    # The signature block follows the *last* empty line: the text itself may hold empty lines.
    body, separator, block = text.rpartition("\n\n")
    if not separator or not body or not block.endswith("\n"):
        raise _bad_note("no signatures after an empty line")
    lines = block[:-1].split("\n")
    if len(lines) > _MAX_SIGNATURES:
        raise _bad_note("too many signatures")
    signatures = []
    for line in lines:
        name, space, encoded = line.removeprefix(_SIGNATURE_PREFIX).partition(" ")
        value = strict_b64decode(encoded)
        if not line.startswith(_SIGNATURE_PREFIX) or not space or not _is_name(name):
            raise _bad_note("a line of the signature block is not a signature")
        if value is None or len(value) < 5:
            raise _bad_note("a signature is not base64 of a key hash and a signature")
        signatures.append((name, value))
    return body + "\n", signatures


def key_hash(name: str, key: PublicKey, algorithm: bytes = ED25519) -> bytes:
    """Return SHA-256(name || 0x0A || algorithm || key), first four bytes."""
    return hashlib.sha256(name.encode("utf-8") + b"\n" + algorithm + key.raw).digest()[:4]


def _is_name(name: str) -> bool:
    return bool(name) and _is_text(name) and "+" not in name and not any(c.isspace() for c in name)


def _is_text(text: str) -> bool:
    """Tell whether text is encodable and holds no control character but the newline."""
    return not any((c < " " and c != "\n") or "\ud800" <= c <= "\udfff" for c in text)


def _malformed(what: str) -> LogError:
    return LogError("CHECKPOINT_MALFORMED", f"not a checkpoint: {what}")


def _bad_note(what: str) -> LogError:
    return LogError("NOTE_MALFORMED", f"not a signed note: {what}")
