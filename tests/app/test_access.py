"""Keys that rotate, sessions of the pages, and how often one may ask."""

from __future__ import annotations

from typing import Annotated

import httpx
import pytest
from fastapi import Form, Request, Response
from fastapi.testclient import TestClient

from app.api import sessions
from app.api.limits import FAILURES, Buckets
from app.errors import ServiceError
from app.flows.service import open_service
from app.flows.sessions import ATTEMPT_SECONDS, ATTEMPTS, throttle
from tests.world import EDUCATION, Clock, Member, World

# ------------------------------------------------------------------ rotation


def credential_of(world: World, organization: str) -> str:
    listed = world.operator.get(f"/organizations/{organization}").json()["credentials"]
    return str(next(item["id"] for item in listed if item["kind"] == "api_key"))


def rotation(world: World, organization: str) -> str:
    return f"/organizations/{organization}/credentials/{credential_of(world, organization)}/rotation"


def test_a_holder_rotates_its_own_key_and_the_old_one_fades(world: World, clock: Clock) -> None:
    answer = world.education.post(rotation(world, EDUCATION), {"overlap_hours": 2})
    assert answer.status_code == 201, answer.text
    new = Member(world.client, EDUCATION, answer.json()["api_key"])
    assert answer.json()["role"] == "agency"
    clock.advance(hours=1, minutes=59)
    assert world.education.get("/agreements").status_code == 200
    clock.advance(minutes=1)
    assert world.education.get("/agreements").status_code == 401
    assert new.get("/agreements").status_code == 200


def test_nobody_rotates_anothers_key_but_the_operator(sqlite_world: World) -> None:
    world = sqlite_world
    path = rotation(world, EDUCATION)
    assert world.workforce.post(path).status_code == 404
    assert world.auditor.post(path).status_code == 404
    assert world.operator.post(path).status_code == 201
    assert world.operator.post(path.replace(EDUCATION, "auditor")).status_code == 404


def test_a_rotated_key_lives_no_longer_than_the_old_one_would_have(sqlite_world: World, clock: Clock) -> None:
    world = sqlite_world
    body = {"kind": "api_key", "role": "auditor", "expires_at": "2026-11-22T13:00:00Z"}
    made = world.operator.post("/organizations/auditor/credentials", body).json()
    path = f"/organizations/auditor/credentials/{made['id']}/rotation"
    new = world.operator.post(path, {"overlap_hours": 100}).json()
    assert new["expires_at"] == "2026-11-22T13:00:00Z"
    clock.advance(hours=1)
    assert Member(world.client, "auditor", new["api_key"]).get("/agreements").status_code == 401
    assert world.operator.post(path).json()["code"] == "CREDENTIAL_ENDED"


# ------------------------------------------------------------------ limits


def test_a_bucket_gives_what_it_holds_and_what_flows_in() -> None:
    time = [0.0]
    bucket = Buckets(3, 0.5, ticks=lambda: time[0])
    for _ in range(3):
        bucket.take("a")
    with pytest.raises(ServiceError) as refusal:
        bucket.take("a")
    assert (refusal.value.status, refusal.value.headers["Retry-After"]) == (429, "2")
    bucket.take("b")
    time[0] += 2
    bucket.take("a")
    with pytest.raises(ServiceError):
        bucket.take("a")


def test_one_credential_that_asks_too_often_is_told_to_wait_and_others_are_not(sqlite_world: World) -> None:
    world = sqlite_world
    # A clock that stands still: on a slow machine nothing flows in meanwhile.
    world.app.state.limits.requests = Buckets(20, 5.0, ticks=lambda: 0.0)
    answers = [world.auditor.get("/agreements") for _ in range(21)]
    assert [answer.status_code for answer in answers] == [200] * 20 + [429]
    refused = answers[-1]
    assert refused.json()["code"] == "RATE_LIMITED"
    assert int(refused.headers["retry-after"]) >= 1
    assert world.education.get("/agreements").status_code == 200


def test_guesses_are_slowed_down_and_a_valid_key_behind_the_same_address_is_not(
    sqlite_world: World,
) -> None:
    stranger = Member(sqlite_world.client, "x", "clk_" + "A" * 43)
    found = [stranger.get("/agreements").status_code for _ in range(FAILURES + 20)]
    assert (found[0], found[-1]) == (401, 429)
    assert sqlite_world.auditor.get("/agreements").status_code == 200


# ------------------------------------------------------------------ sessions


