"""The agency's encode step: persons and facts in, a package and a private crosswalk out.

In order: read and check everything (nothing is written before all input is sound); merge repeated persons;
draw references; write encodings, facts, crosswalk, manifest and report into a hidden folder beside the
target; rename it. A crash at any line before the rename leaves no package, only that hidden folder.
"""

from __future__ import annotations

import csv
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from crypto import __version__
from crypto.agency import report
from crypto.agency.progress import Progress, silent
from crypto.encoding.encode import Encoder, Prepared, draw_refs, prepare, shuffled, source_columns
from crypto.encoding.keys import Keys, Secret
from crypto.encoding.profile import Profile
from crypto.errors import InputError, RowProblem
from crypto.facts import validate_facts
from crypto.tabular import MAX_PROBLEMS, as_text, read_table, rows_where
from crypto.wire import (
    CROSSWALK_NAME,
    ENCODINGS_NAME,
    FACT_KINDS,
    PROFILE_NAME,
    REPORT_NAME,
    Coverage,
    Manifest,
    file_entry,
    flush,
    write_encodings,
    write_facts,
    write_manifest,
)

SOFTWARE: Final = f"cohortlink-agency/{__version__}"


@dataclass(frozen=True)
class People:
    """The persons of a file, repeated ids merged.

    ``index`` holds the 0-based file row of each person, ``ids`` the agency's id of each.
    """

    prepared: Prepared
    index: NDArray[np.int64]
    ids: pa.Array
    unread: tuple[str, ...]

    @property
    def merged(self) -> int:
        """Rows that repeated a person."""
        return self.prepared.rows - len(self.index)


def read_people(
    path: Path,
    profile: Profile,
    id_column: str | None,
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
    progress: Progress = silent,
) -> People:
    """Read, check and normalise a file of persons.

    Parameters
    ----------
    path, delimiter, encoding
        See ``tabular.read_table``.
    profile : Profile
    id_column : str, optional
        The agency's own id, one per person; None: each row is a person.
    progress : Progress

    Raises
    ------
    InputError
        ``ID_COLUMN_MISSING``, ``ID_MISSING``, ``ID_CONFLICT`` (one id on rows that encode differently),
        ``NO_PERSONS``, and the codes of ``read_table`` and ``prepare``.
    """
    progress("read", 0, 1)
    table = read_table(path, delimiter=delimiter, encoding=encoding)
    progress("read", 1, 1)
    if id_column is not None and id_column not in table.column_names:
        raise InputError(
            "ID_COLUMN_MISSING", "the file has no such column; is the delimiter right?", column=id_column
        )
    if not table.num_rows:
        raise InputError("NO_PERSONS", f"{path.name} has no rows")
    prepared = prepare(table, profile, progress)
    used = {id_column, *source_columns(profile, table.column_names).values()}
    unread = tuple(name for name in table.column_names if name not in used)
    if id_column is None:
        index = np.arange(table.num_rows)
        return People(prepared, index, pa.array([str(row) for row in index + 1]), unread)
    ids = _ids(table, id_column)
    index = _merge(ids, prepared, id_column)
    return People(prepared, index, ids.take(pa.array(index)), unread)


def _ids(table: pa.Table, column: str) -> pa.Array:
    ids = pc.utf8_trim_whitespace(as_text(table, column)).combine_chunks()
    empty = pc.equal(ids, "").to_numpy(zero_copy_only=False)
    if empty.any():
        problems = [RowProblem(row, column, "ID_MISSING", "the row has no id") for row in rows_where(empty)]
        raise InputError(
            "ID_MISSING", "the row has no id", row=problems[0].row, column=column, problems=problems
        )
    return ids


def _merge(ids: pa.Array, prepared: Prepared, column: str) -> NDArray[np.int64]:
    """First row of every id; a row that repeats an id must encode like its first."""
    codes = pc.dictionary_encode(ids).indices.to_numpy(zero_copy_only=False)
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    if len(first) == len(codes):
        return np.arange(len(codes))
    twin = first[inverse]
    differs = np.zeros(len(codes), np.bool_)
    for field in prepared.columns.values():
        differs |= field.codes != field.codes[twin]
    if differs.any():
        detail = "the id stands on an earlier row with other data: is it one person or two?"
        problems = [RowProblem(row, column, "ID_CONFLICT", detail) for row in rows_where(differs)]
        earlier = int(twin[(problems[0].row or 1) - 1]) + 1
        raise InputError(
            "ID_CONFLICT",
            f"{detail} {int(differs.sum())} rows do that; the first repeats the id of row {earlier}",
            row=problems[0].row,
            column=column,
            problems=problems,
        )
    return np.sort(first).astype(np.int64)


