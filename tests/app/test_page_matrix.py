"""Every page and form × every kind of caller: a page without a row fails, and so does a row without a page.

A cell says what a caller gets, whatever else may be wrong with the request:

- `Y`: in; not sent to sign in, not 403, not 404
- `N`: 404, the page looks absent, as it does to those to whom there is no such thing
- `F`: 403, the caller's part in a thing that it sees does not include this

Columns are those of `test_matrix`; the things are the own agency's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from app.api.sessions import COOKIE
from app.flows import sessions
from app.flows.previews import Preview
from app.store import agreements, releases
from app.web import pages as site
from tests.app.test_matrix import AGREEMENT, CALLERS, NOTHING, ROW, STRANGERS, TABLE, Stage
from tests.world import EDUCATION, OPERATOR, Member, World

ROWS = """
POST /sign-out                                                                   Y Y Y Y Y Y Y
GET  /partnership                                                                N N N N Y Y N
GET  /partnership/indicators                                                     N N N N Y Y N
GET  /partnership/agreements/{agreement}                                         N N N N Y N N
GET  /partnership/agreements/{agreement}/figures                                 N N N N Y N N
POST /partnership/agreements/{agreement}/figures                                 N N N N Y N N
GET  /releases/{release}                                                         N Y Y N Y N N
GET  /releases/{release}/events                                                  N Y Y N Y N N
POST /releases/{release}/cancellation                                            N N N N Y N N
GET  /releases/{release}/{name}.csv                                              N Y Y N Y N N
GET  /releases/{release}/workbook.xlsx                                           N Y Y N Y N N
GET  /releases/{release}/{name}.svg                                              N Y Y N Y N N
GET  /releases/{release}/{name}.png                                              N Y Y N Y N N
GET  /agency                                                                     N Y Y Y N N N
GET  /agency/batches/{batch}                                                     N Y N N N N N
GET  /agency/batches/{batch}/receipt.json                                        N Y N N N N N
POST /agency/batches/{batch}/withdrawal                                          N Y N N N N N
GET  /agency/agreements/{agreement}                                              N Y Y N N N N
GET  /agency/agreements/{agreement}/versions/{number}                            N Y Y N N N N
GET  /agency/agreements/{agreement}/versions/{number}/document.json              N Y Y N N N N
GET  /agency/agreements/{agreement}/certificate                                  N Y Y N N N N
GET  /agency/agreements/{agreement}/certificate.json                             N Y Y N N N N
GET  /agency/agreements/{agreement}/approve                                      N Y Y N N N N
GET  /agency/agreements/{agreement}/revoke                                       N Y Y N N N N
GET  /agency/agreements/{agreement}/preview                                      N Y Y N N N N
POST /agency/agreements/{agreement}/preview                                      N Y Y N N N N
GET  /agency/previews/{preview}                                                  N Y N N N N N
GET  /agency/previews/{preview}/events                                           N Y N N N N N
POST /agency/previews/{preview}/cancellation                                     N Y N N N N N
POST /agency/agreements/{agreement}/approve                                      N Y Y N N N N
POST /agency/agreements/{agreement}/revoke                                       N Y Y N N N N
POST /agency/agreements/{agreement}/suspension/begin                             N Y Y N N N N
POST /agency/agreements/{agreement}/suspension/end                               N Y Y N N N N
POST /agency/agreements/{agreement}/destruction/request                          N Y Y N N N N
GET  /agency/releases/{release}                                                  N Y Y N N N N
POST /agency/releases/{release}/objection                                        N Y Y N N N N
POST /agency/releases/{release}/approval                                         N Y Y N N N N
GET  /auditor                                                                    N N N N N N Y
GET  /auditor/agreements/{agreement}                                             N N N N N N Y
GET  /auditor/batches/{batch}                                                    N N N N N N Y
GET  /auditor/runs/{run}                                                         N N N N N N Y
GET  /auditor/releases/{release}                                                 N N N N N N Y
GET  /auditor/log                                                                N N N N N N Y
GET  /auditor/log/export.jsonl                                                   N N N N N N Y
GET  /auditor/log/{index}/proof.jsonl                                            N N N N N N Y
GET  /auditor/log/{index}                                                        N N N N N N Y
GET  /auditor/checkpoint                                                         N N N N N N Y
GET  /auditor/verification                                                       N N N N N N Y
POST /auditor/verification                                                       N N N N N N Y
GET  /operator                                                                   Y N N N N N N
GET  /operator/health                                                            Y N N N N N N
GET  /operator/agreements                                                        Y N N N N N N
GET  /operator/agreements/{agreement}                                            Y N N N N N N
POST /operator/agreements/{agreement}/suspension/begin                           Y N N N N N N
POST /operator/agreements/{agreement}/suspension/end                             Y N N N N N N
GET  /operator/organizations                                                     Y N N N N N N
POST /operator/organizations                                                     Y N N N N N N
GET  /operator/organizations/{organization}                                      Y N N N N N N
POST /operator/organizations/{organization}/api-keys                             Y N N N N N N
POST /operator/organizations/{organization}/signing-keys                         Y N N N N N N
POST /operator/organizations/{organization}/people                               Y N N N N N N
POST /operator/organizations/{organization}/credentials/{credential}/rotation    Y N N N N N N
POST /operator/organizations/{organization}/credentials/{credential}/revocation  Y N N N N N N
GET  /operator/runs                                                              Y N N N N N N
GET  /operator/runs/{run}                                                        Y N N N N N N
GET  /operator/runs/{run}/events                                                 Y N N N N N N
POST /operator/agreements/{agreement}/runs                                       Y N N N N N N
POST /operator/runs/{run}/cancellation                                           Y N N N N N N
"""
#: Pages that say nothing of anybody, and the way in.
PUBLIC = {
    *("GET /", "GET /docs", "GET /sign-in", "POST /sign-in", "GET /signed-out"),
    *("GET /sign-in/provider", "GET /sign-in/callback"),
}

#: Names in addresses beside those of the interface.
MORE = {"index": "1", "number": "1"}
HEADERS = {"Accept": "text/html", "Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}


def matrix() -> dict[str, dict[str, str]]:
    rows = {}
    for line in ROWS.strip().splitlines():
        method, path, *cells = line.split()
        rows[f"{method} {path}"] = dict(zip(CALLERS, cells, strict=True))
    return rows


def pages() -> set[str]:
    """Every page and form that is served."""
    routes = [route for each in (site.router, *site.ROUTERS) for route in each.routes]
    assert all(isinstance(route, APIRoute) and not route.include_in_schema for route in routes)
    return {f"{method} {route.path}" for route in routes for method in route.methods}  # type: ignore[attr-defined]


class PageStage(Stage):
    """A stage on which what is there says what real things say: pages show it."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        groups = [{**ROW, "key": {"sex": code}, "label": code} for code in ("Male", "Female")]
        with world.service.store.transaction() as tx:
            release, certificate = releases.find(tx, "rel-1"), agreements.certificate(tx, AGREEMENT)
            assert release is not None
            assert certificate is not None
            release.document = TABLE | {"by": ["sex"], "rows": groups}
            certificate.document = {
                "method": "erased",
                "datasets": [],
                "runs": [],
                "keys": [],
                "remains": {"releases": 1},
                "requested_by": OPERATOR,
                "executed_by": EDUCATION,
                "executed_at": "2026-11-22T12:00:00Z",
            }
            certificate.signature = {"key_id": "ab" * 32}
        kept, asked = world.app.state.previews, {"indicator": "employed_q4", "cohort": "2022-23"}
        kept._kept["pre-1"] = Preview(
            "pre-1", AGREEMENT, EDUCATION, asked, world.service.now(), state="CANCELLED"
        )
        self.names["preview"] = "pre-1"
        shown = Browser(self, world.education).call("GET /releases/{release}").text
        self.names["name"] = re.findall(r"/releases/rel-1/([a-z_]+)\.svg", shown)[0]


