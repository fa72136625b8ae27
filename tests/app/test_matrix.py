"""Every endpoint × every kind of caller, generated from the OpenAPI: an endpoint without a row fails.

A cell says what a caller gets, whatever else may be wrong with the request:

- `Y`: in; neither 401, 403 nor 404
- `F`: 403, the role does not include the call (the same answer for a thing that does not exist)
- `N`: 404, the thing looks absent
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from app.auth import Role
from app.flows.publish_release import GRANTED
from app.store import agreements, batches, releases, runs
from app.store.models import RunState
from crypto.canonical import digest_of
from tests.world import EDUCATION, OPERATOR, PARTNERSHIP, Member, World, agreement_document, make_package

AGREEMENT = "cincinnati-nky"
#: The columns: operator, the agency whose things they are, another party's agency, an agency that is no
#: party, the recipient, a partnership that is no party, an auditor.
CALLERS = (
    "operator",
    "own agency",
    "other agency",
    "strange agency",
    "recipient",
    "strange partnership",
    "auditor",
)
STRANGERS = {"strange agency", "strange partnership"}

ROWS = """
POST   /v1/agreements                                                           Y Y Y Y Y Y F
GET    /v1/agreements                                                           Y Y Y Y Y Y Y
GET    /v1/agreements/{agreement}                                               Y Y Y N Y N Y
POST   /v1/agreements/{agreement}/approvals                                     F Y Y N F N F
POST   /v1/agreements/{agreement}/batches                                       F Y Y N F F F
GET    /v1/agreements/{agreement}/batches                                       Y Y Y N Y N Y
POST   /v1/agreements/{agreement}/batches/clks                                  F Y Y N F F F
GET    /v1/agreements/{agreement}/certificate                                   Y Y Y N F F Y
POST   /v1/agreements/{agreement}/destruction                                   Y Y Y N F F F
POST   /v1/agreements/{agreement}/releases                                      F F F F Y N F
GET    /v1/agreements/{agreement}/releases                                      Y Y Y N Y N Y
POST   /v1/agreements/{agreement}/review                                        F Y Y N Y N F
POST   /v1/agreements/{agreement}/revocations                                   F Y Y N F N F
POST   /v1/agreements/{agreement}/runs                                          Y F F F F F F
GET    /v1/agreements/{agreement}/runs                                          Y F F F F F Y
POST   /v1/agreements/{agreement}/suspension                                    Y Y Y N F N F
DELETE /v1/agreements/{agreement}/suspension                                    Y Y Y N F N F
POST   /v1/agreements/{agreement}/versions                                      F Y Y N Y N F
GET    /v1/agreements/{agreement}/versions                                      Y Y Y N Y N Y
GET    /v1/batches/{batch}                                                      Y Y N N N N Y
DELETE /v1/batches/{batch}                                                      F Y N N F F F
POST   /v1/batches/{batch}/completion                                           F Y N N F F F
PUT    /v1/batches/{batch}/files/{name}/parts/{number}                          F Y N N F F F
GET    /v1/indicators                                                           Y Y Y Y Y Y Y
GET    /v1/log/entries                                                          Y F F F F F Y
GET    /v1/log/export                                                           Y F F F F F Y
GET    /v1/log/proofs/consistency                                               Y Y Y Y Y Y Y
GET    /v1/log/proofs/inclusion                                                 Y Y Y Y Y Y Y
GET    /v1/log/search                                                           Y F F F F F Y
GET    /v1/log/summary/{agreement}                                              Y F F F F F Y
GET    /v1/log/tile/entries/{path}                                              Y F F F F F Y
GET    /v1/organizations                                                        Y Y Y Y Y Y Y
POST   /v1/organizations                                                        Y F F F F F F
GET    /v1/organizations/{organization}                                         Y Y N N N N Y
POST   /v1/organizations/{organization}/credentials                             Y F F F F F F
DELETE /v1/organizations/{organization}/credentials/{credential}                Y F F F F F F
POST   /v1/organizations/{organization}/credentials/{credential}/rotation       Y F N N N N N
GET    /v1/releases/{release}                                                   F Y Y N Y N F
POST   /v1/releases/{release}/approvals                                         F Y Y N F F F
POST   /v1/releases/{release}/cancellation                                      Y F F F Y N F
GET    /v1/releases/{release}/gap                                               F Y Y N F N F
POST   /v1/releases/{release}/objections                                        F Y Y N F F F
GET    /v1/releases/{release}/trend                                             F Y Y N F N F
GET    /v1/runs/{run}                                                           Y F F F F F Y
POST   /v1/runs/{run}/cancellation                                              Y F F F F F F
GET    /v1/runs/{run}/events                                                    Y F F F F F Y
GET    /v1/runs/{run}/quality                                                   Y F F F F F Y
POST   /v1/thresholds                                                           Y F F F F F F
"""
PUBLIC = {
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /v1/log/checkpoint",
    "GET /v1/log/checkpoint/witnessed",
    "GET /v1/log/key",
    "GET /v1/log/keys",
    "GET /v1/log/tile/{path}",
    # Witnesses are known by their keys, not by ours.
    "POST /v1/log/cosignatures",
}


ROW: dict[str, Any] = {"label": "All", "status": "published", "n": 100, "found": 50, "rate": "50.0"}
TABLE: dict[str, Any] = {
    "indicator": "employed_q4",
    "title": "…",
    "definition": "…",
    "cohort": "2021-22",
    "by": [],
    "rows": [],
    "total": ROW | {"key": {}},
    "additive": True,
    "coverage": {"text": "…"},
    "vintage": "FINAL",
    "policy": {"min_cell": 15, "method": "suppression"},
    "notes": [],
}
NOTHING = {
    "organization": "nobody",
    "credential": "cred_0",
    "agreement": "nothing",
    "batch": "b_0",
    "run": "run-0",
    "release": "rel-0",
}


def matrix() -> dict[str, dict[str, str]]:
    rows = {}
    for line in ROWS.strip().splitlines():
        method, path, *cells = line.split()
        rows[f"{method} {path}"] = dict(zip(CALLERS, cells, strict=True))
    return rows


def operations(world: World) -> set[str]:
    paths = world.client.get("/openapi.json").json()["paths"]
    return {f"{method.upper()} {path}" for path, item in paths.items() for method in item}


class Stage:
    """A world in which there is one of everything, all of it the own agency's."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.agree(review_days=7, indicators=["employed_q4", "gap", "trend"])
        self.batch = world.submit(world.education, make_package()).json()["id"]
        now = world.service.now()
        question = {"indicator": "employed_q4", "cohort": "2021-22", "by": []}
        with world.service.store.transaction() as tx:
            rows = [row for row in [batches.find(tx, self.batch)] if row is not None]
            # Ended, or its events would not.
            runs.add(tx, "run-1", AGREEMENT, 1, OPERATOR, rows, {}, now).state = RunState.FAILED
            releases.add(
                tx, "rel-1", AGREEMENT, 1, PARTNERSHIP, GRANTED, question, digest_of(question), now,
                document=TABLE, visible_at=world.service.clock().replace(year=2030),
            )  # fmt: skip
            certificate = agreements.add_certificate_request(tx, AGREEMENT, OPERATOR, now)
            certificate.document, certificate.signature = {}, {}
        self.callers: dict[str, Member] = {
            "operator": world.operator,
            "own agency": world.education,
            "other agency": world.workforce,
            "strange agency": world.join("stranger", Role.AGENCY),
            "recipient": world.partnership,
            "strange partnership": world.join("other-partnership", Role.PARTNERSHIP),
            "auditor": world.auditor,
        }
        listed = world.operator.get(f"/organizations/{EDUCATION}").json()["credentials"]
        # A key of nobody's who calls here, so that rotating and revoking it shuts nobody out.
        spare = world.operator.post(
            f"/organizations/{EDUCATION}/credentials", {"kind": "api_key", "role": "agency"}
        ).json()["id"]
        assert spare not in [item["id"] for item in listed]
        self.names = {
            "organization": EDUCATION,
            "credential": spare,
            "agreement": AGREEMENT,
            "batch": self.batch,
            "name": "encodings.parquet",
            "number": "0",
            "run": "run-1",
            "release": "rel-1",
            "path": f"000.p/{world.auditor.get('/log/checkpoint').text.splitlines()[1]}",
        }

    def call(self, operation: str, member: Member, **names: str) -> Any:
        method, path = operation.split()
        url = path.removeprefix("/v1").format(**(self.names | names))
        return member.call(method, url, **self._body(operation, member))

    def _body(self, operation: str, member: Member) -> dict[str, Any]:
        signed = {"document": {}, "signature": {}}
        if operation.startswith("PUT"):
            digest = base64.b64encode(hashlib.sha256(b"x").digest()).decode()
            return {"content": b"x", "headers": {"Content-Digest": f"sha-256=:{digest}:"}}
        bodies: dict[str, Any] = {
            "POST /v1/organizations": {"id": "new", "name": "New"},
            "POST /v1/organizations/{organization}/credentials": {"kind": "api_key", "role": "agency"},
            "POST /v1/agreements": agreement_document(id="another"),
            "POST /v1/agreements/{agreement}/versions": agreement_document(purpose="Another"),
            "POST /v1/agreements/{agreement}/approvals": signed,
            "POST /v1/agreements/{agreement}/revocations": signed,
            "POST /v1/agreements/{agreement}/batches": signed,
            "POST /v1/agreements/{agreement}/batches/clks": {"clks": []},
            "POST /v1/agreements/{agreement}/releases": {"indicator": "employed_q4", "cohort": "2020-21"},
            "POST /v1/thresholds": {"csv": "x"},
        }
        queries = {
            "GET /v1/log/proofs/inclusion": {"index": 0},
            "GET /v1/log/proofs/consistency": {"from": 1},
            "GET /v1/releases/{release}/gap": {"reference": "White"},
        }
        given: dict[str, Any] = {}
        if operation in bodies:
            given["json"] = bodies[operation]
        if operation in queries:
            given["params"] = queries[operation]
        return given


