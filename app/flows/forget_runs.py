"""What runs keep of a batch that is withdrawn goes with it: their persons, links and what they learnt.

Runs that read the batch lose their data key, like the batch itself: whatever they found is about its records
too. They cannot be released from anyway, nor repeated, nor gone on from. A run that went on from such a one
and did not read the batch keeps its links, which hold nothing of it; but what it learnt, it learnt from the
batch too, and that is removed.
"""

from __future__ import annotations

from datetime import datetime

from app.flows.erase_keys import note
from app.flows.past_run import batches_behind
from app.store import Tx, datakeys, runs
from app.store.models import Batch, Run, RunState

_ENDED = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


def forget_runs(tx: Tx, batch: Batch, now: datetime) -> list[str]:
    """Shut what runs that have ended keep of a batch; returns the blobs to remove after the commit.

    Runs that are under way stop at their next sign of progress and are shut when they end (`shut`).
    """
    paths: list[str] = []
    for run in runs.of_agreement(tx, batch.agreement_id, _ENDED):
        if any(each.batch_id == batch.id for each in runs.inputs(tx, run.id)):
            paths += shut(tx, run, now)
        elif batch.id in batches_behind(tx, run):
            paths += _unlearn(run)
    return paths


def shut(tx: Tx, run: Run, now: datetime) -> list[str]:
    """Delete a run's wrapped data key and what names its blobs; returns their paths."""
    note(tx, run.agreement_id, datakeys.destroy(tx, [run.id]), now)
    if run.links_path is None:
        return []
    paths = [run.links_path, *(table["path"] for table in _tables(run))]
    run.links_path = None
    return paths


def _tables(run: Run) -> list[dict[str, str]]:
    report = run.report or {}
    return [report[name] for name in ("links", "presence", "learned") if name in report]


def _unlearn(run: Run) -> list[str]:
    learned = (run.report or {}).get("learned")
    if learned is None or "path" not in learned:
        return []
    # The digest stays: the log names it, and so does the certificate of destruction.
    run.report = (run.report or {}) | {"learned": {"sha256": learned["sha256"]}}
    return [str(learned["path"])]
