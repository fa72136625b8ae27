"""How kernels are compiled here, and the one bit operation that Numba lacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numba.core.config
from numba import types
from numba.extending import intrinsic

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile on first use, without the interpreter's lock, and keep the code in ``NUMBA_CACHE_DIR``.

    Where no directory can be written (a read-only image without a home), the code is compiled once per
    process instead: Numba would refuse to import the module.
    """
    njit: Any = numba.njit  # a compiled function is called like the one that it came from
    fast: Function
    try:
        fast = njit(nogil=True, cache=True)(function)
    except RuntimeError:
        fast = njit(nogil=True)(function)
    return fast


def is_ready(function: Callable[..., Any]) -> bool:
    """Was it compiled in this process already (or is compilation switched off)?"""
    return bool(getattr(function, "signatures", True))


def _plain_popcount(word: Any) -> int:
    return int(word).bit_count()


def _compiled_popcount() -> Any:
    def popcount(typing_context: Any, word: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            counted = builder.ctpop(args[0])
            wide = context.get_value_type(types.int64)
            return counted if word.bitwidth == 64 else builder.zext(counted, wide)

        return types.int64(word), codegen

    make: Any = intrinsic
    return make(popcount)


#: What the environment asked of Numba (``NUMBA_…``).
settings: Any = numba.core.config

#: Set bits of a uint32 or uint64; an ordinary function under ``NUMBA_DISABLE_JIT=1``.
popcount: Any = _plain_popcount if settings.DISABLE_JIT else _compiled_popcount()
