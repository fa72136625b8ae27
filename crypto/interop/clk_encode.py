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
CHUNK: Final = 1 << 17
_ROWS: Final = 2048  # values OR-ed at once: a quarter of a megabyte, which stays in the cache, at 1024 bits
_TABLE_BYTES: Final = 64 << 20  # of token filters per column
_ASCII: Final = 128
_DIRECT_N: Final = 2  # n-grams of ASCII up to this length are looked up without hashing a text
_SAMPLE: Final = 2048

Words = NDArray[np.uint64]
Rows = NDArray[np.int64]


class _Table:
    """Filters of tokens, a row each; grows, and starts anew when full."""

    def __init__(self, positions: Positions, width: int) -> None:
        self._positions = positions
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
            self.generation += 1
        if self._count + count > len(self._rows):
            grown = np.zeros((max(2 * len(self._rows), self._count + count), self._rows.shape[1]), np.uint64)
            grown[: self._count] = self._rows[: self._count]
            self._rows = grown

    def add(self, token: bytes, count: int) -> int:
        """Row of a new token that sets ``count`` positions."""
        drawn = self._positions.of(token, count)
        row = self._rows[self._count].view(np.uint8)
        row[:] = 0
        np.bitwise_or.at(row, drawn >> 3, (0x80 >> (drawn & 7)).astype(np.uint8))
        self._count += 1
        return self._count - 1

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
        self._table = _Table(Positions(hashing, keys, width), width)
        self._words = -(-width // 64)
        self._known: dict[tuple[str, int], int] = {}
        self._direct: dict[tuple[int, int], Rows] = {}
        self._generation = 0

    def add_to(self, out: Words, cells: pa.Array, first_row: int, problems: list[RowProblem]) -> None:
        """OR the column's filters into the records'; notes cells that the schema does not allow."""
        codes = None
        if len(cells) <= _SAMPLE or pc.count_distinct(cells[:_SAMPLE]).as_py() < _SAMPLE * 3 // 4:
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
                rows = np.array(
                    [
                        [self._row(token, k) for token, k in zip(lists[i], self._counts(count), strict=True)]
                        for i in block.tolist()
                    ]
                )
                _or_rows(out, block, self._table.rows, rows.T)

    def _row(self, token: str, count: int) -> int:
        row = self._known.get((token, count))
        if row is None:
            row = self._table.add(token.encode(self.feature.encoding), count)
            if self._how.kind == "ngram":
                # Exact and numeric tokens belong to few persons; remembering them would only fill memory.
                self._known[token, count] = row
        return row

    def _reserve(self, count: int) -> None:
        self._table.reserve(count)
        if self._table.generation != self._generation:
            self._generation = self._table.generation
            self._known, self._direct = {}, {}

    # -- short n-grams of ASCII ------------------------------------------------------------------------

    def _ascii(self, offsets: Rows, data: NDArray[np.uint8], out: Words) -> None:
        n = self._how.n
        lengths = np.diff(offsets)
        order = np.argsort(lengths, kind="stable")
        bounds = np.searchsorted(lengths[order], np.arange(int(lengths.max(initial=0)) + 2))
        for length in range(1, len(bounds) - 1):
            group = order[bounds[length] : bounds[length + 1]]
            tokens = length + n - 1
            counts = self._counts(tokens)
            for start in range(0, len(group), _ROWS):
                block = group[start : start + _ROWS]
                self._reserve(tokens * len(block))
                chars = np.full((length + 2 * (n - 1), len(block)), ord(" "), np.int64)
                chars[n - 1 : n - 1 + length] = data[offsets[block] + np.arange(length)[:, None]]
                codes = chars if n == 1 else chars[:-1] * _ASCII + chars[1:]
                rows = [self._lookup(codes[place], place, counts[place]) for place in range(tokens)]
                _or_rows(out, block, self._table.rows, rows)

    def _lookup(self, codes: Rows, place: int, count: int) -> Rows:
        """Rows of the tokens at one place of many values."""
        slot = (place if self._how.positional else 0, count)
        known = self._direct.get(slot)
        if known is None:
            known = self._direct[slot] = np.full(_ASCII**self._how.n, -1, np.int64)
        rows = known[codes]
        if (rows < 0).any():
            for code in np.unique(codes[rows < 0]).tolist():
                text = chr(code) if self._how.n == 1 else chr(code // _ASCII) + chr(code % _ASCII)
                token = f"{place + 1} {text}" if self._how.positional else text
                known[code] = self._table.add(token.encode(self.feature.encoding), count)
            rows = known[codes]
        return rows


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
