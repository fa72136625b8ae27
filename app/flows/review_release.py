"""Review before release: for `review_days` the owners see a table and its recipients do not.

A data owner may object in that time. Then the table is shown to no recipient, nor is any later answer to
the same question: the objection is to the question's answer, which the ledger has frozen. The ledger keeps
its charge, because owners have seen the table.
"""

from __future__ import annotations

from typing import Any

from app.auth import Caller, Role
from app.errors import ConflictError, NotFoundError
from app.flows.publish_release import GRANTED, show_release
from app.flows.seal_log import append, seal
from app.flows.service import Service
from app.flows.sign_agreement import standing
from app.store import agreements, holds, releases


def object_to(service: Service, caller: Caller, release_id: str) -> dict[str, Any]:
    """A data owner's objection to a release that is in review; repeating it is no error.

    Raises
    ------
    NotFoundError, ForbiddenError
    ConflictError
        `NOT_IN_REVIEW`: the release is visible already, or was refused.
    """
    caller.require(Role.AGENCY)
    now = service.now()
    with service.store.transaction("object to release") as tx:
        release = releases.find(tx, release_id)
        # The lock that whoever grants the same question holds: one of the two sees the other.
        agreement = agreements.lock(tx, release.agreement_id) if release is not None else None
        if release is None or agreement is None:
            raise _unknown()
        if caller.organization not in standing(tx, agreement, now).terms.data_owners:
            raise _unknown()
        waiting = release.visible_at is not None and now < release.visible_at
        mine = [each.organization_id for each in holds.objections(tx, [release_id])]
        if caller.organization not in mine:
            if release.status != GRANTED or not waiting:
                raise ConflictError("NOT_IN_REVIEW", "Only a release in review can be objected to.")
            holds.add_objection(tx, release_id, caller.organization, now)
            append(tx, "release.objected", agreement.id, caller.organization, {"release": release_id}, now)
    seal(service)
    return show_release(service, caller, release_id)


def _unknown() -> NotFoundError:
    return NotFoundError("RELEASE_UNKNOWN", "There is no such release.")
