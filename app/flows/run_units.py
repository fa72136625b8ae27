"""The units of a run's work: each is done once, and its result kept until the run has ended.

A run is one unit after the other (`linkage.units` names them: ranges of rows of each exhaustive scan, then
model, score and assignment of each pair of sources), then one that writes the result. Each is a step of the
durable workflow. The workflow remembers where the result of a step lies and its digest; the result itself
(row numbers, similarities, probabilities; no record_ref, no filter) lies encrypted in the plane of links,
under the run's own data key, so that whatever destroys the run's links destroys it too.

A worker that is killed leaves its finished units to its successor. One that is killed between storing a
result and saying so leaves a blob that nothing names, and the unit is done again: the same inputs give the
same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

import structlog

from app.flows.service import Service
from app.store import Plane

#: How names of results of units begin, in the plane of links.
PREFIX: Final = "unit-"

#: Called with the name of a step and its work; returns what the work returns, now or at an earlier time.
Step = Callable[[str, Callable[[], dict[str, Any]]], dict[str, Any]]

log = structlog.get_logger()


def at_once(_name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A step that nobody remembers."""
    return work()


class Units:
    """Does the units of one run, and finds again what was done.

    Parameters
    ----------
    links : Plane
        Where results are kept, under the run's data key.
    run_id : str
    step : Step
        What remembers.
    progressed : callable
        Called when a unit is done that was not done before, and is remembered.
    """

    def __init__(
        self, links: Plane, run_id: str, step: Step, progressed: Callable[[], None] = lambda: None
    ) -> None:
        self._links, self._run_id, self._step, self._progressed = links, run_id, step, progressed

    def __call__(self, name: str, work: Callable[[], bytes]) -> bytes:
        """The result of a unit: read if it was done before, otherwise made and stored."""
        made: list[bytes] = []

        def do() -> dict[str, Any]:
            made.append(work())
            digest = hashlib.sha256(made[0]).hexdigest()
            return {"path": self._links.write(self._run_id, "unit", made), "sha256": digest}

        kept = self._step(name, do)
        if made:
            self._progressed()
            return made[0]
        try:
            return self._links.read_all(self._run_id, [kept["path"]], sha256=kept["sha256"])
        except FileNotFoundError:
            # It is only work, and nothing is lost but time.
            return work()


def clear_units(service: Service, run_id: str) -> None:
    """Remove the results of the units of a run that has ended; what fails here the hourly sweep does."""
    try:
        found = service.store.blobs.list(f"links/{run_id}")
        service.store.blobs.delete(path for path in found if path.rsplit("/", 1)[-1].startswith(PREFIX))
    except Exception as error:  # noqa: BLE001 (the run has its result; these are leftovers)
        log.warning("results of units are left to the sweep", run=run_id, error=type(error).__name__)
