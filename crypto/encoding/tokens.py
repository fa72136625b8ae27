"""Normalised values → tokens, for a whole column of distinct values at once.

A token is a text; every token of a person's group of fields carries its occurrence number, so that a filter
holds the multiset: the token of the n-th "an" of a name is ``an#n``. (``#`` and ``_`` never occur in a
normalised value.) By kind, of the value ``v``:

- ``qgram``: every q characters of ``_``×(q−1) + v + ``_``×(q−1);
- ``date``: ``y`` + year, ``m`` + month, ``d`` + day (of YYYYMMDD), each with its own number of positions;
- ``date_pairs``: ``ym`` + year and month, ``md`` + month and day, ``yd`` + year and day, so that strangers
  born in one year, or on one day of any month, share nothing, and one wrong part leaves one token of three;
- ``digits``: the character at place i (from 0), as ``i:c``;
- ``exact``: v itself;
- ``code``: of a hierarchical code, for each level ``i`` of length ``n`` that v reaches, ``i:`` + its first n
  characters (a shorter v: ``0:`` + v); each level has its own number of positions;
- ``numeric``: with ``b`` the resolution and ``d`` the distance, v · 2b rounded to a multiple of d (halves
  up), and the b multiples before and after it, in decimal: numbers close to each other share many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crypto.encoding.profile_parts import TokenRule

#: Occurrence numbers travel in the low bits of a token's key within one call.
MAX_OCCURRENCES = 256
_BITS = 21  # of a Unicode code point
_PAD = ord("_")


@dataclass(frozen=True)
class Tokens:
    """Tokens of ``n`` distinct values, as ragged rows.

    Attributes
    ----------
    starts : ndarray of int64, shape (n + 1,)
        Value ``i`` has the tokens ``ids[starts[i]:starts[i + 1]]``.
    ids : ndarray of int64
        Indices into ``texts``.
    texts : list of str
        Distinct tokens, without occurrence number.
    part : ndarray of int64, shape (len(texts),)
        Which of the rule's numbers of positions holds (dates: 0 year, 1 month, 2 day; else 0).
    """

    starts: NDArray[np.int64]
    ids: NDArray[np.int64]
    texts: list[str]
    part: NDArray[np.int64]


def tokenise(values: Sequence[str], rule: TokenRule) -> Tokens:
    """Cut distinct, non-empty normalised values by a rule."""
    if rule.kind == "exact":
        count = len(values)
        return Tokens(np.arange(count + 1), np.arange(count), list(values), np.zeros(count, np.int64))
    if not values:
        empty = np.zeros(0, np.int64)
        return Tokens(np.zeros(1, np.int64), empty, [], empty)
    codes, lengths = _code_points(values)
    if rule.kind == "date":
        return _dates(values)
    if rule.kind == "date_pairs":
        return _date_pairs(values)
    if rule.kind == "digits":
        return _digits(codes, lengths)
    if rule.kind in ("code", "numeric"):
        return _listed([_levels(v, rule) if rule.kind == "code" else _neighbours(v, rule) for v in values])
    return _qgrams(codes, lengths, rule.q)


def _code_points(values: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Code points, shape (n, longest), zero beyond the end of a value, and lengths."""
    texts = np.asarray(values, dtype=np.str_)
    width = texts.dtype.itemsize // 4
    codes = texts.view(np.uint32).reshape(len(values), width).astype(np.int64)
    return codes, (codes != 0).sum(axis=1)


def _ragged(keys: NDArray[np.int64], valid: NDArray[np.bool_]) -> tuple[NDArray[np.int64], ...]:
    """Distinct keys, the valid keys as indices into them (row by row), and row starts."""
    distinct, ids = np.unique(keys[valid], return_inverse=True)
    starts = np.concatenate([[0], np.cumsum(valid.sum(axis=1))]).astype(np.int64)
    return distinct, ids.astype(np.int64), starts


def _qgrams(codes: NDArray[np.int64], lengths: NDArray[np.int64], q: int) -> Tokens:
    n, width = codes.shape
    padded = np.full((n, width + 2 * (q - 1)), _PAD, np.int64)
    padded[:, q - 1 : q - 1 + width] = np.where(codes == 0, _PAD, codes)
    grams = padded.shape[1] - q + 1
    keys = np.zeros((n, grams), np.int64)
    for offset in range(q):
        keys = (keys << _BITS) | padded[:, offset : offset + grams]
    valid = np.arange(grams) < (lengths + q - 1)[:, None]
    distinct, ids, starts = _ragged(keys, valid)
    mask = (1 << _BITS) - 1
    texts = [
        "".join(chr((int(key) >> (_BITS * (q - 1 - place))) & mask) for place in range(q)) for key in distinct
    ]
    return Tokens(starts, ids, texts, np.zeros(len(texts), np.int64))


