"""Tokens → Bloom filters, many records at a time.

A token sets k positions of a filter of m bits (m a power of two)::

    pos = HMAC-SHA512(K_grp, counter ‖ LV(salt, token)) → big-endian uint16, & (m − 1)

The counter, four bytes big-endian, runs from 0; each digest holds 32 positions, taken from its start; the
first k are used, and may coincide. No double hashing: its patterns are what mining attacks read.

A filter of each distinct token is made once a call (never kept beyond it, never shared between files) and
the filters of a record's tokens are OR-ed as words, so no loop runs over records or bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crypto.encoding.keys import Keys, lv
from crypto.encoding.profile import Profile
from crypto.encoding.profile_parts import Filter, TokenRule
from crypto.encoding.tokens import Tokens, gather, occurrences, token_bytes, tokenise

# The interpreter's own SHA-512 takes half the time of OpenSSL's for messages of a few bytes. It is not in
# every build; both give the same digests.
_sha512: Any = hashlib.sha512
for _module in ("_sha2", "_sha512"):
    if find_spec(_module):
        _sha512 = import_module(_module).sha512
        break

_PER_DIGEST = 32  # uint16 positions in a SHA-512 digest
_CACHE_BYTES = 16 << 20  # of token filters per group and filter
_BLOCK_BYTES = 8 << 20  # of single bits of token filters at once
_OR_BYTES = 256 << 10  # of records' filters OR-ed at a time, which stay in the cache
_OCCURRENCE_BITS = 13  # 64 fields of at most 66 tokens each stay far below 2**13


@dataclass(frozen=True)
class Column:
    """One field of all persons, normalised.

    Attributes
    ----------
    codes : ndarray of int64, shape (n_rows,)
        Index into ``values``; −1 where the field is missing.
    values : list of str
        Distinct normalised values, none empty.
    """

    codes: NDArray[np.int64]
    values: list[str]


def positions(key: bytes, salt: bytes, token: bytes, count: int, width: int) -> NDArray[np.int64]:
    """The positions of one token, in the order in which they are drawn.

    Parameters
    ----------
    key : bytes
        K_grp, 32 bytes.
    salt, token : bytes
    count : int
        k.
    width : int
        m, a power of two of at most 65536.
    """
    return _positions(Keyed(key), salt, [token], count, width).reshape(count)


class Keyed:
    """HMAC-SHA512 under one key, its two key blocks hashed once (RFC 2104)."""

    def __init__(self, key: bytes) -> None:
        block = key.ljust(128, b"\0")
        self.inner = _sha512(bytes(byte ^ 0x36 for byte in block))
        self.outer = _sha512(bytes(byte ^ 0x5C for byte in block))

    def digest(self, message: bytes) -> bytes:
        inner, outer = self.inner.copy(), self.outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        digest: bytes = outer.digest()
        return digest

    def stream(self, messages: Iterable[bytes], digests: int) -> bytes:
        """Of every message the digests of 0 ‖ message, 1 ‖ message, …, the counter in four bytes, joined."""
        # The counters are hashed once, and names are looked up once: this is most of the time of encoding.
        started = []
        for number in range(digests):
            inner = self.inner.copy()
            inner.update(number.to_bytes(4, "big"))
            started.append(inner.copy)
        outer_copy = self.outer.copy
        out: list[bytes] = []
        append = out.append
        for message in messages:
            for copy in started:
                inner, outer = copy(), outer_copy()
                inner.update(message)
                outer.update(inner.digest())
                append(outer.digest())
        return b"".join(out)


def _positions(
    keyed: Keyed, salt: bytes, tokens: Sequence[bytes], count: int, width: int
) -> NDArray[np.int64]:
    """Shape (n_tokens, count)."""
    framed = lv(salt)
    messages = (framed + len(token).to_bytes(2, "big") + token for token in tokens)
    stream = keyed.stream(messages, -(-count // _PER_DIGEST))
    drawn = np.frombuffer(stream, dtype=">u2").reshape(len(tokens), -1)[:, :count]
    return drawn.astype(np.int64) & (width - 1)


class TokenFilters:
    """Filters of single tokens of one group in one filter, with a bounded cache for this call."""

    def __init__(self, key: bytes, salt: bytes, rule: TokenRule, width: int) -> None:
        self._keyed = Keyed(key)
        self._salt = salt
        self._counts = np.array(rule.positions, dtype=np.int64)
        self._width = width
        self._capacity = _CACHE_BYTES // (width // 8)
        # An exact token belongs to one person or a few: remembering it would only fill the cache.
        self._caches = rule.kind != "exact"
        self._slots: dict[int, int] = {}
        self._rows = np.zeros((0, width // 64), np.uint64)

    def of(self, keys: NDArray[np.int64], tokens: Tokens) -> NDArray[np.uint64]:
        """Filters of distinct tokens, shape (n_keys, width // 64), bytes in filter order.

        ``keys`` hold a token's index and its occurrence number, see :meth:`GroupTokens.of`.
        """
        wanted: list[int] = keys.tolist()
        if not self._caches:
            return self._make(wanted, tokens)
        missing = [key for key in wanted if key not in self._slots]
        if len(self._slots) + len(missing) > self._capacity:
            self._slots, self._rows, missing = {}, self._rows[:0], wanted
        if missing:
            self._slots.update(
                zip(missing, range(len(self._rows), len(self._rows) + len(missing)), strict=True)
            )
            self._rows = np.concatenate([self._rows, self._make(missing, tokens)])
        return self._rows[[self._slots[key] for key in wanted]]

    def _make(self, keys: list[int], tokens: Tokens) -> NDArray[np.uint64]:
        out = np.zeros((len(keys), self._width // 64), np.uint64)
        identities = np.array(keys, dtype=np.int64)
        parts = tokens.part[identities >> _OCCURRENCE_BITS]
        for part, count in enumerate(self._counts):
            chosen = np.flatnonzero(parts == part)
            step = max(1, _BLOCK_BYTES // self._width)
            for start in range(0, len(chosen), step):
                block = chosen[start : start + step]
                names = [_name_of(keys[place], tokens) for place in block.tolist()]
                drawn = _positions(self._keyed, self._salt, names, int(count), self._width)
                bits = np.zeros((len(block), self._width), np.uint8)
                bits[np.arange(len(block))[:, None], drawn] = 1
                out[block] = np.packbits(bits, axis=1).view(np.uint64)
        return out


def _name_of(key: int, tokens: Tokens) -> bytes:
    return token_bytes(tokens.texts[key >> _OCCURRENCE_BITS], key & ((1 << _OCCURRENCE_BITS) - 1))


def _merge(parts: Sequence[Tokens]) -> tuple[Tokens, list[NDArray[np.int64]]]:
    """One list of distinct texts for the fields of a group, and each field's ids in terms of it."""
    if len(parts) == 1:
        return parts[0], [np.arange(len(parts[0].texts))]
    index: dict[str, int] = {}
    maps = [np.array([index.setdefault(t, len(index)) for t in p.texts], np.int64) for p in parts]
    part = np.zeros(len(index), np.int64)
    for tokens, new in zip(parts, maps, strict=True):
        part[new] = tokens.part
    empty = np.zeros(0, np.int64)
    return Tokens(empty, empty, list(index), part), maps


class GroupTokens:
    """The tokens of all persons for the fields of one key group in one filter."""

    def __init__(self, rule: TokenRule, columns: Sequence[Column]) -> None:
        self._fields = [(column.codes, tokenise(column.values, rule)) for column in columns]
        self.tokens, self._maps = _merge([tokens for _, tokens in self._fields])

    def of(self, index: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows (places in ``index``) and token keys, sorted by row, for the persons of ``index``."""
        found = [gather(tokens, codes[index]) for codes, tokens in self._fields]
        rows = np.concatenate([rows for rows, _ in found])
        ids = np.concatenate([new[ids] for (_, ids), new in zip(found, self._maps, strict=True)])
        rows, ids, numbers = occurrences(rows, ids)
        return rows, (ids << _OCCURRENCE_BITS) | numbers


class FilterMaker:
    """Plain (not yet hardened) filters of one filter of the profile, for any persons of a file.

    Parameters
    ----------
    item : Filter
    profile, keys
    columns : mapping of str to Column
        By field; a field that the file lacks is absent from it.
    """

    def __init__(self, item: Filter, profile: Profile, keys: Keys, columns: Mapping[str, Column]) -> None:
        self._width = item.width
        self._columns = {name: columns[name] for name in item.fields if name in columns}
        wanted = [name.split("|") for name in item.require]
        self._require = [[self._columns[name] for name in names if name in self._columns] for names in wanted]
        self._groups: list[tuple[GroupTokens, TokenFilters]] = []
        for group in profile.groups:
            members = [name for name in self._columns if profile.field(name).group == group]
            if members:
                rule = profile.field(members[0]).tokens
                tokens = GroupTokens(rule, [self._columns[name] for name in members])
                made = TokenFilters(keys.group(group), item.salt.encode(), rule, item.width)
                self._groups.append((tokens, made))

    def present(self, index: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Who has the filter: at least one of its fields, and one of each group that it requires."""

        def any_of(columns: Iterable[Column]) -> NDArray[np.bool_]:
            found = np.zeros(len(index), np.bool_)
            for column in columns:
                found |= column.codes[index] >= 0
            return found

        present = any_of(self._columns.values())
        for columns in self._require:
            present &= any_of(columns)
        return present

    def make(self, index: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        """Filters, shape (len(index), width // 64) with bytes in filter order, and who has one.

        Rows without are zero.
        """
        present = self.present(index)
        out = np.zeros((len(index), self._width // 64), np.uint64)
        if not present.any():
            return out, present
        if len(self._columns) == 1:
            # Many persons share a surname; each distinct value is made once a chunk.
            codes = next(iter(self._columns.values())).codes[index]
            _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
            out = self._or(index[first])[inverse]
        else:
            out[present] = self._or(index[present])
        out[~present] = 0
        return out, present

    def _or(self, index: NDArray[np.int64]) -> NDArray[np.uint64]:
        out = np.zeros((len(index), self._width // 64), np.uint64)
        for tokens, made in self._groups:
            rows, keys = tokens.of(index)
            distinct, inverse = np.unique(keys, return_inverse=True)
            _or_into(out, rows, inverse, made.of(distinct, tokens.tokens))
        return out


def _or_into(
    out: NDArray[np.uint64],
    rows: NDArray[np.int64],
    tokens: NDArray[np.int64],
    filters: NDArray[np.uint64],
) -> None:
    """``out[row] |= filters[token]`` for every pair; ``rows`` ascending.

    Rows with equally many tokens go together, a token's place at a time; ``reduceat`` was ten times slower.
    """
    if not len(rows):
        return
    starts = np.flatnonzero(np.concatenate([[True], rows[1:] != rows[:-1]]))
    counts = np.diff(np.append(starts, len(rows)))
    per_block = max(1, _OR_BYTES // (out.shape[1] * 8))
    for count in np.unique(counts).tolist():
        alike = starts[counts == count]
        for first in range(0, len(alike), per_block):
            begin = alike[first : first + per_block]
            joined = filters[tokens[begin]]
            other = np.empty_like(joined)
            for place in range(1, count):
                # mode="clip" lets NumPy write into ``other`` without a copy; every token exists.
                np.take(filters, tokens[begin + place], axis=0, out=other, mode="clip")
                np.bitwise_or(joined, other, out=joined)
            out[rows[begin]] |= joined
