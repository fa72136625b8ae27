"""Looking at releases: for recipients, and for the owners of the data."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from app.auth import Caller, Role
from app.errors import NotFoundError
from app.flows import seal_log
from app.flows.service import Service
from app.flows.settle_review import settle_review
from app.flows.sign_agreement import Standing, standing, unknown, visible
from app.store import Tx, agreements, cubes, holds, releases
from app.store.models import Cube, Release

PREPARING: Final = "PREPARING"
GRANTED: Final = "GRANTED"
REFUSED: Final = "REFUSED"
IN_REVIEW: Final = "IN_REVIEW"
OBJECTED: Final = "OBJECTED"


def show_release(service: Service, caller: Caller, release_id: str) -> dict[str, Any]:
    """A release with its table, for recipients and for the owners of the data.

    What was published stays; `agreement_state` says whether the agreement still stands. That a review is
    over is on the log before anybody is shown the table.
    """
    caller.require(Role.PARTNERSHIP, Role.AGENCY)
    settle_review(service, release_id)
    now = service.now()
    with service.store.reading("show release") as tx:
        row = releases.find(tx, release_id)
        agreement = agreements.find(tx, row.agreement_id) if row is not None else None
        if row is None or agreement is None:
            raise unknown_release()
        found = standing(tx, agreement, now)
        if not may_read(found, caller):
            raise unknown_release()
        objected = row.query_sha256 in holds.objected_questions(tx, agreement.id)
        owner = caller.role is Role.AGENCY
        return document(tx, row, found.state, now, objected=objected, owner=owner)


def list_releases(service: Service, caller: Caller, agreement_id: str) -> list[dict[str, Any]]:
    """Releases of an agreement without their tables, refusals included, oldest first."""
    now = service.now()
    with service.store.reading("list releases") as tx:
        agreement = visible(tx, caller, agreement_id)
        found = standing(tx, agreement, now)
        if not (caller.sees_everything or may_read(found, caller)):
            raise unknown()
        objected = holds.objected_questions(tx, agreement_id)
        documents = [
            document(tx, row, found.state, now, objected=row.query_sha256 in objected)
            for row in releases.of_agreement(tx, agreement_id)
        ]
        return [{k: v for k, v in each.items() if k != "table"} for each in documents]


def may_read(found: Standing, caller: Caller) -> bool:
    """Whether this caller reads the agreement's releases."""
    readers = {Role.PARTNERSHIP: found.terms.recipients, Role.AGENCY: found.terms.data_owners}
    return caller.organization in readers.get(caller.role, frozenset())


def unknown_release() -> NotFoundError:
    """A release that is not there, or that the caller may not see."""
    return NotFoundError("RELEASE_UNKNOWN", "There is no such release.")


def document(
    tx: Tx,
    row: Release,
    agreement_state: str,
    now: datetime,
    *,
    objected: bool = False,
    owner: bool = False,
) -> dict[str, Any]:
    """What a reader is told; an owner of the data reads the table also in review and after an objection."""
    granted = row.status == GRANTED
    waiting = granted and row.visible_at is not None and now < row.visible_at
    status = OBJECTED if granted and objected else IN_REVIEW if waiting else row.status
    cube = cubes.find(tx, row.cube_id) if row.status == PREPARING and row.cube_id else None
    return {
        "id": row.id,
        "agreement": row.agreement_id,
        "agreement_state": str(agreement_state),
        "status": status,
        "question": row.query,
        "code": row.refusal_code,
        "created_at": seal_log.rfc3339(row.created_at),
        "visible_at": seal_log.rfc3339(row.visible_at) if row.visible_at else None,
        "run": row.run_id,
        # Not before the table: of a small one whoever guesses its counts would know by the digest.
        "table_sha256": row.document_sha256 if owner or status == GRANTED else None,
        "log_index": row.log_index,
        "progress": _progress(cube),
        "table": row.document if owner or status == GRANTED else None,
    }


def _progress(cube: Cube | None) -> dict[str, Any] | None:
    """How far a cube is: in hundredths, since how many goals a proof has would tell of groups."""
    if cube is None:
        return None
    return {"stage": cube.stage or "waiting", "done": cube.done, "total": cube.total}
