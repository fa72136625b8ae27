"""A file of persons, larger than memory perhaps → encodings under random references, in their order.

Each piece of the file is normalised, encoded and put into buckets by reference. A person's reference is a
keyed hash of the agency's id under a key that is drawn for this package and forgotten with it: random to
everybody else, and yet rows that repeat an id meet in one bucket, and facts find their person without a table
of all persons. Nothing of a row but its id, its encodings and a keyed hash of its contents is written.
"""

from __future__ import annotations

import csv
import hashlib
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from crypto.agency.buckets import Buckets
from crypto.agency.moved_keys import MovedKeys
from crypto.agency.progress import Progress, silent
from crypto.agency.survey import Survey, count_filled
from crypto.encoding.encode import CHUNK, Encoder, Prepared, index_sets, prepare, source_columns
from crypto.encoding.keys import Keys
from crypto.encoding.profile import Profile
from crypto.errors import InputError, RowProblem
from crypto.tabular import MAX_PROBLEMS, as_text, column_names, estimate_rows, rows_where, stream_table
from crypto.wire import CROSSWALK_NAME, ENCODINGS_NAME, EncodingsWriter, filter_array

PIECE: Final = 1 << 16  # rows read and normalised at a time
_ENCODABLE, _STRONG = 1, 2

Refs = NDArray[np.bytes_]


class References:
    """References of one package by the agency's id: 16 bytes of BLAKE2b under a key of this object's life."""

    def __init__(self) -> None:
        self._keyed = hashlib.blake2b(key=secrets.token_bytes(32), digest_size=16)

    def of(self, ids: pa.Array) -> Refs:
        """References, shape (n,), 16 bytes each."""
        out = bytearray()
        for one in ids.to_pylist():
            keyed = self._keyed.copy()
            keyed.update(one.encode())
            out += keyed.digest()
        return np.frombuffer(bytes(out), "S16")


def hexadecimal(refs: Refs) -> pa.Array:
    """References as Arrow texts of 32 hex digits."""
    text = pa.py_buffer(refs.tobytes().hex().encode())
    ends = pa.py_buffer(np.arange(0, 32 * len(refs) + 1, 32, dtype=np.int32))
    return pa.StringArray.from_buffers(len(refs), ends, text)


@dataclass
class People:
    """What was found in a file of persons, and counted of the persons after rows were merged.

    ``bare`` are the first rows (1-based) of persons of whom nothing can be encoded.
    """

    survey: Survey
    buckets: Buckets
    moved: MovedKeys
    unread: int
    refs: list[Refs] = field(default_factory=list)
    persons: int = 0
    encodable: int = 0
    strong: int = 0
    unspoken: int = 0
    bare: list[int] = field(default_factory=list)
    filled: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    present: dict[str, int] = field(default_factory=dict)

    def knows(self, refs: Refs) -> NDArray[np.bool_]:
        """Which references are a person's."""
        return _among(refs, np.concatenate([*self.refs, np.zeros(0, "S16")]))


def _among(refs: Refs, known: Refs) -> NDArray[np.bool_]:
    """Which references are among others, which ascend."""
    places = np.minimum(np.searchsorted(known, refs), max(len(known) - 1, 0))
    return known[places] == refs if len(known) else np.zeros(len(refs), np.bool_)


def _trimmed_ids(piece: pa.Table, column: str, first_row: int) -> pa.Array:
    ids = pc.utf8_trim_whitespace(as_text(piece, column)).combine_chunks()
    if isinstance(ids, pa.ChunkedArray):
        ids = pa.concat_arrays([*ids.chunks, pa.array([], pa.string())])
    empty = pc.equal(ids, "").to_numpy(zero_copy_only=False)
    if empty.any():
        detail = "the row has no id"
        problems = [RowProblem(first_row + row, column, "ID_MISSING", detail) for row in rows_where(empty)]
        raise InputError(
            "ID_MISSING", detail, row=problems[0].row, column=column, problems=problems[:MAX_PROBLEMS]
        )
    return ids


