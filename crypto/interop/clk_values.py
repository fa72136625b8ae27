"""Cells → the texts that clkhash cuts into tokens: validated, and written in one way.

What a schema says of a column is checked for every distinct cell; a cell that does not conform is refused by
row and column, where clkhash would quote it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from crypto.interop.clk_schema import Comparison, Feature

_MEMO: Final = 1 << 20  # values remembered for one column of one file
_REMEMBERED: Final = frozenset({"integer", "date", "enum"})
_PLAIN_INTEGER: Final = "^(?:0|[1-9][0-9]{0,17})$"
_DAYS: Final = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


class Values:
    """Formats the cells of one feature; remembers distinct cells for one call."""

    def __init__(self, feature: Feature) -> None:
        self._feature = feature
        hashing = feature.hashing
        self._sentinel = hashing.sentinel if hashing else None
        self._replacement = hashing.replacement if hashing else ""
        self._memo: dict[str, str | None] = {}
        self._places = _date_places(feature.date_format) if feature.format == "date" else None

    def format(self, cells: pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
        """Format cells.

        Cells that are written as nearly all are (a plain number, a date of full width) are done as a column;
        only the others one by one.

        Returns
        -------
        formatted : pa.Array of string
            Whatever stands at a refused cell is of no account.
        refused : ndarray of int64
            Places of cells that the schema does not allow.
        """
        formatted, done = self._usual(cells)
        if self._sentinel is not None:
            # The sentinel may look like any other cell; it is not checked, and replaced as it stands.
            missing = pc.equal(cells, self._sentinel)
            formatted = pc.if_else(missing, self._replacement, formatted)
            done |= missing.to_numpy(zero_copy_only=False)
        if done.all():
            return formatted, np.zeros(0, np.int64)
        left = np.flatnonzero(~done)
        found = [self._slow(cell) for cell in cells.take(pa.array(left)).to_pylist()]
        refused = left[[one is None for one in found]]
        texts = pa.array([one or "" for one in found], pa.string())
        return pc.replace_with_mask(formatted, pa.array(~done), texts), refused

    def _slow(self, cell: str) -> str | None:
        found = self._memo.get(cell, _UNKNOWN)
        if found is _UNKNOWN:
            found = self._one(cell)
            if self._feature.format in _REMEMBERED and len(self._memo) < _MEMO:
                self._memo[cell] = found
        return found

    def _usual(self, cells: pa.Array) -> tuple[pa.Array, NDArray[np.bool_]]:
        """Cells formatted as a column, and which of them are."""
        one = self._feature
        if one.format == "date" and self._places is not None:
            return _plain_dates(cells, *self._places)
        if one.format == "integer":
            plain = pc.match_substring_regex(cells, _PLAIN_INTEGER)
            numbers = pc.if_else(plain, cells, None).cast(pa.int64())
            for limit, test in ((one.least, pc.greater_equal), (one.most, pc.less_equal)):
                if limit is not None:
                    plain = pc.and_(plain, pc.fill_null(test(numbers, limit), False))
            return cells, plain.to_numpy(zero_copy_only=False)
        if one.format != "string" or one.pattern is not None:
            return cells, np.zeros(len(cells), np.bool_)
        allowed = np.ones(len(cells), np.bool_)
        if one.encoding == "ascii" or one.case != "mixed":
            allowed &= pc.string_is_ascii(cells).to_numpy(zero_copy_only=False)
        if one.case != "mixed":
            cased = pc.ascii_upper(cells) if one.case == "upper" else pc.ascii_lower(cells)
            allowed &= pc.equal(cased, cells).to_numpy(zero_copy_only=False)
        if one.least or one.most is not None:
            lengths = pc.utf8_length(cells).to_numpy(zero_copy_only=False)
            allowed &= (lengths >= (one.least or 0)) & ((one.most is None) | (lengths <= (one.most or 0)))
        return cells, allowed

    def _one(self, cell: str) -> str | None:
        checks = {"string": self._string, "integer": self._integer, "date": self._date, "enum": self._enum}
        try:
            return checks[self._feature.format](cell)
        except ValueError:  # of int(), strptime(), encode(), and ours
            return None

    def _string(self, cell: str) -> str:
        one = self._feature
        cell.encode(one.encoding)
        if one.pattern is not None:
            allowed = one.pattern.fullmatch(cell) is not None
        else:
            cased = {"upper": cell.upper(), "lower": cell.lower()}.get(one.case, cell)
            allowed = cased == cell and len(cell) >= (one.least or 0)
            allowed = allowed and (one.most is None or len(cell) <= one.most)
        if not allowed:
            raise ValueError("not of the format")
        return cell

    def _integer(self, cell: str) -> str:
        value = int(cell, base=10)
        one = self._feature
        if (one.least is not None and value < one.least) or (one.most is not None and value > one.most):
            raise ValueError("out of range")
        return str(value)

    def _date(self, cell: str) -> str:
        # No time zone is involved: the day is written anew, as clkhash does.
        return datetime.strptime(cell, self._feature.date_format).strftime("%Y%m%d")  # noqa: DTZ007

    def _enum(self, cell: str) -> str:
        if cell not in self._feature.values:
            raise ValueError("not among the values")
        return cell


_UNKNOWN: Final = "\0unknown"  # no cell: NUL bytes are refused when a file is read


def _date_places(text: str) -> tuple[str, dict[str, int]] | None:
    """Where year, month and day stand in a date of full width, for formats of numbers and signs alone."""
    if not text.isascii() or any(text.count(part) != 1 for part in ("%Y", "%m", "%d")):
        return None
    shape = text.replace("%Y", "YYYY").replace("%m", "MM").replace("%d", "DD")
    literals = text.replace("%Y", "").replace("%m", "").replace("%d", "")
    # White space, letters and further directives have rules of their own in strptime.
    if any(sign.isspace() or sign.isalnum() or sign == "%" for sign in literals):
        return None
    return shape, {part: shape.index(part) for part in "YMD"}


def _plain_dates(cells: pa.Array, shape: str, places: dict[str, int]) -> tuple[pa.Array, NDArray[np.bool_]]:
    """Dates of full width → YYYYMMDD, and which cells are such (zeros elsewhere)."""
    offsets, data = buffers(cells)
    plain = np.diff(offsets) == len(shape)
    starts = offsets[:-1][plain]
    signs = data[starts + np.arange(len(shape))[:, None]]
    sound = np.ones(len(starts), np.bool_)
    digits = np.full((8, len(cells)), ord("0"), np.uint8)

    def number(part: str, width: int, target: int) -> NDArray[np.int64]:
        value = np.zeros(len(starts), np.int64)
        for place in range(width):
            digit = signs[places[part] + place]
            sound[:] &= (digit >= ord("0")) & (digit <= ord("9"))
            value = value * 10 + (digit.astype(np.int64) - ord("0"))
            digits[target + place, plain] = digit
        return value

    year, month, day = number("Y", 4, 0), number("M", 2, 4), number("D", 2, 6)
    for place, sign in enumerate(shape):
        if sign not in "YMD":
            sound &= signs[place] == ord(sign)
    sound &= (year >= 1000) & (month >= 1) & (month <= 12) & (day >= 1)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0)) & (month == 2)
    sound &= day <= _DAYS[np.where(sound, month, 0)] + leap
    plain[plain] = sound
    ends = pa.py_buffer(np.arange(0, 8 * len(cells) + 1, 8, dtype=np.int32))
    text = pa.py_buffer(np.ascontiguousarray(digits.T))
    return pa.StringArray.from_buffers(len(cells), ends, text), plain


def buffers(texts: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Offsets, from 0, and bytes of an array of texts without nulls."""
    parts = texts.buffers()
    if not len(texts) or parts[2] is None:
        return np.zeros(len(texts) + 1, np.int64), np.zeros(0, np.uint8)
    offsets = np.frombuffer(parts[1], np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    data = np.frombuffer(parts[2], np.uint8)[offsets[0] : offsets[-1]]
    return offsets - offsets[0], data


def tokens_of(text: str, how: Comparison) -> list[str]:
    """Cut one formatted text.

    Raises
    ------
    ValueError, OverflowError
        If a numeric comparison meets a text that is no number.
    """
    if not text:
        return []
    if how.kind == "exact":
        return [text]
    if how.kind == "numeric":
        return _neighbours(text, how)
    pad = " " * (how.n - 1)
    padded = pad + text + pad
    count = len(padded) - how.n + 1
    if how.positional:
        return [f"{place + 1} {padded[place : place + how.n]}" for place in range(count)]
    return [padded[place : place + how.n] for place in range(count)]


def _neighbours(text: str, how: Comparison) -> list[str]:
    """Tokens of a number and its neighbourhood (Vatsalan and Christen, 2015), on a grid common to all."""
    scale = pow(10, how.precision)
    try:
        value = int(text, base=10) * scale
    except ValueError:
        number = float(text)
        value = round(number * scale) if how.precision else int(number)
    value *= 2 * how.resolution
    residue = value % how.interval
    if residue and residue < how.interval / 2:
        value -= residue
    elif residue:
        value += how.interval - residue
    return [str(value + step * how.interval) for step in range(-how.resolution, how.resolution + 1)]
