"""Encryption at rest: AES-256-GCM in frames, and data keys wrapped by master keys.

Frames follow the STREAM construction (Hoang, Reyhanitabar, Rogaway and Vizár, CRYPTO 2015): each frame's
nonce is ``prefix (7 random bytes) || frame number (4 bytes, big-endian) || final flag (1 byte)``, so frames
cannot be dropped, swapped, repeated or cut off without the next tag failing. Layout of an encrypted blob::

    "CLEV" || version 0x01 || prefix (7)             the header, 12 bytes
    frame 0 || frame 1 || ...                        2**20 bytes of text and a 16-byte tag each; the last
                                                     has 1 to 2**20 bytes, or none if the whole is empty

A data key encrypts the few blobs of one batch in one plane: with 2**56 prefixes a repeated nonce is out of
reach. Deleting the wrapped data key destroys what it encrypted, wherever copies of the blobs may lie.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from crypto.canonical import sha256_hex
from crypto.errors import EnvelopeError, KeyMaterialError
from crypto.keyfile import b64url, b64url_key, parse_private, read_private, replace_private, write_private

KEYRING_FORMAT = "cohortlink-keyring/1"
FRAME_BYTES = 1 << 20
HEADER_BYTES = 12

_MAGIC = b"CLEV\x01"
_TAG_BYTES = 16
_MAX_FRAMES = 1 << 32


@dataclass(frozen=True)
class WrappedKey:
    """A data key encrypted under the master key ``key_id``; ``blob`` is nonce (12), key (32) and tag (16)."""

    key_id: str
    blob: bytes


@dataclass(frozen=True)
class Keyring:
    """Master keys of one plane: all that can still unwrap, and the one that wraps.

    Parameters
    ----------
    keys
        Key id to 32 bytes. An id is derived from its key, so a damaged or swapped entry is noticed.
    current
        The id of the key that wraps from now on.
    """

    keys: Mapping[str, bytes] = field(repr=False)
    current: str

    def __post_init__(self) -> None:
        if self.current not in self.keys:
            raise KeyMaterialError("KEYRING_MALFORMED", "the current key is not in the keyring")
        for key_id, key in self.keys.items():
            if len(key) != 32 or key_id != _key_id(key):
                raise KeyMaterialError("KEYRING_MALFORMED", "a key of the keyring does not have its id")

    @classmethod
    def generate(cls) -> Keyring:
        """Make a keyring with one new random key."""
        key = secrets.token_bytes(32)
        return cls({_key_id(key): key}, _key_id(key))

    @classmethod
    def create(cls, path: Path) -> Keyring:
        """Make a new keyring and write it with mode 0600; refuses to overwrite (``KEY_FILE_EXISTS``)."""
        keyring = cls.generate()
        write_private(Path(path), keyring.to_document())
        return keyring

    @classmethod
    def load(cls, path: Path) -> Keyring:
        """Read a keyring file; errors as :func:`crypto.keyfile.read_private`, and ``KEYRING_MALFORMED``."""
        return cls._from_document(read_private(Path(path), KEYRING_FORMAT), str(path))

    @classmethod
    def from_env(cls, variable: str, environ: Mapping[str, str] = os.environ) -> Keyring:
        """Read the text of a keyring file from an environment variable.

        Raises
        ------
        KeyMaterialError
            ``KEY_ENV_MISSING`` where the variable is not set, else as :meth:`load`.
        """
        text = environ.get(variable)
        if not text:
            raise KeyMaterialError("KEY_ENV_MISSING", f"the environment variable {variable} is not set")
        document = parse_private(text.encode("utf-8", "surrogateescape"), KEYRING_FORMAT, variable)
        return cls._from_document(document, variable)

    def save(self, path: Path) -> None:
        """Put this keyring in the place of the file, with mode 0600; a crash leaves the old or the new."""
        replace_private(Path(path), self.to_document())

    def with_new_key(self) -> Keyring:
        """Return this keyring with one more key, random, which wraps from now on."""
        added = Keyring.generate()
        return Keyring({**self.keys, **added.keys}, added.current)

    def only_current(self) -> Keyring:
        """Return this keyring without the keys that no longer wrap: what they wrapped stays shut."""
        return Keyring({self.current: self.keys[self.current]}, self.current)

    def combine(self, other: Keyring, context: str) -> Keyring:
        """Return the keyring whose keys need a key of this one *and* a key of the other.

        Each pair gives HKDF-SHA256 (RFC 5869) of this key, salted with the other, for the context: whoever
        lacks either of the two learns nothing of it. The current key is that of both current ones.
        """

        def pair(mine: str, theirs: str) -> bytes:
            info = b"cohortlink/combined-key/1\n" + context.encode("utf-8")
            kdf = HKDF(algorithm=SHA256(), length=32, salt=other.keys[theirs], info=info)
            return kdf.derive(self.keys[mine])

        keys = {(mine, theirs): pair(mine, theirs) for mine in self.keys for theirs in other.keys}
        current = _key_id(keys[self.current, other.current])
        return Keyring({_key_id(key): key for key in keys.values()}, current)

    def to_document(self) -> dict[str, object]:
        """Return the content of the keyring file: secret."""
        keys = {key_id: b64url(key) for key_id, key in self.keys.items()}
        return {"format": KEYRING_FORMAT, "current": self.current, "keys": keys}

    def wrap(self, data_key: bytes, context: str) -> WrappedKey:
        """Encrypt a data key for one context, such as ``"batch:<id>:facts"``, under the current key."""
        if len(data_key) != 32:
            raise KeyMaterialError("BAD_DATA_KEY", "a data key has 32 bytes")
        nonce = secrets.token_bytes(12)
        sealed = AESGCM(self.keys[self.current]).encrypt(nonce, data_key, _wrap_aad(self.current, context))
        return WrappedKey(self.current, nonce + sealed)

    def unwrap(self, wrapped: WrappedKey, context: str) -> bytes:
        """Return the data key.

        Raises
        ------
        EnvelopeError
            ``MASTER_KEY_UNKNOWN``; ``UNWRAP_FAILED`` where the blob was altered or is for another context.
        """
        key = self.keys.get(wrapped.key_id)
        if key is None:
            raise EnvelopeError("MASTER_KEY_UNKNOWN", "the keyring does not hold the key that wrapped this")
        if len(wrapped.blob) == 12 + 32 + _TAG_BYTES:
            aad = _wrap_aad(wrapped.key_id, context)
            try:
                return AESGCM(key).decrypt(wrapped.blob[:12], wrapped.blob[12:], aad)
            except InvalidTag:
                pass
        raise EnvelopeError("UNWRAP_FAILED", "the wrapped key was altered or is for another context")

    @classmethod
    def _from_document(cls, document: Mapping[str, object], where: str) -> Keyring:
        keys, current = document.get("keys"), document.get("current")
        if not isinstance(keys, dict) or not isinstance(current, str):
            raise KeyMaterialError("KEYRING_MALFORMED", f"{where} has no keys or no current key")
        return cls({key_id: b64url_key(text, 32, where) for key_id, text in keys.items()}, current)


def new_data_key() -> bytes:
    """Return 32 random bytes: the key of one batch in one plane."""
    return secrets.token_bytes(32)


def encrypt(chunks: Iterable[bytes], data_key: bytes, context: str) -> Iterator[bytes]:
    """Encrypt a stream; pieces of any size in, the header and then frames of 1 MiB out.

    Parameters
    ----------
    chunks
        The text, cut anywhere.
    data_key
        32 bytes from :func:`new_data_key`.
    context
        What the blob is, such as ``"batch:<id>:facts-wage"``; decryption needs the same text.
    """
    cipher, aad = _cipher(data_key), _frame_aad(context)
    prefix = secrets.token_bytes(7)
    yield _MAGIC + prefix
    for number, (frame, final) in enumerate(_framed(chunks, FRAME_BYTES)):
        yield cipher.encrypt(_nonce(prefix, number, final), frame, aad)


def decrypt(chunks: Iterable[bytes], data_key: bytes, context: str) -> Iterator[bytes]:
    """Decrypt a stream frame by frame; every piece that comes out is authentic and in its place.

    That the stream is *whole* is known only when the iterator ends without an error: do not act on the
    pieces before.

    Raises
    ------
    EnvelopeError
        ``ENVELOPE_FORMAT`` for an unknown version or no header; ``ENVELOPE_REFUSED`` where the data was
        altered, cut off, reordered, extended, or belongs to another key or context.
    """
    cipher, aad = _cipher(data_key), _frame_aad(context)
    stream = iter(chunks)
    buffer = bytearray()
    while len(buffer) < HEADER_BYTES:
        piece = next(stream, None)
        if piece is None:
            break
        buffer += piece
    if len(buffer) < HEADER_BYTES or not buffer.startswith(_MAGIC):
        raise EnvelopeError("ENVELOPE_FORMAT", "not an encrypted blob of a known version")
    prefix = bytes(buffer[len(_MAGIC) : HEADER_BYTES])

    def rest() -> Iterator[bytes]:
        yield bytes(buffer[HEADER_BYTES:])
        yield from stream

    for number, (frame, final) in enumerate(_framed(rest(), FRAME_BYTES + _TAG_BYTES)):
        try:
            text = cipher.decrypt(_nonce(prefix, number, final), frame, aad)
        except (InvalidTag, ValueError):
            text = None
        # An empty last frame after others would be a second spelling of the same content.
        if text is None or (not text and number):
            raise EnvelopeError(
                "ENVELOPE_REFUSED", "altered, incomplete, or for another key or place"
            ) from None
        yield text


def _framed(chunks: Iterable[bytes], size: int) -> Iterator[tuple[bytes, bool]]:
    """Cut a stream into frames of ``size`` bytes with a flag on the last, which is never preceded by less.

    A full frame is held back until it is known whether anything follows: that decides its nonce.
    """
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        offset = 0
        while len(buffer) - offset > size:
            with memoryview(buffer) as view:
                frame = bytes(view[offset : offset + size])
            yield frame, False
            offset += size
        del buffer[:offset]
    yield bytes(buffer), True


def _nonce(prefix: bytes, number: int, final: bool) -> bytes:
    if number >= _MAX_FRAMES:
        raise EnvelopeError("ENVELOPE_TOO_LONG", "more than 2**32 frames")
    return prefix + number.to_bytes(4, "big") + (b"\x01" if final else b"\x00")


def _cipher(data_key: bytes) -> AESGCM:
    if len(data_key) != 32:
        raise KeyMaterialError("BAD_DATA_KEY", "a data key has 32 bytes")
    return AESGCM(data_key)


def _frame_aad(context: str) -> bytes:
    return b"cohortlink/envelope/1\n" + context.encode("utf-8")


def _wrap_aad(key_id: str, context: str) -> bytes:
    return b"cohortlink/wrap/1\n" + key_id.encode("ascii") + b"\n" + context.encode("utf-8")


def _key_id(key: bytes) -> str:
    # The key is random and 256 bits long, so its hash names it without telling anything of it.
    return sha256_hex(b"cohortlink/master-key/1\n" + key)[:16]
