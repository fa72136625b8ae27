"""The batch package: a directory with a manifest, one file of encodings and one file per kind of facts.

``manifest.json`` lists every file that travels with its size, rows and SHA-256; what it does not list
(``crosswalk.csv``, ``report.json``, ``profile.json``) never leaves the agency. The same code reads a package
at the agency before it is sent and at the service after it arrived.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from crypto.canonical import canonical_json, parse_canonical, sha256_hex
from crypto.encoding.types import Encodings, FilterColumn, FilterSpec, LinkSpec
from crypto.errors import InputError, PackageError
from crypto.manifest import (
    ENCODINGS_NAME,
    FACT_KINDS,
    FORMAT,
    Coverage,
    FileEntry,
    Manifest,
    bad_manifest,
    parse_manifest,
)

MANIFEST_NAME: Final = "manifest.json"
REPORT_NAME: Final = "report.json"
CROSSWALK_NAME: Final = "crosswalk.csv"
PROFILE_NAME: Final = "profile.json"

_ROWS_PER_GROUP: Final = 1 << 14  # some 12 MB of the widest encodings

__all__ = [
    "CROSSWALK_NAME",
    "ENCODINGS_NAME",
    "FACT_KINDS",
    "FORMAT",
    "MANIFEST_NAME",
    "PROFILE_NAME",
    "REPORT_NAME",
    "Coverage",
    "EncodingsWriter",
    "FactsWriter",
    "FileEntry",
    "Manifest",
    "encodings_schema",
    "file_digest",
    "file_entry",
    "filter_array",
    "flush",
    "parse_manifest",
    "read_encodings",
    "read_manifest",
    "verify_package",
    "write_encodings",
    "write_facts",
    "write_manifest",
]


def read_manifest(directory: Path) -> Manifest:
    """Read ``manifest.json`` of a package; see :func:`parse_manifest` for what is refused.

    The file must be the canonical form of the document: a signature and a receipt name its digest.
    """
    return parse_manifest(_manifest_document(Path(directory)))


def _manifest_document(directory: Path) -> dict[str, Any]:
    try:
        raw = (directory / MANIFEST_NAME).read_bytes()
    except OSError as error:
        raise PackageError("MANIFEST_MISSING", f"{MANIFEST_NAME} cannot be read") from error
    try:
        document = parse_canonical(raw)
    except InputError:
        raise bad_manifest("the manifest is not canonical JSON") from None
    if not isinstance(document, dict):
        raise bad_manifest("the manifest is not an object")
    return document


def write_manifest(directory: Path, manifest: Manifest) -> str:
    """Write ``manifest.json`` durably; returns the SHA-256 (hex) of its bytes."""
    data = canonical_json(manifest.to_document())
    path = Path(directory) / MANIFEST_NAME
    path.write_bytes(data)
    flush(path)
    return sha256_hex(data)


def flush(path: Path) -> None:
    """Have the system write a file, or on POSIX a directory's entries, to disk."""
    if path.is_dir() and os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_digest(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 (hex) of a file, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    size = 0
    with Path(path).open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()


def _parquet_rows(path: Path, name: str) -> int:
    try:
        return int(pq.ParquetFile(path).metadata.num_rows)
    except (pa.ArrowException, OSError) as error:
        raise PackageError("FILE_UNREADABLE", f"{name} is not a Parquet file") from error


def _reported_digest(directory: Path) -> object:
    path = directory / REPORT_NAME
    if not path.is_file():
        return None
    try:
        report = json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError):
        report = None
    if not isinstance(report, dict) or "manifest_sha256" not in report:
        raise PackageError("REPORT_INVALID", f"{REPORT_NAME} is damaged")
    return report["manifest_sha256"]


