"""How a run links: frozen when it is asked for, logged, and read by whoever links or repeats it.

Floats are texts, since what is logged has one spelling.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from app.errors import RefusedError

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


_THRESHOLD: Final = re.compile(r"0?\.(?:0[1-9]|[1-9][0-9]?)", re.ASCII)


def freeze_threshold(given: str | None) -> str:
    """The probability from which two records count as one person, in one spelling; by default as ever.

    Raises
    ------
    RefusedError
        ``THRESHOLD_OUT_OF_RANGE``.
    """
    if not given:
        return str(DEFAULTS["threshold"])
    if not _THRESHOLD.fullmatch(given):
        raise RefusedError(
            "THRESHOLD_OUT_OF_RANGE", "A threshold is a probability from 0.01 to 0.99, two places at most."
        )
    return str(Decimal(given).normalize())


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
