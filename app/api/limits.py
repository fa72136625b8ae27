"""How often one may ask: token buckets in this process, one per credential or address.

Several nodes each give the whole allowance; a limit here keeps one caller from starving the others, it is
no quota, and counting each read in the database would cost more than the read. (Attempts to sign in are few,
and all nodes count them together: `app.flows.sessions`, docs/adr/0013.) What fails to authenticate is counted
by address and refused more slowly, never less surely: a valid key behind the same address is not shut out by
somebody else's guesses.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from app.errors import ServiceError

#: Names that are remembered; the longest unused one is forgotten, which fills its bucket again.
REMEMBERED: Final = 10_000
#: Failures to authenticate by one address: so many at once, and one more after so many seconds.
FAILURES: Final = 100
FAILURE_SECONDS: Final = 1.0


class Buckets:
    """Token buckets by name.

    Parameters
    ----------
    burst : int
        What a full bucket holds.
    per_second : float
        What flows in, tokens per second; 0 with burst 0 means no limit.
    ticks : callable
        Seconds that never run backwards.
    """

    def __init__(self, burst: int, per_second: float, *, ticks: Callable[[], float] = time.monotonic) -> None:
        self._burst = float(burst)
        self._rate = per_second
        self._ticks = ticks
        self._guard = threading.Lock()
        self._level: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> None:
        """Take one token.

        Raises
        ------
        ServiceError
            `RATE_LIMITED` (429) with `Retry-After`, if the bucket is empty.
        """
        if not self._burst:
            return
        now = self._ticks()
        with self._guard:
            level, at = self._level.pop(name, (self._burst, now))
            level = min(self._burst, level + (now - at) * self._rate)
            enough = level >= 1
            self._level[name] = (level - 1 if enough else level, now)
            if len(self._level) > REMEMBERED:
                self._level.popitem(last=False)
        if not enough:
            wait = max(1, math.ceil((1 - level) / self._rate))
            raise ServiceError(
                "RATE_LIMITED", 429, "Too many requests; wait and go on.", headers={"Retry-After": str(wait)}
            )


class Limits:
    """The buckets of one application."""

    def __init__(self, per_second: int) -> None:
        # A submission sends its parts in bursts.
        self.requests = Buckets(4 * per_second, float(per_second))
        self.failures = Buckets(FAILURES, 1 / FAILURE_SECONDS)
