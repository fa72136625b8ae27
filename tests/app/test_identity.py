"""Access tokens of an identity provider: a real one where node is, and forged ones of our own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from app.errors import ServiceError
from app.flows.identity import KEYS_SECONDS, QUIET_SECONDS, SKEW_SECONDS, Identity
from app.settings import Oidc, Settings
from tests.provider import provider as provider_process
from tests.world import Clock, Member, World

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ISSUER, AUDIENCE = "https://idp.invalid", "urn:cohortlink"


# ------------------------------------------------------------------ forged tokens


class Provider:
    """A provider of our own making: its documents, and how often they were read."""

    def __init__(self) -> None:
        self.keys = [RSAKey.generate_key(2048, {"kid": "one"})]
        self.reads = 0
        self.down = False

    def fetch(self, url: str, form: Any = None, headers: Any = None) -> Mapping[str, Any]:
        self.reads += 1
        if self.down:
            raise httpx.ConnectError("down")
        if url == ISSUER + "/.well-known/openid-configuration":
            return {"issuer": ISSUER, "jwks_uri": ISSUER + "/jwks"}
        return {"keys": [key.as_dict(private=False) for key in self.keys]}

    def token(self, key: Any = None, header: Mapping[str, Any] | None = None, **changes: Any) -> str:
        now = int(NOW.timestamp())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "s", "iat": now, "exp": now + 300} | changes
        claims = {name: value for name, value in claims.items() if value is not None}
        key = key or self.keys[0]
        head = {"alg": "RS256", "kid": key.kid or "one"} | dict(header or {})
        return jwt.encode(head, claims, key, algorithms=["RS256", "HS256"])


@pytest.fixture(scope="module")
def provider() -> Provider:
    return Provider()


def make_identity(provider: Provider, ticks: Callable[[], float] = lambda: 0.0) -> Identity:
    return Identity(Oidc(ISSUER, AUDIENCE), lambda: NOW, fetch=provider.fetch, ticks=ticks)


def refusal(identity: Identity, token: str) -> str:
    with pytest.raises(ServiceError) as error:
        identity.claims(token)
    return error.value.code


def test_a_token_of_the_issuer_for_this_audience_is_accepted(provider: Provider) -> None:
    identity = make_identity(provider)
    assert identity.claims(provider.token())["sub"] == "s"
    assert identity.claims(provider.token(aud=["other", AUDIENCE]))["sub"] == "s"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://other.invalid"},
        {"iss": ISSUER + "/"},
        {"iss": None},
        {"aud": "urn:other"},
        {"aud": []},
        {"aud": None},
        {"exp": None},
        {"exp": int(NOW.timestamp()) - SKEW_SECONDS},
        {"exp": "never"},
        {"nbf": int(NOW.timestamp()) + SKEW_SECONDS + 1},
        {"iat": int(NOW.timestamp()) + SKEW_SECONDS + 1},
        {"sub": None},
        {"sub": 7},
    ],
)
def test_a_token_that_says_something_else_is_refused(provider: Provider, changes: dict[str, Any]) -> None:
    assert refusal(make_identity(provider), provider.token(**changes)) == "UNAUTHENTICATED"


def test_a_minute_of_clock_skew_is_forgiven(provider: Provider) -> None:
    identity = make_identity(provider)
    now = int(NOW.timestamp())
    assert identity.claims(provider.token(exp=now - SKEW_SECONDS + 1))
    assert identity.claims(provider.token(iat=now + SKEW_SECONDS, nbf=now + SKEW_SECONDS))


def test_a_signature_by_another_key_a_shared_secret_or_none_is_refused(provider: Provider) -> None:
    identity = make_identity(provider)
    stranger = RSAKey.generate_key(2048, {"kid": "one"})
    assert refusal(identity, provider.token(stranger)) == "UNAUTHENTICATED"
    public = provider.keys[0].as_pem(private=False)
    shared = OctKey.import_key(public.hex(), {"kid": "one"})
    assert refusal(identity, provider.token(shared, {"alg": "HS256"})) == "UNAUTHENTICATED"
    _, body, _ = provider.token().split(".")
    for head in ("eyJhbGciOiJub25lIn0", "e30", "AAAA"):
        for signature in ("", "AAAA"):
            assert refusal(identity, f"{head}.{body}.{signature}") == "UNAUTHENTICATED"
    assert refusal(identity, "a" * 20_000) == "UNAUTHENTICATED"


def test_keys_are_read_again_for_an_unknown_key_but_not_at_every_forgery() -> None:
    provider, time = Provider(), [0.0]
    identity = make_identity(provider, lambda: time[0])
    identity.claims(provider.token())
    reads = provider.reads
    provider.keys = [RSAKey.generate_key(2048, {"kid": "two"})]
    time[0] += QUIET_SECONDS / 2
    for _ in range(10):
        assert refusal(identity, provider.token()) == "UNAUTHENTICATED"
    assert provider.reads == reads
    time[0] += QUIET_SECONDS
    assert identity.claims(provider.token())
    assert provider.reads == reads + 2


def test_an_outage_of_the_provider_leaves_the_keys_that_are_known(provider: Provider) -> None:
    time = [0.0]
    down = Provider()
    identity = make_identity(down, lambda: time[0])
    token = down.token()
    identity.claims(token)
    down.down, time[0] = True, KEYS_SECONDS + 1
    assert identity.claims(token)
    fresh = make_identity(down)
    assert refusal(fresh, token) == "IDENTITY_PROVIDER_UNAVAILABLE"


def test_a_provider_is_asked_over_https_only() -> None:
    for issuer in ("http://idp.example", "ftp://localhost", "idp.example"):
        with pytest.raises(ServiceError, match="SETTINGS_INVALID"):
            Identity(Oidc(issuer, AUDIENCE), lambda: NOW)


def test_settings_name_issuer_and_audience_together() -> None:
    given = {"COHORTLINK_OIDC_ISSUER": ISSUER, "COHORTLINK_OIDC_AUDIENCE": AUDIENCE}
    assert Settings.from_env(given).oidc == Oidc(ISSUER, AUDIENCE)
    assert Settings.from_env({}).oidc is None
    with pytest.raises(ServiceError, match="SETTINGS_INVALID"):
        Settings.from_env({"COHORTLINK_OIDC_ISSUER": ISSUER})


# ------------------------------------------------------------------ a real provider


@pytest.fixture(scope="module")
def real() -> Iterator[Oidc]:
    """npm's oidc-provider in a process of its own."""
    with provider_process() as oidc:
        yield oidc


