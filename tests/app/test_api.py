"""What holds for every call: authentication, problem documents, headers, limits, health."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.flows import organizations
from tests.app import test_matrix as matrix
from tests.world import Clock, Member, World

PUBLIC = {operation.split()[1] for operation in matrix.PUBLIC}


def routes(world: World) -> list[tuple[str, str]]:
    """Every method and path of the OpenAPI."""
    paths = world.client.get("/openapi.json").json()["paths"]
    return [(method.upper(), path) for path, item in paths.items() for method in item]


def test_every_call_but_the_public_ones_wants_a_key(sqlite_world: World) -> None:
    seen = routes(sqlite_world)
    assert len(seen) > 20
    for method, path in seen:
        if path in PUBLIC:
            continue
        url = path.replace("{", "").replace("}", "").replace("number", "0")
        answer = sqlite_world.client.request(method, url)
        assert answer.status_code == 401, (method, path, answer.text)
        assert answer.json()["code"] == "UNAUTHENTICATED"
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer x", "Basic eDp5", "Bearer clk_" + "A" * 43, "Bearer clk_" + "A" * 5000]
)
def test_a_key_that_is_none_is_refused(sqlite_world: World, header: str) -> None:
    answer = sqlite_world.client.get("/v1/agreements", headers={"Authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED")


def test_an_expired_and_a_revoked_key_open_nothing(world: World, clock: Clock) -> None:
    path = "/organizations/auditor/credentials"
    body = {"kind": "api_key", "role": "auditor", "expires_at": "2026-11-22T13:00:00Z"}
    made = world.operator.post(path, body).json()
    key = Member(world.client, "auditor", made["api_key"])
    assert key.get("/agreements").status_code == 200
    clock.advance(hours=1)
    assert key.get("/agreements").status_code == 401
    other = world.operator.post(path, {"kind": "api_key", "role": "auditor"}).json()
    assert world.operator.call("DELETE", f"{path}/{other['id']}").status_code == 204
    assert Member(world.client, "auditor", other["api_key"]).get("/agreements").status_code == 401


def test_an_api_key_is_stored_as_its_digest_only(sqlite_world: World) -> None:
    world = sqlite_world
    secret = world.auditor.api_key.removeprefix("clk_").encode()
    stored = b"".join(item.read_bytes() for item in world.settings.data.rglob("*") if item.is_file())
    assert secret not in stored
    shown = world.operator.get("/organizations/auditor").text
    assert "clk_" not in shown and "sha256" not in shown


def test_a_public_key_belongs_to_one_organization_for_ever(sqlite_world: World) -> None:
    world = sqlite_world
    body = {"kind": "ed25519", "public_key": world.education.key.public.to_text()}
    answer = world.operator.post("/organizations/auditor/credentials", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "PUBLIC_KEY_EXISTS")
    bad = {"kind": "ed25519", "public_key": "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}
    answer = world.operator.post("/organizations/auditor/credentials", bad)
    assert (answer.status_code, answer.json()["code"]) == (422, "PUBLIC_KEY_INVALID")


def test_a_signature_by_a_revoked_key_is_refused(world: World) -> None:
    listed = world.operator.get("/organizations/oh-education").json()["credentials"]
    key = next(item for item in listed if item["kind"] == "ed25519")
    world.operator.call("DELETE", f"/organizations/oh-education/credentials/{key['id']}")
    with pytest.raises(AssertionError, match="SIGNATURE_INVALID"):
        world.agree()


def test_only_the_operator_registers(sqlite_world: World) -> None:
    world = sqlite_world
    for member in (world.education, world.partnership, world.auditor):
        assert member.post("/organizations", {"id": "x", "name": "X"}).status_code == 403
        made = member.post(f"/organizations/{member.id}/credentials", {"kind": "api_key", "role": "operator"})
        assert made.status_code == 403
    assert [item["id"] for item in world.education.get("/organizations").json()["organizations"]] == [
        "oh-education"
    ]
    assert world.education.get("/organizations/operator").status_code == 404


def test_a_second_operator_cannot_be_bootstrapped(world: World) -> None:
    with pytest.raises(Exception, match="OPERATOR_EXISTS"):
        organizations.bootstrap(world.service, "another", "Another")


def test_problem_documents_have_a_code_and_never_echo_the_input(sqlite_world: World) -> None:
    world = sqlite_world
    bodies: list[Any] = [
        {"id": "x" * 5000, "name": "SECRET"},
        {"id": 5, "name": ["SECRET"]},
        {"id": "x", "name": "y", "SECRET": "SECRET"},
        {"id": "SE CRET", "name": "y"},
        ["SECRET"],
    ]
    for body in bodies:
        answer = world.operator.post("/organizations", body)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert "SECRET" not in answer.text and "SE CRET" not in answer.text and "xxx" not in answer.text
        assert {"type", "title", "status", "code", "detail"} <= answer.json().keys()
    broken = world.operator.call("POST", "/organizations", content=b'{"id": SECRET')
    assert broken.status_code == 422
    assert "SECRET" not in broken.text


def test_names_that_no_database_can_hold_are_absent_and_not_an_error(world: World) -> None:
    world.agree()
    for path in ("/agreements/%00", "/batches/%00", "/organizations/a%00b", "/releases/%00", "/runs/%00"):
        assert world.operator.get(path).status_code == 404, path
    body = {"document": {"a": "\x00"}, "signature": {"key_id": "\x00"}}
    for path in ("/agreements/cincinnati-nky/approvals", "/agreements/cincinnati-nky/batches"):
        assert world.education.post(path, body).status_code in (409, 422), path
    for half in ("\x00", "\ud800"):
        content = json.dumps({"document": {}, "signature": {}, "supersedes": half}).encode()
        answer = world.education.call("POST", "/agreements/cincinnati-nky/batches", content=content)
        assert (answer.status_code, answer.json()["code"]) == (422, "REQUEST_INVALID")
    for name in ("\x00", "a\nb", "\ud800"):
        content = json.dumps({"id": "x", "name": name}).encode()
        answer = world.operator.call("POST", "/organizations", content=content)
        assert answer.status_code == 422
        assert answer.json()["code"] in ("NAME_INVALID", "REQUEST_INVALID")


def test_unknown_paths_and_methods_are_problem_documents(sqlite_world: World) -> None:
    assert sqlite_world.client.get("/v1/nowhere").json()["code"] == "NOT_FOUND"
    assert sqlite_world.client.put("/v1/agreements").json()["code"] == "METHOD_NOT_ALLOWED"


def test_an_unexpected_error_tells_the_client_a_request_id_and_nothing_else(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("SECRET-VALUE")

    monkeypatch.setattr("app.flows.queries.list_agreements", fail)
    answer = sqlite_world.auditor.get("/agreements")
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL_ERROR")
    assert answer.json()["instance"].endswith(answer.headers["x-request-id"])
    captured = capsys.readouterr()
    assert "SECRET" not in answer.text + captured.out + captured.err
    assert answer.headers["x-request-id"] in captured.out + captured.err


def test_log_lines_hold_templates_and_no_values(
    sqlite_world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    sqlite_world.auditor.get("/agreements/very-secret-id?q=secret-value")
    captured = capsys.readouterr()
    text = captured.out + captured.err
    assert "/v1/agreements/{agreement}" in text
    assert "secret" not in text and "clk_" not in text


def test_every_answer_carries_the_security_headers(sqlite_world: World) -> None:
    for path in ("/healthz", "/v1/agreements", "/nowhere", "/", "/docs", "/static/site.css"):
        headers = sqlite_world.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-request-id"]


def test_bodies_are_bounded(sqlite_world: World) -> None:
    big = {"id": "x", "name": "y" * 5_000_000}
    answer = sqlite_world.operator.post("/organizations", big)
    assert (answer.status_code, answer.json()["code"]) == (413, "TOO_LARGE")
    answer = sqlite_world.operator.call("POST", "/organizations", content=iter([b"{}"]))
    assert (answer.status_code, answer.json()["code"]) == (411, "LENGTH_REQUIRED")


def test_ready_means_that_everything_is_there(world: World) -> None:
    assert world.client.get("/healthz").text == "ok\n"
    assert world.client.get("/readyz").json()["ready"] is True
    world.settings.keyring("facts").rename(world.settings.keyring("moved"))
    answer = world.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["facts keyring"] == "failed"
    assert str(world.settings.keys) not in answer.text


def test_metrics_count_requests_by_template(sqlite_world: World) -> None:
    sqlite_world.auditor.get("/agreements/very-secret-id")
    text = sqlite_world.client.get("/metrics").text
    assert 'route="/v1/agreements/{agreement}"' in text
    assert "very-secret-id" not in text
    assert 'cohortlink_things{thing="log_entries"}' in text


def test_every_route_documents_its_refusals(sqlite_world: World) -> None:
    document = sqlite_world.client.get("/openapi.json").json()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if path not in PUBLIC:
                assert {"401", "403", "404"} <= operation["responses"].keys(), (method, path)
