"""Pages of agencies, auditors and the operator without a browser: what they say, and what they must not."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.api.sessions import COOKIE
from app.disclosure.treatment import Treatment
from app.flows import auditor_views, previews, sessions
from app.flows.organizations import authenticate
from app.store import runs
from app.store.models import RunState
from app.web import operator_runs
from app.web.pages import HERE
from crypto.encoding.screening import LEAST_RECORDS
from tests.world import (
    EDUCATION,
    HARDENED,
    Member,
    World,
    agreement_document,
    encodings_bytes,
    keyed_package,
    make_package,
    make_refs,
    under,
)

ID = "cincinnati-nky"
HEADERS = {"Accept": "text/html", "Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}


class Browser:
    """Somebody who has signed in."""

    def __init__(self, world: World, member: Member) -> None:
        token = sessions.sign_in(world.service, member.api_key)
        self.csrf = sessions.resume(world.service, token).csrf
        self.client = TestClient(world.app, follow_redirects=False)
        self.client.cookies.set(COOKIE, token)

    def get(self, path: str) -> Any:
        return self.client.get(path, headers=HEADERS)

    def post(self, path: str, **form: str) -> Any:
        return self.client.post(path, headers=HEADERS, data={"csrf": self.csrf} | form)


def test_operator_of_an_empty_installation_is_told_what_to_do_next(sqlite_world: World) -> None:
    page = Browser(sqlite_world, sqlite_world.operator).get("/operator").text
    assert "All is well" in page
    assert "What to do next" in page
    sqlite_world.agree()
    assert "What to do next" not in Browser(sqlite_world, sqlite_world.operator).get("/operator").text


def test_forms_with_characters_that_are_no_text_are_refused_and_change_nothing(world: World) -> None:
    world.agree()
    browser = Browser(world, world.operator)
    answer = browser.post("/operator/organizations", organization="north", name="N\x00rth")
    assert (answer.status_code, "TEXT_INVALID" in answer.text) == (422, True)
    assert "north" not in browser.get("/operator/organizations").text
    agency = Browser(world, world.education)
    for action in ("approve", "revoke", "suspension/begin", "destruction/request"):
        answer = agency.post(f"/agency/agreements/{ID}/{action}", text="\x00", confirmed="a\x00")
        assert (answer.status_code, "TEXT_INVALID" in answer.text) == (422, True), action
    assert agency.post(f"/agency/agreements/{ID}/preview", **{"\x00": "x"}).status_code == 422


def test_health_when_a_key_is_missing_names_it_and_no_place(sqlite_world: World) -> None:
    browser = Browser(sqlite_world, sqlite_world.operator)
    path = sqlite_world.service.settings.keyring("links")
    path.unlink()
    page = browser.get("/operator/health").text
    assert re.search(r"Links keyring</strong>: failed", page)
    assert str(path.parent) not in page
    assert "Not all is well" in browser.get("/operator").text


def test_a_new_key_is_in_one_answer_that_nobody_keeps_and_opens_what_it_is_for(sqlite_world: World) -> None:
    browser = Browser(sqlite_world, sqlite_world.operator)
    path = f"/operator/organizations/{EDUCATION}"
    answer = browser.post(f"{path}/api-keys", role="agency", expires="2026-12-31")
    assert answer.headers["cache-control"] == "no-store"
    (key,) = re.findall(r"<code>(clk_[A-Za-z0-9_-]{43})</code>", answer.text)
    assert key not in browser.get(path).text
    member = Member(sqlite_world.client, EDUCATION, key)
    assert member.get("/agreements").status_code == 200
    made = sqlite_world.operator.get(f"/organizations/{EDUCATION}").json()["credentials"]
    assert "2027-01-01T00:00:00Z" in [each["expires_at"] for each in made]
    for form, code in (
        ({"role": "king"}, "what the key is for"),
        ({"role": "agency", "expires": "x"}, "day"),
    ):
        refused = browser.post(f"{path}/api-keys", **form)
        assert refused.status_code == 422 and code in refused.text


def test_no_page_of_an_agency_names_another_partys_batch(sqlite_world: World) -> None:
    agreement = sqlite_world.agree()
    first = sqlite_world.submit(sqlite_world.education, make_package()).json()["id"]
    second = sqlite_world.submit(sqlite_world.workforce, make_package(kind="wage", seed=2)).json()["id"]
    browser = Browser(sqlite_world, sqlite_world.workforce)
    for path in ("/agency", f"/agency/agreements/{agreement}", f"/agency/batches/{second}"):
        page = browser.get(path)
        assert page.status_code == 200
        assert first not in page.text, path
    assert browser.get(f"/agency/batches/{first}").status_code == 404
    assert browser.get(f"/agency/batches/{first}/receipt.json").status_code == 404


def test_a_receipt_from_the_page_is_the_one_of_the_interface(sqlite_world: World) -> None:
    sqlite_world.agree()
    batch = sqlite_world.submit(sqlite_world.education, make_package()).json()["id"]
    answer = Browser(sqlite_world, sqlite_world.education).get(f"/agency/batches/{batch}/receipt.json")
    assert answer.json() == sqlite_world.education.get(f"/batches/{batch}").json()["receipt"]
    assert "attachment" in answer.headers["content-disposition"]


def test_what_is_no_statement_is_refused_on_the_form_and_approves_nothing(sqlite_world: World) -> None:
    sqlite_world.partnership.post("/agreements", agreement_document())
    sqlite_world.partnership.post("/agreements/cincinnati-nky/review")
    browser = Browser(sqlite_world, sqlite_world.education)
    path = "/agency/agreements/cincinnati-nky/approve"
    right = sqlite_world.education.state("cincinnati-nky", "agreement-approval")
    for text, code in (
        ("", "STATEMENT_UNREADABLE"),
        ("[" * 5000, "STATEMENT_UNREADABLE"),
        (json.dumps(right | {"more": 1}), "STATEMENT_UNREADABLE"),
        (json.dumps(right | {"document": right["document"] | {"version": 2}}), "STATEMENT_MISMATCH"),
        (
            json.dumps(sqlite_world.education.state("cincinnati-nky", "agreement-revocation")),
            "SIGNATURE_INVALID",
        ),
    ):
        answer = browser.post(path, text=text)
        assert answer.status_code == 422 and code in answer.text
    assert sqlite_world.education.get("/agreements/cincinnati-nky").json()["approvals"] == []
    assert browser.post(path, text=json.dumps(right)).status_code == 303
    assert len(sqlite_world.education.get("/agreements/cincinnati-nky").json()["approvals"]) == 1


def test_an_auditor_and_the_agency_see_the_same_screening_of_a_batch(sqlite_world: World) -> None:
    agreement = sqlite_world.agree()
    sqlite_world.submit(sqlite_world.education, make_package())
    sqlite_world.submit(sqlite_world.workforce, make_package(kind="wage", seed=2))
    again = make_package(kind="wage", seed=3, encodings=encodings_bytes(make_refs(60, 3), seed=2))
    batch = sqlite_world.submit(sqlite_world.workforce, again).json()["id"]
    auditor = Browser(sqlite_world, sqlite_world.auditor)
    assert f'href="/auditor/batches/{batch}"' in auditor.get(f"/auditor/agreements/{agreement}").text
    pages = [
        auditor.get(f"/auditor/batches/{batch}").text,
        Browser(sqlite_world, sqlite_world.workforce).get(f"/agency/batches/{batch}").text,
    ]
    parts = [page[page.index("<h2>Screening on arrival</h2>") :] for page in pages]
    figures = [re.findall(r"<t[dh].*?</t[dh]>", part, re.DOTALL) for part in parts]
    assert figures[0] == figures[1] != []
    assert all("0 the same, 1 cannot be told" in part and "by telephone" in part for part in parts)
    assert all("about 100 %" in part and "submit --supersedes" in part for part in parts)


def test_a_batch_without_a_key_in_common_with_another_agencys_warns_of_another_secret(
    sqlite_world: World,
) -> None:
    sqlite_world.agree(**under(HARDENED))
    sqlite_world.submit(sqlite_world.education, keyed_package(1, 1, LEAST_RECORDS, "completion"))
    for secret in (1, 2):
        package = keyed_package(secret, 1 + secret, LEAST_RECORDS)
        batch = sqlite_world.submit(sqlite_world.workforce, package).json()["id"]
        for member, role in ((sqlite_world.workforce, "agency"), (sqlite_world.auditor, "auditor")):
            page = Browser(sqlite_world, member).get(f"/{role}/batches/{batch}").text
            warned = "1 with nothing in common" in page, "Look at the secret before" in page
            assert warned == (secret == 2,) * 2


@pytest.mark.parametrize("path", ["/auditor", "/auditor/log", "/auditor/log/1", "/auditor/log/export.jsonl"])
def test_an_auditors_page_is_on_the_log_before_it_is_read(sqlite_world: World, path: str) -> None:
    service = sqlite_world.service
    assert Browser(sqlite_world, sqlite_world.auditor).get(path).status_code == 200
    caller = authenticate(service, f"Bearer {sqlite_world.operator.api_key}")
    read = auditor_views.timeline(service, caller, auditor_views.Selection(kind="log.read")).entries
    assert {entry.actor for entry in read} >= {"auditor"}


def test_no_template_has_a_style_a_handler_or_a_script_of_its_own() -> None:
    for template in (HERE / "templates").rglob("*.html"):
        text = template.read_text(encoding="utf-8")
        assert not re.search(r"\sstyle=|<style|\son[a-z]+=|<script(?! src=\"/static/)|https?://", text), (
            template
        )


def test_events_of_a_run_are_escaped_parts_of_its_page_and_end_with_the_run(sqlite_world: World) -> None:
    agreement = sqlite_world.agree()
    sqlite_world.submit(sqlite_world.education, make_package())
    sqlite_world.submit(sqlite_world.workforce, make_package(kind="wage", seed=2))
    run = sqlite_world.operator.post(f"/agreements/{agreement}/runs").json()["id"]
    with sqlite_world.service.store.transaction() as tx:
        row = runs.find(tx, run)
        assert row is not None
        row.stage, row.state = "<b>a</b> × b", RunState.RUNNING
        row.executor = "w#1"
    browser = Browser(sqlite_world, sqlite_world.operator)
    assert "Comparing &lt;b&gt;a&lt;/b&gt; × b" in browser.get(f"/operator/runs/{run}").text
    with sqlite_world.service.store.transaction() as tx:
        row = runs.find(tx, run)
        assert row is not None
        row.state = RunState.FAILED
    events = browser.get(f"/operator/runs/{run}/events")
    assert events.headers["content-type"].startswith("text/event-stream")
    names = re.findall(r"^event: (\w+)$", events.text, re.M)
    assert names == ["stage", "progress", "ended"]
    assert all(line.startswith(("event: ", "data: ")) for line in events.text.splitlines() if line)


def test_a_stage_in_an_event_is_text_and_no_markup() -> None:
    run = {"state": "RUNNING", "stage": "<b>", "cancel_requested": False, "done": 0, "total": 1}
    event = operator_runs.parts_of(run)
    assert event["stage"] == "Comparing &lt;b&gt;"


def test_a_preview_says_how_far_figures_that_change_may_be_from_what_was_counted(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = {
        "rates_of_cells": 50.0,
        "rates_of_persons": 60.0,
        "counts_of_cells": 50.0,
        "counts_of_persons": 60.0,
    }
    treatment, tables = (
        Treatment("differential_privacy", epsilon="1"),
        [{"dimensions": 1, "cells": 4, **shares}],
    )

    def found(method: Treatment) -> dict[str, Any]:
        policies = [
            {
                "min_cell": k,
                "depth": 1,
                "tables": tables,
                "dropped": [],
                "protection": method.to_document(2 if method is treatment else None),
            }
            for k in (15, 20)
        ]
        asked = {"indicator": "employed_q4", "cohort": "2021-22", "dimensions": ["pathway"]}
        return {"agreement": ID, "run": "run-1", **asked, "policies": policies}

    sqlite_world.agree()
    browser = Browser(sqlite_world, sqlite_world.education)
    for method, changed in ((treatment, 2), (Treatment(), 0)):
        monkeypatch.setattr(previews, "preview_release", lambda *_, m=method, **__: found(m))
        asked = {"indicator": "employed_q4", "first": "2021-22", "min_cell": "15", "depth": "1"}
        place = browser.post(f"/agency/agreements/{ID}/preview", **asked).headers["location"]
        deadline = time.monotonic() + 30
        while "How to read this" not in (page := browser.get(place).text):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        told = "95 of 100 counts, found or not found, lie within 6 persons of what was counted"
        assert page.count(told) == changed
        assert ("Figures would be changed" in page) == bool(changed)
