"""Repeat a run and what was released from it, from the frozen inputs, and compare bit for bit.

The same inputs give the same bytes, so an operator who is asked "did the data that were submitted give the
figures that were published?" can show it while the data are retained. Nothing is stored but a log entry that
says how it came out; the answer is digests, never a table.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from app.errors import ConflictError, NotFoundError
from app.flows import seal_log
from app.flows.agreement_terms import parse_terms
from app.flows.publish_release import beside, make_cube, pick
from app.flows.link_inputs import stored_encodings, table_bytes
from app.flows.run_linkage import SOFTWARE
from app.flows.service import Service
from app.flows.sign_agreement import Standing, standing
from app.store import Tx, agreements, batches, releases, runs
from app.store.models import BatchState, Run, RunState
from crypto.canonical import digest_of
from crypto.wire import read_encodings
from linkage.run import LinkResult, Progress, Source, link, silent


def replay_run(service: Service, run_id: str, *, progress: Progress = silent) -> dict[str, Any]:
    """Repeat a run and the cubes that were charged from it.

    1. The run has succeeded, and each of its inputs is here at the digest at which it was frozen.
    2. Link again, under the terms of the agreement's version then; compare persons and links.
    3. Tabulate and protect again each question that the ledger charged from this run, out of the new persons;
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
        found = _terms_then(tx, service, run, run.agreement_version)
        decided = releases.ledger_of_agreement(tx, run.agreement_id)
        charged = [entry for entry in decided if entry.run_id == run_id]
        # The log tells which of two charges within one second came first.
        since: dict[str | None, int] = {}
        for row in releases.of_agreement(tx, run.agreement_id):
            if row.log_index is not None:
                since[row.ledger_id] = min(row.log_index, since.get(row.ledger_id, row.log_index))
    result = _link_again(service, run, found, progress)
    checks = [
        _check("persons", run.links_sha256, hashlib.sha256(table_bytes(result.persons)).hexdigest()),
        _check("links", run.report["links"]["sha256"], hashlib.sha256(table_bytes(result.links)).hexdigest()),
    ]
    cubes = []
    # The stored persons are those of the new run by now, or it is known already that they are not.
    for entry in charged:
        with service.store.reading("answers of question") as tx:
            granted = [
                each for each in releases.of_agreement(tx, run.agreement_id) if each.ledger_id == entry.id
            ]
            terms = _terms_then(tx, service, run, granted[0].agreement_version)
        facts, links = service.plane("facts"), service.plane("links")
        earlier = [each for each in decided if since[each.id] < since[entry.id]]
        before = beside(earlier, entry.cohort)
        cube = make_cube(service, facts, links, run, entry.indicator, entry.cohort, terms, before)
        cubes.append({"ledger": entry.id, "cube_sha256": digest_of(cube)})
        checks.append(_check(f"cube {entry.id}", entry.cube_sha256, digest_of(cube)))
        for each in granted:
            answer = digest_of(pick(cube, each.query["by"], each.query.get("where")))
            checks.append(_check(f"release {each.id}", each.document_sha256, answer))
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


def _terms_then(tx: Tx, service: Service, run: Run, number: int) -> Standing:
    """The agreement as of a version, whatever became of it since."""
    agreement = agreements.find(tx, run.agreement_id)
    assert agreement is not None
    now = standing(tx, agreement, service.now())
    version = agreements.version(tx, run.agreement_id, number)
    assert version is not None
    return replace(now, version=version, terms=parse_terms(version.document))


def _link_again(service: Service, run: Run, found: Standing, progress: Progress) -> LinkResult:
    spec = found.terms.profile().link_spec()
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
    return link(sources, spec, progress=progress)


def _check(what: str, recorded: str | None, found: str) -> dict[str, Any]:
    return {"what": what, "recorded": recorded, "found": found, "same": recorded == found}
