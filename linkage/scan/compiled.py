"""How kernels are compiled here, and the one bit operation that Numba lacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
from numba import types
from numba.core import config
from numba.extending import intrinsic

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile on first use, without the interpreter's lock, and keep the code in ``NUMBA_CACHE_DIR``.

    Where no directory can be written (a read-only image without a home), the code is compiled once per process
    instead: Numba would refuse to import the module.
    """
    try:
        fast: Function = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:
        fast = numba.njit(nogil=True)(function)
    return fast


def is_ready(function: Callable[..., Any]) -> bool:
    """Was it compiled in this process already (or is compilation switched off)?"""
    return bool(getattr(function, "signatures", True))


def _plain_popcount(word: Any) -> int:
    return int(word).bit_count()


def _compiled_popcount() -> Callable[[Any], int]:
    @intrinsic  # type: ignore[untyped-decorator, unused-ignore]
    def popcount(typing_context: Any, word: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            counted = builder.ctpop(args[0])
            return (
                counted if word.bitwidth == 64 else builder.zext(counted, context.get_value_type(types.int64))
            )

        return types.int64(word), codegen

    return popcount  # type: ignore[no-any-return, unused-ignore]


#: Set bits of a uint32 or uint64; an ordinary function under ``NUMBA_DISABLE_JIT=1``.
popcount = _plain_popcount if config.DISABLE_JIT else _compiled_popcount()
