"""The end of a review: logged before a recipient sees the table, and by the workers' housekeeping otherwise.

Approvals are read from the log: what an owner said of a question stands there and nowhere else.
"""

from __future__ import annotations

from typing import Any

from app.flows.agreement_terms import parse_terms
from app.flows.seal_log import SERVICE, append, seal
from app.flows.service import Service
from app.store import Tx, agreements, holds, log, releases
from app.store.models import Release
from crypto.log.entry import Entry

GRANTED = "GRANTED"


def approvers(tx: Tx, release: Release) -> list[str]:
    """Who approved the question of a release so far, sorted."""
    same = {
        each.id
        for each in releases.of_agreement(tx, release.agreement_id)
        if each.query_sha256 == release.query_sha256
    }
    said = _logged(tx, release.agreement_id, "release.approved")
    return sorted({actor for actor, body in said if body["release"] in same})


def settle_review(service: Service, release_id: str) -> None:
    """Log that a release's review is over, if it is, nobody objected, and the log does not say so yet."""
    with service.store.reading("is the review over") as tx:
        release = releases.find(tx, release_id)
        if release is None or not _is_over(service, tx, release):
            return
    with service.store.transaction("settle review") as tx:
        agreements.lock(tx, release.agreement_id)
        again = releases.find(tx, release_id)
        if again is not None and _is_over(service, tx, again):
            log_review(service, tx, again)
    seal(service)


def settle_all(service: Service) -> int:
    """Settle whatever is over; returns how many reviews were open before."""
    with service.store.reading("reviews that are over") as tx:
        over = [
            row.id
            for agreement in agreements.every(tx)
            for row in releases.of_agreement(tx, agreement.id)
            if _is_over(service, tx, row)
        ]
    for release_id in over:
        settle_review(service, release_id)
    return len(over)


def log_review(service: Service, tx: Tx, release: Release) -> None:
    """Append the end of a review; whoever calls holds the agreement's lock."""
    body = {"release": release.id, "approved_by": approvers(tx, release)}
    append(tx, "release.reviewed", release.agreement_id, SERVICE, body, service.now())


def _is_over(service: Service, tx: Tx, release: Release) -> bool:
    if release.status != GRANTED or release.visible_at is None:
        return False
    if not release.created_at < release.visible_at <= service.now():
        return False
    version = agreements.version(tx, release.agreement_id, release.agreement_version)
    if version is None or parse_terms(version.document).document.review_days == 0:
        return False
    if release.query_sha256 in holds.objected_questions(tx, release.agreement_id):
        return False
    said = _logged(tx, release.agreement_id, "release.reviewed")
    return all(body["release"] != release.id for _, body in said)


def _logged(tx: Tx, agreement_id: str, kind: str) -> list[tuple[str, Any]]:
    rows = log.entries(tx, 0, log.size(tx), agreement_id=agreement_id, kind=kind)
    found = [Entry.parse(row.leaf) for row in rows]
    return [(entry.actor, entry.body) for entry in found]
