"""Repeat a run and what was released from it, from the frozen inputs, and compare bit for bit.

The same inputs give the same bytes, so an operator who is asked "did the data that were submitted give the
figures that were published?" can show it while the data are retained. Nothing is stored but a log entry that
says how it came out; the answer is digests, never a table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from app.errors import ConflictError, NotFoundError, ServiceError
from app.flows import seal_log
from app.flows.agreement_terms import Terms, parse_terms
from app.flows.answer_release import pick
from app.flows.cube_basis import Basis, logged_basis
from app.flows.link_inputs import link, stored_encodings, table_bytes
from app.flows.make_cube import make_cube
from app.flows.presence import presence_of
from app.flows.run_linkage import SOFTWARE
from app.flows.service import Service
from app.outcomes.indicators import INDICATORS
from app.store import Tx, agreements, batches, log, releases, runs
from app.store.models import BatchState, LedgerEntry, Run, RunState
from crypto.canonical import digest_of
from crypto.encoding.types import LinkSpec
from crypto.log.entry import Entry
from crypto.wire import read_encodings
from linkage.run import LinkResult, Progress, Source, silent

#: The budget of proofs that were made before the log had the basis of a charge.
_WORK_OF_BEFORE: Final = 200_000_000


def replay_run(service: Service, run_id: str, *, progress: Progress = silent) -> dict[str, Any]:
    """Repeat a run and the cubes that were charged from it.

    1. The run has succeeded, and each of its inputs is here at the digest at which it was frozen.
    2. Link again, under the terms of the agreement's version then and by the parameters that the log has of
       the run; compare persons and links. Of a run that went on from an earlier one, that one is repeated
       first, from its own inputs, and so on back to one that was linked from scratch.
    3. Tabulate and protect again each question that the ledger charged from this run, out of the new persons
       and by the basis that the log has of the charge, whatever the defaults are today;
       compare the cubes, and every granted answer with its cube.
    4. One log entry says how it came out.

    Returns
    -------
    dict
        ``run``, ``same`` (whether all is), ``software`` (now and then), ``checks``: ``[{"what","recorded",
        "found","same"}]``, digests in hexadecimal.

    Raises
    ------
    NotFoundError
        `RUN_UNKNOWN`.
    ConflictError
        `RUN_NOT_FINISHED`, `INPUTS_GONE`.
    """
    with service.store.reading("run to replay") as tx:
        run = runs.find(tx, run_id)
        if run is None:
            raise NotFoundError("RUN_UNKNOWN", "There is no such run.")
        if run.state != RunState.SUCCEEDED or run.report is None:
            raise ConflictError("RUN_NOT_FINISHED", "Only a run that succeeded can be repeated.")
        charged = [
            entry for entry in releases.ledger_of_agreement(tx, run.agreement_id) if entry.run_id == run_id
        ]
    result, presence, earlier = _link_again(service, run, progress)
    checks = [
        _check("persons", run.links_sha256, hashlib.sha256(table_bytes(result.persons)).hexdigest()),
        _check("links", run.report["links"]["sha256"], hashlib.sha256(table_bytes(result.links)).hexdigest()),
    ]
    # Runs of before did not keep what was encoded of each record, and tell no coverage.
    if "presence" in run.report:
        again = hashlib.sha256(table_bytes(presence)).hexdigest()
        checks.append(_check("presence", run.report["presence"]["sha256"], again))
    # What was learnt is not compared: it says nothing but by the links that were found with it.
    checks += earlier
    cubes = []
    # The stored persons are those of the new run by now, or it is known already that they are not.
    for entry in charged:
        found, outcomes = _publish_again(service, run, entry)
        cubes.append({"ledger": entry.id, "cube_sha256": found})
        checks += outcomes
    same = all(check["same"] for check in checks)
    body: dict[str, Any] = {
        "run": run.id,
        "same": same,
        "persons_sha256": checks[0]["found"],
        "links_sha256": checks[1]["found"],
        "cubes": cubes,
        "software": SOFTWARE,
    }
    with service.store.transaction("log replay") as tx:
        seal_log.append(tx, "run.replayed", run.agreement_id, seal_log.SERVICE, body, service.now())
    seal_log.seal(service)
    software = {"then": run.parameters["software"], "now": SOFTWARE}
    return {"run": run.id, "same": same, "software": software, "checks": checks}


def _publish_again(service: Service, run: Run, entry: LedgerEntry) -> tuple[str, list[dict[str, Any]]]:
    """Make a charged cube again by what the log says it was made by; its digest, and what came out."""
    with service.store.reading("basis of question") as tx:
        decided = releases.ledger_of_agreement(tx, run.agreement_id)
        granted = [each for each in releases.of_agreement(tx, run.agreement_id) if each.ledger_id == entry.id]
        basis = logged_basis(tx, run.agreement_id, entry.id) or _basis_of_before(tx, run, entry, decided)
        before = releases.ledger_entries(tx, basis.beside)
    if basis.treatment.get("method") == "differential_privacy":
        # Its noise was drawn once and is not to be drawn again: what is kept must be what was charged.
        cube: Mapping[str, Any] = entry.cube
    else:
        facts, links = service.plane("facts"), service.plane("links")
        made = make_cube(service, facts, links, run, entry.indicator, entry.cohort, basis, before, again=True)
        cube = made["cube"]
    found = digest_of(cube)
    checks = [_check(f"cube {entry.id}", entry.cube_sha256, found)]
    for each in granted:
        answer = digest_of(pick(cube, each.query["by"], each.query.get("where")))
        checks.append(_check(f"release {each.id}", each.document_sha256, answer))
    return found, checks


def _basis_of_before(tx: Tx, run: Run, entry: LedgerEntry, decided: Sequence[LedgerEntry]) -> Basis:
    """What a cube was made by that was charged before the log said so: all but the terms was alike."""
    # The log tells which of two charges within one second came first.
    since: dict[str | None, int] = {}
    versions: dict[str | None, int] = {}
    for row in releases.of_agreement(tx, run.agreement_id):
        if row.log_index is not None and row.log_index <= since.get(row.ledger_id, row.log_index):
            since[row.ledger_id], versions[row.ledger_id] = row.log_index, row.agreement_version
    terms = _terms_then(tx, run, versions[entry.id])
    known = INDICATORS[entry.indicator].dimensions if terms.document.max_dimensions else ()
    return Basis(
        agreement_version=versions[entry.id],
        dimensions=tuple(dict.fromkeys(name for name in terms.dimensions if name in known)),
        depth=terms.document.max_dimensions,
        permitted=terms.dimensions,
        policy={"min_cell": entry.min_cell, "work": _WORK_OF_BEFORE},
        beside=[
            each.id for each in decided if each.cohort == entry.cohort and since[each.id] < since[entry.id]
        ],
        software=str(run.parameters["software"]),
    )


def _terms_then(tx: Tx, run: Run, number: int) -> Terms:
    """The terms of the agreement's version, whatever became of it since."""
    version = agreements.version(tx, run.agreement_id, number)
    assert version is not None
    return parse_terms(version.document)


