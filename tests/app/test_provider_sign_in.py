"""People sign in at a provider: what a browser, another site or a broken provider can get wrong."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from app.api.sessions import COOKIE, FLOW_COOKIE
from app.errors import ServiceError
from app.flows.identity import Identity
from app.settings import CALLBACK, Oidc, OidcClient, Settings
from tests.world import Clock, World

ISSUER = "https://idp.invalid"
CLIENT = OidcClient("pages:1", f"http://localhost{CALLBACK}", "s/1 &%")
OIDC = Oidc(ISSUER, "urn:cohortlink", client=CLIENT)
KEY = RSAKey.generate_key(2048, {"kid": "one"})


class Provider:
    """A provider that says what a test tells it to say."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.key = KEY
        self.about: dict[str, Any] = {
            "issuer": ISSUER,
            "jwks_uri": ISSUER + "/jwks",
            "authorization_endpoint": ISSUER + "/authorize?tenant=1",
            "token_endpoint": ISSUER + "/token",
            "userinfo_endpoint": ISSUER + "/me",
            "end_session_endpoint": ISSUER + "/logout",
        }
        self.claims: dict[str, Any] = {
            "cohortlink_organization": "partnership",
            "cohortlink_role": "partnership",
        }
        self.userinfo: dict[str, Any] = {"sub": "ana"}
        self.nonce = ""
        self.error: Exception | None = None
        self.posted: list[tuple[dict[str, str], dict[str, str]]] = []

    def fetch(
        self, url: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        if url == ISSUER + "/.well-known/openid-configuration":
            return self.about
        if url == ISSUER + "/jwks":
            return {"keys": [self.key.as_dict(private=False)]}
        if url == ISSUER + "/me":
            assert dict(headers or {})["Authorization"] == "Bearer an-access-token"
            return self.userinfo
        assert url == ISSUER + "/token"
        self.posted.append((dict(form or {}), dict(headers or {})))
        if self.error is not None:
            raise self.error
        now = int(self.clock().timestamp())
        base = {"iss": ISSUER, "aud": CLIENT.id, "sub": "ana", "iat": now, "exp": now + 300}
        said = base | {"nonce": self.nonce} | self.claims
        token = jwt.encode({"alg": "RS256", "kid": "one"}, said, self.key, algorithms=["RS256"])
        return {"id_token": token, "access_token": "an-access-token", "token_type": "Bearer"}


class Browser:
    """The same browser all along, which follows nothing by itself."""

    def __init__(self, world: World, provider: Provider) -> None:
        self.client, self.provider = world.client, provider
        self.client.follow_redirects = False
        self.sent: dict[str, str] = {}

    def begin(self, query: str = "") -> httpx.Response:
        answer = self.client.get("/sign-in/provider" + query)
        if answer.status_code == 303:
            address = urlsplit(answer.headers["location"])
            self.sent = {name: values[0] for name, values in parse_qs(address.query).items()}
            self.provider.nonce = self.sent["nonce"]
        return answer

    def comes_back(self, **changes: str) -> httpx.Response:
        query = {"code": "a-code", "state": self.sent.get("state", "")} | changes
        return self.client.get(CALLBACK, params=query, headers={"Accept": "text/html"})


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    settings = Settings.for_data(tmp_path_factory.mktemp("people"))
    with World(replace(settings, oidc=OIDC), Clock()) as made:
        yield made


@pytest.fixture
def world(shared: World) -> World:
    shared.client.cookies.clear()
    # What earlier tests tried is forgotten.
    shared.clock.advance(minutes=5)
    return shared


@pytest.fixture
def provider(world: World) -> Provider:
    made = Provider(world.clock)
    world.app.state.identity = Identity(OIDC, world.clock, fetch=made.fetch)
    return made


@pytest.fixture
def browser(world: World, provider: Provider) -> Browser:
    return Browser(world, provider)


def code_of(answer: httpx.Response) -> str:
    return answer.text.partition("Code <code>")[2].partition("<")[0]


def test_flow_sends_pkce_state_and_nonce_and_the_cookies_no_script_or_other_site_reads(
    browser: Browser, provider: Provider
) -> None:
    begun = browser.begin("?next=/partnership/indicators")
    assert begun.headers["location"].startswith(ISSUER + "/authorize?tenant=1&response_type=code&")
    assert browser.sent["redirect_uri"] == CLIENT.redirect_uri
    assert len({browser.sent[name] for name in ("state", "nonce", "code_challenge")}) == 3
    kept = begun.headers["set-cookie"]
    for flag in ("HttpOnly", "SameSite=lax", f"Path={CALLBACK}", "Max-Age=900"):
        assert flag in kept
    answer = browser.comes_back(iss=ISSUER)
    assert answer.status_code == 200
    assert 'http-equiv="refresh" content="0; url=/partnership/indicators"' in answer.text
    form, headers = provider.posted[0]
    challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest())
    assert challenge.rstrip(b"=").decode() == browser.sent["code_challenge"]
    both = base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode()
    assert both == "pages%3A1:s%2F1%20%26%25"
    session, forgotten = answer.headers.get_list("set-cookie")
    assert session.startswith(COOKIE)
    assert "SameSite=strict" in session
    assert "HttpOnly" in session
    assert forgotten.startswith(f'{FLOW_COOKIE}=""')
    assert browser.client.get("/partnership/indicators").status_code == 200


