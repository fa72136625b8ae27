"""How the server keeps its memory small: what it holds is a few pieces, and what it held is given back."""

from __future__ import annotations

import ctypes
import sys
from importlib.abc import MetaPathFinder
from typing import Final

import pyarrow as pa

#: Of glibc's malloc.h: numbers of options, and what they are set to.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_KEPT: Final = 1 << 20
_ARENAS: Final = 2


def stay_small() -> None:
    """Set up the allocators of this process. Call it early, once.

    - Arrow's own allocator keeps what it once had; the system's gives it back.
    - glibc keeps a heap for each thread, and raises the size from which memory is given back at once to that
      of the largest piece it saw; here two heaps and a mebibyte are enough. Other systems' are left alone.
    - Arrow looks for pandas when it first makes an array from a list, and loads it (45 MB) where it is
      installed. Nothing that a server does needs it: Arrow is let look once while there seems to be none.
      Whoever imports pandas gets it all the same.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)
        mallopt(_M_MMAP_THRESHOLD, _KEPT)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
    nowhere = _Nowhere()
    sys.meta_path.insert(0, nowhere)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(nowhere)


class _Nowhere(MetaPathFinder):
    """Finds no pandas."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)
