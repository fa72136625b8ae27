"""How a run links: frozen when it is asked for, logged, and read by whoever links or repeats it.

Floats are texts, since what is logged has one spelling.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from linkage.distributed import Cluster
    from linkage.run import Options

#: What runs are asked for with today.
DEFAULTS: Final[Mapping[str, Any]] = {
    "threshold": "0.5",
    "scan_threshold": None,
    "estimator": "em",
    "memory_mb": None,
}
#: What runs of before were linked with, whose parameters do not say it.
_BEFORE: Final[Mapping[str, Any]] = {
    "threshold": "0.5",
    "scan_threshold": None,
    "estimator": "em",
    "memory_mb": None,
}


def thaw_options(parameters: Mapping[str, Any], cluster: Cluster | None = None) -> Options:
    """The options of a run by its parameters; where it is computed does not matter to its result."""
    from linkage.run import Options

    frozen = parameters.get("options", _BEFORE)
    scan = frozen["scan_threshold"]
    return Options(
        threshold=float(frozen["threshold"]),
        scan_threshold=None if scan is None else float(scan),
        estimator=frozen["estimator"],
        memory_mb=frozen["memory_mb"],
        cluster=cluster,
    )
