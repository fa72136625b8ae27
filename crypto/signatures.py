"""Ed25519 (RFC 8032) over canonical JSON, with the purpose of a signature among the signed bytes.

What is signed is ``"cohortlink/" + purpose + "/1\\n" + canonical JSON``. The purpose keeps a signature
given for one thing (submit this batch) from being shown as one for another (approve this agreement).
The log's key also signs checkpoints, whose text ends in a newline as canonical JSON never does, so no
text can be read both ways.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from crypto.canonical import canonical_json, sha256_hex
from crypto.errors import KeyMaterialError, SignatureError
from crypto.keyfile import b64url, b64url_key, read_private, write_private

ALGORITHM = "Ed25519"
KEY_FORMAT = "cohortlink-signing-key/1"
PURPOSES = frozenset(
    {"batch-manifest", "agreement-approval", "agreement-revocation", "receipt", "certificate", "log-key"}
)

_SIGNATURE_FIELDS = {"algorithm", "key_id", "value"}
_HEX64 = re.compile(r"[0-9a-f]{64}")

# The eight points of small order, by their y coordinate (sign bit cleared), and the two spellings of them
# beyond the field. Under such a "key" anyone can make signatures that verify for any document.
_SMALL_ORDER = frozenset(
    bytes.fromhex(text)
    for text in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)


def strict_b64decode(text: object) -> bytes | None:
    """Decode standard padded base64; None for anything but the one canonical spelling of the bytes."""
    if not isinstance(text, str) or not text.isascii():
        return None
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode("ascii") == text else None


def signed_bytes(purpose: str, document: Mapping[str, object]) -> bytes:
    """Return the bytes that a signature with this purpose covers.

    Raises
    ------
    SignatureError
        ``UNKNOWN_PURPOSE``.
    """
    if purpose not in PURPOSES:
        raise SignatureError("UNKNOWN_PURPOSE", "signatures are given for a fixed list of purposes only")
    return b"cohortlink/" + purpose.encode("ascii") + b"/1\n" + canonical_json(document)


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 public key, 32 bytes.

    Raises
    ------
    KeyMaterialError
        ``BAD_PUBLIC_KEY``: not 32 bytes, or a point under which anyone can sign.
    """

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != 32:
            raise KeyMaterialError("BAD_PUBLIC_KEY", "an Ed25519 public key has 32 bytes")
        if self.raw[:31] + bytes([self.raw[31] & 0x7F]) in _SMALL_ORDER:
            raise KeyMaterialError("BAD_PUBLIC_KEY", "under this public key anyone could sign")

    @classmethod
    def from_text(cls, text: str) -> PublicKey:
        """Read standard base64 (44 characters)."""
        raw = strict_b64decode(text)
        if raw is None:
            raise KeyMaterialError("BAD_PUBLIC_KEY", "a public key is written in standard base64")
        return cls(raw)

    def to_text(self) -> str:
        """Return standard base64 (44 characters)."""
        return base64.b64encode(self.raw).decode("ascii")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the 32 raw bytes, hexadecimal; the ``key_id`` of signatures."""
        return sha256_hex(self.raw)

    def verify_raw(self, message: bytes, signature: bytes) -> bool:
        """Tell whether the 64-byte signature is this key's over exactly these bytes."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True

    def verify(self, purpose: str, document: Mapping[str, object], signature: object) -> None:
        """Check that this key signed this document for this purpose.

        1. The signature has exactly the fields ``algorithm``, ``key_id`` and ``value``, and names Ed25519.
        2. It names this key.
        3. The 64 bytes verify over the purpose and the canonical form of the document.

        It is left to the caller to know that the key belongs to whoever should have signed, and that the
        document says what was meant.

        Raises
        ------
        SignatureError
            ``SIGNATURE_MALFORMED``, ``SIGNATURE_WRONG_KEY``, ``SIGNATURE_INVALID`` or ``UNKNOWN_PURPOSE``.
        """
        if not isinstance(signature, Mapping) or set(signature) != _SIGNATURE_FIELDS:
            raise SignatureError("SIGNATURE_MALFORMED", "a signature has algorithm, key_id and value")
        if signature["algorithm"] != ALGORITHM:
            raise SignatureError("SIGNATURE_MALFORMED", f"the only known algorithm is {ALGORITHM}")
        key_id = signature["key_id"]
        if not isinstance(key_id, str) or not _HEX64.fullmatch(key_id):
            raise SignatureError("SIGNATURE_MALFORMED", "key_id is a fingerprint of 64 hexadecimal digits")
        value = strict_b64decode(signature["value"])
        if value is None or len(value) != 64:
            raise SignatureError("SIGNATURE_MALFORMED", "value is 64 bytes in standard base64")
        if key_id != self.fingerprint:
            raise SignatureError("SIGNATURE_WRONG_KEY", "signed with another key than the expected one")
        if not self.verify_raw(signed_bytes(purpose, document), value):
            raise SignatureError(
                "SIGNATURE_INVALID", "the signature does not cover this document for this purpose"
            )


@dataclass(frozen=True)
class SigningKey:
    """An Ed25519 private key: a seed of 32 random bytes that is never shown."""

    _seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self._seed) != 32:
            raise KeyMaterialError("BAD_SIGNING_KEY", "a signing key has a seed of 32 bytes")

    @classmethod
    def generate(cls) -> SigningKey:
        """Make a new key from the system's randomness."""
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """Read a key file; errors as :func:`crypto.keyfile.read_private`."""
        path = Path(path)
        document = read_private(path, KEY_FORMAT)
        return cls(b64url_key(document.get("seed"), 32, str(path)))

    def save(self, path: Path) -> None:
        """Write a key file with mode 0600; refuses to overwrite (``KEY_FILE_EXISTS``)."""
        write_private(Path(path), {"format": KEY_FORMAT, "seed": b64url(self._seed)})

    @property
    def public(self) -> PublicKey:
        """The public half."""
        return PublicKey(self._private().public_key().public_bytes_raw())

    def sign_raw(self, message: bytes) -> bytes:
        """Return the 64-byte signature over exactly these bytes; documents go through :meth:`sign`."""
        return self._private().sign(message)

    def sign(self, purpose: str, document: Mapping[str, object]) -> dict[str, str]:
        """Sign the canonical form of a document for one purpose.

        Returns
        -------
        dict
            ``{"algorithm": "Ed25519", "key_id": fingerprint, "value": base64}``.
        """
        value = self.sign_raw(signed_bytes(purpose, document))
        return {
            "algorithm": ALGORITHM,
            "key_id": self.public.fingerprint,
            "value": base64.b64encode(value).decode("ascii"),
        }

    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._seed)