def real_token(oidc: Oidc, client: str, audience: str | None = None) -> str:
    body = {"grant_type": "client_credentials", "scope": "use", "resource": audience or oidc.audience}
    answer = httpx.post(oidc.issuer + "/token", data=body, auth=(client, "secret-of-a-test"))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


@pytest.fixture
def tokens(sqlite_settings: Settings, real: Oidc) -> Iterator[World]:
    """A world that accepts the real provider's tokens; its clock is the provider's."""
    clock = Clock()
    clock.now = datetime.now(UTC)
    with World(replace(sqlite_settings, oidc=real), clock) as world:
        yield world


def holder(world: World, oidc: Oidc, client: str, audience: str | None = None) -> Member:
    return Member(world.client, client, real_token(oidc, client, audience))


def test_a_real_token_is_worth_the_role_that_its_claims_say(tokens: World, real: Oidc) -> None:
    tokens.agree()
    agency = holder(tokens, real, "agency-program")
    assert [item["id"] for item in agency.get("/organizations").json()["organizations"]] == ["oh-education"]
    assert agency.get("/log/entries").status_code == 403
    assert holder(tokens, real, "auditor-program").get("/log/entries").status_code == 200
    tokens.clock.advance(seconds=700)
    assert agency.get("/organizations").status_code == 401


@pytest.mark.parametrize("client", ["unknown-organization", "unknown-role", "odd-claims", "no-claims"])
def test_a_real_token_without_an_organization_and_role_of_ours_is_nobody(
    tokens: World, real: Oidc, client: str
) -> None:
    assert holder(tokens, real, client).get("/agreements").status_code == 401


def test_a_real_token_for_another_audience_is_refused(tokens: World, real: Oidc) -> None:
    other = holder(tokens, real, "auditor-program", "urn:another:service")
    assert other.get("/agreements").status_code == 401


def test_a_registered_subject_outranks_claims_and_can_be_revoked(tokens: World, real: Oidc) -> None:
    path = "/organizations/auditor/credentials"
    body = {"kind": "oidc", "role": "auditor", "subject": "agency-program"}
    made = tokens.operator.post(path, body)
    assert made.status_code == 201, made.text
    assert tokens.operator.post(path, body).json()["code"] == "SUBJECT_EXISTS"
    agency = holder(tokens, real, "agency-program")
    assert agency.get("/log/entries").status_code == 200
    assert tokens.operator.call("DELETE", f"{path}/{made.json()['id']}").status_code == 204
    assert agency.get("/agreements").status_code == 401


def test_keys_that_the_real_provider_rotates_are_followed(tokens: World, real: Oidc) -> None:
    auditor = holder(tokens, real, "auditor-program")
    assert auditor.get("/agreements").status_code == 200
    assert httpx.post(real.issuer + "/rotate").status_code == 204
    renewed = holder(tokens, real, "auditor-program")
    # As if the last look at the keys had been a while ago.
    tokens.app.state.identity._tried_at -= QUIET_SECONDS
    assert renewed.get("/agreements").status_code == 200
    assert auditor.get("/agreements").status_code == 401


def test_without_a_configured_provider_a_token_opens_nothing(sqlite_world: World, real: Oidc) -> None:
    assert holder(sqlite_world, real, "auditor-program").get("/agreements").status_code == 401
