"""Which scan runs: the fastest that the processor, as the compiler sees it, has instructions for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llvmlite import binding  # type: ignore[import-untyped, unused-ignore]

from linkage.errors import LinkageError
from linkage.scan import kernels
from linkage.scan.compiled import settings
from linkage.scan.sketch import Cost


@dataclass(frozen=True)
class Backend:
    """A scan, the shape of its blocks, what it needs and what it costs.

    Attributes
    ----------
    name : str
    scan : callable
        Of the signature of `linkage.scan.kernels.scan_plain`.
    rows, columns : int
        Records of a group of the left side and of a panel of the right side.
    needs : frozenset of str
        LLVM's names of processor features.
    cost : Cost
    """

    name: str
    scan: Callable[..., int]
    rows: int
    columns: int
    needs: frozenset[str]
    cost: Cost


BACKENDS = {
    backend.name: backend
    for backend in (
        Backend(
            "avx512",
            kernels.scan_wide,
            kernels.WIDE_ROWS,
            kernels.WIDE_COLUMNS,
            frozenset({"avx512f", "avx512vl", "avx512bw", "avx512vpopcntdq"}),
            Cost(per_word=0.0345, per_pair=0.045, per_tile=80.0, per_survivor=0.5),
        ),
        Backend(
            "avx2",
            kernels.scan_narrow,
            kernels.NARROW_ROWS,
            kernels.NARROW_COLUMNS,
            frozenset({"avx2"}),
            Cost(per_word=0.115, per_pair=0.16, per_tile=45.0, per_survivor=0.7),
        ),
        Backend(
            "plain",
            kernels.scan_plain,
            1,
            kernels.PLAIN_COLUMNS,
            frozenset(),
            Cost(per_word=0.27, per_pair=0.55, per_tile=0.0, per_survivor=1.9),
        ),
    )
}


def processor_features() -> frozenset[str]:
    """What the compiler may use: the host's, or what ``NUMBA_CPU_NAME`` and ``NUMBA_CPU_FEATURES`` leave."""
    if settings.CPU_FEATURES is not None:
        return frozenset(f[1:] for f in settings.CPU_FEATURES.split(",") if f.startswith("+"))
    if settings.CPU_NAME is not None and binding.get_host_cpu_name() != settings.CPU_NAME:
        return frozenset()
    return frozenset(name for name, present in binding.get_host_cpu_features().items() if present)


def select(name: str) -> Backend:
    """``auto``, or one by name.

    Raises
    ------
    LinkageError
        ``BACKEND_UNAVAILABLE``: unknown here, or the processor lacks it.
    """
    if settings.DISABLE_JIT:  # tiles are machine instructions and have no interpreted form
        usable = {"plain": BACKENDS["plain"]}
    else:
        features = processor_features()
        usable = {key: backend for key, backend in BACKENDS.items() if backend.needs <= features}
    if name == "auto":
        return next(iter(usable.values()))
    if name not in usable:
        raise LinkageError(
            "BACKEND_UNAVAILABLE", f"This processor can run {', '.join(usable)}; or let 'auto' choose."
        )
    return usable[name]
