"""Agreements: proposed, reviewed, approved by every data owner's signature, in force, held, revoked.

What may follow what, and who may do it, stands in `agreement_states` and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.auth import Caller, Role
from app.errors import ConflictError, NotFoundError, Problem, RefusedError
from app.flows.agreement_states import NOT_IN_FORCE, Who, after, by_the_clock
from app.flows.agreement_states import Action as Action
from app.flows.agreement_states import State as State
from app.flows.agreement_terms import Terms, parse_terms
from app.flows.retention import due_on
from app.flows.seal_log import append, rfc3339, seal
from app.flows.service import Service
from app.flows.signing import verify_signed
from app.store import Tx, agreements, batches, holds, organizations
from app.store.models import Agreement, AgreementVersion, Batch
from crypto.canonical import canonical_json, digest_of
from crypto.errors import CohortlinkError


@dataclass(frozen=True)
class Standing:
    """An agreement at its current version, as the clock sees it."""

    agreement: Agreement
    version: AgreementVersion
    terms: Terms
    state: State


def standing(tx: Tx, agreement: Agreement, now: datetime) -> Standing:
    """Read the current version and let the clock turn APPROVED into ACTIVE or EXPIRED."""
    version = agreements.current(tx, agreement)
    terms = parse_terms(version.document)
    state = by_the_clock(State(agreement.state), terms.effective, terms.expires, now.date())
    return Standing(agreement, version, terms, state)


def in_force(tx: Tx, agreement_id: str, now: datetime, *, lock: bool = True) -> Standing:
    """The agreement, if it is in force; otherwise nothing may be submitted, run or released under it.

    With `lock` its row stays locked until the transaction ends, so a revocation comes either before
    (and stops this) or after (and this was done under an agreement in force): never between.

    Raises
    ------
    NotFoundError
        `AGREEMENT_UNKNOWN`.
    ConflictError
        `AGREEMENT_REVOKED`, `AGREEMENT_EXPIRED` or `AGREEMENT_NOT_ACTIVE`.
    """
    agreement = agreements.lock(tx, agreement_id) if lock else agreements.find(tx, agreement_id)
    if agreement is None:
        raise unknown()
    found = standing(tx, agreement, now)
    if found.state is not State.ACTIVE:
        raise ConflictError(*NOT_IN_FORCE[found.state])
    return found


def unknown() -> NotFoundError:
    """An agreement that is not there, or that the caller may not see."""
    return NotFoundError("AGREEMENT_UNKNOWN", "There is no such agreement.")


def visible(tx: Tx, caller: Caller, agreement_id: str, *, lock: bool = False) -> Agreement:
    """The agreement, if the caller may know of it: parties of its current version, operator, auditors.

    Raises
    ------
    NotFoundError
        `AGREEMENT_UNKNOWN`.
    """
    agreement = agreements.lock(tx, agreement_id) if lock else agreements.find(tx, agreement_id)
    if agreement is None:
        raise unknown()
    if not caller.sees_everything and not agreements.roles(tx, agreement, caller.organization):
        raise unknown()
    return agreement


def step(tx: Tx, found: Standing, action: Action, caller: Caller | None) -> State:
    """The state after an action, by the table; `caller` None is the service itself.

    Raises
    ------
    ServiceError
        As `agreement_states.after`.
    """
    return after(found.state, action, _parts(found, caller))


def _parts(found: Standing, caller: Caller | None) -> frozenset[Who]:
    if caller is None:
        return frozenset({Who.SERVICE})
    parts: set[Who] = set()
    if caller.role is Role.OPERATOR:
        parts.add(Who.OPERATOR)
    if caller.organization == found.agreement.proposer_id and caller.role is not Role.AUDITOR:
        parts.add(Who.PROPOSER)
    # Only an agency's own credential acts for a data owner.
    if caller.role is Role.AGENCY and caller.organization in found.terms.data_owners:
        parts.add(Who.DATA_OWNER)
    return frozenset(parts)


def propose(service: Service, caller: Caller, document: Mapping[str, Any]) -> dict[str, Any]:
    """A new agreement, as a draft, by one of its parties."""
    caller.require(Role.AGENCY, Role.PARTNERSHIP, Role.OPERATOR)
    terms = parse_terms(document)
    now = service.now()
    with service.store.transaction("propose agreement") as tx:
        _check_parties(tx, caller, terms, proposer=caller.organization)
        if agreements.find(tx, terms.document.id) is not None:
            raise ConflictError("AGREEMENT_EXISTS", "This id is taken.")
        agreement = agreements.add(tx, terms.document.id, caller.organization, State.DRAFT, now)
        _add_version(tx, agreement, terms, document, caller, now)
        result = describe(tx, agreement, now)
    seal(service)
    return result


def edit(service: Service, caller: Caller, agreement_id: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """A new version, which nobody has approved yet."""
    caller.require(Role.AGENCY, Role.PARTNERSHIP, Role.OPERATOR)
    terms = parse_terms(document)
    now = service.now()
    with service.store.transaction("edit agreement") as tx:
        agreement = visible(tx, caller, agreement_id, lock=True)
        found = standing(tx, agreement, now)
        to = step(tx, found, Action.EDIT, caller)
        if terms.document.id != agreement_id:
            raise RefusedError("AGREEMENT_INVALID", "The document has another id.")
        _check_parties(tx, caller, terms, proposer=agreement.proposer_id)
        held = batches.of_agreement(tx, agreement_id, batches.HOLDING)
        if held and terms.document.linkage_profile_hash != found.version.profile_hash:
            # What is here was encoded with the other profile and could never be linked with the rest.
            raise ConflictError("PROFILE_IN_USE", "Withdraw all batches before changing the profile.")
        _require_room_for(tx, held, terms)
        agreement.state = to
        _add_version(tx, agreement, terms, document, caller, now)
        result = describe(tx, agreement, now)
    seal(service)
    return result


def _require_room_for(tx: Tx, held: Sequence[Batch], terms: Terms) -> None:
    """What is here must fit the new version too, or its owner takes it back first.

    Without this an edit could leave an owner out, do without its approval, and keep its data in use.

    Raises
    ------
    ConflictError
        `DATASET_IN_USE`.
    """
    for batch in held:
        version = agreements.version(tx, batch.agreement_id, batch.agreement_version)
        assert version is not None
        before = parse_terms(version.document)
        fits = terms.submits(batch.organization_id)
        for file in batch.manifest["files"]:
            if file["facts"] is not None:
                dataset = before.dataset(batch.organization_id, file["facts"])
                fits = fits and dataset is not None and terms.includes(dataset)
        if not fits:
            raise ConflictError("DATASET_IN_USE", "Withdraw the batches that the new version leaves out.")


def _check_parties(tx: Tx, caller: Caller, terms: Terms, *, proposer: str) -> None:
    parties = [party.organization for party in terms.document.parties]
    known = organizations.known(tx, parties)
    problems = [
        Problem("ORGANIZATION_UNKNOWN", "is not an organization here", column=f"parties.{at}.organization")
        for at, organization in enumerate(parties)
        if organization not in known
    ]
    if problems:
        raise RefusedError("AGREEMENT_INVALID", "A party is not registered.", problems)
    if caller.organization not in parties:
        raise RefusedError("AGREEMENT_INVALID", "Only a party proposes an agreement, and you are none.")
    if terms.data_owners <= {proposer}:
        raise RefusedError("SOLE_APPROVER", "Somebody other than the proposer must be a data owner.")


def _add_version(
    tx: Tx, agreement: Agreement, terms: Terms, document: Mapping[str, Any], caller: Caller, now: datetime
) -> None:
    agreement.version += 1
    agreement.changed_at = now
    digest = digest_of(document)
    agreements.add_version(
        tx,
        agreement.id,
        agreement.version,
        dict(document),
        digest,
        terms.document.linkage_profile_hash,
        [(party.organization, party.role) for party in terms.document.parties],
        caller.organization,
        now,
    )
    body = {
        "version": agreement.version,
        "hash": digest,
        "profile": terms.document.linkage_profile_hash,
        "min_cell": terms.min_cell,
        # What an outsider needs to tell whether the agreement was in force, and for whom.
        "data_owners": sorted(terms.data_owners),
        "recipients": sorted(terms.recipients),
        "effective": terms.document.effective,
        "expires": terms.document.expires,
    }
    append(tx, "agreement.proposed", agreement.id, caller.organization, body, now)


def review(service: Service, caller: Caller, agreement_id: str) -> dict[str, Any]:
    """Put a draft before its data owners. Repeating it is no error."""
    now = service.now()
    with service.store.transaction("review agreement") as tx:
        agreement = visible(tx, caller, agreement_id, lock=True)
        found = standing(tx, agreement, now)
        if found.state is not State.REVIEW:
            agreement.state = step(tx, found, Action.REVIEW, caller)
            agreement.changed_at = now
            body = {"version": agreement.version, "hash": found.version.hash}
            append(tx, "agreement.review", agreement.id, caller.organization, body, now)
        result = describe(tx, agreement, now)
    seal(service)
    return result


def approve(
    service: Service,
    caller: Caller,
    agreement_id: str,
    document: Mapping[str, Any],
    signature: Mapping[str, Any],
) -> dict[str, Any]:
    """A data owner's signed approval of the current version; the last one brings it into force.

    1. The document names this agreement, its current version and hash, and the caller's organization.
    2. A registered key of that organization signed it for the purpose `agreement-approval`.
    3. Approval, log entry and, with the last one, the change of state are one transaction.
    """
    now = service.now()
    with service.store.transaction("approve agreement") as tx:
        agreement = visible(tx, caller, agreement_id, lock=True)
        found = standing(tx, agreement, now)
        given = {row.organization_id for row in agreements.approvals(tx, agreement.id, agreement.version)}
        if caller.organization not in given or found.state not in (State.APPROVED, State.ACTIVE):
            agreement.state = step(tx, found, Action.APPROVE, caller)
        _check_statement(found, caller, document)
        key_id = verify_signed(tx, caller.organization, "agreement-approval", document, signature)
        if caller.organization not in given:
            agreements.add_approval(
                tx,
                agreement.id,
                agreement.version,
                caller.organization,
                dict(document),
                dict(signature),
                now,
            )
            body = {"version": agreement.version, "hash": found.version.hash, "key_id": key_id}
            append(tx, "agreement.approved", agreement.id, caller.organization, body, now)
            if found.terms.data_owners <= given | {caller.organization}:
                agreement.state = step(tx, found, Action.COMPLETE, None)
            agreement.changed_at = now
        result = describe(tx, agreement, now)
    seal(service)
    return result


def revoke(
    service: Service,
    caller: Caller,
    agreement_id: str,
    document: Mapping[str, Any],
    signature: Mapping[str, Any],
) -> dict[str, Any]:
    """One data owner's signed revocation: from the commit on, no batch, run or release."""
    now = service.now()
    with service.store.transaction("revoke agreement") as tx:
        agreement = visible(tx, caller, agreement_id, lock=True)
        found = standing(tx, agreement, now)
        repeated = any(
            row.organization_id == caller.organization for row in agreements.revocations(tx, agreement.id)
        )
        if not (repeated and found.state is State.REVOKED):
            to = step(tx, found, Action.REVOKE, caller)
            _check_statement(found, caller, document)
            key_id = verify_signed(tx, caller.organization, "agreement-revocation", document, signature)
            agreements.add_revocation(
                tx, agreement.id, caller.organization, dict(document), dict(signature), now
            )
            agreement.state, agreement.changed_at = to, now
            body = {"version": agreement.version, "hash": found.version.hash, "key_id": key_id}
            append(tx, "agreement.revoked", agreement.id, caller.organization, body, now)
        result = describe(tx, agreement, now)
    seal(service)
    return result