def encode_people(
    path: Path,
    profile: Profile,
    keys: Keys,
    references: References,
    id_column: str,
    folder: Path,
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
    progress: Progress = silent,
) -> People:
    """Read, check, normalise and encode a file of persons into buckets.

    Parameters
    ----------
    path, delimiter, encoding
        See ``tabular.stream_table``.
    profile, keys
    references
        Of the package.
    id_column
        The agency's own id, one per person.
    folder
        For the rows that do not fit into memory.
    progress

    Raises
    ------
    InputError
        ``ID_COLUMN_MISSING``, ``ID_MISSING``, ``NO_PERSONS``, and the codes of ``stream_table`` and
        ``prepare``. Rows are told of the first piece that has a problem.
    """
    names = column_names(path, delimiter=delimiter, encoding=encoding)
    if id_column not in names:
        raise InputError(
            "ID_COLUMN_MISSING", "the file has no such column; is the delimiter right?", column=id_column
        )
    used = {id_column, *source_columns(profile, names).values()}
    total = estimate_rows(path)
    moved = MovedKeys(folder / "keys", profile, keys)
    people = People(Survey(profile), Buckets(folder, total), moved, len(set(names) - used))
    sets = index_sets(profile, keys)
    for piece in stream_table(path, delimiter=delimiter, encoding=encoding, columns=sorted(used), rows=PIECE):
        done = people.survey.rows
        expected = max(total, done + piece.num_rows)
        progress("encode", done, expected)
        ids = _trimmed_ids(piece, id_column, done)
        prepared = prepare(piece, profile, first_row=done)
        if not piece.num_rows:
            continue
        encoder = Encoder(prepared, profile, keys, sets)
        rows = _encode_piece(prepared, profile, encoder, done, expected, progress)
        said, filled = people.survey.see(piece, prepared)
        refs = references.of(ids)
        head = {
            "ref": pa.array(refs.tolist(), pa.binary()),
            "id": ids,
            "row": pa.array(np.arange(done, done + piece.num_rows)),
            "said": pa.array(said),
            "filled": pa.array(filled),
        }
        people.moved.add(refs, ids, rows)
        people.buckets.add(pa.table({**head, **rows}), refs)
    if not people.survey.rows:
        raise InputError("NO_PERSONS", f"{path.name} has no rows")
    people.moved.settle()
    progress("encode", people.survey.rows, people.survey.rows)
    return people


def _encode_piece(
    prepared: Prepared, profile: Profile, encoder: Encoder, done: int, expected: int, progress: Progress
) -> dict[str, pa.Array]:
    """Filters of a piece by name, and under ``flags`` who can be encoded and has a strong identifier.

    A piece can take half a minute: ``progress`` is told every few thousand rows, from ``done`` of
    ``expected`` on; never that all is done, for ``expected`` is an estimate.
    """
    strong_codes = {
        item.name: [
            prepared.columns[name].codes
            for name in item.fields
            if name in prepared.columns and profile.field(name).strong
        ]
        for item in profile.filters
    }
    parts: dict[str, list[pa.Array]] = {item.name: [] for item in profile.filters}
    flags = np.zeros(prepared.rows, np.uint8)
    for start in range(0, prepared.rows, CHUNK):
        progress("encode", done + start, expected)
        index = np.arange(start, min(start + CHUNK, prepared.rows))
        for name, (packed, present) in encoder.encode(index).filters.items():
            parts[name].append(filter_array(packed, present))
            flags[index[present]] |= _ENCODABLE
            for codes in strong_codes[name]:
                flags[index[present & (codes[index] >= 0)]] |= _STRONG
    columns = {f"filter {name}": pa.concat_arrays(arrays) for name, arrays in parts.items()}
    return {"flags": pa.array(flags), **columns}


