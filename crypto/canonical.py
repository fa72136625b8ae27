"""One byte string for each document: RFC 8785 (JSON Canonicalization Scheme) without floating point.

Everything that is signed or hashed goes through here, so that an agency, the service and an auditor
who write the same document in three programs hash the same bytes. Figures travel as decimal strings:
the printing of floats is the only hard part of RFC 8785, and the part on which implementations differ.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from crypto.errors import InputError

# The largest integer that every JSON reader keeps exactly (RFC 7493, section 2.2).
_MAX_INTEGER = 2**53 - 1
# Deeper than any of our documents; keeps hostile input from exhausting the stack.
_MAX_DEPTH = 64


def canonical_json(obj: object) -> bytes:
    """Return the canonical bytes of a document.

    Parameters
    ----------
    obj
        Nested mappings with string keys, lists or tuples, ``str``, ``int`` below 2**53 in magnitude,
        ``bool`` and ``None``. Anything else, floats above all, is refused.

    Returns
    -------
    bytes
        UTF-8 without spaces, keys sorted by UTF-16 code units, minimal escapes.

    Raises
    ------
    InputError
        ``NOT_CANONICAL``: the document holds something that has no canonical form here.
    """
    ordered = _ordered(obj, 0)
    text = json.dumps(ordered, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise _refused("a string holds half of a surrogate pair") from None


def parse_canonical(data: bytes) -> object:
    """Read bytes that must be the canonical form of what they hold.

    A reader that accepted other spellings (spaces, repeated keys, ``1.0``, other escapes) would let two
    different byte strings pass for one document, and a digest would no longer name it.

    Raises
    ------
    InputError
        ``NOT_CANONICAL``.
    """
    try:
        text = data.decode("utf-8")
        obj = _DECODER.decode(text)
        # Nearly all our documents are ASCII and flat; for those the library's own sorting writes the same
        # bytes, ten times faster (keys in ASCII sort alike by code point and by UTF-16).
        if (
            text.isascii()
            and text.count("[") + text.count("{") <= _MAX_DEPTH
            and _ENCODER.encode(obj) == text
        ):
            return obj
    except RecursionError:
        raise _refused(f"nested deeper than {_MAX_DEPTH} levels") from None
    except ValueError:  # UnicodeDecodeError and JSONDecodeError are both ValueErrors; their texts quote input
        raise _refused("not UTF-8 JSON without floating point") from None
    if canonical_json(obj) != data:
        raise _refused("the bytes are not the canonical form of the document")
    return obj


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of bytes as 64 lowercase hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def digest_of(obj: object) -> str:
    """Return the SHA-256 (hexadecimal) of the canonical form of a document."""
    return sha256_hex(canonical_json(obj))


def _ordered(obj: object, depth: int) -> object:
    """Return a copy with every mapping in canonical key order, refusing what has no canonical form."""
    if depth > _MAX_DEPTH:
        raise _refused(f"nested deeper than {_MAX_DEPTH} levels")
    if obj is None or isinstance(obj, (str, bool)):
        return obj
    if isinstance(obj, int):
        if abs(obj) > _MAX_INTEGER:
            raise _refused("an integer of 2**53 or more; write it as a string")
        return obj
    if isinstance(obj, Mapping):
        if not all(isinstance(key, str) for key in obj):
            raise _refused("an object key that is not a string")
        # A character beyond U+FFFF is two code units from U+D800 on and sorts before U+E000, where
        # Python's own order, by code point, would put it last: hence UTF-16 (RFC 8785, section 3.2.3).
        keys = sorted(obj, key=_utf16)
        return {key: _ordered(obj[key], depth + 1) for key in keys}
    if isinstance(obj, (list, tuple)):
        return [_ordered(item, depth + 1) for item in obj]
    if isinstance(obj, float):
        raise _refused("a floating-point number; write figures as decimal strings")
    raise _refused(f"a value of type {type(obj).__name__}")


def _utf16(key: str) -> bytes:
    # "surrogatepass" only defers the refusal to the encoding of the whole text.
    return key.encode("utf-16-be", "surrogatepass")


def _no_float(_: str) -> object:
    raise ValueError


def _small_int(text: str) -> int:
    number = int(text)
    if abs(number) > _MAX_INTEGER:
        raise ValueError
    return number


def _refused(what: str) -> InputError:
    return InputError("NOT_CANONICAL", f"the document has no canonical form: {what}")


_DECODER = json.JSONDecoder(parse_float=_no_float, parse_constant=_no_float, parse_int=_small_int)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)