def _logged_parameters(tx: Tx, run: Run) -> Mapping[str, Any]:
    """The run's parameters as the log has them, whatever the table of runs says."""
    for row in log.entries(tx, 0, log.size(tx), agreement_id=run.agreement_id, kind="run.started"):
        body: Any = Entry.parse(row.leaf).body
        if body["run"] == run.id:
            parameters: Mapping[str, Any] = body["parameters"]
            return parameters
    raise ServiceError("LOG_INCOMPLETE", 500, "The log does not have the start of this run.")


def _link_again(
    service: Service, run: Run, progress: Progress
) -> tuple[LinkResult, pa.Table, list[dict[str, Any]]]:
    """The result, what was encoded of each record, and how the runs came out that it went on from."""
    with service.store.reading("run to link again") as tx:
        terms, parameters = _terms_then(tx, run, run.agreement_version), _logged_parameters(tx, run)
        since = parameters.get("since")
        before = runs.find(tx, since["run"]) if since else None
    past, checks = None, list[dict[str, Any]]()
    if since and before is not None:
        found, _, checks = _link_again(service, before, progress)
        again = hashlib.sha256(table_bytes(found.links)).hexdigest()
        checks = [_check(f"links of {before.id}", since["links_sha256"], again), *checks]
        past = found.past()
    spec = terms.profile().link_spec()
    sources = _sources_again(service, run, spec)
    result = link(sources, spec, parameters, progress=progress, past=past)
    return result, presence_of(result.persons, sources, terms.profile()), checks


def _sources_again(service: Service, run: Run, spec: LinkSpec) -> list[Source]:
    """The inputs of a run, as they were frozen."""
    encodings = service.plane("encodings")
    sources = []
    with service.store.reading("inputs of run") as tx:
        for each in runs.inputs(tx, run.id):
            batch = batches.find(tx, each.batch_id)
            held = batch is not None and batch.state in (BatchState.ACCEPTED, BatchState.SUPERSEDED)
            if not held or batch is None or batch.manifest_sha256 != each.manifest_sha256:
                raise ConflictError("INPUTS_GONE", f"Batch {each.batch_id} is not held any more.")
            data = stored_encodings(service, encodings, each.batch_id)
            sources.append(
                Source(
                    name=each.batch_id,
                    encodings=read_encodings(data, spec),
                    organization=each.organization_id,
                )
            )
    return sources


def _check(what: str, recorded: str | None, found: str) -> dict[str, Any]:
    return {"what": what, "recorded": recorded, "found": found, "same": recorded == found}
