"""The earlier finished run that a new one goes on from: whether it may, and what is read of it.

What is taken over are links between batches that both runs read, and the measures by which they were found.
They are the earlier run's, under its data key. A batch that was withdrawn or destroyed takes every run that
read it out of use here, and every run that went on from such a one: of links and measures that it took part
in nothing is carried on. A batch that was replaced does not: its data are held, only its own pairs are not
taken over.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import pyarrow.parquet as pq

from app.errors import ConflictError, ServiceError
from app.flows.show_runs import unknown_run
from app.store import Plane, Tx, batches, runs
from app.store.models import Batch, BatchState, Run, RunState

if TYPE_CHECKING:
    from linkage.increment import Past

#: Earlier runs that a page offers, of so many that it looks at.
OFFERED, LOOKED_AT = 5, 20
#: States of batches of which nothing may be carried on.
_GONE: Final = (BatchState.WITHDRAWN, BatchState.DESTROYED)


def freeze_past(
    tx: Tx, since: str, agreement_id: str, made_by: Mapping[str, Any], accepted: Sequence[Batch]
) -> dict[str, str]:
    """Check that a run over ``accepted`` may go on from an earlier one; what it is frozen at.

    Parameters
    ----------
    made_by : mapping
        Parameters of the new run: its profile and its options must be the earlier one's.

    Returns
    -------
    dict
        ``run``, ``links_sha256``, ``learned_sha256``.

    Raises
    ------
    NotFoundError
        ``RUN_UNKNOWN``.
    ConflictError
        ``PAST_OTHER_AGREEMENT``, ``RUN_NOT_FINISHED``, ``PAST_OTHER_TERMS``, ``PAST_NOT_KEPT``,
        ``PAST_BATCH_GONE``, ``PAST_NOTHING_SHARED``, ``PAST_NOTHING_NEW``.
    """
    # PostgreSQL has no text for a NUL.
    run = runs.find(tx, since) if "\x00" not in since else None
    if run is None:
        raise unknown_run()
    if run.agreement_id != agreement_id:
        raise ConflictError("PAST_OTHER_AGREEMENT", "The earlier run is of another agreement.")
    if run.state != RunState.SUCCEEDED or run.report is None:
        raise ConflictError("RUN_NOT_FINISHED", "Only a run that has succeeded can be gone on from.")
    if _made_by(run.parameters) != _made_by(made_by):
        raise ConflictError(
            "PAST_OTHER_TERMS", "The earlier run had another profile or other options; link from scratch."
        )
    if is_gone(tx, run):
        raise ConflictError(
            "PAST_BATCH_GONE",
            "A batch that the earlier run rests on was withdrawn or destroyed: nothing of it is carried on.",
        )
    if "learned" not in run.report:
        raise ConflictError(
            "PAST_NOT_KEPT", "The earlier run is of a version that did not keep what it learnt; from scratch."
        )
    read, now = _inputs(tx, run), {(batch.id, batch.manifest_sha256) for batch in accepted}
    if now <= read:
        raise ConflictError("PAST_NOTHING_NEW", "The earlier run has read every batch that is accepted now.")
    if len(now & read) < 2:
        raise ConflictError(
            "PAST_NOTHING_SHARED", "No two batches of the earlier run are in use still; link from scratch."
        )
    return {
        "run": run.id,
        "links_sha256": run.report["links"]["sha256"],
        "learned_sha256": run.report["learned"]["sha256"],
    }


def offer_pasts(
    tx: Tx, agreement_id: str, made_by: Mapping[str, Any], accepted: Sequence[Batch]
) -> list[dict[str, Any]]:
    """The earlier runs that a run over ``accepted`` may go on from, the newest first.

    Returns
    -------
    list of dict
        ``run``; ``finished_at``; ``kept`` and ``new``: numbers of batches that it read, and did not.
    """
    offered: list[dict[str, Any]] = []
    for run in runs.of_agreement(tx, agreement_id, [RunState.SUCCEEDED])[: -LOOKED_AT - 1 : -1]:
        try:
            freeze_past(tx, run.id, agreement_id, made_by, accepted)
        except ServiceError:
            continue
        kept = len(_inputs(tx, run) & {(batch.id, batch.manifest_sha256) for batch in accepted})
        offered.append(
            {
                "run": run.id,
                "finished_at": run.finished_at,
                "kept": kept,
                "new": len(accepted) - kept,
            }
        )
        if len(offered) == OFFERED:
            break
    return offered


def past_of(run: Run) -> str | None:
    """The run that this one went on from; None if it was linked from scratch."""
    since = run.parameters.get("since")
    return str(since["run"]) if since else None


def is_gone(tx: Tx, run: Run) -> bool:
    """Whether a batch was withdrawn or destroyed that this run, or a run behind it, has read."""
    gone = {batch.id for batch in batches.of_agreement(tx, run.agreement_id, _GONE)}
    return not gone.isdisjoint(batches_behind(tx, run))


def batches_behind(tx: Tx, run: Run) -> set[str]:
    """Batches that a run has read, or a run behind it."""
    return {each.batch_id for one in _and_behind(tx, run) for each in runs.inputs(tx, one.id)}


def _made_by(parameters: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """What two runs must have alike; an option that is none is as one that was not known yet."""
    options = parameters.get("options") or {}
    return parameters.get("profile"), {name: each for name, each in options.items() if each is not None}


def _and_behind(tx: Tx, run: Run) -> Iterator[Run]:
    """A run, the run that it went on from, and so on to one from scratch."""
    found: Run | None = run
    while found is not None:
        yield found
        before = past_of(found)
        found = runs.find(tx, before) if before else None


def _inputs(tx: Tx, run: Run) -> set[tuple[str, str]]:
    return {(each.batch_id, each.manifest_sha256) for each in runs.inputs(tx, run.id)}


def read_past(links: Plane, run: Run, since: Mapping[str, str]) -> Past:
    """What a run left behind, as it was frozen.

    Raises
    ------
    KeyError
        Its data key is destroyed.
    ValueError
        What is stored does not have the digest.
    LinkageError
        ``PAST_INVALID``.
    """
    # The engine is loaded where it links.
    from linkage.increment import Past

    if run.links_path is None or run.report is None:
        raise KeyError("the run's tables are gone")
    table = links.read_all(run.id, [run.report["links"]["path"]], sha256=since["links_sha256"])
    known = links.read_all(run.id, [run.report["learned"]["path"]], sha256=since["learned_sha256"])
    return Past.read(pq.read_table(io.BytesIO(table)), known)
