"""CLKs in files: ``{"clks": […]}``, ``{"clknblocks": [[clk, block, …], …]}`` and raw bytes one after another.

Bit 0 of a CLK is the most significant bit of its byte 0, as clkhash writes it. Other tools (Java's BitSet)
begin with the least significant; such a file is only read or written where the caller says ``"lsb"``,
since nothing in the file tells.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from crypto.errors import InputError

BitOrder = Literal["msb", "lsb"]
Form = Literal["clks", "clknblocks", "raw"]

MAX_CLK_BYTES: Final = 1 << 17


@dataclass(frozen=True)
class Clks:
    """CLKs of a file: packed bits, shape (n, bytes each), and the blocks of each where the file has them."""

    packed: NDArray[np.uint8]
    blocks: list[list[str]] | None


def write_clks(
    stream: IO[bytes],
    chunks: Iterable[NDArray[np.uint8]],
    form: Form,
    *,
    blocks: Mapping[int, Sequence[str]] | None = None,
    order: BitOrder = "msb",
) -> int:
    """Write CLKs, a chunk at a time; returns how many.

    Parameters
    ----------
    stream
        Binary.
    chunks
        Packed CLKs, shape (n, bytes each).
    form
    blocks
        For ``clknblocks``, by 0-based record; a record without is in no block.
    order

    Raises
    ------
    InputError
        ``BLOCKS_MISMATCH`` if a block names a record that there is not.
    """
    done = 0
    if form != "raw":
        stream.write(f'{{"{form}": ['.encode())
    for chunk in chunks:
        packed = _ordered(chunk, order)
        if form == "raw":
            stream.write(packed.tobytes())
        elif len(packed):
            stream.write(b", " if done else b"")
            if form == "clks":
                stream.write(_json_texts(packed))
            else:
                stream.write(_with_blocks(packed, blocks or {}, done))
        done += len(packed)
    if form == "clknblocks" and max(blocks or {}, default=-1) >= done:
        raise InputError("BLOCKS_MISMATCH", "the blocks name a record that there is not")
    if form != "raw":
        stream.write(b"]}\n")
    return done


def _ordered(packed: NDArray[np.uint8], order: BitOrder) -> NDArray[np.uint8]:
    if order == "msb":
        return packed
    return np.packbits(np.unpackbits(packed, axis=1), axis=1, bitorder="little")


def _base64(packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Base64 of every row, shape (n, 4·⌈bytes / 3⌉), in one call: rows are filled up to whole triples."""
    count, size = packed.shape
    triples = -(-size // 3)
    padded = np.zeros((count, triples * 3), np.uint8)
    padded[:, :size] = packed
    text = np.frombuffer(binascii.b2a_base64(padded.tobytes(), newline=False), np.uint8)
    text = text.reshape(count, triples * 4).copy()
    missing = triples * 3 - size
    if missing:
        text[:, -missing:] = ord("=")
    return text


def _json_texts(packed: NDArray[np.uint8]) -> bytes:
    text = _base64(packed)
    framed = np.empty((len(text), text.shape[1] + 4), np.uint8)
    framed[:, 0] = framed[:, -3] = ord('"')
    framed[:, -2], framed[:, -1] = ord(","), ord(" ")
    framed[:, 1:-3] = text
    return framed.tobytes()[:-2]


def _with_blocks(packed: NDArray[np.uint8], blocks: Mapping[int, Sequence[str]], first: int) -> bytes:
    texts = enumerate(_base64(packed), first)
    return ", ".join(json.dumps([t.tobytes().decode("ascii"), *blocks.get(i, ())]) for i, t in texts).encode()


def read_blocks(path: Path) -> dict[int, list[str]]:
    """Read blocklib's file ``{"blocks": {"0": [id, …], …}}``, by 0-based record.

    Raises
    ------
    InputError
        ``FILE_MISSING``, ``BLOCKS_INVALID``.
    """
    document = _json(path)
    found = document.get("blocks") if isinstance(document, dict) else None
    if isinstance(found, dict) and isinstance(found.get("blocks"), dict):
        found = found["blocks"]
    if not isinstance(found, dict):
        raise _invalid("BLOCKS_INVALID", path, "an object with blocks of records")
    blocks: dict[int, list[str]] = {}
    for key, ids in found.items():
        if not key.isascii() or not key.isdigit() or len(key) > 12:
            raise _invalid("BLOCKS_INVALID", path, "an object with blocks of records")
        if not isinstance(ids, list) or not all(isinstance(one, (str, int)) for one in ids):
            raise _invalid("BLOCKS_INVALID", path, "lists of blocks")
        blocks[int(key)] = [str(one) for one in ids]
    return blocks


def read_clks(
    path: Path, *, raw_bits: int | None = None, order: BitOrder = "msb", bits: int | None = None
) -> Clks:
    """Read a file of CLKs.

    Parameters
    ----------
    path
    raw_bits
        Bits of each CLK of a raw file; None: the file is JSON.
    order
        Of the file; what is returned begins with the most significant bit.
    bits
        What every CLK must have; None: whatever the first has, in whole bytes.

    Raises
    ------
    InputError
        ``FILE_MISSING``, ``CLKS_INVALID`` (with the row of a CLK that is malformed or of another length).
    """
    if raw_bits is not None:
        return Clks(_ordered(_raw(path, raw_bits), order), None)
    return parse_clks(_json(path), str(path.name), order=order, bits=bits)


def parse_clks(document: Any, where: str, *, order: BitOrder = "msb", bits: int | None = None) -> Clks:
    """Read a JSON document of CLKs; see :func:`read_clks`."""
    members = set(document) & {"clks", "clknblocks"} if isinstance(document, dict) else set()
    if len(members) != 1 or not isinstance(document[next(iter(members))], list):
        raise InputError("CLKS_INVALID", f'{where} is not an object with a list "clks" or "clknblocks"')
    items = document[next(iter(members))]
    blocks: list[list[str]] | None = None
    if "clknblocks" in members:
        for row, item in enumerate(items):
            if not isinstance(item, list) or not item or not all(isinstance(x, (str, int)) for x in item[1:]):
                raise _bad_clk(row)
        blocks = [[str(block) for block in item[1:]] for item in items]
        items = [item[0] for item in items]
    size = None if bits is None else -(-bits // 8)
    rows = []
    for row, text in enumerate(items):
        rows.append(one := _decode(text, row))
        size = len(one) if size is None else size
        if len(one) != size or not 0 < size <= MAX_CLK_BYTES:
            raise _bad_clk(row)
    packed = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), size or 0)
    packed = _ordered(packed, order)
    if bits is not None and bits % 8 and len(packed):
        odd = np.flatnonzero(packed[:, -1] & (0xFF >> bits % 8))
        if len(odd):
            raise _bad_clk(int(odd[0]))
    return Clks(packed, blocks)


def _decode(text: object, row: int) -> bytes:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        raise _bad_clk(row) from None


def _bad_clk(row: int) -> InputError:
    return InputError("CLKS_INVALID", "a CLK is not base64 of the length of the others", row=row + 1)


def _raw(path: Path, bits: int) -> NDArray[np.uint8]:
    size = -(-bits // 8)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError("FILE_MISSING", f"{path.name} cannot be read: {error.strerror}") from None
    if size < 1 or len(data) % size:
        raise _invalid("CLKS_INVALID", path, f"a whole number of CLKs of {bits} bits")
    return np.frombuffer(data, np.uint8).reshape(-1, size)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise InputError("FILE_MISSING", f"{path.name} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise _invalid("CLKS_INVALID", path, "JSON") from None


def _invalid(code: str, path: Path, what: str) -> InputError:
    return InputError(code, f"{path.name} is not {what}")
