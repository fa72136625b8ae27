"""A table of persons → encodings: normalise once, then make filters in chunks, in any order of rows."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from crypto.encoding import hardening, shared
from crypto.encoding.bloom import Column, FilterMaker
from crypto.encoding.composite import KeyMaker
from crypto.encoding.keys import Keys
from crypto.encoding.normalise import NORMALISERS
from crypto.encoding.profile import Profile
from crypto.encoding.profile_parts import Field
from crypto.encoding.types import Encodings, FilterColumn
from crypto.errors import InputError, ProfileError, RowProblem
from crypto.tabular import MAX_PROBLEMS, as_text, rows_where

#: Records encoded at a time; bounds memory at some 100 MB for the widest profiles.
CHUNK: Final = 8192

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class PreparedField:
    """One field of a file, normalised.

    ``source`` is the file's column; ``unusable`` counts cells that hold something of which nothing is left
    (an SSN that was never issued, say).
    """

    source: str
    column: Column
    unusable: int


@dataclass(frozen=True)
class Prepared:
    """A table of persons, ready for encoding.

    Attributes
    ----------
    rows : int
        Of the table.
    fields : dict of str to PreparedField
        Of the profile's fields, those that the file has.
    absent : tuple of str
        Those that it lacks.
    """

    rows: int
    fields: dict[str, PreparedField]
    absent: tuple[str, ...]

    @property
    def columns(self) -> dict[str, Column]:
        """Normalised columns by field."""
        return {name: prepared.column for name, prepared in self.fields.items()}


@dataclass(frozen=True)
class Chunk:
    """Encoded rows: per filter the bytes, shape (n, width // 8) uint8, and who has it, shape (n,)."""

    filters: dict[str, tuple[NDArray[np.uint8], NDArray[np.bool_]]]


def source_columns(profile: Profile, names: list[str]) -> dict[str, str]:
    """Which column of a file each field of the profile reads: the first alternative that the file has."""
    found = {}
    for field in profile.fields:
        for column in field.columns:
            if column in names:
                found[field.name] = column
                break
    return found


def prepare(
    table: pa.Table, profile: Profile, progress: Progress | None = None, first_row: int = 0
) -> Prepared:
    """Normalise every column that the profile reads.

    Parameters
    ----------
    table : pa.Table
        As ``tabular.read_table`` gives it.
    profile : Profile
    progress : callable, optional
        Called with ``"normalise"``, fields done, fields in all.
    first_row : int
        0-based row of the file with which the table begins, for messages.

    Raises
    ------
    InputError
        ``PROFILE_COLUMNS_MISSING`` if the file has none of the profile's columns; ``DATE_INVALID`` with the
        rows of every date that is none; ``COLUMN_TYPE``.
    """
    sources = source_columns(profile, table.column_names)
    if not sources:
        raise InputError(
            "PROFILE_COLUMNS_MISSING",
            "the file has none of the columns that the profile encodes; is the delimiter right?",
        )
    fields: dict[str, PreparedField] = {}
    problems: list[RowProblem] = []
    for done, (name, source) in enumerate(sources.items()):
        if progress:
            progress("normalise", done, len(sources))
        fields[name] = _normalise(profile.field(name), as_text(table, source), source, problems, first_row)
    if progress:
        progress("normalise", len(sources), len(sources))
    if problems:
        # Several fields may read one column: a cell is told of once.
        each = list(dict.fromkeys(problems))
        first = each[0]
        raise InputError(
            first.code, first.detail, row=first.row, column=first.column, problems=each[:MAX_PROBLEMS]
        )
    absent = tuple(field.name for field in profile.fields if field.name not in sources)
    return Prepared(table.num_rows, fields, absent)


def _normalise(
    field: Field, cells: pa.ChunkedArray, source: str, problems: list[RowProblem], first_row: int
) -> PreparedField:
    """Each distinct cell once; notes rows whose cell is refused."""
    encoded = pc.dictionary_encode(cells.combine_chunks())
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    raw: list[str] = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    normaliser, missing = NORMALISERS[field.normaliser], frozenset(field.missing)
    nicknames = dict(field.nicknames)
    values: dict[str, int] = {}
    mapped = np.full(len(raw), -1, np.int64)
    refused = np.zeros(len(raw), np.bool_)
    unusable = np.zeros(len(raw), np.bool_)
    for place, cell in enumerate(raw):
        trimmed = cell.strip().lower()
        if not trimmed or trimmed in missing:
            continue
        try:
            value = normaliser(cell, field.max_length)
        except ValueError:
            refused[place] = True
            continue
        if value:
            value = nicknames.get(value, value)
            mapped[place] = values.setdefault(value, len(values))
        else:
            unusable[place] = True
    if refused.any():
        rows = rows_where(refused[codes])
        detail = "the cell is not a date"
        problems.extend(RowProblem(first_row + row, source, "DATE_INVALID", detail) for row in rows)
    return PreparedField(source, Column(mapped[codes], list(values)), int(unusable[codes].sum()))


IndexSets = dict[str, NDArray[np.int64]]


def index_sets(profile: Profile, keys: Keys) -> IndexSets:
    """Which filter bits each output bit is made of, by diffused filter."""
    return {
        item.name: hardening.index_sets(keys.diffusion, item.name, item.width, item.hardening)
        for item in profile.filters
        if item.hardening
    }


class Encoder:
    """Makes the filters of any rows of a prepared table.

    Token filters live as long as this object, which one call makes and drops. ``sets`` are the index sets of
    the same profile and keys, where another piece of the same file has made them already.

    Raises
    ------
    ProfileError
        ``PROFILE_MISMATCH`` if the keys were derived for another profile.
    """

    def __init__(
        self, prepared: Prepared, profile: Profile, keys: Keys, sets: IndexSets | None = None
    ) -> None:
        if keys.fingerprint != profile.fingerprint:
            raise ProfileError("PROFILE_MISMATCH", "the keys were derived for another profile")
        self._makers = [
            (item, (KeyMaker if item.composite else FilterMaker)(item, profile, keys, prepared.columns))
            for item in profile.filters
        ]
        self._sets = index_sets(profile, keys) if sets is None else sets

    def encode(self, index: NDArray[np.int64]) -> Chunk:
        """Filters of the rows ``index`` (0-based), in that order; rows without a filter are zero."""
        filters = {}
        for item, maker in self._makers:
            plain, present = maker.make(index)
            if item.hardening and present.any():
                plain = hardening.diffuse(plain, self._sets[item.name])
                plain[~present] = 0
            elif item.hardening:
                plain = np.zeros((len(index), item.out_width // 64), np.uint64)
            filters[item.name] = (np.ascontiguousarray(plain).view(np.uint8), present)
        return Chunk(filters)

    def plain(self, index: NDArray[np.int64]) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
        """Filters of the rows ``index`` before hardening, as in :class:`Chunk`; for measuring risk only."""
        made = {item.name: maker.make(index) for item, maker in self._makers}
        return {n: (np.ascontiguousarray(words).view(np.uint8), has) for n, (words, has) in made.items()}

    def chunks(self, order: NDArray[np.int64], progress: Progress | None = None) -> Iterator[Chunk]:
        """Encode the rows ``order`` in chunks of ``CHUNK``; reports ``"encode"``, rows done and in all."""
        for start in range(0, len(order), CHUNK):
            if progress:
                progress("encode", start, len(order))
            yield self.encode(order[start : start + CHUNK])
        if progress:
            progress("encode", len(order), len(order))

    def fill(self, index: NDArray[np.int64]) -> dict[str, float | None]:
        """Mean share of set bits of every filter before hardening, None where nobody has it, and of keys."""
        found: dict[str, float | None] = {}
        for item, maker in self._makers:
            if item.composite:
                found[item.name] = None
                continue
            plain, present = maker.make(index)
            bits = np.bitwise_count(plain[present]).sum(axis=1, dtype=np.int64) / item.width
            found[item.name] = float(bits.mean()) if len(bits) else None
        return found


def draw_refs(count: int) -> NDArray[np.str_]:
    """``count`` different record references of 128 random bits, 32 hex digits each, sorted."""
    raw = secrets.token_bytes(16 * count).hex()
    refs = np.array([raw[place : place + 32] for place in range(0, len(raw), 32)], dtype="<U32")
    refs = np.unique(refs)
    if len(refs) != count:  # not before 2**64 records: the generator is broken
        raise RuntimeError("the system's random generator repeats itself")
    return refs


def to_encodings(refs: NDArray[np.str_], chunks: Iterator[Chunk], profile: Profile) -> Encodings:
    """Gather the chunks of a whole file in memory, one row a person."""
    parts = list(chunks)
    found = {}
    for item in profile.filters:
        packed = [part.filters[item.name][0] for part in parts] or [
            np.zeros((0, item.out_width // 8), np.uint8)
        ]
        present = [part.filters[item.name][1] for part in parts] or [np.zeros(0, np.bool_)]
        words = np.ascontiguousarray(np.concatenate(packed)).view(">u8").astype(np.uint64)
        found[item.name] = (words, np.concatenate(present))
    for name, words in shared.without_sharers({name: found[name] for name in profile.moved_keys}).items():
        found[name] = (words, found[name][1])
    return Encodings(refs, {name: FilterColumn(*column) for name, column in found.items()})


def encode_table(
    table: pa.Table, profile: Profile, keys: Keys, progress: Progress | None = None
) -> Encodings:
    """Encode a whole table in memory, one record per row, in a random order with random references.

    The agency's program does the same in a bounded amount of memory (``agency.encode``).
    """
    prepared = prepare(table, profile, progress)
    encoder = Encoder(prepared, profile, keys)
    # Places in a package say nothing of the file.
    order = shared.shuffled(prepared.rows)
    return to_encodings(draw_refs(prepared.rows), encoder.chunks(order, progress), profile)
