"""Agreements over HTTP: nothing happens under one before every data owner has signed it."""

from __future__ import annotations

from typing import Any

import pytest

from app.auth import Role
from crypto.canonical import digest_of
from tests.world import EDUCATION, PARTNERSHIP, WORKFORCE, Clock, Member, World, agreement_document

ID = "cincinnati-nky"


def propose(world: World, **changes: Any) -> Any:
    return world.partnership.post("/agreements", agreement_document(**changes))


def approve(world: World, member: Member, **changes: Any) -> Any:
    body = member.state(ID, "agreement-approval", **changes)
    return member.post(f"/agreements/{ID}/approvals", body)


def state_of(world: World) -> str:
    return str(world.auditor.get(f"/agreements/{ID}").json()["state"])


def test_agreement_becomes_active_with_the_last_owners_signature(world: World) -> None:
    draft = propose(world).json()
    assert (draft["state"], draft["version"]) == ("DRAFT", 1)
    assert draft["hash"] == digest_of(agreement_document())
    assert world.partnership.post(f"/agreements/{ID}/review").json()["state"] == "REVIEW"
    first = approve(world, world.education).json()
    assert (first["state"], first["missing_approvals"]) == ("REVIEW", [WORKFORCE])
    assert approve(world, world.education).json()["state"] == "REVIEW"
    last = approve(world, world.workforce).json()
    assert (last["state"], last["missing_approvals"]) == ("ACTIVE", [])
    assert approve(world, world.workforce).json()["state"] == "ACTIVE"
    assert last["approvals"][0]["key_id"] == world.education.key.public.fingerprint


def test_effective_minimum_cell_is_the_largest_that_a_party_asks_for(sqlite_world: World) -> None:
    assert propose(sqlite_world).json()["effective_min_cell"] == 15


def test_minimum_cell_below_the_default_is_refused(sqlite_world: World) -> None:
    answer = propose(sqlite_world, min_cell=9)
    assert (answer.status_code, answer.json()["code"]) == (422, "AGREEMENT_INVALID")


def test_approval_in_anothers_name_is_refused(world: World) -> None:
    propose(world)
    world.partnership.post(f"/agreements/{ID}/review")
    body = world.education.state(ID, "agreement-approval", organization=WORKFORCE)
    answer = world.education.post(f"/agreements/{ID}/approvals", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "STATEMENT_MISMATCH")
    body = world.workforce.state(ID, "agreement-approval")
    answer = world.education.post(f"/agreements/{ID}/approvals", body)
    assert answer.json()["code"] == "STATEMENT_MISMATCH"
    forged = {**body["document"], "organization": EDUCATION}
    answer = world.education.post(
        f"/agreements/{ID}/approvals", world.workforce.signed("agreement-approval", forged)
    )
    assert answer.json()["code"] == "SIGNATURE_INVALID"


def test_a_proposer_that_is_no_data_owner_cannot_approve(sqlite_world: World) -> None:
    world = sqlite_world
    propose(world)
    world.partnership.post(f"/agreements/{ID}/review")
    answer = approve(world, world.partnership)
    assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")


def test_a_sole_data_owner_cannot_propose_to_itself(sqlite_world: World) -> None:
    world = sqlite_world
    parties = [{"organization": EDUCATION, "role": "data_owner"}, agreement_document()["parties"][2]]
    datasets = [{"organization": EDUCATION, "kind": "completion"}]
    document = agreement_document(parties=parties, datasets=datasets, min_cell=10)
    answer = world.education.post("/agreements", document)
    assert (answer.status_code, answer.json()["code"]) == (422, "SOLE_APPROVER")
    assert world.partnership.post("/agreements", document).status_code == 201


def test_a_revocation_signature_is_no_approval(sqlite_world: World) -> None:
    world = sqlite_world
    propose(world)
    world.partnership.post(f"/agreements/{ID}/review")
    body = world.education.state(ID, "agreement-revocation")
    answer = world.education.post(f"/agreements/{ID}/approvals", body)
    assert answer.json()["code"] == "SIGNATURE_INVALID"


def test_an_edit_is_a_new_version_and_resets_every_approval(world: World) -> None:
    world.agree()
    stale = world.education.state(ID, "agreement-approval")
    changed = agreement_document(purpose="Another purpose")
    answer = world.partnership.post(f"/agreements/{ID}/versions", changed)
    assert answer.status_code == 201, answer.text
    assert (answer.json()["state"], answer.json()["version"]) == ("DRAFT", 2)
    assert answer.json()["missing_approvals"] == [EDUCATION, WORKFORCE]
    world.partnership.post(f"/agreements/{ID}/review")
    replayed = world.education.post(f"/agreements/{ID}/approvals", stale)
    assert replayed.json()["code"] == "STATEMENT_MISMATCH"
    versions = world.auditor.get(f"/agreements/{ID}/versions").json()["versions"]
    assert [item["version"] for item in versions] == [1, 2]


