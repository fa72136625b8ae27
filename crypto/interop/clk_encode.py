"""A table of persons → CLKs, equal to clkhash's bit for bit, a column and many records at a time.

Each distinct value of a column is cut once. Values of equal length are taken together: the i-th tokens of all
of them are looked up in a table of token filters, one row per distinct token and number of positions, and
OR-ed into the values' filters; so no loop runs over records. Tables live for one call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from crypto.errors import InputError, RowProblem
from crypto.interop.clk_hash import Positions, derive_keys
from crypto.interop.clk_schema import ClkSchema, Feature, Hashing
from crypto.interop.clk_values import Values, buffers, tokens_of
from crypto.tabular import MAX_PROBLEMS

#: Records at a time.
CHUNK: Final = 1 << 18
_ROWS: Final = 2048  # values OR-ed at once: a quarter of a megabyte, which stays in the cache, at 1024 bits
_TABLE_BYTES: Final = 64 << 20  # of token filters per column
_ASCII: Final = 128
_DIRECT_N: Final = 2  # n-grams of ASCII up to this length are looked up without hashing a text
_SAMPLE: Final = 2048
_NEW_TOKENS: Final = 1024

Words = NDArray[np.uint64]
Rows = NDArray[np.int64]


class _Table:
    """Filters of tokens, a row each; grows, and starts anew when full."""

    def __init__(self, positions: Positions, width: int, remembers: bool) -> None:
        self._positions = positions
        self._remembers = remembers
        self._drawn: dict[bytes, Rows] = {}
        self._width = width
        self._bytes = -(-width // 64) * 8
        self._capacity = max(256, _TABLE_BYTES // self._bytes)
        self._rows = np.zeros((256, self._bytes // 8), np.uint64)
        self._count = 0
        self.generation = 0

    def reserve(self, count: int) -> None:
        """Make room for ``count`` more rows; rows known before are void if ``generation`` rises."""
        if self._count + count > self._capacity:
            self._count = 0
            self._drawn = {}
            self.generation += 1
        if self._count + count > len(self._rows):
            grown = np.zeros((max(2 * len(self._rows), self._count + count), self._rows.shape[1]), np.uint64)
            grown[: self._count] = self._rows[: self._count]
            self._rows = grown

    def add(self, tokens: Sequence[bytes], count: int) -> Rows:
        """Rows of new tokens that set ``count`` positions each."""
        rows = np.arange(self._count, self._count + len(tokens))
        for start in range(0, len(tokens), _NEW_TOKENS):
            some = tokens[start : start + _NEW_TOKENS]
            drawn = np.array([self._draw(token, count) for token in some]).reshape(len(some), count)
            bits = np.zeros((len(some), self._bytes * 8), np.uint8)
            bits[np.arange(len(some))[:, None], drawn] = 1
            first = self._count + start
            self._rows[first : first + len(some)] = np.packbits(bits, axis=1).view(np.uint64)
        self._count += len(tokens)
        return rows

    def _draw(self, token: bytes, count: int) -> Rows:
        """Positions; a longer list begins with the shorter, so that one list serves every count."""
        if not self._remembers:
            return self._positions.of(token, count)
        known = self._drawn.get(token)
        if known is None or len(known) < count:
            known = self._drawn[token] = self._positions.of(token, -(-count // 32) * 32)
        return known[:count]

    @property
    def rows(self) -> Words:
        return self._rows


class _Column:
    """One hashed feature: cells → filters before folding."""

    def __init__(self, feature: Feature, hashing: Hashing, keys: tuple[bytes, bytes], width: int) -> None:
        self.feature = feature
        self._hashing = hashing
        self._how = hashing.comparison
        self._values = Values(feature)
        # With bits per feature a token is wanted with many numbers of positions.
        remembers = hashing.per_feature and self._how.kind == "ngram"
        self._table = _Table(Positions(hashing, keys, width), width, remembers)
        self._words = -(-width // 64)
        self._known: dict[tuple[str, int], int] = {}
        self._slots: dict[tuple[int, int], int] = {}
        self._direct = np.zeros(0, np.int64)
        self._generation = 0

    def add_to(self, out: Words, cells: pa.Array, first_row: int, problems: list[RowProblem]) -> None:
        """OR the column's filters into the records'; notes cells that the schema does not allow."""
        codes = None
        if _repeats(cells):
            encoded = cells.dictionary_encode()
            codes, cells = encoded.indices.to_numpy(zero_copy_only=False), encoded.dictionary
        texts, refused = self._values.format(cells)
        if len(refused):
            rows = refused if codes is None else np.flatnonzero(np.isin(codes, refused))
            self._note(rows, first_row, "CELL_INVALID", "the cell is not as the schema says", problems)
            return
        if codes is None:
            self._filters(texts, out, first_row, problems, None)
        else:
            filters = np.zeros((len(texts), self._words), np.uint64)
            self._filters(texts, filters, first_row, problems, codes)
            for start in range(0, len(codes), _ROWS):
                out[start : start + _ROWS] |= filters[codes[start : start + _ROWS]]

    def _note(self, rows: Rows, first_row: int, code: str, detail: str, problems: list[RowProblem]) -> None:
        name = self.feature.identifier
        problems.extend(
            RowProblem(first_row + int(row) + 1, name, code, detail) for row in rows[:MAX_PROBLEMS]
        )

    def _counts(self, tokens: int) -> list[int]:
        """How many positions each of so many tokens of one value sets."""
        if not self._hashing.per_feature:
            return [self._hashing.bits] * tokens
        each, more = divmod(self._hashing.bits, tokens)
        return [each + 1] * more + [each] * (tokens - more)

    def _filters(
        self,
        texts: pa.Array,
        out: Words,
        first_row: int,
        problems: list[RowProblem],
        codes: NDArray[np.int32] | None,
    ) -> None:
        offsets, data = buffers(texts)
        if self._how.kind == "ngram" and self._how.n <= _DIRECT_N and not (data >= _ASCII).any():
            self._ascii(offsets, data, out)
            return
        lists: list[list[str]] = []
        wrong = []
        for place, text in enumerate(texts.to_pylist()):
            try:
                lists.append(tokens_of(text, self._how))
            except (ValueError, OverflowError):
                lists.append([])
                wrong.append(place)
        if wrong:
            rows = np.array(wrong) if codes is None else np.flatnonzero(np.isin(codes, wrong))
            self._note(rows, first_row, "NUMBER_INVALID", "the cell is not a number", problems)
            return
        self._listed(lists, out)

    # -- any text --------------------------------------------------------------------------------------

    def _listed(self, lists: list[list[str]], out: Words) -> None:
        counts = np.array([len(tokens) for tokens in lists], np.int64)
        for count in np.unique(counts[counts > 0]).tolist():
            places = np.flatnonzero(counts == count)
            for start in range(0, len(places), _ROWS):
                block = places[start : start + _ROWS]
                self._reserve(count * len(block))
                of = [lists[place] for place in block.tolist()]
                rows = [
                    self._rows([tokens[place] for tokens in of], k)
                    for place, k in enumerate(self._counts(count))
                ]
                _or_rows(out, block, self._table.rows, rows)

    def _rows(self, tokens: list[str], count: int) -> Rows:
        encoding = self.feature.encoding
        if self._how.kind == "exact":
            # Such tokens belong to few persons; remembering them would only fill memory.
            return self._table.add([token.encode(encoding) for token in tokens], count)
        new = [t for t in dict.fromkeys(tokens) if (t, count) not in self._known]
        rows = self._table.add([token.encode(encoding) for token in new], count)
        self._known.update(zip([(token, count) for token in new], rows.tolist(), strict=True))
        return np.array([self._known[token, count] for token in tokens])

    def _reserve(self, count: int) -> None:
        self._table.reserve(count)
        if self._table.generation != self._generation:
            self._generation = self._table.generation
            self._known, self._slots, self._direct = {}, {}, np.zeros(0, np.int64)

    # -- short n-grams of ASCII ------------------------------------------------------------------------

    def _ascii(self, offsets: Rows, data: NDArray[np.uint8], out: Words) -> None:
        n = self._how.n
        lengths = np.diff(offsets)
        # Sixteen bits are sorted by radix; no cell is longer than a thousand characters.
        order = np.argsort(lengths.astype(np.uint16), kind="stable")
        bounds = np.searchsorted(lengths[order], np.arange(int(lengths.max(initial=0)) + 2))
        for length in range(1, len(bounds) - 1):
            group = order[bounds[length] : bounds[length + 1]]
            tokens = length + n - 1
            counts = self._counts(tokens)
            for start in range(0, len(group), _ROWS):
                block = group[start : start + _ROWS]
                self._reserve(tokens * len(block))
                chars = np.full((length + 2 * (n - 1), len(block)), ord(" "), np.int64)
                places = offsets[block] + np.arange(length)[:, None]
                chars[n - 1 : n - 1 + length] = np.take(data, places, mode="clip")
                codes = chars if n == 1 else chars[:-1] * _ASCII + chars[1:]
                _or_rows(out, block, self._table.rows, self._lookup(codes, counts))

    def _slot(self, place: int, count: int) -> int:
        """Which part of the look-up table holds the tokens of one place and number of positions."""
        key = (place if self._how.positional else 0, count)
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = len(self._slots)
            fresh = np.full(_ASCII**self._how.n, -1, np.int64)
            self._direct = np.concatenate([self._direct, fresh])
        return slot

    def _names(self, grams: list[int], place: int) -> list[bytes]:
        prefix = f"{place + 1} " if self._how.positional else ""
        texts = [chr(g) if self._how.n == 1 else chr(g // _ASCII) + chr(g % _ASCII) for g in grams]
        return [(prefix + text).encode(self.feature.encoding) for text in texts]

    def _lookup(self, codes: Rows, counts: list[int]) -> Rows:
        """Rows of n-grams, shape (tokens, n), which stand at the place of their row in every value."""
        size = _ASCII**self._how.n
        slots = [self._slot(place, count) for place, count in enumerate(counts)]
        if any(slots):
            codes = codes + np.array(slots)[:, None] * size
        rows = np.take(self._direct, codes, mode="clip")
        if rows.min() < 0:
            keys = {slot: key for key, slot in self._slots.items()}
            missing = np.unique(codes[rows < 0])
            for slot in np.unique(missing // size).tolist():
                some = missing[missing // size == slot]
                place, count = keys[slot]
                self._direct[some] = self._table.add(self._names((some % size).tolist(), place), count)
            rows = np.take(self._direct, codes, mode="clip")
        return rows


def _repeats(cells: pa.Array) -> bool:
    """Whether values repeat so often that doing each once pays, guessed from a sample.

    ``c`` repetitions among ``s`` values speak of some s² / 2c different ones.
    """
    sample = cells[:_SAMPLE]
    again = len(sample) - pc.count_distinct(sample).as_py()
    return len(cells) <= _SAMPLE or 2 * again * len(cells) > 2 * len(sample) ** 2


def _or_rows(out: Words, block: Rows, table: Words, rows: Sequence[Rows] | Rows) -> None:
    """``out[block] |= table[rows[0]] | table[rows[1]] | …``, a place at a time."""
    joined = table[rows[0]]
    other = np.empty_like(joined)
    for each in rows[1:]:
        # mode="clip" lets NumPy write into ``other`` without a copy; every row exists.
        np.take(table, each, axis=0, out=other, mode="clip")
        np.bitwise_or(joined, other, out=joined)
    out[block] |= joined


def fold(filters: Words, schema: ClkSchema) -> NDArray[np.uint8]:
    """XOR-fold filters to packed CLKs, shape (n, ⌈length / 8⌉), the last byte filled up with zeros."""
    packed = filters.view(np.uint8)[:, : -(-schema.width // 8)]
    width = schema.width
    for _ in range(schema.folds):
        width //= 2
        if width % 8 == 0:
            packed = packed[:, : width // 8] ^ packed[:, width // 8 : width // 4]
        else:
            bits = np.unpackbits(packed, axis=1)
            packed = np.packbits(bits[:, :width] ^ bits[:, width : 2 * width], axis=1)
    return np.ascontiguousarray(packed)


class ClkEncoder:
    """Makes CLKs under one schema and secret.

    Parameters
    ----------
    schema : ClkSchema
    secret : bytes
        As clkhash takes it; a text in UTF-8.
    """

    def __init__(self, schema: ClkSchema, secret: bytes) -> None:
        self._schema = schema
        self._columns = [
            (place, _Column(feature, feature.hashing, keys, schema.width))
            for place, (feature, keys) in enumerate(
                zip(schema.features, derive_keys(schema, secret), strict=True)
            )
            if feature.hashing
        ]
        self._done = 0

    def encode(self, columns: Sequence[pa.Array]) -> NDArray[np.uint8]:
        """CLKs of one piece of a file.

        Parameters
        ----------
        columns : sequence of pa.Array of string
            One per feature of the schema, without nulls; pieces are given in the file's order.

        Returns
        -------
        ndarray of uint8, shape (n, ⌈length / 8⌉)
            Bit 0 is the most significant bit of byte 0.

        Raises
        ------
        InputError
            ``CELL_INVALID`` or ``NUMBER_INVALID`` with rows and columns.
        """
        rows = len(columns[0])
        out = np.zeros((rows, -(-self._schema.width // 64)), np.uint64)
        problems: list[RowProblem] = []
        for place, column in self._columns:
            column.add_to(out, columns[place], self._done, problems)
        if problems:
            first = problems[0]
            raise InputError(
                first.code, first.detail, row=first.row, column=first.column, problems=problems[:MAX_PROBLEMS]
            )
        self._done += rows
        return fold(out, self._schema)

    def chunks(self, table: pa.Table) -> Iterator[NDArray[np.uint8]]:
        """CLKs of a table whose columns are the schema's, :data:`CHUNK` records at a time."""
        for start in range(0, table.num_rows, CHUNK):
            piece = table.slice(start, CHUNK)
            yield self.encode([one_array(column) for column in piece.columns])


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """A column of texts in one piece."""
    chunks = column.cast(pa.string()).chunks
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays([*chunks, pa.array([], pa.string())])


def check_header(schema: ClkSchema, names: Sequence[str]) -> None:
    """Refuse a file whose columns are not the schema's, in its order.

    Raises
    ------
    InputError
        ``HEADER_MISMATCH``.
    """
    wanted = [feature.identifier for feature in schema.features]
    if len(names) != len(wanted):
        detail = f"the file has {len(names)} columns, the schema {len(wanted)}"
        raise InputError("HEADER_MISMATCH", detail)
    for name, expected in zip(names, wanted, strict=True):
        if name != expected.strip():
            raise InputError(
                "HEADER_MISMATCH", "the schema has another column in this place", column=expected
            )