def read_facts(
    kind: str,
    path: Path,
    id_column: str,
    *,
    submitted_on: date,
    delimiter: str = ",",
    encoding: str = "utf-8",
) -> pa.Table:
    """Read a file of facts and check it against the closed schema, the agency's id still in its place.

    Raises
    ------
    InputError
        ``FACTS_KIND_UNKNOWN``, and the codes of ``read_table`` and ``facts.validate_facts``.
    """
    if kind not in FACT_KINDS:
        raise InputError("FACTS_KIND_UNKNOWN", f"kinds of facts are {', '.join(FACT_KINDS)}")
    table = read_table(path, delimiter=delimiter, encoding=encoding)
    return validate_facts(kind, table, submitted_on=submitted_on, reference=id_column)


def swap_ids(table: pa.Table, id_column: str, people: People, refs: pa.Array, kind: str) -> pa.Table:
    """Put record references in the place of ids, and order the rows by them.

    Raises
    ------
    InputError
        ``FACT_ID_UNKNOWN`` for facts about persons who are not in the file of persons.
    """
    place = table.column_names.index(id_column)
    ids = pc.utf8_trim_whitespace(as_text(table, id_column)).combine_chunks()
    found = pc.index_in(ids, value_set=people.ids)
    unknown = found.is_null().to_numpy(zero_copy_only=False)
    if unknown.any():
        detail = f"a row of the {kind} facts has an id that is not among the persons"
        problems = [RowProblem(r, id_column, "FACT_ID_UNKNOWN", detail) for r in rows_where(unknown)]
        raise InputError(
            "FACT_ID_UNKNOWN",
            f"{detail}; {int(unknown.sum())} rows",
            row=problems[0].row,
            column=id_column,
            problems=problems[:MAX_PROBLEMS],
        )
    field = pa.field("record_ref", pa.string(), nullable=False)
    swapped = table.set_column(place, field, refs.take(found))
    return swapped.take(pc.sort_indices(swapped["record_ref"]))