class Browser:
    """Somebody who has signed in, and sends forms that carry the session's token."""

    def __init__(self, stage: Stage, member: Member) -> None:
        self.names = stage.names
        service = stage.world.service
        token = sessions.sign_in(service, member.api_key)
        self.csrf = sessions.resume(service, token).csrf
        self.client = TestClient(stage.world.app, raise_server_exceptions=False, follow_redirects=False)
        self.client.cookies.set(COOKIE, token)

    def call(
        self, page: str, *, csrf: str | None = None, headers: Mapping[str, str] | None = None, **names: str
    ) -> Any:
        method, path = page.split()
        url = path.format(**(self.names | MORE | names))
        form = {"csrf": csrf or self.csrf} if method == "POST" else None
        return self.client.request(method, url, headers=HEADERS | dict(headers or {}), data=form)


def seen(answer: Any) -> str:
    if answer.status_code == 303 and answer.headers["location"].startswith("/sign-in"):
        return "S"
    return {403: "F", 404: "N"}.get(answer.status_code, "Y" if answer.status_code < 500 else "E")


def in_order(table: dict[str, Any]) -> list[str]:
    """Pages first, then forms; what ends something comes last."""
    ending = ("sign-out", "withdrawal", "revo", "destruction", "cancellation")
    return sorted(table, key=lambda page: (any(word in page for word in ending), page))


def test_every_page_has_a_row_and_every_row_a_page() -> None:
    assert pages() == set(matrix()) | PUBLIC


@pytest.mark.parametrize("who", CALLERS)
def test_every_caller_sees_the_pages_that_the_matrix_says(sqlite_world: World, who: str) -> None:
    stage, table = PageStage(sqlite_world), matrix()
    browser = Browser(stage, stage.callers[who])
    wrong = {}
    for page in in_order(table):
        if who in STRANGERS and "{" in page:
            told, of_nothing = (browser.call(page, **names).status_code for names in ({}, NOTHING))
            assert told == of_nothing, page
        found = seen(browser.call(page))
        if found != table[page][who]:
            wrong[page] = found
    assert wrong == {}


def test_nobody_who_has_not_signed_in_sees_a_page_or_has_a_form_accepted(sqlite_world: World) -> None:
    stage = PageStage(sqlite_world)
    nobody = Browser(stage, stage.callers["auditor"])
    nobody.client.cookies.clear()
    for page in matrix():
        answer = nobody.call(page)
        if page.startswith("GET"):
            assert seen(answer) == "S", page
        else:
            assert answer.status_code == 401, page


def test_a_form_without_the_sessions_token_or_from_elsewhere_is_refused(sqlite_world: World) -> None:
    stage, table = PageStage(sqlite_world), matrix()
    elsewhere = {"Origin": "https://evil.invalid", "Sec-Fetch-Site": "cross-site"}
    for who in ("operator", "own agency", "recipient", "auditor"):
        browser = Browser(stage, stage.callers[who])
        for page in in_order(table):
            if page.startswith("POST") and table[page][who] != "N":
                assert browser.call(page, csrf="0" * 64).status_code == 403, page
                assert browser.call(page, headers=elsewhere).status_code == 403, page