def write_people(
    people: People,
    profile: Profile,
    id_column: str,
    folder: Path,
    progress: Progress = silent,
    *,
    spoken: Refs | None = None,
    leave_out: bool = False,
) -> None:
    """Write ``encodings.parquet`` and ``crosswalk.csv`` in the order of references; fills in the counts.

    ``spoken`` are the references of whom the package's facts speak, ascending; None: it has no facts. Others
    are counted, and left out if ``leave_out`` says so: they would be in no figure.

    Raises
    ------
    InputError
        ``ID_CONFLICT``: one id on rows that encode differently. ``NOTHING_ENCODABLE``: not one person has
        anything of what the profile encodes.
    """
    people.filled = np.zeros(len(profile.fields), np.int64)
    people.present = {item.name: 0 for item in profile.filters}
    conflicts: list[tuple[int, int]] = []
    done = 0
    # The one file that leads from a reference back to a person: private from its first byte.
    handle = os.open(folder / CROSSWALK_NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with (
        os.fdopen(handle, "w", encoding="utf-8", newline="") as stream,
        EncodingsWriter(folder / ENCODINGS_NAME, profile.link_spec()) as writer,
    ):
        crosswalk = csv.writer(stream, lineterminator="\n")
        crosswalk.writerow(("id", "record_ref"))
        for rows in people.buckets.drain():
            progress("write", done, people.survey.rows)
            done += rows.num_rows
            rows, refs = _merge(rows, conflicts)
            if spoken is not None:
                heard = _among(refs, spoken)
                people.unspoken += int(np.count_nonzero(~heard))
                if leave_out:
                    rows, refs = rows.filter(pa.array(heard)), refs[heard]
            names = hexadecimal(refs)
            columns = [
                people.moved.of(item.name, refs, _whole(rows[f"filter {item.name}"].combine_chunks()))
                for item in profile.filters
            ]
            writer.write([names, *columns])
            crosswalk.writerows(zip(rows["id"].to_pylist(), names.to_pylist(), strict=True))
            _count(people, profile, rows, refs)
        stream.flush()
        os.fsync(stream.fileno())
    progress("write", done, people.survey.rows)
    if conflicts:
        _refuse(conflicts, id_column)
    if people.persons and not people.encodable:
        detail = "the row holds nothing that the profile encodes"
        raise InputError(
            "NOTHING_ENCODABLE",
            f"{detail}, and neither does any other",
            row=people.bare[0],
            problems=[RowProblem(row, None, "NOTHING_ENCODABLE", detail) for row in people.bare],
        )


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column


def _merge(rows: pa.Table, conflicts: list[tuple[int, int]]) -> tuple[pa.Table, Refs]:
    """Sort a bucket by reference and keep the first row of each; notes rows that say otherwise (0-based)."""
    refs = np.array(rows["ref"].to_pylist(), "S16")
    number = rows["row"].to_numpy()
    order = np.lexsort((number, refs))
    refs, number, said = refs[order], number[order], rows["said"].to_numpy()[order]
    first = np.ones(len(refs), np.bool_)
    first[1:] = refs[1:] != refs[:-1]
    twin = np.flatnonzero(first)[np.cumsum(first) - 1]
    differs = said != said[twin]
    conflicts.extend(zip(number[differs].tolist(), number[twin[differs]].tolist(), strict=True))
    return rows.take(pa.array(order[first])), refs[first]


def _count(people: People, profile: Profile, rows: pa.Table, refs: Refs) -> None:
    flags = rows["flags"].to_numpy()
    people.refs.append(refs)
    people.persons += len(refs)
    people.encodable += int(np.count_nonzero(flags & _ENCODABLE))
    bare = rows["row"].to_numpy()[flags & _ENCODABLE == 0] + 1
    people.bare = sorted([*people.bare, *bare.tolist()])[:MAX_PROBLEMS]
    people.strong += int(np.count_nonzero(flags & _STRONG))
    people.filled += count_filled(rows["filled"].to_numpy(), len(profile.fields))
    for item in profile.filters:
        people.present[item.name] += rows.num_rows - rows[f"filter {item.name}"].null_count


def _refuse(conflicts: list[tuple[int, int]], column: str) -> None:
    conflicts.sort()
    detail = "the id stands on an earlier row with other data: is it one person or two?"
    problems = [RowProblem(row + 1, column, "ID_CONFLICT", detail) for row, _ in conflicts[:MAX_PROBLEMS]]
    raise InputError(
        "ID_CONFLICT",
        f"{detail} {len(conflicts)} rows do that; the first repeats the id of row {conflicts[0][1] + 1}",
        row=problems[0].row,
        column=column,
        problems=problems,
    )