def encode_package(
    *,
    profile: Profile,
    secret: Secret,
    people_file: Path,
    id_column: str,
    facts_files: Mapping[str, Path],
    out: Path,
    today: date,
    delimiter: str = ",",
    encoding: str = "utf-8",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Make a package from an agency's files; see the module's text for the order of things.

    Parameters
    ----------
    profile, secret
    people_file, id_column
        One row per person (rows that repeat an id must say the same) and the column of the agency's id.
    facts_files
        File of facts by kind.
    out
        Folder to make; it must not exist, or be empty.
    today
        Dated into the manifest; facts may not lie after it.
    delimiter, encoding
        Of CSV files.
    progress

    Returns
    -------
    dict
        The report, as written to ``report.json``: counts and shares, no value.

    Raises
    ------
    InputError
        ``OUT_NOT_EMPTY``, and those of :func:`read_people`, :func:`read_facts`, :func:`swap_ids`.
    """
    out = Path(os.path.abspath(out))  # noqa: PTH100 - resolve() would follow a link to somewhere else
    _check_out(out)
    people = read_people(
        people_file, profile, id_column, delimiter=delimiter, encoding=encoding, progress=progress
    )
    facts = {
        kind: read_facts(kind, path, id_column, submitted_on=today, delimiter=delimiter, encoding=encoding)
        for kind, path in facts_files.items()
    }
    keys = Keys(secret, profile)
    refs = draw_refs(len(people.index))
    order = shuffled(len(people.index))
    by_person = np.empty(len(refs), refs.dtype)
    by_person[order] = refs
    person_refs = pa.array(by_person.tolist(), pa.string())
    swapped = {kind: swap_ids(table, id_column, people, person_refs, kind) for kind, table in facts.items()}
    encoder = Encoder(people.prepared, profile, keys)
    counter = _Counter(people, profile, order)

    partial = out.with_name(f".{out.name}.partial-{secrets.token_hex(6)}")
    partial.mkdir(parents=True, mode=0o700)
    try:
        chunks = (counter.see(chunk.filters) for chunk in encoder.chunks(people.index[order], progress))
        write_encodings(partial / ENCODINGS_NAME, profile.link_spec(), refs, chunks)
        entries = [file_entry(partial / ENCODINGS_NAME, len(refs), None)]
        for kind, table in swapped.items():
            path = partial / f"facts-{kind}.parquet"
            write_facts(path, table)
            entries.append(file_entry(path, table.num_rows, kind))
        _write_crosswalk(partial / CROSSWALK_NAME, people.ids, by_person)
        manifest = Manifest(
            agreement=secret.agreement,
            epoch=secret.epoch,
            profile=profile.fingerprint,
            kcv=keys.kcv,
            created_on=today,
            persons=len(refs),
            files=tuple(entries),
            coverage=Coverage(len(refs), counter.encodable, counter.strong),
            software=SOFTWARE,
        )
        digest = write_manifest(partial, manifest)
        told = _report(people, profile, encoder, counter, manifest, digest)
        (partial / PROFILE_NAME).write_text(json.dumps(profile.to_document(), indent=2) + "\n", "utf-8")
        _write_private(partial / REPORT_NAME, json.dumps(told, indent=1) + "\n")
        _put_in_place(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return told


def _check_out(out: Path) -> None:
    taken = out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir())))
    if taken:
        raise InputError("OUT_NOT_EMPTY", f"{out} exists and is not an empty folder; nothing is overwritten")


def _put_in_place(partial: Path, out: Path) -> None:
    flush(partial)
    if out.exists():
        out.rmdir()  # fails, rightly, if something was put there meanwhile
    partial.rename(out)
    # Without this a power cut could take the finished package's name away again.
    flush(out.parent)


class _Counter:
    """Counts, while chunks pass by, who can be encoded and who has a strong identifier."""

    def __init__(self, people: People, profile: Profile, order: NDArray[np.int64]) -> None:
        columns = people.prepared.columns
        self._rows = people.index[order]
        self._strong_fields = {
            item.name: [
                columns[name].codes for name in item.fields if name in columns and profile.field(name).strong
            ]
            for item in profile.filters
        }
        self._done = 0
        self.encodable = 0
        self.strong = 0
        self.present: dict[str, int] = {item.name: 0 for item in profile.filters}

    def see(
        self, filters: dict[str, tuple[NDArray[np.uint8], NDArray[np.bool_]]]
    ) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
        """Count a chunk and pass it on."""
        count = len(next(iter(filters.values()))[1])
        rows = self._rows[self._done : self._done + count]
        encodable = np.zeros(count, np.bool_)
        strong = np.zeros(count, np.bool_)
        for name, (_, present) in filters.items():
            self.present[name] += int(present.sum())
            encodable |= present
            for codes in self._strong_fields[name]:
                strong |= present & (codes[rows] >= 0)
        self.encodable += int(encodable.sum())
        self.strong += int(strong.sum())
        self._done += count
        return filters


def _write_crosswalk(path: Path, ids: pa.Array, refs: NDArray[np.str_]) -> None:
    # The one file that leads from a reference back to a person: private from its first byte.
    with _open_private(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("id", "record_ref"))
        writer.writerows(zip(ids.to_pylist(), refs.tolist(), strict=True))
        stream.flush()
        os.fsync(stream.fileno())


def _write_private(path: Path, text: str) -> None:
    with _open_private(path) as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def _open_private(path: Path) -> Any:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    return os.fdopen(handle, "w", encoding="utf-8", newline="")


def _report(
    people: People,
    profile: Profile,
    encoder: Encoder,
    counter: _Counter,
    manifest: Manifest,
    digest: str,
) -> dict[str, Any]:
    sample = report.sample_of(people.index)
    fields = report.field_report(people.prepared, people.index, profile)
    filters = report.filter_report(profile, encoder, sample, counter.present, manifest.persons)
    return {
        "format": "cohortlink-report/1",
        "manifest_sha256": digest,
        "agreement": manifest.agreement,
        "epoch": manifest.epoch,
        "profile": manifest.profile,
        "family": profile.family,
        "risk": profile.risk,
        "kcv": manifest.kcv,
        "rows": people.prepared.rows,
        "persons": manifest.persons,
        "merged": people.merged,
        "encodable": counter.encodable,
        "not_encodable": manifest.persons - counter.encodable,
        "strong_identifier": counter.strong,
        "fields": fields,
        "absent": list(people.prepared.absent),
        "filters": filters,
        "facts": {entry.facts: entry.rows for entry in manifest.files if entry.facts},
        "columns_not_read": len(people.unread),
        "warnings": report.warnings(fields, filters, len(sample)),
    }
