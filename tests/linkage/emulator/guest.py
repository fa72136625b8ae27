"""The scan on tiles as the compiler makes it for a processor that has them, as one function in C's manner.

Run as a program, in a process of its own (the compiler is told of another processor by its environment):
writes ``scan.o`` with the function ``scan``, and ``scan.s``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llvmlite import binding
from numba import carray, cfunc, types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from linkage.scan.matrix import MATRIX_COLUMNS, MATRIX_ROWS, project_matrix, scan_matrix
from linkage.scan.shapes import Piece, Room, Side, Survivors

ENVIRONMENT = {"NUMBA_CPU_NAME": "sapphirerapids", "NUMBA_CPU_FEATURES": ""}


def _pointer_to(kind: Any) -> Any:
    @intrinsic
    def pointer(typing_context: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

        return types.CPointer(kind)(types.int64), codegen

    return pointer


def compile_scan() -> tuple[bytes, str]:
    """The object file and its assembly; the function's one argument is the address of a case, 64-bit numbers.

    It is a scan or, where the number after all others is 1, a projection: of n records onto m panels, written
    to the first address of the room; what is returned is how many numbers were.

    They are: records of both sides, words of a filter, words of a sketch; the piece; lengths of the limits,
    of the survivors and of the room; then addresses, in the order of the arrays below.
    """
    u64, u32, i32 = (_pointer_to(kind) for kind in (types.uint64, types.uint32, types.int32))

    @cfunc(types.int64(types.CPointer(types.int64)))
    def scan(address: Any) -> Any:
        s = carray(address, (26,))
        n, m, words, depth = s[0], s[1], s[2], s[3]
        if s[25] == 1:
            columns = carray(u32(s[17]), (m, depth, MATRIX_COLUMNS))
            out = carray(i32(s[22]), (n, m * MATRIX_COLUMNS))
            project_matrix(carray(u64(s[11]), (n, words)), columns, out)
            return n * m * MATRIX_COLUMNS
        groups, panels = (n + MATRIX_ROWS - 1) // MATRIX_ROWS, (m + MATRIX_COLUMNS - 1) // MATRIX_COLUMNS
        a = Side(
            carray(u64(s[11]), (n, words)),
            carray(i32(s[12]), (n,)),
            carray(u32(s[13]), (groups, depth, MATRIX_ROWS)),
            carray(i32(s[14]), (groups * MATRIX_ROWS,)),
        )
        b = Side(
            carray(u64(s[15]), (m, words)),
            carray(i32(s[16]), (m,)),
            carray(u32(s[17]), (panels, depth, MATRIX_COLUMNS)),
            carray(i32(s[18]), (panels * MATRIX_COLUMNS,)),
        )
        survivors = Survivors(carray(i32(s[20]), (s[9],)), carray(i32(s[21]), (s[9],)))
        room = Room(carray(i32(s[22]), (s[10],)), carray(i32(s[23]), (s[10],)), carray(i32(s[24]), (s[10],)))
        piece = Piece(s[4], s[5], s[6], s[7])
        return scan_matrix(a, b, carray(i32(s[19]), (s[8],)), piece, survivors, room)

    made = scan.inspect_llvm().replace(scan.native_name, "scan")
    # The machine that the compiler itself writes for.
    machine = cpu_target.target_context.codegen()._tm
    module = binding.parse_assembly(made)
    return machine.emit_object(module), machine.emit_assembly(module)


if __name__ == "__main__":
    code, assembly = compile_scan()
    Path("scan.o").write_bytes(code)
    Path("scan.s").write_text(assembly)
