"""Blobs that no row names: what a crash left between writing a blob and committing its row. Removed here.

Only where nobody can be about to name one: batches that take no more parts, and runs that have ended (a
worker that sleeps over one finds, on waking, that the run is not its own any more). Blobs of owners that this
database does not know are left alone: perhaps it is an older backup, and not they, that is wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from app.flows import run_units
from app.flows.service import Service
from app.store import Tx, batches, cubes, runs
from app.store.keystore import PLANES
from app.store.models import BatchState, RunState

#: What a run's steps write; whatever else may lie beside it is not this module's to judge.
_OF_RUNS: Final = ("persons-", "links-", "presence-", "learned-", run_units.PREFIX)
#: What is written of a cube until it is charged: noise as soon as none is being made out of the run.
_OF_CUBES: Final = "cube-"


def sweep_blobs(service: Service, *, remove: bool = True) -> dict[str, int]:
    """Remove the blobs that no row names, or only count them; safe beside everything, and repeatable.

    Returns
    -------
    dict
        `{"orphans": …, "of_unknown_owners": …}`, numbers of blobs.
    """
    orphans: list[str] = []
    strange = 0
    for plane in PLANES:
        for owner, paths in _by_owner(service.store.blobs.list(f"{plane}/")).items():
            # Listed before the rows are read: a blob that came since is not looked at.
            with service.store.reading("blobs that rows name") as tx:
                found = _unnamed(tx, owner, paths)
            if found is None:
                strange += len(paths)
            else:
                orphans += found
    if remove:
        service.store.blobs.delete(orphans)
    return {"orphans": len(orphans), "of_unknown_owners": strange}


def _by_owner(paths: Sequence[str]) -> Mapping[str, list[str]]:
    owners: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        owners[path.split("/")[1]].append(path)
    return owners


def _unnamed(tx: Tx, owner: str, paths: Sequence[str]) -> list[str] | None:
    """Those of an owner's blobs that no row names or ever will; None if there is no such owner."""
    batch = batches.find(tx, owner)
    if batch is not None:
        if batch.state == BatchState.UPLOADING:
            return []
        named = {part.path for part in batches.parts(tx, owner)}
        return [path for path in paths if path not in named]
    run = runs.find(tx, owner)
    if run is None:
        return None
    if run.state in (RunState.QUEUED, RunState.RUNNING):
        return []
    tables = [(run.report or {}).get(name, {}).get("path") for name in ("links", "presence", "learned")]
    named = {run.links_path, *tables} if run.links_path else set()
    ours = _OF_RUNS if cubes.open_of_run(tx, owner) else (*_OF_RUNS, _OF_CUBES)
    own = [path for path in paths if path.rsplit("/", 1)[-1].startswith(ours)]
    return [path for path in own if path not in named]