def seen(answer: Any) -> str:
    return {403: "F", 404: "N", 401: "U"}.get(answer.status_code, "Y" if answer.status_code < 500 else "E")


#: Calls that end something come last.
def in_order(operations: set[str]) -> list[str]:
    return sorted(operations, key=lambda name: (name.startswith("DELETE"), name.split()[1], name))


def test_every_endpoint_has_a_row_and_every_row_an_endpoint(sqlite_world: World) -> None:
    assert operations(sqlite_world) == set(matrix()) | PUBLIC


@pytest.mark.parametrize("who", CALLERS)
def test_every_caller_gets_what_the_matrix_says(sqlite_world: World, who: str) -> None:
    stage, table = Stage(sqlite_world), matrix()
    member = stage.callers[who]
    wrong = {}
    for operation in in_order(set(table)):
        if who in STRANGERS and "{" in operation:
            # What a stranger is told of a thing is what anybody is told of nothing.
            told, of_nothing = (
                (answer.status_code, answer.json().get("code") if answer.status_code >= 400 else None)
                for answer in (stage.call(operation, member), stage.call(operation, member, **NOTHING))
            )
            assert told == of_nothing, operation
        found = seen(stage.call(operation, member))
        if found != table[operation][who]:
            wrong[operation] = found
    assert wrong == {}


def test_nobody_without_a_credential_gets_anywhere_but_to_what_is_public(sqlite_world: World) -> None:
    stage = Stage(sqlite_world)
    nobody = Member(sqlite_world.client, "nobody", "")
    assert {seen(stage.call(operation, nobody)) for operation in matrix()} == {"U"}


def test_no_answer_of_a_party_names_another_partys_batch(sqlite_world: World) -> None:
    stage = Stage(sqlite_world)
    for who in ("other agency", "recipient", "strange agency"):
        listed = stage.callers[who].get(f"/agreements/{AGREEMENT}/batches").text
        assert stage.batch not in listed
