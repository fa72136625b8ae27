"""What pages show of runs and releases to operator and auditors: all of one on one page, and the queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.auth import Caller, Role
from app.errors import NotFoundError
from app.flows.audit_views import note_reading
from app.flows.publish_release import list_releases
from app.flows.seal_log import sealed_size
from app.flows.service import Service
from app.flows.show_runs import run_document, show_run
from app.store import Tx, log, releases, runs
from app.store import counts as store_counts
from app.store.models import RunState
from crypto.log.entry import Entry

#: Runs that a list shows.
RECENT: Final = 100


@dataclass(frozen=True)
class RunView:
    """A run with all that is kept of it.

    Attributes
    ----------
    run : mapping
        As `run_document`.
    parameters : mapping
    inputs : sequence of mapping
        ``batch``, ``organization``, ``manifest_sha256``: what was frozen.
    requested_by : str
    quality : mapping or None
        The coarse figures (`run_report`), once it has succeeded.
    entries : sequence of (int, str)
        Index and kind of the log's entries on it.
    """

    run: Mapping[str, Any]
    parameters: Mapping[str, Any]
    inputs: Sequence[Mapping[str, Any]]
    requested_by: str
    quality: Mapping[str, Any] | None
    entries: Sequence[tuple[int, str]]


@dataclass(frozen=True)
class ReleaseView:
    """A question with what the log says of its answer; never the answer.

    Attributes
    ----------
    release : mapping
        As `publish_release.list_releases`.
    requested_by : str
    granted, charged : Entry or None
        The entries of the answer, and of the ledger's charge that it was read from.
    entries : sequence of Entry
        All of the release's own.
    """

    release: Mapping[str, Any]
    requested_by: str
    granted: Entry | None
    charged: Entry | None
    entries: Sequence[Entry]


@dataclass(frozen=True)
class Queue:
    """Runs of all agreements.

    Attributes
    ----------
    states : mapping
        State to number of runs; of all runs, not only those listed.
    waiting, running, ended : sequence of mapping
        As `run_document`; those that wait in their order, those that ended newest first.
    """

    states: Mapping[str, int]
    waiting: Sequence[Mapping[str, Any]]
    running: Sequence[Mapping[str, Any]]
    ended: Sequence[Mapping[str, Any]]


def run_view(service: Service, caller: Caller, run_id: str) -> RunView:
    """Return everything that is kept of a run.

    Raises
    ------
    NotFoundError
        ``RUN_UNKNOWN``.
    """
    document = show_run(service, caller, run_id)
    with service.store.reading("run's page") as tx:
        row = runs.find(tx, run_id)
        assert row is not None
        entries = _entries(tx, row.agreement_id, "run.*", "run", run_id)
        return RunView(
            run=document,
            parameters=row.parameters,
            inputs=[
                {
                    "batch": each.batch_id,
                    "organization": each.organization_id,
                    "manifest_sha256": each.manifest_sha256,
                }
                for each in runs.inputs(tx, run_id)
            ],
            requested_by=row.requested_by,
            quality=(row.report or {}).get("quality") if row.state == RunState.SUCCEEDED else None,
            entries=[(entry.index, entry.kind) for entry in entries],
        )


def release_view(service: Service, caller: Caller, release_id: str) -> ReleaseView:
    """Return what was asked and how the log says it was answered.

    Raises
    ------
    NotFoundError
        ``RELEASE_UNKNOWN``.
    """
    caller.require(Role.AUDITOR, Role.OPERATOR)
    with service.store.reading("release's page") as tx:
        row = releases.find(tx, release_id)
    if row is None:
        raise NotFoundError("RELEASE_UNKNOWN", "There is no such release.")
    note_reading(service, caller, 0)
    listed = list_releases(service, caller, row.agreement_id)
    with service.store.reading("release's entries") as tx:
        entries = _entries(tx, row.agreement_id, "release.*", "release", release_id)
        granted = next((entry for entry in entries if entry.kind == "release.granted"), None)
        ledger = str(granted.body["ledger"]) if granted is not None else None
        charges = _entries(tx, row.agreement_id, "ledger.charged", "ledger", ledger) if ledger else []
    return ReleaseView(
        release=next(each for each in listed if each["id"] == release_id),
        requested_by=row.requested_by,
        granted=granted,
        charged=next(iter(charges), None),
        entries=entries,
    )


def _entries(tx: Tx, agreement_id: str, kind: str, name: str, value: str) -> list[Entry]:
    """Sealed entries of an agreement and kind whose body names this thing."""
    rows = log.search(tx, sealed_size(tx), agreement_id=agreement_id, kind=kind, limit=2**31)
    found = (Entry.parse(row.leaf) for row in rows)
    return [entry for entry in found if entry.body.get(name) == value]


def queue(service: Service, caller: Caller) -> Queue:
    """Return the runs of all agreements: those that wait, run, and ended lately."""
    caller.require(Role.OPERATOR)
    with service.store.reading("queue of runs") as tx:
        states = {str(state): 0 for state in RunState}
        rows = runs.newest(tx, RECENT)
        open_runs = runs.in_states(tx, [RunState.QUEUED, RunState.RUNNING])
        states |= store_counts.runs_by_state(tx)
    return Queue(
        states=states,
        waiting=[run_document(run) for run in open_runs if run.state == RunState.QUEUED],
        running=[run_document(run) for run in open_runs if run.state == RunState.RUNNING],
        ended=[run_document(run) for run in rows if run.state not in (RunState.QUEUED, RunState.RUNNING)],
    )
