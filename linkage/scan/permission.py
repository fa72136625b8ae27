"""May this process use the processor's tiles?

Three have a say. The processor: CPUID, leaf 7. The operating system, which must save tiles when it takes the
processor away from a thread: XCR0, bits 17 and 18. LLVM asks both of them before it names the features. And
Linux, which gives each process the 8 KiB of tiles for its threads only when asked (since 5.16).
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from functools import cache

from llvmlite import binding  # type: ignore[import-untyped, unused-ignore]

#: LLVM's names.
FEATURES = ("amx-tile", "amx-int8")

_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _TILE_DATA = 158, 0x1023, 18


@cache
def refusal() -> str | None:
    """Why tiles cannot be used, in words; None where they can, from then on and in all threads."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return "tiles are asked for on Linux on x86-64 only"
    host = binding.get_host_cpu_features()
    lacking = [name for name in FEATURES if not host.get(name)]
    if lacking:
        return f"the processor, or the machine that it is lent by, has no {' and no '.join(lacking)}"
    return ask_kernel()


def ask_kernel() -> str | None:
    """Ask Linux for the state of the tiles: why not, or None."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    request = (ctypes.c_long(number) for number in (_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _TILE_DATA))
    if libc.syscall(*request) == 0:
        return None
    return f"the kernel does not grant tiles: {os.strerror(ctypes.get_errno())}"
