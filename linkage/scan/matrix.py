"""The scan on AMX tiles: scalar products of sketches, 16 x 16 of them in an instruction.

One instruction (TDPBUUD) adds 16 x 16 products of 64 numbers each in 16 cycles. The sketches are projections
whose scalar product bounds the distance of their filters (`linkage.scan.projection`); four tiles of products
go through memory, since vector registers cannot read a tile, and are held against the limits there. The
projections themselves are products, too.

A thread gives its tiles their shape and lets go of them within each piece, whoever it works for next.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped, unused-ignore]
from numba import types
from numba.extending import intrinsic as numba_intrinsic
from numpy.typing import NDArray

from linkage.scan.compiled import compiled, popcount
from linkage.scan.kernels import WIDE_LANES, Emitter, cgutils, mark, verify
from linkage.scan.shapes import OVERFLOW, Ints, Piece, Room, Side, Survivors, Words

#: What kernels.py was when this was written: Numba's cache sees changes of this file only, and what it keeps
#: holds code of that file, so whoever changes that one changes this line too.
MADE_WITH = "351e3861d15d43bb"

#: Numba types it as what it decorates, which takes one argument more.
intrinsic: Any = numba_intrinsic

#: Each byte with its bits spread over eight bytes, the lowest first.
_SPREAD = np.array([sum((n >> bit & 1) << 8 * bit for bit in range(8)) for n in range(256)], np.uint64)

_I8, _I32, _I64 = (ir.IntType(bits) for bits in (8, 32, 64))

#: 2 x 2 tiles of 16 x 16 products, which with the two by two that are multiplied are all eight.
MATRIX_ROWS, MATRIX_COLUMNS = 32, 32
_TILE = 16
#: Palette 1; of each of the eight tiles, 64 bytes a row (in 16 bits), and from byte 48 on 16 rows (in 8).
_TILE_SHAPES = bytes([1] + [0] * 15 + [64, 0] * 8 + [0] * 16 + [_TILE] * 8 + [0] * 8)


def _amx(builder: Any, name: str, *arguments: Any) -> None:
    kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}"), arguments)


@intrinsic
def begin_tiles(typing_context):  # type: ignore[no-untyped-def]
    """Give this thread's tiles their shape: before the first `matrix_tile` of a piece."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.ArrayType(_I8, len(_TILE_SHAPES))
        shapes = cgutils.global_constant(builder, "tile_shapes", ir.Constant(kind, bytearray(_TILE_SHAPES)))
        _amx(builder, "ldtilecfg", builder.bitcast(shapes, _I8.as_pointer()))
        return _I32(0)

    return types.int32(), codegen


@intrinsic
def end_tiles(typing_context):  # type: ignore[no-untyped-def]
    """Let go of this thread's tiles: the kernel need not save them any more."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _amx(builder, "tilerelease")
        return _I32(0)

    return types.int32(), codegen


def _multiply(builder: Any, a: Any, b: Any, depth: Any, products: Any) -> None:
    """Scalar products of 32 rows with 32 columns into ``products``, int32, row by row."""
    bytes_of = [builder.bitcast(pointer, _I8.as_pointer()) for pointer in (a, b)]
    for tile in range(4):
        _amx(builder, "tilezero", _I8(tile))
    with cgutils.for_range(builder, builder.udiv(depth, _I64(_TILE))) as loop:
        start = builder.mul(loop.index, _I64(2 * 64 * _TILE))
        for tile in range(4):  # 4 and 5 hold rows, 6 and 7 columns
            at = builder.add(start, _I64(tile % 2 * 64 * _TILE))
            _amx(builder, "tileloadd64", _I8(4 + tile), builder.gep(bytes_of[tile // 2], [at]), _I64(64))
        for tile in range(4):
            _amx(builder, "tdpbuud", _I8(tile), _I8(4 + tile // 2), _I8(6 + tile % 2))
    out = builder.bitcast(products, _I8.as_pointer())
    for tile in range(4):
        at = _I64(tile // 2 * _TILE * 4 * MATRIX_COLUMNS + tile % 2 * 4 * _TILE)
        _amx(builder, "tilestored64", _I8(tile), builder.gep(out, [at]), _I64(4 * MATRIX_COLUMNS))


@intrinsic
def matrix_products(typing_context, rows, columns, panel, depth, out):  # type: ignore[no-untyped-def]
    """Scalar products of 32 packed rows with a panel of packed columns into ``out``, shape (32, 32)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def data(position: int) -> Any:
            return context.make_array(signature.args[position])(context, builder, args[position]).data

        offset = builder.mul(args[2], builder.mul(args[3], _I64(MATRIX_COLUMNS)))
        _multiply(builder, data(0), builder.gep(data(1), [offset]), args[3], data(4))
        return _I32(0)

    return types.int32(rows, columns, panel, depth, out), codegen


