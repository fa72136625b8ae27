"""The agencies' shared secret, and every key that an encoding uses (HKDF-SHA256, RFC 5869).

::

    PRK   = Extract(salt = SHA256(agreement ‖ epoch as 8 bytes, big-endian), secret)
    K_grp = Expand(PRK, LV(scheme, "field", group, fingerprint), 32)     one key per field group
    K_eld = Expand(PRK, LV(scheme, "eld", fingerprint), 32)              diffusion
    KCV   = Expand(PRK, LV(scheme, "kcv", fingerprint), 32)              key check value, travels

``LV`` puts each part's length before it in two bytes, big-endian; texts are UTF-8 and the profile's
fingerprint is its 32 raw bytes. The secret never leaves the agencies; the service sees the KCV, which tells
it whether two batches were made with one secret and one profile, and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
import stat
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

from crypto.encoding.profile import Profile
from crypto.encoding.profile_families import SCHEME
from crypto.errors import KeyMaterialError
from crypto.keyfile import b64url, b64url_key, parse_private, write_private

SECRET_FORMAT: Final = "cohortlink-secret/1"  # noqa: S105 - the name of a file format
SECRET_BYTES: Final = 32
#: 32 random bytes hold 30 different ones on average; fewer than 16 never happens by chance (p < 1e-14).
LEAST_DIFFERENT_BYTES: Final = 16
MAX_EPOCH: Final = 2**31 - 1
#: Does not name the file: what was given for one may be the secret itself.
UNREADABLE: Final = (
    "the secret's file cannot be read. A secret is never an argument, where others on this machine see it: "
    "if you gave one, make another"
)

_AGREEMENT: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?)?\Z")
_HEX: Final = re.compile(r"[0-9a-fA-F]{64}\Z")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{43}=?\Z")
_MAX_FILE: Final = 1 << 16


def lv(*parts: bytes) -> bytes:
    """Join parts, each behind its length in two bytes, big-endian: no two lists give the same bytes."""
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts)


def extract(salt: bytes, key: bytes) -> bytes:
    """HKDF-Extract with SHA-256 (RFC 5869, section 2.2)."""
    return hmac.digest(salt, key, "sha256")


def expand(prk: bytes, info: bytes) -> bytes:
    """HKDF-Expand with SHA-256 to 32 bytes, its first block (RFC 5869, section 2.3)."""
    return hmac.digest(prk, info + b"\x01", "sha256")


@dataclass(frozen=True)
class Secret:
    """What the agencies of an agreement share for one epoch. Its value is never shown.

    Attributes
    ----------
    agreement : str
        The agreement's id; it salts the keys, so that one secret in two agreements gives two encodings.
    epoch : int
        From 1; raised when the agencies change the secret or want a fresh encoding.
    value : bytes
        32 random bytes.
    """

    agreement: str
    epoch: int
    value: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not _AGREEMENT.match(self.agreement):
            raise KeyMaterialError(
                "AGREEMENT_INVALID", "an agreement's id is a short name of small letters, digits and hyphens"
            )
        if isinstance(self.epoch, bool) or not 1 <= self.epoch <= MAX_EPOCH:
            raise KeyMaterialError("EPOCH_INVALID", "an epoch is a whole number from 1")
        check_entropy(self.value)

    @classmethod
    def generate(cls, agreement: str = "", epoch: int = 1) -> Secret:
        """Draw a new secret from the operating system's generator."""
        return cls(agreement, epoch, secrets.token_bytes(SECRET_BYTES))

    @classmethod
    def load(cls, path: Path | str, agreement: str | None = None) -> Secret:
        """Read a secret file: our JSON, or bare 32 random bytes as 64 hex or 43–44 base64 characters.

        Parameters
        ----------
        path
        agreement
            Of a bare secret (default: none); must agree with what a JSON file says.

        Raises
        ------
        KeyMaterialError
            ``SECRET_MISSING``, ``SECRET_MALFORMED``, ``SECRET_WEAK``, ``SECRET_AGREEMENT``, and the codes of
            ``keyfile``.
        """
        try:
            with Path(path).open("rb") as stream:
                raw = stream.read(_MAX_FILE)
        except OSError as error:
            raise KeyMaterialError("SECRET_MISSING", UNREADABLE) from error
        return cls.parse(raw, agreement, str(path))

    @classmethod
    def parse(cls, raw: bytes, agreement: str | None, where: str) -> Secret:
        """Read a secret in any of the forms of :meth:`load`; ``where`` names its source in messages."""
        if not raw.lstrip().startswith(b"{"):
            return cls(agreement or "", 1, _bare(raw))
        document = parse_private(raw, SECRET_FORMAT, where)
        known, epoch = document.get("agreement"), document.get("epoch")
        members = {"format", "agreement", "epoch", "secret"}
        if set(document) != members or not isinstance(known, str) or not isinstance(epoch, int):
            raise KeyMaterialError("SECRET_MALFORMED", "the secret file has missing or malformed members")
        if agreement is not None and known and known != agreement:
            raise KeyMaterialError("SECRET_AGREEMENT", "the secret file is of another agreement")
        return cls(known or agreement or "", epoch, b64url_key(document["secret"], SECRET_BYTES, where))

    def save(self, path: Path | str) -> None:
        """Write the secret file, readable by its owner alone; an existing file is never overwritten."""
        document = {
            "format": SECRET_FORMAT,
            "agreement": self.agreement,
            "epoch": self.epoch,
            "secret": b64url(self.value),
        }
        write_private(Path(path), document)