def test_an_edit_that_changes_the_profile_under_data_is_refused(sqlite_world: World) -> None:
    from crypto.encoding.profile import default_profile
    from tests.world import make_package

    world = sqlite_world
    world.agree()
    world.submit(world.education, make_package())
    other = default_profile("record-hardened")
    changed = agreement_document(linkage_profile=other.to_document(), linkage_profile_hash=other.fingerprint)
    answer = world.partnership.post(f"/agreements/{ID}/versions", changed)
    assert (answer.status_code, answer.json()["code"]) == (409, "PROFILE_IN_USE")


def test_one_owners_revocation_is_enough_and_repeatable(world: World) -> None:
    world.agree()
    for _ in range(2):
        body = world.workforce.state(ID, "agreement-revocation")
        answer = world.workforce.post(f"/agreements/{ID}/revocations", body)
        assert (answer.status_code, answer.json()["state"]) == (201, "REVOKED")
    kinds = [
        line for line in world.auditor.get("/log/entries").text.splitlines() if "agreement.revoked" in line
    ]
    assert len(kinds) == 1
    answer = world.partnership.post(f"/agreements/{ID}/versions", agreement_document())
    assert (answer.status_code, answer.json()["code"]) == (409, "AGREEMENT_STATE")


def test_only_a_data_owner_revokes(sqlite_world: World) -> None:
    world = sqlite_world
    world.agree()
    body = world.partnership.state(ID, "agreement-revocation")
    assert world.partnership.post(f"/agreements/{ID}/revocations", body).status_code == 403
    assert state_of(world) == "ACTIVE"


def test_the_clock_alone_begins_and_ends_an_agreement(sqlite_world: World, clock: Clock) -> None:
    world = sqlite_world
    world.agree(effective="2026-12-01", expires="2027-01-01")
    assert state_of(world) == "APPROVED"
    clock.advance(days=9)
    assert state_of(world) == "ACTIVE"
    clock.advance(days=30, hours=11, minutes=59, seconds=59)
    assert state_of(world) == "ACTIVE"
    clock.advance(seconds=1)
    assert state_of(world) == "EXPIRED"


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"surprise": 1}, "surprise"),
        ({"indicators": "employed_q4"}, "indicators"),
        ({"min_cell": 10.5}, None),
        ({"recipients": [EDUCATION]}, "recipients.0"),
        ({"datasets": [{"organization": PARTNERSHIP, "kind": "wage"}]}, "datasets.0.organization"),
        ({"datasets": [{"organization": EDUCATION, "kind": "names"}]}, "datasets.0.kind"),
        ({"effective": "2028-01-01"}, "expires"),
        ({"effective": "2026-02-30"}, "effective"),
        ({"linkage_profile_hash": "0" * 64}, "linkage_profile_hash"),
        ({"linkage_profile": {}}, "linkage_profile"),
        ({"min_cell": {}}, "min_cell"),
        ({"parties": []}, "parties"),
    ],
)
def test_a_document_that_is_wrong_is_refused_by_place(
    sqlite_world: World, changes: dict[str, Any], place: str | None
) -> None:
    answer = propose(sqlite_world, **changes)
    assert (answer.status_code, answer.json()["code"]) == (422, "AGREEMENT_INVALID"), answer.text
    if place is not None:
        assert place in [item["column"] for item in answer.json()["problems"]]
    assert sqlite_world.auditor.get("/agreements").json() == {"agreements": []}


def test_a_party_that_is_not_registered_is_refused(sqlite_world: World) -> None:
    parties = [*agreement_document()["parties"], {"organization": "ghost", "role": "recipient"}]
    answer = propose(sqlite_world, parties=parties)
    assert answer.json()["problems"][0]["column"] == "parties.3.organization"


def test_who_is_no_party_sees_and_proposes_nothing(sqlite_world: World) -> None:
    world = sqlite_world
    world.agree()
    stranger = world.join("stranger", Role.AGENCY)
    assert stranger.get("/agreements").json() == {"agreements": []}
    for answer in (
        stranger.get(f"/agreements/{ID}"),
        stranger.get(f"/agreements/{ID}/versions"),
        stranger.post(f"/agreements/{ID}/review"),
        stranger.post(f"/agreements/{ID}/destruction"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "AGREEMENT_UNKNOWN")
    answer = stranger.post("/agreements", agreement_document(id="another"))
    assert answer.json()["code"] == "AGREEMENT_INVALID"
    assert world.auditor.post("/agreements", agreement_document(id="another")).status_code == 403