@intrinsic
def matrix_tile(  # type: ignore[no-untyped-def]
    typing_context, a_sketch, a_limit, group, b_sketch, b_limit, panel, depth, masks
):
    """As `linkage.scan.kernels.wide_tile`, for projections; between `begin_tiles` and `end_tiles`."""
    signature = types.int32(a_sketch, a_limit, group, b_sketch, b_limit, panel, depth, masks)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def start(position: int, block: Any, length: Any) -> Any:
            array = context.make_array(sig.args[position])(context, builder, args[position])
            return builder.gep(array.data, [builder.mul(block, length)])

        group, panel, depth, side = args[2], args[5], args[6], _I64(MATRIX_ROWS)
        emit = Emitter(builder, MATRIX_ROWS, 2, WIDE_LANES)
        scratch = cgutils.alloca_once(builder, ir.ArrayType(_I32, MATRIX_ROWS * MATRIX_COLUMNS))
        scratch.align = 64
        products = builder.bitcast(scratch, _I32.as_pointer())
        record = builder.mul(depth, side)
        _multiply(builder, start(0, group, record), start(3, panel, record), depth, products)
        own, limits = start(1, group, side), start(4, panel, side)

        def excess(row: Any, vector: int) -> Any:
            """Product less the row's limit: a pair passes where the column's limit is no smaller."""
            at = builder.add(builder.mul(row, side), _I64(vector * WIDE_LANES))
            return builder.sub(emit.load(products, at), emit.splat(builder.load(builder.gep(own, [row]))))

        def passing(value: Any, vector: int) -> Any:
            column = emit.load(limits, _I64(vector * WIDE_LANES))
            marks = builder.bitcast(builder.icmp_signed("<=", value, column), ir.IntType(WIDE_LANES))
            return builder.shl(builder.zext(marks, _I64), _I64(vector * WIDE_LANES))

        some: Any = _I64(0)
        for vector in range(2):
            least = excess(_I64(0), vector)
            for row in range(1, MATRIX_ROWS):
                other = excess(_I64(row), vector)
                least = builder.select(builder.icmp_signed("<", other, least), other, least)
            some = builder.or_(some, passing(least, vector))
        found = builder.icmp_unsigned("!=", some, _I64(0))
        with builder.if_then(found, likely=False), cgutils.for_range(builder, side) as rows:
            marks = builder.or_(*(passing(excess(rows.index, vector), vector) for vector in range(2)))
            builder.store(marks, builder.gep(start(7, _I64(0), side), [rows.index]))
        return builder.zext(found, _I32)

    return signature, codegen


