"""What an agency's pages show: what waits for it, its batches, and an agreement as it has to decide on it.

Each is put together from what the interface tells an agency; nothing is told that it could not ask for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.auth import Caller, Role
from app.errors import NotFoundError, ServiceError
from app.flows.agreement_states import Action
from app.flows.agreement_terms import parse_terms
from app.flows.compare_versions import Section, compare
from app.flows.seal_log import rfc3339
from app.flows.service import Service
from app.flows.show_batches import get_batch, list_batches
from app.flows.show_release import IN_REVIEW, list_releases
from app.flows.sign_agreement import Standing, State, describe, standing, step, visible
from app.store import Tx, agreements, batches
from app.store.models import Agreement

#: Actions that a page offers, if the agreement's state and the caller's part in it allow them.
OFFERED = (
    Action.APPROVE,
    Action.REVOKE,
    Action.SUSPEND,
    Action.RELEASE_HOLD,
    Action.REQUEST_DESTRUCTION,
    Action.DESTROY,
)


@dataclass(frozen=True)
class AgencyOverview:
    """An agency's first page.

    Attributes
    ----------
    agreements : sequence of mapping
        As `sign_agreement.describe`, those that wait for this agency first.
    waiting : sequence of str
        Ids of the agreements that wait for its approval.
    batches : sequence of mapping
        Its own, the newest first, as `show_batches.describe`.
    reviews : sequence of mapping
        Answers in review, as `list_releases`, those that recipients see soonest first.
    """

    agreements: Sequence[Mapping[str, Any]]
    waiting: Sequence[str]
    batches: Sequence[Mapping[str, Any]]
    reviews: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class VersionView:
    """A version of an agreement.

    Attributes
    ----------
    version : mapping
        ``version``, ``hash``, ``proposed_by``, ``created_at``, ``document``: what the owner downloads.
    terms : mapping
        The document with every term that it leaves to its default, and ``effective_min_cell``.
    since : int or None
        The version that the changes are told from; None where there is none before.
    changes : sequence of Section
    """

    version: Mapping[str, Any]
    terms: Mapping[str, Any]
    since: int | None
    changes: Sequence[Section]


@dataclass(frozen=True)
class AgreementView:
    """An agreement as a data owner sees it.

    Attributes
    ----------
    found : mapping
        As `sign_agreement.describe`.
    name : str
        Of the caller's organization.
    current : VersionView
        Its changes are told from the newest version that this organization approved, or the one before.
    approved : sequence of int
        The versions that this organization approved.
    versions : sequence of mapping
        All versions without their documents, the newest first.
    actions : frozenset of str
        What the organization may do now, of :data:`OFFERED`.
    """

    found: Mapping[str, Any]
    name: str
    current: VersionView
    approved: Sequence[int]
    versions: Sequence[Mapping[str, Any]]
    actions: frozenset[str]


def agency_overview(service: Service, caller: Caller) -> AgencyOverview:
    """Return what an agency's first page shows."""
    caller.require(Role.AGENCY)
    now = service.now()
    with service.store.reading("agency's overview") as tx:
        found = [describe(tx, row, now) for row in agreements.every(tx, caller.organization)]
    waiting = [
        each["id"]
        for each in found
        if each["state"] == State.REVIEW and caller.organization in each["missing_approvals"]
    ]
    mine = [batch for each in found for batch in list_batches(service, caller, each["id"])]
    reviews = [
        release
        for each in found
        if _owns_data(each, caller)
        for release in list_releases(service, caller, each["id"])
        if release["status"] == IN_REVIEW
    ]
    return AgencyOverview(
        agreements=sorted(found, key=lambda each: (each["id"] not in waiting, each["id"])),
        waiting=waiting,
        batches=sorted(mine, key=lambda batch: (batch["created_at"], batch["id"]), reverse=True),
        reviews=sorted(reviews, key=lambda release: (release["visible_at"], release["id"])),
    )


