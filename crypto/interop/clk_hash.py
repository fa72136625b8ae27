"""clkhash's keys and positions: HKDF, and of each token the bits that it sets.

Two keys per column, the ignored ones included, from one HKDF (RFC 5869) output. ``blakeHash``: BLAKE2b with
the first key and the counter's decimal text as salt, read as little-endian uint16, modulo the width.
``doubleHash``: (h1 + i·h2) modulo the width with h1 of HMAC-SHA1 and h2 of HMAC-MD5.
"""

from __future__ import annotations

import hashlib
import hmac

import numpy as np
from numpy.typing import NDArray

from crypto.interop.clk_schema import KEYS_PER_FEATURE, ClkSchema, Hashing

_PER_DIGEST = 32  # uint16 positions in a BLAKE2b digest


def derive_keys(schema: ClkSchema, secret: bytes) -> list[tuple[bytes, bytes]]:
    """The two keys of every column, in order."""
    digest = schema.kdf_hash.lower()
    size = hashlib.new(digest).digest_size
    prk = hmac.digest(schema.salt or bytes(size), secret, digest)
    count = len(schema.features) * KEYS_PER_FEATURE * schema.key_size
    stream, block = b"", b""
    for counter in range(1, -(-count // size) + 1):
        block = hmac.digest(prk, block + (schema.info or b"") + bytes([counter]), digest)
        stream += block
    step = schema.key_size
    keys = [stream[start : start + step] for start in range(0, count, step)]
    return list(zip(keys[::2], keys[1::2], strict=True))


class Positions:
    """Positions of tokens of one column. Holds keyed states, made once."""

    def __init__(self, hashing: Hashing, keys: tuple[bytes, bytes], width: int) -> None:
        self._width = width
        self._blake = hashing.kind == "blakeHash"
        self._safe = hashing.prevent_singularity
        self._key = keys[0]
        self._salted: list[hashlib.blake2b] = []
        if not self._blake:
            # clkhash's own choice of hashes; nothing rests on them but that the bits come out the same.
            self._sha1 = hmac.new(keys[0], digestmod="sha1")
            self._md5 = hmac.new(keys[1], digestmod="md5")

    def of(self, token: bytes, count: int) -> NDArray[np.int64]:
        """Shape (count,); they may coincide."""
        return self._blake_positions(token, count) if self._blake else self._double(token, count)

    def _blake_positions(self, token: bytes, count: int) -> NDArray[np.int64]:
        digests = -(-count // _PER_DIGEST)
        while len(self._salted) < digests:
            salt = str(len(self._salted)).encode()
            self._salted.append(hashlib.blake2b(key=self._key, salt=salt))
        stream = b""
        for keyed in self._salted[:digests]:
            one = keyed.copy()
            one.update(token)
            stream += one.digest()
        return np.frombuffer(stream, "<u2")[:count].astype(np.int64) % self._width

    def _double(self, token: bytes, count: int) -> NDArray[np.int64]:
        first, second = self._remainder(self._sha1, token), self._remainder(self._md5, token)
        extra = 0
        while self._safe and second == 0:
            second = self._remainder(self._md5, token + chr(extra).encode())
            extra += 1
        return (first + second * np.arange(count, dtype=np.int64)) % self._width

    def _remainder(self, keyed: hmac.HMAC, token: bytes) -> int:
        one = keyed.copy()
        one.update(token)
        return int.from_bytes(one.digest(), "big") % self._width
