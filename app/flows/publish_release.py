"""A release: a question to an agreement's data, and the protected answer.

1. **Authorise.** ``release.requested`` is logged: the question in words that are known here. The caller's
   organization is a recipient; the agreement is in force; it permits the indicator (else
   INDICATOR_NOT_PERMITTED) and every dimension (else DIMENSION_NOT_PERMITTED).
2. **Within the plan** (`release_question`), else NOT_IN_PLAN.
3. **Frozen?** If the ledger holds this cohort and indicator, its cube answers, however often and by whomever
   it is asked: the same bytes, looked up in the transaction that records and logs the answer. A refusal is a
   look-up as well.
4. **Otherwise** the release is on record as PREPARING, and waits for a cube that a worker makes
   (`prepare_cube`): tabulated from the newest run with the keys of facts and links alone, protected beside
   all that is out about these persons, charged to the ledger, logged. Whoever waited for it is then answered
   out of it, or refused.
5. **Commit**, seal the log, and only then answer.

A refusal is recorded and logged as well (``release.refused``): its code and the known names that it
concerns, nothing else.
"""

from __future__ import annotations

import secrets
import time
from typing import Any, Final

from app.auth import Caller, Role
from app.errors import ConflictError, RefusedError, ServiceError
from app.flows import prepare_cube, seal_log
from app.flows.answer_release import Asked, as_error, grant, refuse
from app.flows.cube_here import Bystander
from app.flows.release_question import Question as Question
from app.flows.release_question import authorise, within_plan
from app.flows.service import Service
from app.flows.show_release import GRANTED as GRANTED
from app.flows.show_release import IN_REVIEW as IN_REVIEW
from app.flows.show_release import OBJECTED as OBJECTED
from app.flows.show_release import PREPARING as PREPARING
from app.flows.show_release import REFUSED as REFUSED
from app.flows.show_release import document, may_read, unknown_release
from app.flows.show_release import list_releases as list_releases
from app.flows.show_release import show_release as show_release
from app.flows.sign_agreement import Standing, in_force, standing, visible
from app.store import Tx, agreements, cubes, releases, runs
from app.store.models import LedgerEntry, Release
from crypto.canonical import digest_of

#: How long a process that makes its cubes itself waits for one that another of its threads makes.
_PATIENCE: Final = 600.0
_LOOK_SECONDS: Final = 0.05


def request_release(
    service: Service, caller: Caller, agreement_id: str, question: Question
) -> dict[str, Any]:
    """Answer a question, refuse it, or prepare the answer; each is on record before the caller knows.

    Returns
    -------
    dict
        The release. PREPARING, without a table, where workers make the cube: `await_release` tells more.

    Raises
    ------
    NotFoundError
        ``AGREEMENT_UNKNOWN``.
    ForbiddenError
        ``RECIPIENT_NOT_PERMITTED``, ``INDICATOR_NOT_PERMITTED``, ``DIMENSION_NOT_PERMITTED``.
    ConflictError
        The agreement is not in force; ``RUN_MISSING``, ``RUN_OUTDATED``, ``PUBLISHED_DATA_GONE``,
        ``AGREEMENT_CHANGED``.
    RefusedError
        ``NOT_IN_PLAN``, ``BAD_COHORT``, ``MIN_CELL_TOO_SMALL``, ``MIN_CELL_TOO_LARGE``, ``OTHER_METHOD``,
        ``BUDGET_EXHAUSTED``.
    """
    caller.require(Role.PARTNERSHIP)
    release_id = f"rel-{secrets.token_hex(12)}"
    waiting = _waits_already(service, caller, agreement_id, question)
    if waiting is not None:
        return (
            _prepare_here(service, caller, waiting)
            if service.makes_cubes
            else await_release(service, caller, waiting)
        )
    with service.store.transaction("request release") as tx:
        version = visible(tx, caller, agreement_id).version
        body = {"release": release_id, "question": question.to_document()}
        seal_log.append(tx, "release.requested", agreement_id, caller.organization, body, service.now())
    try:
        answer = _answer(service, caller, agreement_id, release_id, question)
    except ServiceError as refusal:
        _record_refusal(service, caller, agreement_id, version, release_id, question, refusal.code)
        raise
    finally:
        seal_log.seal(service)
    if answer["status"] == PREPARING and service.makes_cubes:
        return _prepare_here(service, caller, release_id)
    return answer


def _waits_already(service: Service, caller: Caller, agreement_id: str, question: Question) -> str | None:
    """The release by which the caller waits for this very answer, if any.

    Asking again is what whoever heard nothing does; it is no second question.
    """
    digest = digest_of(question.to_document())
    with service.store.reading("release that is waited for") as tx:
        visible(tx, caller, agreement_id)
        rows = releases.open_by_query(tx, agreement_id, caller.organization, digest, PREPARING)
        sealed = question.sealed(service.release_secret())
        return next((row.id for row in rows if row.waiting == sealed), None)