def verify_package(directory: Path) -> Manifest:
    """Check every file of a package against its manifest: present, size, SHA-256, rows.

    The caller still owes: the manifest's signature, the agreement's profile and key check value, the
    encodings' shape (:func:`read_encodings`) and the facts' schema. At the agency the manifest, which no
    signature covers yet, is compared with the digest in the agency's own ``report.json``.

    Raises
    ------
    PackageError
        ``MANIFEST_DIGEST``, or naming the first file that is wrong: ``FILE_MISSING``, ``FILE_SIZE``,
        ``FILE_DIGEST``, ``FILE_UNREADABLE``, ``FILE_ROWS``, or a code of :func:`parse_manifest`.
    """
    document = _manifest_document(Path(directory))
    manifest = parse_manifest(document)
    if _reported_digest(Path(directory)) not in (None, sha256_hex(canonical_json(document))):
        raise PackageError("MANIFEST_DIGEST", f"{MANIFEST_NAME} differs from the digest in {REPORT_NAME}")
    for entry in manifest.files:
        path = Path(directory) / entry.name
        # A link could point at anything on the agency's disk; a package holds plain files only.
        if path.is_symlink() or not path.is_file():
            raise PackageError("FILE_MISSING", f"{entry.name} is missing")
        size, digest = file_digest(path)
        if size != entry.size:
            raise PackageError("FILE_SIZE", f"{entry.name} has {size} bytes, the manifest says {entry.size}")
        if digest != entry.sha256:
            raise PackageError("FILE_DIGEST", f"{entry.name} differs from the digest in the manifest")
        rows = _parquet_rows(path, entry.name)
        if rows != entry.rows:
            raise PackageError("FILE_ROWS", f"{entry.name} has {rows} rows, the manifest says {entry.rows}")
    return manifest


def read_encodings(source: Path | str | bytes | pa.NativeFile, link_spec: LinkSpec) -> Encodings:
    """Read a file of encodings for the linker.

    Parameters
    ----------
    source : path, bytes or pyarrow file
        Parquet as :func:`encodings_schema` describes it.
    link_spec : LinkSpec
        Names and widths of the filters; a file with others is refused.

    Raises
    ------
    PackageError
        ``FILE_UNREADABLE``, ``ENCODINGS_SCHEMA``, ``RECORD_REF_INVALID`` or ``RECORD_REF_ORDER``.
    """
    try:
        with pq.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else source) as file:
            if not file.schema_arrow.equals(encodings_schema(link_spec)):
                raise PackageError(
                    "ENCODINGS_SCHEMA", "the encodings do not have the filters of the agreement's profile"
                )
            table = file.read().combine_chunks()
    except (pa.ArrowException, OSError):
        raise PackageError("FILE_UNREADABLE", "the encodings are not a whole Parquet file") from None
    refs = _whole(table["record_ref"])
    return Encodings(
        _references(refs),
        {item.name: _filter_column(_whole(table[item.name]), item) for item in link_spec.filters},
    )


def encoding_pieces(source: pa.NativeFile, link_spec: LinkSpec, rows: int = 4_096) -> Iterator[Encodings]:
    """A file of encodings a piece at a time, for readers that only look: memory stays at one piece.

    Parameters
    ----------
    source : pyarrow file
        As in :func:`read_encodings`; must be seekable.
    rows : int
        Records in a piece, at most.

    Raises
    ------
    PackageError
        As :func:`read_encodings`, when the piece that is wrong is reached.
    """
    last: np.str_ | None = None
    try:
        with pq.ParquetFile(source, pre_buffer=False, buffer_size=1 << 20) as file:
            if not file.schema_arrow.equals(encodings_schema(link_spec)):
                raise PackageError(
                    "ENCODINGS_SCHEMA", "the encodings do not have the filters of the agreement's profile"
                )
            for batch in file.iter_batches(batch_size=rows, use_threads=False):
                refs = _references(batch["record_ref"])
                if last is not None and len(refs) and refs[0] <= last:
                    raise PackageError(
                        "RECORD_REF_ORDER", "the record references are not different and ascending"
                    )
                last = refs[-1] if len(refs) else last
                yield Encodings(
                    refs, {item.name: _filter_column(batch[item.name], item) for item in link_spec.filters}
                )
    except (pa.ArrowException, OSError):
        raise PackageError("FILE_UNREADABLE", "the encodings are not a whole Parquet file") from None


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return (
        column.chunk(0)
        if column.num_chunks == 1
        else pa.concat_arrays(column.chunks or [pa.array([], column.type)])
    )