def test_client_when_the_provider_wants_it_so_authenticates_in_the_form_or_by_pkce_alone(
    world: World, browser: Browser, provider: Provider
) -> None:
    provider.about["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    browser.begin()
    assert browser.comes_back().status_code == 200
    assert provider.posted[0][0]["client_secret"] == CLIENT.secret
    public = replace(OIDC, client=replace(CLIENT, secret=None))
    world.app.state.identity = Identity(public, world.clock, fetch=provider.fetch)
    browser.client.cookies.clear()
    browser.begin()
    assert browser.comes_back().status_code == 200
    form, headers = provider.posted[1]
    assert form["client_id"] == CLIENT.id
    assert "client_secret" not in form
    assert "Authorization" not in headers


@pytest.mark.parametrize(
    "changes",
    [{"state": "x" * 43}, {"state": ""}, {"iss": "https://other.invalid"}, {"iss": ISSUER + "/"}],
)
def test_answer_that_this_browser_did_not_ask_for_is_not_taken_to_the_provider(
    browser: Browser, provider: Provider, changes: dict[str, str]
) -> None:
    browser.begin()
    answer = browser.comes_back(**changes)
    assert (answer.status_code, code_of(answer)) == (400, "SIGN_IN_INTERRUPTED")
    assert provider.posted == []
    assert COOKIE not in browser.client.cookies


def test_answer_without_the_cookie_or_with_an_issuer_left_out_is_not_taken(
    browser: Browser, provider: Provider
) -> None:
    browser.begin()
    browser.client.cookies.clear()
    assert code_of(browser.comes_back()) == "SIGN_IN_INTERRUPTED"
    browser.client.cookies.clear()
    provider.about["authorization_response_iss_parameter_supported"] = True
    browser.begin()
    assert code_of(browser.comes_back()) == "SIGN_IN_INTERRUPTED"
    assert provider.posted == []


def test_answer_that_is_used_twice_signs_nobody_else_in(browser: Browser, provider: Provider) -> None:
    browser.begin()
    assert browser.comes_back().status_code == 200
    again = browser.comes_back()
    assert (again.status_code, again.headers["location"]) == (303, "/partnership")
    assert len(provider.posted) == 1


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "urn:cohortlink"},
        {"aud": [CLIENT.id, "another"]},
        {"aud": [CLIENT.id, "another"], "azp": "another"},
        {"azp": "another"},
        {"iss": "https://other.invalid"},
        {"exp": 1_700_000_000},
        {"sub": 7},
    ],
)
def test_id_token_that_says_something_else_signs_nobody_in(
    browser: Browser, provider: Provider, claims: dict[str, Any]
) -> None:
    browser.begin()
    provider.claims |= claims
    answer = browser.comes_back()
    assert (answer.status_code, code_of(answer)) == (502, "SIGN_IN_FAILED")
    assert COOKIE not in browser.client.cookies


def test_id_token_by_another_key_or_none_at_all_signs_nobody_in(browser: Browser, provider: Provider) -> None:
    browser.begin()
    browser.client.get("/sign-in")
    known, provider.key = provider.key, RSAKey.generate_key(2048, {"kid": "one"})
    assert code_of(browser.comes_back()) == "SIGN_IN_FAILED"
    provider.key = known
    browser.begin()
    provider.error = ValueError("not JSON")
    assert code_of(browser.comes_back()) == "SIGN_IN_FAILED"


def refused(status: int) -> Exception:
    answer = httpx.Response(status, request=httpx.Request("POST", ISSUER))
    return httpx.HTTPStatusError("refused", request=answer.request, response=answer)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (httpx.ConnectError("down"), 503, "IDENTITY_PROVIDER_UNAVAILABLE"),
        (refused(500), 503, "IDENTITY_PROVIDER_UNAVAILABLE"),
        (refused(400), 502, "SIGN_IN_FAILED"),
    ],
)
def test_provider_that_fails_is_said_to_fail(
    browser: Browser, provider: Provider, error: Exception, status: int, code: str
) -> None:
    browser.begin()
    provider.error = error
    answer = browser.comes_back()
    assert (answer.status_code, code_of(answer)) == (status, code)


def test_person_who_declines_is_told_so_and_what_the_provider_wrote_is_not_repeated(
    browser: Browser, provider: Provider
) -> None:
    browser.begin()
    answer = browser.comes_back(error="<b>access_denied", error_description="<script>")
    assert (answer.status_code, code_of(answer)) == (403, "SIGN_IN_DECLINED")
    assert "access_denied" not in answer.text
    assert provider.posted == []