def _bare(raw: bytes) -> bytes:
    text = raw.decode("ascii", "replace").strip()
    if _HEX.match(text):
        return bytes.fromhex(text)
    if _BASE64.match(text):
        standard = text.rstrip("=").replace("-", "+").replace("_", "/")
        try:
            return base64.b64decode(standard + "=", validate=True)
        except binascii.Error:
            pass
    raise KeyMaterialError(
        "SECRET_MALFORMED",
        "a secret is 32 random bytes, as our JSON file, 64 hex digits or 43 base64 characters; "
        "passphrases are refused. Make one with: cohortlink-agency secret new --out FILE",
    )


def check_entropy(value: bytes) -> None:
    """Refuse what nobody would draw at random: wrong length, few different bytes, a sequence, plain text.

    Raises
    ------
    KeyMaterialError
        ``SECRET_WEAK``. A guessable secret is no secret: a dictionary re-identifies nearly everybody.
    """
    steps = {(b - a) % 256 for a, b in pairwise(value)}
    text = all(32 <= byte < 127 for byte in value)
    if (
        len(value) != SECRET_BYTES
        or len(set(value)) < LEAST_DIFFERENT_BYTES
        or len(steps) < LEAST_DIFFERENT_BYTES // 2
        or text
    ):
        raise KeyMaterialError(
            "SECRET_WEAK",
            "the secret is not 32 random bytes. Make one with: cohortlink-agency secret new --out FILE",
        )


def exposed(path: Path | str) -> bool:
    """Whether other users of this machine may read a file (always False where there are no POSIX modes)."""
    return os.name == "posix" and bool(stat.S_IMODE(Path(path).stat().st_mode) & 0o077)


class Keys:
    """All keys of one secret and one profile; derived, never stored, never shown.

    Attributes
    ----------
    fingerprint : str
        Of the profile that the keys belong to.
    kcv : str
        Key check value, 64 hex digits.
    """

    def __init__(self, secret: Secret, profile: Profile) -> None:
        fingerprint = bytes.fromhex(profile.fingerprint)
        scheme = SCHEME.encode()
        prk = pseudorandom_key(secret)
        self.fingerprint = profile.fingerprint
        self.kcv = expand(prk, lv(scheme, b"kcv", fingerprint)).hex()
        self._eld = expand(prk, lv(scheme, b"eld", fingerprint))
        self._composite = expand(prk, lv(scheme, b"key", fingerprint))
        self._moving = expand(prk, lv(scheme, b"move", fingerprint))
        self._groups = {
            group: expand(prk, lv(scheme, b"field", group.encode(), fingerprint)) for group in profile.groups
        }

    def group(self, name: str) -> bytes:
        """K_grp, 32 bytes."""
        return self._groups[name]

    @property
    def diffusion(self) -> bytes:
        """K_eld, 32 bytes."""
        return self._eld

    @property
    def composite(self) -> bytes:
        """K_key, 32 bytes."""
        return self._composite

    @property
    def moving(self) -> bytes:
        """K_move, 32 bytes."""
        return self._moving


def pseudorandom_key(secret: Secret) -> bytes:
    """PRK, 32 bytes."""
    salt = hashlib.sha256(secret.agreement.encode() + secret.epoch.to_bytes(8, "big")).digest()
    return extract(salt, secret.value)
