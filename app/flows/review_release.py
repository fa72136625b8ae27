"""Review before release: for `review_days` the owners see a table and its recipients do not.

A data owner may object in that time. Then the table is shown to no recipient, nor is any later answer to
the same question: the objection is to the question's answer, which the ledger has frozen. The ledger keeps
its charge, because owners have seen the table.

A data owner may also approve. Once every owner has, the review is over and recipients see the table; else it
is over after `review_days` without an objection. Either is on the log: `release.approved` and
`release.objected` by owners, and `release.reviewed` when the table is opened (`settle_review`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.auth import Caller, Role
from app.errors import ConflictError, NotFoundError
from app.flows.publish_release import GRANTED, show_release
from app.flows.seal_log import append, seal
from app.flows.service import Service
from app.flows.settle_review import approvers, log_review
from app.flows.sign_agreement import Standing, standing
from app.store import Tx, agreements, holds, releases
from app.store.models import Release


def object_to(service: Service, caller: Caller, release_id: str) -> dict[str, Any]:
    """A data owner's objection to a release that is in review; repeating it is no error.

    Raises
    ------
    NotFoundError, ForbiddenError
    ConflictError
        `NOT_IN_REVIEW`: the release is visible already, or was refused.
    """
    now = service.now()
    with service.store.transaction("object to release") as tx:
        release, _ = _lock(tx, caller, release_id, now)
        mine = [each.organization_id for each in holds.objections(tx, [release_id])]
        if caller.organization not in mine:
            if not _is_waiting(release, now):
                raise ConflictError("NOT_IN_REVIEW", "Only a release in review can be objected to.")
            holds.add_objection(tx, release_id, caller.organization, now)
            body = {"release": release_id}
            append(tx, "release.objected", release.agreement_id, caller.organization, body, now)
    seal(service)
    return show_release(service, caller, release_id)


def approve_release(service: Service, caller: Caller, release_id: str) -> dict[str, Any]:
    """A data owner's approval of a release that is in review; repeating it is no error.

    With the last owner's, the review of the question is over, and every answer to it is opened.

    Raises
    ------
    NotFoundError, ForbiddenError
    ConflictError
        `NOT_IN_REVIEW`: the release is visible already, was refused, or somebody objected.
    """
    now = service.now()
    with service.store.transaction("approve release") as tx:
        release, found = _lock(tx, caller, release_id, now)
        agreed = approvers(tx, release)
        if caller.organization not in agreed:
            objected = release.query_sha256 in holds.objected_questions(tx, release.agreement_id)
            if objected or not _is_waiting(release, now):
                raise ConflictError("NOT_IN_REVIEW", "Only a release in review can be approved.")
            body = {"release": release_id}
            append(tx, "release.approved", release.agreement_id, caller.organization, body, now)
            if found.terms.data_owners <= {*agreed, caller.organization}:
                _open(service, tx, release, now)
    seal(service)
    return show_release(service, caller, release_id)


def _open(service: Service, tx: Tx, approved: Release, now: datetime) -> None:
    for row in releases.of_agreement(tx, approved.agreement_id):
        if row.query_sha256 == approved.query_sha256 and _is_waiting(row, now):
            row.visible_at = now
            log_review(service, tx, row)


def _is_waiting(release: Release, now: datetime) -> bool:
    return release.status == GRANTED and release.visible_at is not None and now < release.visible_at


def _lock(tx: Tx, caller: Caller, release_id: str, now: datetime) -> tuple[Release, Standing]:
    """A release of the caller's data, under the lock that whoever grants the same question holds."""
    caller.require(Role.AGENCY)
    release = releases.find(tx, release_id)
    agreement = agreements.lock(tx, release.agreement_id) if release is not None else None
    if release is None or agreement is None:
        raise _unknown()
    found = standing(tx, agreement, now)
    if caller.organization not in found.terms.data_owners:
        raise _unknown()
    return release, found


def _unknown() -> NotFoundError:
    return NotFoundError("RELEASE_UNKNOWN", "There is no such release.")