@compiled
def project_matrix(words: Words, columns: NDArray[np.uint32], out: Ints) -> None:
    """``out``, shape (n, d): the products of each filter's bits with d packed columns, less 128 for each bit.

    The columns are numbers from -127 to 127 with 128 added (`linkage.scan.projection.pack_columns`).
    """
    n, depth = words.shape[0], columns.shape[1]
    rows = np.zeros((words.shape[1], MATRIX_ROWS, 8), np.uint64)
    products, sizes = np.zeros((MATRIX_ROWS, MATRIX_COLUMNS), np.int32), np.zeros(MATRIX_ROWS, np.int32)
    begin_tiles()
    for first in range(0, n, MATRIX_ROWS):
        here = min(n - first, MATRIX_ROWS)
        for record in range(here):
            sizes[record] = 0
            for word in range(words.shape[1]):
                value = words[first + record, word]
                sizes[record] += popcount(value)
                for byte in range(8):
                    rows[word, record, byte] = _SPREAD[(value >> np.uint64(8 * byte)) & np.uint64(255)]
        for panel in range(columns.shape[0]):
            matrix_products(rows, columns, panel, depth, products)
            for record in range(here):
                for column in range(MATRIX_COLUMNS):
                    product = products[record, column] - 128 * sizes[record]
                    out[first + record, panel * MATRIX_COLUMNS + column] = product
    end_tiles()


@compiled
def scan_matrix(a: Side, b: Side, limits: Ints, piece: Piece, survivors: Survivors, out: Room) -> int:
    """`scan_plain` with AMX tiles."""
    marks = np.zeros(MATRIX_ROWS, np.int64)
    depth, count, waiting = a.sketch.shape[1], 0, 0
    full = survivors.i.shape[0] - MATRIX_ROWS * MATRIX_COLUMNS
    begin_tiles()
    for panel in range(piece.panel, piece.panel_stop):
        for group in range(piece.row // MATRIX_ROWS, (piece.row_stop + MATRIX_ROWS - 1) // MATRIX_ROWS):
            if matrix_tile(a.sketch, a.limit, group, b.sketch, b.limit, panel, depth, marks):
                waiting = mark(survivors, waiting, marks, piece, group * MATRIX_ROWS, panel * MATRIX_COLUMNS)
                if waiting > full:
                    count = verify(a, b, limits, survivors, waiting, count, out)
                    if count == OVERFLOW:
                        end_tiles()
                        return OVERFLOW
                    waiting = 0
    end_tiles()
    return verify(a, b, limits, survivors, waiting, count, out)


def project_matrix_twin(words: Words, columns: NDArray[np.uint32], out: Ints) -> None:
    """NumPy twin of `project_matrix`."""
    x = np.unpackbits(words.astype("<u8").view(np.uint8), axis=1, bitorder="little").astype(np.int64)
    out[:] = x @ (_numbers(columns, False).T - 128)


def _numbers(tiles: NDArray[np.uint32], left: bool) -> NDArray[np.int64]:
    """Packed sketches, unpacked: shape (records, d)."""
    blocks, depth, side = tiles.shape
    shape = (blocks, depth // _TILE, side // _TILE, _TILE)
    if left:
        numbers = tiles.view(np.uint8).reshape(*shape, 64).transpose(0, 2, 3, 1, 4)
    else:
        numbers = tiles.view(np.uint8).reshape(*shape, _TILE, 4).transpose(0, 2, 4, 1, 3, 5)
    return numbers.reshape(blocks * side, 4 * depth).astype(np.int64)


def scan_matrix_twin(a: Side, b: Side, limits: Ints, piece: Piece, survivors: Survivors, out: Room) -> int:
    """NumPy twin of `scan_matrix`: the same matches in the same order, for any processor and in tests."""
    rows = slice(piece.row, piece.row_stop)
    first, stop = piece.panel * MATRIX_COLUMNS, piece.panel_stop * MATRIX_COLUMNS
    columns = slice(first, min(stop, len(b.words)))
    products = _numbers(a.sketch, True)[rows] @ _numbers(b.sketch, False)[columns].T
    distances = np.bitwise_count(a.words[rows, None] ^ b.words[None, columns]).sum(axis=2, dtype=np.int32)
    passing = products <= a.limit[rows, None].astype(np.int64) + b.limit[None, columns]
    i, j = np.nonzero(passing & (distances <= limits[a.size[rows, None] + b.size[None, columns]]))
    if len(i) > len(out.i):
        return OVERFLOW
    order = np.lexsort((j, i, j // MATRIX_COLUMNS))
    out.i[: len(i)], out.j[: len(i)] = i[order] + piece.row, j[order] + first
    out.distance[: len(i)] = distances[i, j][order]
    return len(i)