@pytest.mark.parametrize(
    "claims",
    [
        {"cohortlink_organization": "nowhere"},
        {"cohortlink_role": "root"},
        {"cohortlink_role": {"a": "partnership"}},
        {"cohortlink_organization": ["partnership"]},
    ],
)
def test_person_who_is_nobody_here_is_told_whom_to_ask(
    browser: Browser, provider: Provider, claims: dict[str, Any]
) -> None:
    browser.begin()
    provider.claims |= claims
    answer = browser.comes_back()
    assert (answer.status_code, code_of(answer)) == (403, "SIGN_IN_UNKNOWN")
    assert "/sign-in/provider?anew=true" in answer.text
    browser.begin("?anew=true")
    assert browser.sent["prompt"] == "login"


def test_claims_that_the_id_token_lacks_come_from_userinfo_of_the_same_person(
    browser: Browser, provider: Provider
) -> None:
    provider.userinfo |= {"cohortlink_organization": "partnership", "cohortlink_role": "operator"}
    del provider.claims["cohortlink_organization"]
    browser.begin()
    answer = browser.comes_back()
    # The ID token's own role stands, whatever userinfo says.
    assert 'url=/partnership"' in answer.text
    provider.userinfo["sub"] = "somebody else"
    browser.begin()
    assert code_of(browser.comes_back()) == "SIGN_IN_FAILED"


@pytest.mark.parametrize(
    "onwards",
    [
        "//elsewhere.invalid/", "/\\elsewhere.invalid", "https://elsewhere.invalid/", "/v1/agreements",
        "javascript:alert(1)", "/sign-in", "/a\nb", "/\t/elsewhere.invalid",
    ],
)  # fmt: skip
def test_page_to_go_on_to_when_it_is_not_one_of_ours_is_the_first_page(
    browser: Browser, onwards: str
) -> None:
    browser.client.get("/sign-in/provider", params={"next": onwards})
    browser.begin("?" + str(httpx.QueryParams({"next": onwards})))
    assert 'content="0; url=/partnership"' in browser.comes_back().text


def test_session_of_a_provider_lasts_an_hour_and_no_longer_than_the_registered_subject(
    world: World, browser: Browser, provider: Provider
) -> None:
    browser.begin()
    browser.comes_back()
    assert browser.client.get("/partnership").status_code == 200
    world.clock.advance(minutes=61)
    assert browser.client.get("/partnership").status_code == 401
    provider.claims["sub"] = "bea"
    browser.begin()
    browser.comes_back()
    path = "/organizations/auditor/credentials"
    body = {"kind": "oidc", "role": "auditor", "subject": "bea"}
    made = world.operator.post(path, body).json()
    # What she is registered as holds from now on, then nothing.
    assert browser.client.get("/partnership").status_code == 404
    assert browser.client.get("/auditor").status_code == 200
    world.operator.call("DELETE", f"{path}/{made['id']}")
    assert browser.client.get("/auditor").status_code == 401


def test_signing_out_ends_the_session_here_and_says_where_to_end_the_other(browser: Browser) -> None:
    browser.begin()
    browser.comes_back()
    page = browser.client.get("/partnership").text
    csrf = page.partition('name="csrf" value="')[2].partition('"')[0]
    headers = {"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}
    answer = browser.client.post("/sign-out", data={"csrf": csrf}, headers=headers)
    assert answer.headers["location"] == "/signed-out"
    assert f"{ISSUER}/logout?client_id=pages%3A1" in browser.client.get("/signed-out").text
    assert browser.client.get("/partnership").status_code == 401


def test_attempts_at_the_provider_are_counted_as_those_with_keys_are(browser: Browser) -> None:
    statuses = []
    for _ in range(11):
        browser.begin()
        statuses.append(browser.comes_back(error="access_denied").status_code)
    assert statuses == [403] * 10 + [429]


def test_without_a_client_there_is_nothing_to_sign_in_at(sqlite_world: World) -> None:
    for path in ("/sign-in/provider", CALLBACK):
        assert sqlite_world.client.get(path).status_code == 404
    assert "API key of your organization" in sqlite_world.client.get("/sign-in").text


def test_settings_of_the_client_are_read_from_files_and_checked(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    given = {
        "COHORTLINK_OIDC_ISSUER": ISSUER,
        "COHORTLINK_OIDC_AUDIENCE": "urn:cohortlink",
        "COHORTLINK_OIDC_CLIENT_ID": "pages",
        "COHORTLINK_OIDC_CLIENT_SECRET_FILE": str(secret),
        "COHORTLINK_OIDC_REDIRECT_URI": f"https://cohortlink.example{CALLBACK}",
    }
    oidc = Settings.from_env(given).oidc
    assert oidc is not None
    assert oidc.client == OidcClient("pages", f"https://cohortlink.example{CALLBACK}", "s3cret")
    assert "s3cret" not in repr(oidc)
    for name, value in (
        ("OIDC_CLIENT_ID", ""),
        ("OIDC_REDIRECT_URI", ""),
        ("OIDC_REDIRECT_URI", f"http://cohortlink.example{CALLBACK}"),
        ("OIDC_REDIRECT_URI", "https://cohortlink.example/elsewhere"),
        ("OIDC_CLIENT_SECRET_FILE", str(tmp_path / "none")),
        ("OIDC_ISSUER", ""),
    ):
        with pytest.raises(ServiceError, match="SETTINGS_INVALID"):
            Settings.from_env(given | {f"COHORTLINK_{name}": value})
