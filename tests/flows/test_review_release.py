"""Review before release: owners see first, recipients afterwards or never."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from app.auth import Role
from app.flows.answer_release import _visible_at
from app.flows.publish_release import GRANTED
from app.flows.settle_review import settle_all
from app.flows.sign_agreement import in_force
from app.store import releases
from crypto.canonical import digest_of
from tests.world import PARTNERSHIP, Clock, World, agreement_document

ID = "cincinnati-nky"
QUESTION = {"indicator": "employed_q4", "cohort": "2021-22", "by": []}
TABLE = {"indicator": "employed_q4", "rows": []}


def grant(world: World, name: str, *, days: int = 7) -> str:
    """A release in review, as `publish_release` records it."""
    now = world.service.now()
    with world.service.store.transaction() as tx:
        releases.add(
            tx, name, ID, 1, PARTNERSHIP, GRANTED, QUESTION, digest_of(QUESTION), now,
            document=TABLE, document_sha256=digest_of(TABLE), visible_at=now + timedelta(days=days),
        )  # fmt: skip
    return name


def seen(member: Any, release: str) -> tuple[str, bool]:
    document = member.get(f"/releases/{release}").json()
    return document["status"], document["table"] is not None


def test_owners_see_a_release_in_review_and_recipients_after_it(sqlite_world: World, clock: Clock) -> None:
    world = sqlite_world
    world.agree(review_days=7)
    grant(world, "rel-1")
    assert seen(world.education, "rel-1") == ("IN_REVIEW", True)
    assert seen(world.partnership, "rel-1") == ("IN_REVIEW", False)
    clock.advance(days=7)
    assert seen(world.partnership, "rel-1") == ("GRANTED", True)
    answer = world.education.post("/releases/rel-1/objections")
    assert (answer.status_code, answer.json()["code"]) == (409, "NOT_IN_REVIEW")


def test_digest_of_a_table_is_told_to_recipients_with_the_table_and_not_before(
    sqlite_world: World, clock: Clock
) -> None:
    world = sqlite_world
    world.agree(review_days=7)
    grant(world, "rel-1")

    def told(member: Any) -> list[str | None]:
        listed = member.get(f"/agreements/{ID}/releases").json()["releases"]
        return [each["table_sha256"] for each in (member.get("/releases/rel-1").json(), *listed)]

    # Whoever guesses the counts of a small table knows by its digest whether she is right.
    assert told(world.partnership) == [None, None]
    assert told(world.education)[0] == digest_of(TABLE)
    clock.advance(days=7)
    assert told(world.partnership) == [digest_of(TABLE)] * 2


def test_an_objection_hides_every_answer_to_the_question_for_good(world: World, clock: Clock) -> None:
    world.agree(review_days=7)
    grant(world, "rel-1")
    grant(world, "rel-2")
    assert world.partnership.post("/releases/rel-2/objections").status_code == 403
    stranger = world.join("stranger", Role.AGENCY)
    assert stranger.post("/releases/rel-2/objections").status_code == 404
    assert world.education.post("/releases/rel-9/objections").status_code == 404
    for _ in range(2):
        answer = world.workforce.post("/releases/rel-2/objections")
        assert (answer.status_code, answer.json()["status"]) == (201, "OBJECTED")
    clock.advance(days=8)
    for name in ("rel-1", "rel-2"):
        assert seen(world.partnership, name) == ("OBJECTED", False)
        assert seen(world.education, name) == ("OBJECTED", True)
    listed = world.partnership.get(f"/agreements/{ID}/releases").json()["releases"]
    assert {item["status"] for item in listed} == {"OBJECTED"}
    assert world.auditor.get("/log/entries").text.count("release.objected") == 1


def logged(world: World, kind: str) -> list[dict[str, Any]]:
    lines = world.auditor.get("/log/entries").text.splitlines()
    return [entry["body"] for entry in map(json.loads, lines) if entry["kind"] == kind]


def test_a_review_that_nobody_objects_to_is_logged_before_a_recipient_sees_the_table(
    world: World, clock: Clock
) -> None:
    world.agree(review_days=7)
    grant(world, "rel-1")
    assert seen(world.partnership, "rel-1") == ("IN_REVIEW", False)
    assert logged(world, "release.reviewed") == []
    clock.advance(days=7)
    for _ in range(2):
        assert seen(world.partnership, "rel-1") == ("GRANTED", True)
    assert logged(world, "release.reviewed") == [{"release": "rel-1", "approved_by": []}]


def test_every_owners_approval_opens_each_answer_to_the_question_at_once(world: World, clock: Clock) -> None:
    world.agree(review_days=7)
    grant(world, "rel-1")
    grant(world, "rel-2")
    clock.advance(days=1)
    assert world.partnership.post("/releases/rel-1/approvals").status_code == 403
    assert world.education.post("/releases/rel-9/approvals").status_code == 404
    for _ in range(2):
        answer = world.education.post("/releases/rel-1/approvals")
        assert (answer.status_code, answer.json()["status"]) == (201, "IN_REVIEW")
    assert world.workforce.post("/releases/rel-2/approvals").json()["status"] == "GRANTED"
    for name in ("rel-1", "rel-2"):
        assert seen(world.partnership, name) == ("GRANTED", True)
    assert [body["release"] for body in logged(world, "release.approved")] == ["rel-1", "rel-2"]
    both = sorted([world.education.id, world.workforce.id])
    assert [body["approved_by"] for body in logged(world, "release.reviewed")] == [both, both]


def test_an_objection_ends_approving_and_no_review_is_logged_after_it(
    sqlite_world: World, clock: Clock
) -> None:
    world = sqlite_world
    world.agree(review_days=7)
    grant(world, "rel-1")
    assert world.education.post("/releases/rel-1/approvals").status_code == 201
    assert world.workforce.post("/releases/rel-1/objections").status_code == 201
    assert world.workforce.post("/releases/rel-1/approvals").json()["code"] == "NOT_IN_REVIEW"
    clock.advance(days=8)
    settle_all(world.service)
    assert seen(world.partnership, "rel-1") == ("OBJECTED", False)
    assert logged(world, "release.reviewed") == []


def test_a_question_is_reviewed_once(sqlite_world: World, clock: Clock) -> None:
    world = sqlite_world
    world.agree(review_days=7)
    grant(world, "rel-1")
    clock.advance(days=5)
    now = world.service.now()
    with world.service.store.reading() as tx:
        found = in_force(tx, ID, now, lock=False)
        assert _visible_at(tx, found, digest_of(QUESTION), now) == now + timedelta(days=2)
        assert _visible_at(tx, found, "0" * 64, now) == now + timedelta(days=7)


def test_a_cohort_outside_of_the_permitted_periods_is_refused(sqlite_world: World) -> None:
    world = sqlite_world
    datasets = agreement_document()["datasets"]
    world.agree(datasets=[datasets[0] | {"periods": ["2021-22"]}, datasets[1]])
    path = f"/agreements/{ID}/releases"
    answer = world.partnership.post(path, {"indicator": "employed_q4", "cohort": "2022-23"})
    assert (answer.status_code, answer.json()["code"]) == (403, "PERIOD_NOT_PERMITTED")
    answer = world.partnership.post(path, {"indicator": "employed_q4", "cohort": "2021-22"})
    assert answer.json()["code"] == "RUN_MISSING"