def _owns_data(agreement: Mapping[str, Any], caller: Caller) -> bool:
    return any(
        party["organization"] == caller.organization and party["role"] == "data_owner"
        for party in agreement["document"]["parties"]
    )


def agreement_view(service: Service, caller: Caller, agreement_id: str) -> AgreementView:
    """Return an agreement with the changes since the version that the caller's organization approved last.

    Raises
    ------
    NotFoundError
        `AGREEMENT_UNKNOWN`.
    """
    caller.require(Role.AGENCY)
    with service.store.reading("agency's agreement") as tx:
        agreement = visible(tx, caller, agreement_id)
        found = standing(tx, agreement, service.now())
        approved = _approved_by(tx, agreement, caller.organization)
        earlier = [number for number in approved if number < agreement.version]
        since = max(earlier, default=agreement.version - 1) or None
        return AgreementView(
            found=describe(tx, agreement, service.now()),
            name=caller.organization,
            current=_version(tx, agreement_id, agreement.version, since),
            approved=approved,
            versions=[
                {
                    "version": row.version,
                    "hash": row.hash,
                    "proposed_by": row.proposed_by,
                    "created_at": rfc3339(row.created_at),
                }
                for row in reversed(agreements.versions(tx, agreement_id))
            ],
            actions=_actions(tx, found, caller),
        )


def version_view(
    service: Service, caller: Caller, agreement_id: str, number: int, since: int | None = None
) -> VersionView:
    """Return one version, with its changes from another (or else from the one before it).

    Raises
    ------
    NotFoundError
        `AGREEMENT_UNKNOWN`, `VERSION_UNKNOWN`.
    """
    with service.store.reading("version of agreement") as tx:
        visible(tx, caller, agreement_id)
        return _version(tx, agreement_id, number, (number - 1 or None) if since is None else since)


def _version(tx: Tx, agreement_id: str, number: int, since: int | None) -> VersionView:
    row = agreements.version(tx, agreement_id, number)
    before = agreements.version(tx, agreement_id, since) if since is not None else None
    if row is None or (since is not None and before is None):
        raise NotFoundError("VERSION_UNKNOWN", "The agreement has no such version.")
    terms = parse_terms(row.document)
    return VersionView(
        terms=terms.document.model_dump() | {"effective_min_cell": terms.min_cell},
        version={
            "version": row.version,
            "hash": row.hash,
            "proposed_by": row.proposed_by,
            "created_at": rfc3339(row.created_at),
            "document": row.document,
        },
        since=since,
        changes=compare(before.document, row.document) if before is not None else (),
    )


def _approved_by(tx: Tx, agreement: Agreement, organization: str) -> list[int]:
    return [
        number
        for number in range(1, agreement.version + 1)
        if any(row.organization_id == organization for row in agreements.approvals(tx, agreement.id, number))
    ]


def _actions(tx: Tx, found: Standing, caller: Caller) -> frozenset[str]:
    possible = set()
    for action in OFFERED:
        try:
            step(tx, found, action, caller)
        except ServiceError:
            continue
        possible.add(str(action))
    return frozenset(possible)


def batch_view(service: Service, caller: Caller, batch_id: str) -> dict[str, Any]:
    """Return a batch as `show_batches.get_batch`, and what its manifest announced.

    Raises
    ------
    NotFoundError
        `BATCH_UNKNOWN`.
    """
    described = get_batch(service, caller, batch_id)
    with service.store.reading("batch's manifest") as tx:
        row = batches.find(tx, batch_id)
        assert row is not None
    announced = {file["name"]: file for file in row.manifest["files"]}
    files = [
        file | {"rows": announced[file["name"]]["rows"], "facts": announced[file["name"]]["facts"]}
        for file in described["files"]
    ]
    return described | {
        "files": files,
        "coverage": row.manifest["coverage"],
        "epoch": row.epoch,
        "agreement_version": row.agreement_version,
        "manifest_sha256": row.manifest_sha256,
        "profile": row.profile_hash,
        "closed_at": rfc3339(row.closed_at) if row.closed_at else None,
    }
