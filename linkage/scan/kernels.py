"""The scans: every pair of some rows and some column panels, sketch first, full count for what is left.

All three mean the same and differ only in their innermost step. They never allocate by the size of the
result: matches go to buffers of the caller, and a scan that runs out of room says so and is thrown away
(`linkage.scan.stream` retries it in smaller pieces).

*The innermost step* finds the distances of a few rows to a few dozen columns at once. The automatic
vectoriser prefers 256-bit registers and will not keep several running counts in registers, so the step is
emitted as LLVM IR. Records lie *vertically*: one 32-bit lane belongs to one column record, so no sum across
lanes is ever needed, and the innermost loop runs over the 32-bit words of the sketch with ``rows`` times
``vectors`` running counts held in registers (the blocking of a matrix product). A distance costs one XOR,
one population count and one addition per word and vector, 1.5 cycles on the two vector ports of an Intel
core: 3 cycles for a pair of 1024 bits, which is the hardware's floor for a full count.

Two forms:

- `wide_tile`: sixteen lanes and ``vpopcntd zmm`` (AVX-512 VPOPCNTDQ).
- `narrow_tile`: eight lanes; LLVM lowers the count of each byte to two ``pshufb`` look-ups (AVX2). Running
  counts are bytes, and are widened before they can overflow, every 31 words (31 * 8 = 248).

Loads assume the alignment of the element (4 bytes) only: NumPy promises no more.

All of it is one file because Numba's cache notices a change only in the file of the function that it keeps: a
tile in a file of its own could be changed, and the old code would go on running.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped, unused-ignore]
from numba import types
from numba.core import cgutils as numba_cgutils
from numba.extending import intrinsic

from linkage.scan.compiled import compiled, popcount
from linkage.scan.shapes import OVERFLOW, Ints, Marks, Piece, Room, Side, Survivors

#: Numba declares it in part only.
cgutils: Any = numba_cgutils

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))

#: Rows and 32-bit columns per step. 6 x 4 running counts, 4 columns, a row and a temporary fill the 32
#: registers of AVX-512; 2 x 4 measured best with the 16 of AVX2.
WIDE_ROWS, WIDE_VECTORS, WIDE_LANES = 6, 4, 16
NARROW_ROWS, NARROW_VECTORS, NARROW_LANES = 2, 4, 8
_WORDS_BEFORE_BYTE_OVERFLOW = 31


class Emitter:
    """The pieces of one tile of ``rows`` x (``vectors`` * ``lanes``) pairs."""

    def __init__(self, builder: Any, rows: int, vectors: int, lanes: int) -> None:
        self.builder, self.rows, self.vectors, self.lanes = builder, rows, vectors, lanes
        self.vector = ir.VectorType(_I32, lanes)
        self.zero = ir.Constant(self.vector, [0] * lanes)

    def splat(self, scalar: Any) -> Any:
        undefined = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(_I32, 0))
        return self.builder.shuffle_vector(first, undefined, self.zero)

    def constant(self, value: int) -> Any:
        return ir.Constant(self.vector, [value] * self.lanes)

    def load(self, pointer: Any, offset: Any) -> Any:
        address = self.builder.bitcast(self.builder.gep(pointer, [offset]), self.vector.as_pointer())
        return self.builder.load(address, align=4)

    def popcount(self, value: Any, lane_bits: int) -> Any:
        lanes = 32 * self.lanes // lane_bits
        kind = ir.VectorType(ir.IntType(lane_bits), lanes)
        count = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(kind, [kind]), f"llvm.ctpop.v{lanes}i{lane_bits}"
        )
        counted = self.builder.call(count, [self.builder.bitcast(value, kind)])
        return self.builder.bitcast(counted, self.vector)

    def add_bytes(self, left: Any, right: Any) -> Any:
        kind = ir.VectorType(_I8, 4 * self.lanes)
        cast = self.builder.bitcast
        return cast(self.builder.add(cast(left, kind), cast(right, kind)), self.vector)

    def sum_of_bytes(self, value: Any) -> Any:
        """The sum of the four bytes of each lane."""
        build, mask = self.builder, self.constant(0x00FF00FF)
        halves = build.add(
            build.and_(value, mask), build.and_(build.lshr(value, self.constant(8)), mask)
        )  # at most 496 in each half: no carry between them
        total = build.add(halves, build.lshr(halves, self.constant(16)))
        return build.and_(total, self.constant(0xFFFF))

    def accumulate(
        self, sums: Sequence[Any], a: Any, b: Any, word: Any, add: Callable[[Any, Any], Any], lane_bits: int
    ) -> None:
        """One word of the sketch: all rows against all column vectors."""
        build = self.builder
        width = _I64(self.vectors * self.lanes)
        at = build.mul(word, width)
        columns = [self.load(b, build.add(at, _I64(v * self.lanes))) for v in range(self.vectors)]
        for row in range(self.rows):
            scalar = build.load(build.gep(a, [build.add(build.mul(word, _I64(self.rows)), _I64(row))]))
            left = self.splat(scalar)
            for v, column in enumerate(columns):
                slot = sums[row * self.vectors + v]
                count = self.popcount(build.xor(left, column), lane_bits)
                build.store(add(build.load(slot), count), slot)

    def zeroed(self, count: int) -> list[Any]:
        slots = [cgutils.alloca_once(self.builder, self.vector) for _ in range(count)]
        for slot in slots:
            self.builder.store(self.zero, slot)
        return slots

    def distances_by_lanes(self, a: Any, b: Any, depth: Any) -> list[Any]:
        sums = self.zeroed(self.rows * self.vectors)
        with cgutils.for_range(self.builder, depth) as loop:
            self.accumulate(sums, a, b, loop.index, self.builder.add, 32)
        return [self.builder.load(slot) for slot in sums]

    def distances_by_bytes(self, a: Any, b: Any, depth: Any) -> list[Any]:
        build = self.builder
        sums = self.zeroed(self.rows * self.vectors)
        bytes_ = self.zeroed(self.rows * self.vectors)
        stretch = _I64(_WORDS_BEFORE_BYTE_OVERFLOW)
        stretches = build.udiv(build.add(depth, _I64(_WORDS_BEFORE_BYTE_OVERFLOW - 1)), stretch)
        with cgutils.for_range(build, stretches) as outer:
            start = build.mul(outer.index, stretch)
            left = build.sub(depth, start)
            length = build.select(build.icmp_unsigned("<", left, stretch), left, stretch)
            for slot in bytes_:
                build.store(self.zero, slot)
            with cgutils.for_range(build, length) as inner:
                self.accumulate(bytes_, a, b, build.add(start, inner.index), self.add_bytes, 8)
            for total, slot in zip(sums, bytes_, strict=True):
                build.store(build.add(build.load(total), self.sum_of_bytes(build.load(slot))), total)
        return [build.load(slot) for slot in sums]


def _tile(rows: int, vectors: int, lanes: int, distances: Callable[..., list[Any]]) -> Any:
    columns = vectors * lanes

    def tile(  # type: ignore[no-untyped-def]
        typing_context, a_sketch, a_limit, group, b_sketch, b_limit, panel, depth, masks
    ):
        """Does any pair of row group ``group`` and column panel ``panel`` pass? If so, fill ``masks``.

        ``a_sketch`` (groups, depth, rows) and ``b_sketch`` (panels, depth, columns), uint32; a pair passes if
        its sketches' distance is at most ``a_limit[row] + b_limit[column]``. ``masks`` (rows,), uint64:
        bit n for column n of the panel.
        """
        signature = types.int32(a_sketch, a_limit, group, b_sketch, b_limit, panel, depth, masks)

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            def data(position: int) -> Any:
                return context.make_array(sig.args[position])(context, builder, args[position]).data

            group, panel, depth = args[2], args[5], args[6]
            emit = Emitter(builder, rows, vectors, lanes)
            a = builder.gep(data(0), [builder.mul(builder.mul(group, depth), _I64(rows))])
            b = builder.gep(data(3), [builder.mul(builder.mul(panel, depth), _I64(columns))])
            a_limit = builder.gep(data(1), [builder.mul(group, _I64(rows))])
            b_limit = builder.gep(data(4), [builder.mul(panel, _I64(columns))])

            found = distances(emit, a, b, depth)
            limits = [emit.load(b_limit, _I64(v * lanes)) for v in range(vectors)]
            over = []  # distance - limit - 1: negative where the pair passes
            for row in range(rows):
                own = emit.splat(builder.load(builder.gep(a_limit, [_I64(row)])))
                for v in range(vectors):
                    excess = builder.sub(found[row * vectors + v], builder.add(own, limits[v]))
                    over.append(builder.sub(excess, emit.constant(1)))
            signs = over[0]
            for excess in over[1:]:
                signs = builder.or_(signs, excess)
            mask = ir.IntType(lanes)
            negative = builder.bitcast(builder.icmp_signed("<", signs, emit.zero), mask)
            some = builder.icmp_unsigned("!=", negative, mask(0))
            with builder.if_then(some, likely=False):
                for row in range(rows):
                    marks: Any = _I64(0)
                    for v in range(vectors):
                        passing = builder.icmp_signed("<", over[row * vectors + v], emit.zero)
                        wide = builder.zext(builder.bitcast(passing, mask), _I64)
                        marks = builder.or_(marks, builder.shl(wide, _I64(v * lanes)))
                    builder.store(marks, builder.gep(data(7), [_I64(row)]))
            return builder.zext(some, _I32)

        return signature, codegen

    return intrinsic(tile)


wide_tile = _tile(WIDE_ROWS, WIDE_VECTORS, WIDE_LANES, Emitter.distances_by_lanes)
narrow_tile = _tile(NARROW_ROWS, NARROW_VECTORS, NARROW_LANES, Emitter.distances_by_bytes)


#: Columns of a panel of `scan_plain`; its groups are single rows.
PLAIN_COLUMNS = 64
WIDE_COLUMNS = WIDE_VECTORS * WIDE_LANES
NARROW_COLUMNS = NARROW_VECTORS * NARROW_LANES


@compiled
def verify(a: Side, b: Side, limits: Ints, survivors: Survivors, waiting: int, count: int, out: Room) -> int:
    """Count the waiting survivors in full and append those that match; the new count, or OVERFLOW.

    Survivors wait for each other because their filters are cold: in a loop of their own, the processor
    fetches several at once.
    """
    for p in range(waiting):
        i, j = survivors.i[p], survivors.j[p]
        distance = 0
        for word in range(a.words.shape[1]):
            distance += popcount(a.words[i, word] ^ b.words[j, word])
        if distance <= limits[a.size[i] + b.size[j]]:
            if count == out.i.shape[0]:
                return OVERFLOW
            out.i[count], out.j[count], out.distance[count] = i, j, distance
            count += 1
    return count


@compiled
def mark(survivors: Survivors, waiting: int, marks: Marks, piece: Piece, row: int, column: int) -> int:
    """Note what a tile marked from ``row`` and ``column`` on; how many wait then.

    Rows outside the piece only fill the group up, and belong to another piece.
    """
    for n in range(marks.shape[0]):
        i, mark = row + n, marks[n]
        if mark and piece.row <= i < piece.row_stop:
            while mark:
                survivors.i[waiting] = i
                survivors.j[waiting] = column + popcount(np.uint64((mark & -mark) - 1))
                waiting += 1
                mark &= mark - 1
    return waiting


@compiled
def scan_wide(a: Side, b: Side, limits: Ints, piece: Piece, survivors: Survivors, out: Room) -> int:
    """`scan_plain` with AVX-512 tiles."""
    marks = np.zeros(WIDE_ROWS, np.int64)
    depth, count, waiting = a.sketch.shape[1], 0, 0
    full = survivors.i.shape[0] - WIDE_ROWS * WIDE_COLUMNS
    for panel in range(piece.panel, piece.panel_stop):
        for group in range(piece.row // WIDE_ROWS, (piece.row_stop + WIDE_ROWS - 1) // WIDE_ROWS):
            if wide_tile(a.sketch, a.limit, group, b.sketch, b.limit, panel, depth, marks):
                waiting = mark(survivors, waiting, marks, piece, group * WIDE_ROWS, panel * WIDE_COLUMNS)
                if waiting > full:
                    count = verify(a, b, limits, survivors, waiting, count, out)
                    if count == OVERFLOW:
                        return OVERFLOW
                    waiting = 0
    return verify(a, b, limits, survivors, waiting, count, out)


@compiled
def scan_narrow(a: Side, b: Side, limits: Ints, piece: Piece, survivors: Survivors, out: Room) -> int:
    """`scan_plain` with AVX2 tiles."""
    marks = np.zeros(NARROW_ROWS, np.int64)
    depth, count, waiting = a.sketch.shape[1], 0, 0
    full = survivors.i.shape[0] - NARROW_ROWS * NARROW_COLUMNS
    for panel in range(piece.panel, piece.panel_stop):
        for group in range(piece.row // NARROW_ROWS, (piece.row_stop + NARROW_ROWS - 1) // NARROW_ROWS):
            if narrow_tile(a.sketch, a.limit, group, b.sketch, b.limit, panel, depth, marks):
                waiting = mark(survivors, waiting, marks, piece, group * NARROW_ROWS, panel * NARROW_COLUMNS)
                if waiting > full:
                    count = verify(a, b, limits, survivors, waiting, count, out)
                    if count == OVERFLOW:
                        return OVERFLOW
                    waiting = 0
    return verify(a, b, limits, survivors, waiting, count, out)


@compiled
def scan_plain(a: Side, b: Side, limits: Ints, piece: Piece, survivors: Survivors, out: Room) -> int:
    """All matches within a piece, for any processor.

    Parameters
    ----------
    a, b : Side
    limits : int32, shape (largest sum of sizes + 1,)
        A pair matches if its distance is at most ``limits[a.size[i] + b.size[j]]``.
    piece : Piece
    survivors : Survivors
        Scratch, with room for more than one tile.
    out : Room

    Returns
    -------
    int
        Matches written, columns ascending within each row; OVERFLOW if there was no room.
    """
    depth, count, waiting = a.sketch.shape[1], 0, 0
    full = survivors.i.shape[0] - PLAIN_COLUMNS
    distance = np.zeros(PLAIN_COLUMNS, np.int32)
    for panel in range(piece.panel, piece.panel_stop):
        for i in range(piece.row, piece.row_stop):
            distance[:] = 0
            for word in range(depth):
                left = a.sketch[i, word, 0]
                for column in range(PLAIN_COLUMNS):
                    distance[column] += popcount(left ^ b.sketch[panel, word, column])
            for column in range(PLAIN_COLUMNS):
                j = panel * PLAIN_COLUMNS + column
                if distance[column] <= a.limit[i] + b.limit[j]:
                    survivors.i[waiting], survivors.j[waiting] = i, j
                    waiting += 1
            if waiting > full:
                count = verify(a, b, limits, survivors, waiting, count, out)
                if count == OVERFLOW:
                    return OVERFLOW
                waiting = 0
    return verify(a, b, limits, survivors, waiting, count, out)
