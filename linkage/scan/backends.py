"""Which scan runs: the fastest that the processor, as the compiler sees it, has instructions for.

Tiles (``amx``) multiply projections, which cost more to make than folds: they are taken of themselves only
where there are enough pairs to make up for it, and only for Dice (diffused filters have no directions in
which they differ: their projection would be the bits themselves, at a byte each).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llvmlite import binding  # type: ignore[import-untyped, unused-ignore]

from linkage.errors import LinkageError
from linkage.scan import kernels, matrix, permission
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
    projects : bool
        Are its sketches those of `linkage.scan.projection`, not folds?
    multiply : callable, optional
        What projects them, of the signature of `linkage.scan.matrix.project_matrix`; by default NumPy.
    """

    name: str
    scan: Callable[..., int]
    rows: int
    columns: int
    needs: frozenset[str]
    cost: Cost
    projects: bool = False
    multiply: Callable[..., None] | None = None


#: Nanoseconds that sketching a record takes, without its products, and finding the directions, as
#: measured with 1024 bits; and how much less a pair takes on tiles, by `_TILES`.
_PER_RECORD, _DIRECTIONS, _SAVED_PER_PAIR = 1e3, 1.5e8, 0.2

#: Computed, not measured: 16 words of 1024 pairs take 64 cycles of multiplication, at 2.6 GHz; the products
#: go through memory once.
_TILES = Cost(per_word=0.0015, per_pair=0.045, per_tile=150.0, per_survivor=0.5)

BACKENDS = {
    backend.name: backend
    for backend in (
        Backend(
            "amx",
            matrix.scan_matrix,
            matrix.MATRIX_ROWS,
            matrix.MATRIX_COLUMNS,
            frozenset({*permission.FEATURES, "avx512f", "avx512vl", "avx512bw"}),
            _TILES,
            projects=True,
            multiply=matrix.project_matrix,
        ),
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


def unavailable(backend: Backend) -> str | None:
    """Why a backend cannot run here, in words; None if it can."""
    if settings.DISABLE_JIT:  # tiles are machine instructions and have no interpreted form
        return "the compiler is switched off (NUMBA_DISABLE_JIT)" if backend.name != "plain" else None
    if backend.projects and (why := permission.refusal()):
        return why
    lacking = sorted(backend.needs - processor_features())
    return f"the processor, as the compiler sees it, has no {', '.join(lacking)}" if lacking else None


def select(name: str, pairs_of: tuple[int, int] | None = None) -> Backend:
    """``auto``, or one by name.

    Parameters
    ----------
    pairs_of : (int, int), optional
        Records of both sides, where the sketches may be projections.

    Raises
    ------
    LinkageError
        ``BACKEND_UNAVAILABLE``: unknown here, or the processor lacks it.
    """
    usable = {
        key: backend
        for key, backend in BACKENDS.items()
        if not (backend.projects and pairs_of is None) and unavailable(backend) is None
    }
    if name == "auto":
        chosen = (b for b in usable.values() if not b.projects or _pays(pairs_of or (0, 0)))
        return next(chosen)
    if name in usable:
        return usable[name]
    why = unavailable(BACKENDS[name]) or "it scans by Dice only" if name in BACKENDS else "unknown"
    raise LinkageError(
        "BACKEND_UNAVAILABLE",
        f"{name}: {why}. What can run here is {', '.join(usable)}; or let 'auto' choose.",
    )


def _pays(records: tuple[int, int]) -> bool:
    n, m = records
    return n * m * _SAVED_PER_PAIR > _DIRECTIONS + (n + m) * _PER_RECORD


def in_words() -> str:
    """Which scans run here and why the others do not."""
    here = [name for name, backend in BACKENDS.items() if unavailable(backend) is None]
    others = (f"no {name}: {why}" for name, backend in BACKENDS.items() if (why := unavailable(backend)))
    return "; ".join([", ".join(here), *others])