def _references(column: pa.Array) -> NDArray[np.str_]:
    if (
        column.null_count
        or not pc.all(pc.match_substring_regex(column, "^[0-9a-f]{32}$"), min_count=0).as_py()
    ):
        raise PackageError("RECORD_REF_INVALID", "a record reference is not 32 hex digits")
    refs: NDArray[np.str_] = column.to_numpy(zero_copy_only=False).astype("<U32")
    if not bool((refs[1:] > refs[:-1]).all()):
        raise PackageError("RECORD_REF_ORDER", "the record references are not different and ascending")
    return refs


def _filter_column(column: pa.Array, item: FilterSpec) -> FilterColumn:
    size = item.width // 8
    count = len(column)
    present = column.is_valid().to_numpy(zero_copy_only=False).astype(np.bool_)
    data = column.buffers()[1]
    if data is None or not count:
        return FilterColumn(np.zeros((count, item.width // 64), np.uint64), present)
    raw = np.frombuffer(data, np.uint8, count=count * size, offset=column.offset * size)
    words = raw.view(">u8").reshape(count, item.width // 64).astype(np.uint64)
    words[~present] = 0  # what stands in the place of a null is nobody's business
    return FilterColumn(words, present)


def encodings_schema(link_spec: LinkSpec) -> pa.Schema:
    """Arrow schema of a file of encodings: ``record_ref``, then each filter as nullable fixed-size binary."""
    fields = [pa.field("record_ref", pa.string(), nullable=False)]
    fields += [pa.field(item.name, pa.binary(item.width // 8)) for item in link_spec.filters]
    return pa.schema(fields)


def filter_array(packed: NDArray[np.uint8], present: NDArray[np.bool_]) -> pa.Array:
    """Packed filters, shape (n, width // 8), as an Arrow column with nulls where absent."""
    count, size = packed.shape
    validity = pa.py_buffer(np.packbits(present, bitorder="little").tobytes())
    data = pa.py_buffer(np.ascontiguousarray(packed).tobytes())
    return pa.Array.from_buffers(pa.binary(size), count, [validity, data])


def write_encodings(
    path: Path,
    link_spec: LinkSpec,
    refs: NDArray[np.str_],
    chunks: Iterable[Mapping[str, tuple[NDArray[np.uint8], NDArray[np.bool_]]]],
) -> None:
    """Write a file of encodings, chunk by chunk, durably.

    Parameters
    ----------
    path
    link_spec
    refs : ndarray of "<U32"
        Sorted.
    chunks
        By filter: packed bytes, shape (n, width // 8), and who has it; together as many rows as ``refs``.
    """
    done = 0
    with EncodingsWriter(path, link_spec) as writer:
        for chunk in chunks:
            columns = [filter_array(*chunk[item.name]) for item in link_spec.filters]
            count = len(columns[0])
            writer.write([pa.array(refs[done : done + count].tolist(), pa.string()), *columns])
            done += count
    if done != len(refs):
        raise ValueError("there must be one row per reference")


class EncodingsWriter:
    """Writes a file of encodings, piece by piece; it is on disk when the ``with`` block ends without error.

    Parameters
    ----------
    path : Path
    link_spec : LinkSpec
    """

    def __init__(self, path: Path, link_spec: LinkSpec) -> None:
        self._path = path
        self._schema = encodings_schema(link_spec)
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd", write_statistics=False)

    def __enter__(self) -> Self:
        return self

    def write(self, columns: Sequence[pa.Array]) -> None:
        """Write rows: ``record_ref``, then each filter; references ascend from piece to piece."""
        self._writer.write_table(
            pa.Table.from_arrays(list(columns), schema=self._schema), row_group_size=_ROWS_PER_GROUP
        )

    def __exit__(self, kind: object, *_: object) -> None:
        self._writer.close()
        if kind is None:
            flush(self._path)


class FactsWriter:
    """Writes a file of facts durably, some rows at a time; use it as a context manager."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path, self._schema = path, schema
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._writer.close()
        if kind is None:
            flush(self._path)

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        self._writer.write_table(table.cast(self._schema))


def write_facts(path: Path, table: pa.Table) -> None:
    """Write a file of facts durably."""
    with FactsWriter(path, table.schema) as writer:
        writer.write(table)


def file_entry(path: Path, rows: int, facts: str | None) -> FileEntry:
    """The manifest's entry of a file that was written."""
    size, digest = file_digest(path)
    return FileEntry(path.name, "facts" if facts else "encodings", facts, rows, size, digest)
