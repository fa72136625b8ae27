"""The agency's clk steps: encode as clkhash does, and convert files of CLKs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from crypto.agency.progress import Progress, silent
from crypto.errors import InputError
from crypto.interop.clk_encode import CHUNK, ClkEncoder, check_header, one_array
from crypto.interop.clk_file import BitOrder, Form, read_blocks, read_clks, write_clks
from crypto.interop.clk_schema import ClkSchema
from crypto.tabular import as_text, estimate_rows, stream_table
from crypto.wire import flush

RATING: Final = "weak"
STATEMENT: Final = (
    "Plain CLKs are not protected against whoever holds them: graph matching re-identified every one of "
    "5,000 records, at every overlap, without the secret. For exchange with tools that read nothing else."
)


def encode_clks(
    schema: ClkSchema,
    secret: bytes,
    people: Path,
    out: Path,
    *,
    form: Form = "clks",
    blocks: Path | None = None,
    order: BitOrder = "msb",
    delimiter: str = ",",
    encoding: str = "utf-8",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Encode a file of persons to CLKs, in the order of its rows, a piece of the file at a time.

    Parameters
    ----------
    schema, secret
    people
        CSV or Parquet whose columns are the schema's features, in that order.
    out
        File to make; it must not exist.
    form, order
        See ``clk_file``.
    blocks
        blocklib's file, for ``clknblocks``.
    delimiter, encoding
        Of a CSV file.
    progress

    Returns
    -------
    dict
        Counts, rating and warnings.

    Raises
    ------
    InputError
        ``OUT_EXISTS``, and those of ``tabular``, ``clk_encode`` and ``clk_file``.
    """
    encoder = ClkEncoder(schema, secret)
    weights: list[NDArray[np.int64]] = []
    names = [feature.identifier.strip() for feature in schema.features]

    def chunks() -> Iterator[NDArray[np.uint8]]:
        done = 0
        for piece in stream_table(people, delimiter=delimiter, encoding=encoding, rows=CHUNK):
            check_header(schema, piece.column_names)
            columns = [one_array(as_text(piece, name)) for name in names]
            packed = encoder.encode(columns)
            weights.append(np.bitwise_count(packed).sum(axis=1, dtype=np.int64))
            done += len(packed)
            yield packed
            progress("encode", done, max(total, done))

    total = estimate_rows(people)
    of = read_blocks(blocks) if blocks is not None else {}

    def write(stream: IO[bytes]) -> int:
        return write_clks(stream, chunks(), form, blocks=of, order=order)

    records = _write_new(out, write)
    bits = np.concatenate([*weights, np.zeros(0, np.int64)])
    return {
        "file": str(out),
        "family": "clkhash",
        "risk": RATING,
        "risk_statement": STATEMENT,
        "schema": schema.fingerprint,
        "records": records,
        "bits": schema.length,
        "mean_bits_set": round(float(bits.mean()), 1) if len(bits) else None,
        "empty": int((bits == 0).sum()),
        "warnings": list(schema.warnings),
    }


def convert_clks(
    source: Path,
    out: Path,
    *,
    raw_bits: int | None,
    from_order: BitOrder,
    form: Form,
    to_order: BitOrder,
) -> dict[str, Any]:
    """Read CLKs in one form and write them in another; the bits stay as they are."""
    found = read_clks(source, raw_bits=raw_bits, order=from_order)
    blocks = dict(enumerate(found.blocks or []))
    records = _write_new(
        out, lambda stream: write_clks(stream, [found.packed], form, blocks=blocks, order=to_order)
    )
    return {"file": str(out), "records": records, "bits": int(found.packed.shape[1]) * 8}


def _write_new(out: Path, write: Callable[[IO[bytes]], int]) -> int:
    """Write beside the target and rename: a file of that name is whole, or not there."""
    if out.exists() or out.is_symlink():
        raise InputError("OUT_EXISTS", f"{out} exists and is not overwritten")
    partial = out.with_name(f".{out.name}.partial-{os.getpid()}")
    try:
        with partial.open("xb") as stream:
            records = write(stream)
        flush(partial)
        partial.rename(out)
        flush(out.absolute().parent)
    finally:
        partial.unlink(missing_ok=True)
    return records