def _check_statement(found: Standing, caller: Caller, document: Mapping[str, Any]) -> None:
    expected = {
        "agreement": found.agreement.id,
        "version": found.agreement.version,
        "hash": found.version.hash,
        "organization": caller.organization,
    }
    # Compared as what is signed: Python would call version 1, 1.0 and true the same.
    try:
        same = canonical_json(document) == canonical_json(expected)
    except CohortlinkError:
        same = False
    if not same:
        raise RefusedError(
            "STATEMENT_MISMATCH",
            "The signed statement must name this agreement, its current version and hash, and yourself.",
        )


def describe(tx: Tx, agreement: Agreement, now: datetime) -> dict[str, Any]:
    """What those who may see an agreement are told."""
    found = standing(tx, agreement, now)
    approvals = agreements.approvals(tx, agreement.id, agreement.version)
    missing = sorted(found.terms.data_owners - {row.organization_id for row in approvals})
    return {
        "id": agreement.id,
        "state": str(found.state),
        "version": agreement.version,
        "hash": found.version.hash,
        "proposer": agreement.proposer_id,
        "effective_min_cell": found.terms.min_cell,
        "changed_at": rfc3339(agreement.changed_at),
        "approvals": [
            {
                "organization": row.organization_id,
                "approved_at": rfc3339(row.approved_at),
                "key_id": row.signature["key_id"],
            }
            for row in approvals
        ],
        "missing_approvals": missing,
        "revocations": [
            {"organization": row.organization_id, "revoked_at": rfc3339(row.revoked_at)}
            for row in agreements.revocations(tx, agreement.id)
        ],
        "suspended_by": [
            {"organization": row.organization_id, "since": rfc3339(row.since)}
            for row in holds.standing(tx, agreement.id)
        ],
        "destruction": _destruction(tx, agreement, found, now),
        "document": found.version.document,
    }


def _destruction(tx: Tx, agreement: Agreement, found: Standing, now: datetime) -> dict[str, Any]:
    """When the data must be destroyed at the latest, whether that day has passed, and who asked for it.

    Another organization than the one that asked executes it, so both must know.
    """
    asked = agreements.certificate(tx, agreement.id)
    revoked = [row.revoked_at.date() for row in agreements.revocations(tx, agreement.id)]
    due = due_on(found.terms, min(revoked, default=None))
    overdue = due is not None and now.date() > due and found.state is not State.DESTROYED
    return {
        "due_on": due.isoformat() if due else None,
        "overdue": overdue,
        "requested_by": asked.requested_by if asked else None,
        "requested_at": rfc3339(asked.requested_at) if asked else None,
    }
