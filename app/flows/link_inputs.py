"""The work of a run: the frozen encodings in, encrypted tables of persons and links out.

1. The frozen encodings are read and checked against the digests at which they were accepted; where the run
   goes on from an earlier one, that one's links and measures too (`past_run`).
2. The engine links them, unit by unit (`run_units`): the scans of each pair of sources by ranges of rows,
   then model, score and assignment of that pair; larger pairs first, since the smaller ones lean on them.
   Pairs of sources that the earlier run read as they are now are taken over, and are no units.
3. Persons are made of all links; the tables are written, and what a later run needs to go on: the last unit.

Nothing points to what is written here until `run_linkage.finish` does; so it can be done again at will. A
worker that takes a run over reads the encodings anew and goes on at the first unit that is not done.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from app.flows.link_options import thaw_options
from app.flows.past_run import past_of, read_past
from app.flows.presence import presence_of
from app.flows.run_linkage import RunLostError, RunStoppedError, stop_code
from app.flows.run_report import coarse_report
from app.flows.run_units import Step, Units, at_once
from app.flows.service import Service
from app.flows.sign_agreement import in_force
from app.store import Plane, batches, run_ownership, runs
from app.store.models import Run
from crypto.encoding.types import LinkSpec
from crypto.wire import ENCODINGS_NAME, read_encodings

if TYPE_CHECKING:
    from linkage.increment import Past
    from linkage.run import LinkResult, Progress, Source
    from linkage.units import Unit

PROGRESS_SECONDS: Final = 0.5
STAGE_LENGTH: Final = 40


def link_inputs(
    service: Service, encodings: Plane, links: Plane, run_id: str, owner: str, *, step: Step = at_once
) -> dict[str, Any]:
    """Link the frozen inputs and store the result; the linker's two planes are all that it is given.

    Parameters
    ----------
    step : Step
        What remembers which units are done.

    Returns
    -------
    dict
        JSON-able: paths and digests of what is stored (persons, links, what was encoded of each record, what
        the engine learnt), and the coarse report.

    Raises
    ------
    RunStoppedError
        Cancelled, revoked, withdrawn, or the stored inputs are not what was accepted.
    RunLostError
        Another worker owns the run.
    """
    assert (encodings.name, links.name) == ("encodings", "links")
    watch = _Watch(service, run_id, owner)
    watch("read", 0, 1)
    with service.store.transaction("open links") as tx:
        run = runs.find(tx, run_id)
        assert run is not None
        terms = in_force(tx, run.agreement_id, service.now()).terms
        inputs = runs.inputs(tx, run_id)
        links.create_key(tx, run_id, run.agreement_id, service.now())
    # The engine is loaded where it links: a process that only answers requests stays small.
    from linkage.run import Source

    spec = terms.profile().link_spec()
    sources = []
    for number, each in enumerate(inputs):
        watch("read", number, len(inputs))
        data = stored_encodings(service, encodings, each.batch_id)
        sources.append(
            Source(
                name=each.batch_id,
                encodings=read_encodings(data, spec),
                organization=each.organization_id,
            )
        )
    watch.names = {each.batch_id: each.organization_id for each in inputs}
    past = _read_past(service, links, run)
    units = Units(links, run_id, step, watch.progressed)
    result = link(sources, spec, run.parameters, progress=watch, unit=units, past=past)
    watch("save", 0, 1)

    def save() -> dict[str, Any]:
        stored = {
            name: _write(links, run_id, name, data)
            for name, data in (
                ("persons", table_bytes(result.persons)),
                ("links", table_bytes(result.links)),
                ("presence", table_bytes(presence_of(result.persons, sources, terms.profile()))),
                ("learned", result.remembered()),
            )
        }
        report = coarse_report(result.report, terms.min_cell, since=past_of(run))
        return {**stored, "report": report}

    return step("save", save)


def stored_encodings(service: Service, encodings: Plane, batch_id: str) -> bytes:
    """The encodings of a batch as they were accepted; RunStoppedError where they are not, or are gone."""
    try:
        with service.store.reading("read encodings") as tx:
            return batches.read_file(tx, encodings, batch_id, ENCODINGS_NAME)
    except ValueError:
        raise RunStoppedError("INPUT_ALTERED") from None
    except KeyError:
        raise RunStoppedError("INPUT_DESTROYED") from None


def table_bytes(table: pa.Table) -> bytes:
    """A table of persons or links as it is stored, and of which the log holds the digest."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _read_past(service: Service, links: Plane, run: Run) -> Past | None:
    """The run to go on from, if there is one; RunStoppedError where it is gone, or not as it was frozen."""
    since = run.parameters.get("since")
    if since is None:
        return None
    with service.store.reading("run to go on from") as tx:
        before = runs.find(tx, since["run"])
        assert before is not None
    try:
        return read_past(links, before, since)
    except ValueError:
        raise RunStoppedError("PAST_ALTERED") from None
    except KeyError:
        raise RunStoppedError("PAST_BATCH_GONE") from None


def _write(links: Plane, run_id: str, name: str, data: bytes) -> dict[str, str]:
    return {"path": links.write(run_id, name, [data]), "sha256": hashlib.sha256(data).hexdigest()}


def link(
    sources: Sequence[Source],
    spec: LinkSpec,
    parameters: Mapping[str, Any],
    *,
    progress: Progress,
    unit: Unit | None = None,
    past: Past | None = None,
) -> LinkResult:
    """`linkage.run.link` by the parameters of a run, on the Dask cluster that the environment names, if any.

    The engine is loaded when it is called. Without ``unit`` it links in one go; with ``past`` it goes on.

    Raises
    ------
    LinkageError
        Those of `linkage.run.link` and `linkage.distributed.Cluster`.
    """
    from linkage import run, units
    from linkage.distributed import Cluster

    options = thaw_options(parameters, Cluster.from_environment(os.environ))
    return run.link(sources, spec, options=options, progress=progress, unit=unit or units.at_once, past=past)


class _Watch:
    """Progress out, and reasons to stop in: called by the linker often, looking at the table seldom."""

    def __init__(self, service: Service, run_id: str, owner: str) -> None:
        self._service = service
        self._run_id = run_id
        self._owner = owner
        self._stage = ""
        self._next = 0.0
        self._in_vain = True
        #: Batch to organization: the linker names its stages by batches, which tell a reader nothing.
        self.names: dict[str, str] = {}

    def progressed(self) -> None:
        """A unit is done; said once for each attempt, since that is enough to tell it from one in vain."""
        if self._in_vain:
            with self._service.store.transaction("run progress") as tx:
                if not run_ownership.forget_losses(tx, self._run_id, self._owner):
                    raise RunLostError
            self._in_vain = False

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now < self._next and stage == self._stage:
            return
        shown = " × ".join(self.names.get(part, part) for part in stage.split(" × "))[:STAGE_LENGTH]
        self._stage, self._next = stage, now + PROGRESS_SECONDS
        # One statement, and reading apart: a worker that is frozen should hardly ever be so while it writes.
        with self._service.store.transaction("run progress") as tx:
            if not run_ownership.report_progress(tx, self._run_id, self._owner, shown, done, total):
                raise RunLostError
        with self._service.store.reading("may the run go on") as tx:
            run = runs.find(tx, self._run_id)
            assert run is not None
            code = stop_code(self._service, tx, run)
        if code is not None:
            raise RunStoppedError(code)