@pytest.fixture
def pages(sqlite_world: World) -> tuple[World, TestClient]:
    """An application with the three routes that pages will have, and a browser without an API key."""
    world = sqlite_world

    @world.app.post("/test/sign-in")
    def enter(
        request: Request, service: sessions.ServiceDep, response: Response, api_key: Annotated[str, Form()]
    ) -> None:
        sessions.set_cookie(request, response, sessions.sign_in(request, service, api_key))

    @world.app.get("/test/me")
    def me(session: sessions.SessionDep) -> dict[str, str]:
        return {"organization": session.caller.organization, "csrf": session.csrf}

    @world.app.post("/test/change")
    def change(session: sessions.SessionDep, csrf: Annotated[str, Form()] = "") -> dict[str, str]:
        session.require_csrf(csrf)
        return {"done": "yes"}

    return world, TestClient(world.app, base_url="https://testserver")


OWN = {"Origin": "https://testserver"}


def enter(browser: TestClient, api_key: str, headers: dict[str, str] = OWN) -> httpx.Response:
    return browser.post("/test/sign-in", data={"api_key": api_key}, headers=headers)


def test_a_session_begins_with_a_key_and_its_cookie_is_kept_from_scripts_and_other_sites(
    pages: tuple[World, TestClient],
) -> None:
    world, browser = pages
    assert browser.get("/test/me").status_code == 401
    answer = enter(browser, world.auditor.api_key)
    assert answer.status_code == 200, answer.text
    cookie = answer.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=strict", "secure", "path=/"))
    assert browser.get("/test/me").json()["organization"] == "auditor"
    stored = b"".join(item.read_bytes() for item in world.settings.data.rglob("*") if item.is_file())
    assert browser.cookies["cohortlink_session"].encode() not in stored


def test_a_form_needs_the_sessions_token_and_our_own_origin(pages: tuple[World, TestClient]) -> None:
    world, browser = pages
    enter(browser, world.auditor.api_key)
    csrf = browser.get("/test/me").json()["csrf"]

    def send(token: str, headers: dict[str, str]) -> int:
        return browser.post("/test/change", data={"csrf": token}, headers=headers).status_code

    assert send(csrf, OWN) == 200
    assert send("", OWN) == 403
    assert send("0" * 64, OWN) == 403
    assert send(csrf, {}) == 403
    assert send(csrf, {"Origin": "https://evil.invalid"}) == 403
    assert send(csrf, OWN | {"Sec-Fetch-Site": "cross-site"}) == 403
    assert enter(TestClient(world.app), world.auditor.api_key, {"Origin": "null"}).status_code == 403


def test_a_session_ends_with_its_key_its_hours_or_by_signing_out(
    pages: tuple[World, TestClient], clock: Clock
) -> None:
    world, browser = pages
    enter(browser, world.auditor.api_key)
    clock.advance(hours=8)
    assert browser.get("/test/me").status_code == 401
    enter(browser, world.auditor.api_key)
    assert browser.get("/test/me").status_code == 200
    path = f"/organizations/auditor/credentials/{credential_of(world, 'auditor')}"
    assert world.operator.call("DELETE", path).status_code == 204
    assert browser.get("/test/me").status_code == 401
    enter(browser, world.education.api_key)
    sessions.sessions.sign_out(world.service, browser.cookies["cohortlink_session"])
    assert browser.get("/test/me").status_code == 401


def test_a_wrong_key_or_too_many_attempts_begin_no_session(pages: tuple[World, TestClient]) -> None:
    world, browser = pages
    found = [enter(browser, "clk_" + "A" * 43).status_code for _ in range(ATTEMPTS + 1)]
    assert found == [401] * ATTEMPTS + [429]
    assert "set-cookie" not in enter(browser, world.auditor.api_key).headers


def test_attempts_to_sign_in_are_counted_by_all_nodes_together_and_come_back_with_time(
    world: World, clock: Clock
) -> None:
    other = open_service(world.settings, clock=clock)
    try:
        for attempt in range(ATTEMPTS):
            throttle((world.service, other)[attempt % 2], "192.0.2.1")
        for node in (world.service, other):
            with pytest.raises(ServiceError, match="RATE_LIMITED") as refusal:
                throttle(node, "192.0.2.1")
            assert refusal.value.headers["Retry-After"] == str(int(ATTEMPT_SECONDS))
        throttle(other, "192.0.2.2")
        clock.advance(seconds=ATTEMPT_SECONDS)
        throttle(other, "192.0.2.1")
    finally:
        other.close()