def _digits(codes: NDArray[np.int64], lengths: NDArray[np.int64]) -> Tokens:
    places = np.arange(codes.shape[1], dtype=np.int64)
    distinct, ids, starts = _ragged((places << _BITS) | codes, places < lengths[:, None])
    texts = [f"{int(key) >> _BITS}:{chr(int(key) & ((1 << _BITS) - 1))}" for key in distinct]
    return Tokens(starts, ids, texts, np.zeros(len(texts), np.int64))


def _dates(values: Sequence[str]) -> Tokens:
    texts: dict[str, int] = {}
    ids = [
        texts.setdefault(token, len(texts))
        for value in values
        for token in ("y" + value[:4], "m" + value[4:6], "d" + value[6:])
    ]
    part = np.array(["ymd".index(text[0]) for text in texts], dtype=np.int64)
    return Tokens(np.arange(len(values) + 1) * 3, np.array(ids, np.int64), list(texts), part)


def _date_pairs(values: Sequence[str]) -> Tokens:
    texts: dict[str, int] = {}
    ids = [
        texts.setdefault(token, len(texts))
        for value in values
        for token in ("ym" + value[:6], "md" + value[4:], "yd" + value[:4] + value[6:])
    ]
    starts = np.arange(len(values) + 1) * 3
    return Tokens(starts, np.array(ids, np.int64), list(texts), np.zeros(len(texts), np.int64))


def _levels(value: str, rule: TokenRule) -> list[tuple[str, int]]:
    reached = [place for place, length in enumerate(rule.levels) if len(value) >= length]
    # A code that ends above the first level still says something: its whole text stands for that level.
    return [(f"{place}:{value[: rule.levels[place]]}", place) for place in reached or [0]]


def _neighbours(value: str, rule: TokenRule) -> list[tuple[str, int]]:
    scaled = int(value) * 2 * rule.resolution
    middle = (2 * scaled + rule.distance) // (2 * rule.distance)
    steps = range(middle - rule.resolution, middle + rule.resolution + 1)
    return [(str(step * rule.distance), 0) for step in steps]


def _listed(lists: Sequence[Sequence[tuple[str, int]]]) -> Tokens:
    """Tokens, each with the part whose number of positions holds for it."""
    texts: dict[str, int] = {}
    ids = [texts.setdefault(text, len(texts)) for tokens in lists for text, _ in tokens]
    parts = {text: part for tokens in lists for text, part in tokens}
    starts = np.concatenate([[0], np.cumsum([len(tokens) for tokens in lists])]).astype(np.int64)
    return Tokens(starts, np.array(ids, np.int64), list(texts), np.array([*parts.values()], np.int64))


def gather(tokens: Tokens, codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tokens of many rows.

    Parameters
    ----------
    tokens
    codes : ndarray of int64, shape (n_rows,)
        Index of each row's value; −1: none.

    Returns
    -------
    rows, ids : ndarray of int64
        One entry per row and token, in order of rows.
    """
    present = np.flatnonzero(codes >= 0)
    first = tokens.starts[codes[present]]
    counts = tokens.starts[codes[present] + 1] - first
    rows = np.repeat(present, counts)
    ends = np.cumsum(counts)
    inside = np.arange(len(rows)) - np.repeat(ends - counts, counts)
    return rows, tokens.ids[np.repeat(first, counts) + inside]


def occurrences(rows: NDArray[np.int64], ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """Number equal tokens of a row 1, 2, …

    Returns
    -------
    rows, ids, numbers : ndarray of int64
        Sorted by row, then id.
    """
    order = np.lexsort((ids, rows))
    rows, ids = rows[order], ids[order]
    places = np.arange(len(rows))
    new = np.ones(len(rows), np.bool_)
    new[1:] = (rows[1:] != rows[:-1]) | (ids[1:] != ids[:-1])
    return rows, ids, places - np.maximum.accumulate(np.where(new, places, 0)) + 1


def token_bytes(text: str, number: int) -> bytes:
    """A token as it enters the keyed function: UTF-8 of ``text#number``."""
    return f"{text}#{number}".encode()