def await_release(service: Service, caller: Caller, release_id: str) -> dict[str, Any]:
    """The release as it is now; a refusal is raised as if it had been told at once.

    Raises
    ------
    ServiceError
        Why it was refused.
    """
    with service.store.reading("release that waits") as tx:
        row = releases.find(tx, release_id)
        agreement = agreements.find(tx, row.agreement_id) if row is not None else None
        if row is None or agreement is None:
            raise unknown_release()
        now = service.now()
        found = standing(tx, agreement, now)
        if not may_read(found, caller):
            raise unknown_release()
        if row.status == REFUSED:
            cube = cubes.find(tx, row.cube_id) if row.cube_id else None
            same = cube is not None and cube.error_code == row.refusal_code
            raise as_error(row.refusal_code or "", cube.error_detail if same and cube else None)
        return document(tx, row, found.state, now)


def cancel_release(service: Service, caller: Caller, release_id: str) -> dict[str, Any]:
    """Let a release that is being prepared be; its cube as well, if nobody else waits for it.

    Raises
    ------
    NotFoundError
        ``RELEASE_UNKNOWN``: also another organization's.
    ConflictError
        ``NOT_PREPARING``.
    """
    caller.require(Role.PARTNERSHIP, Role.OPERATOR)
    with service.store.transaction("cancel release") as tx:
        row = releases.find(tx, release_id)
        mine = row is not None and (caller.role is Role.OPERATOR or row.requested_by == caller.organization)
        if row is None or not mine:
            raise unknown_release()
        agreement = agreements.lock(tx, row.agreement_id)
        assert agreement is not None
        tx.session.refresh(row)
        if row.status != PREPARING or row.cube_id is None:
            raise ConflictError("NOT_PREPARING", "The release is decided; there is nothing to cancel.")
        refuse(tx, row, "CANCELLED", service.now())
        cube = cubes.lock(tx, row.cube_id)
        assert cube is not None
        if not cubes.waiting(tx, cube.id, PREPARING):
            prepare_cube.cancel(tx, cube, service)
        answer = document(tx, row, standing(tx, agreement, service.now()).state, service.now())
    seal_log.seal(service)
    return answer


def _answer(
    service: Service, caller: Caller, agreement_id: str, release_id: str, question: Question
) -> dict[str, Any]:
    """Steps 1 to 4 in one transaction: look up and grant, or queue and wait."""
    now = service.now()
    with service.store.transaction("answer release") as tx:
        found = in_force(tx, agreement_id, now)
        authorise(found, caller, question)
        cohort = within_plan(question, found.terms, releases.ledger_of_agreement(tx, agreement_id))
        entry = releases.ledger(tx, agreement_id, question.indicator, cohort)
        if entry is not None and question.correction and _may_correct(tx, found, entry):
            entry = None
        if entry is None:
            row = _wait(tx, service, found, caller, release_id, question, cohort)
        else:
            row = _add(tx, found, caller.organization, release_id, question, service)
            grant(tx, found, row, entry, Asked.of(question), now)
        return document(tx, row, found.state, now)


def _may_correct(tx: Tx, found: Standing, entry: LedgerEntry) -> bool:
    """Whether a frozen cube is to be made again: a planned correction, out of a later run.

    The last correction answers whoever asks for it again, until there is a run to correct it from.

    Raises
    ------
    RefusedError
        ``CORRECTION_NOT_PLANNED``: the agreement has no (further) correction.
    """
    run = runs.latest_succeeded(tx, found.agreement.id)
    later = run is not None and run.id != entry.run_id
    spent = entry.vintage > found.terms.document.disclosure.corrections
    if spent and (later or entry.vintage == 1):
        raise RefusedError("CORRECTION_NOT_PLANNED", "The agreement plans no further correction.")
    return later


def _wait(
    tx: Tx,
    service: Service,
    found: Standing,
    caller: Caller,
    release_id: str,
    question: Question,
    cohort: str,
) -> Release:
    cube = prepare_cube.queue(
        tx, found, caller.organization, question.indicator, cohort, question.min_cell, service
    )
    row = _add(tx, found, caller.organization, release_id, question, service)
    row.cube_id, row.waiting = cube.id, question.sealed(service.release_secret())
    return row


def _add(
    tx: Tx, found: Standing, organization: str, release_id: str, question: Question, service: Service
) -> Release:
    document = question.to_document()
    return releases.add(
        tx,
        release_id,
        found.agreement.id,
        found.agreement.version,
        organization,
        PREPARING,
        document,
        digest_of(document),
        service.now(),
    )


def _prepare_here(service: Service, caller: Caller, release_id: str) -> dict[str, Any]:
    """Make the cube in this process and thread; or wait for the thread that makes it already."""
    with service.store.reading("cube that is waited for") as tx:
        row = releases.find(tx, release_id)
    assert row is not None
    assert row.cube_id is not None
    bystander, end = Bystander(service, row.cube_id), time.monotonic() + _PATIENCE
    bystander.look()
    while (answer := await_release(service, caller, release_id))["status"] == PREPARING:
        if time.monotonic() > end:
            break
        time.sleep(_LOOK_SECONDS)
        bystander.look()
    return answer


def _record_refusal(
    service: Service,
    caller: Caller,
    agreement_id: str,
    version: int,
    release_id: str,
    question: Question,
    code: str,
) -> None:
    now = service.now()
    with service.store.transaction("refuse release") as tx:
        agreements.lock(tx, agreement_id)
        document = question.to_document()
        row = releases.add(
            tx,
            release_id,
            agreement_id,
            version,
            caller.organization,
            PREPARING,
            document,
            digest_of(document),
            now,
        )
        refuse(tx, row, code, now)
