"""People sign in at their identity provider: authorization code flow with PKCE, state and nonce.

1. `begin`: the browser gets a cookie with 256 random bits and is sent to the provider. State, nonce and PKCE
   verifier are three different hashes of these bits, so nothing has to be remembered here.
2. The provider asks the person whatever it asks, and sends the browser back with a code.
3. `require_own`: the state is that of this browser's cookie; the issuer, if it is named, is ours (RFC 9207).
4. `finish`: the code is exchanged directly with the provider, with the verifier and the client's secret. The
   ID token is checked as every token is (`identity`), for this client, and bears the nonce. Claims that it
   lacks are asked of the provider's userinfo.
5. Subject and claims mean the same as in a bearer token (`organizations.by_subject`): a session begins.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx
import structlog

from app.auth import same_digest
from app.errors import ForbiddenError, NotFoundError, ServiceError
from app.flows import sessions
from app.flows.identity import Identity, require_safe, unavailable
from app.flows.service import Service
from app.settings import CALLBACK, OidcClient

__all__ = ["CALLBACK", "PATIENCE", "Begun", "Returned", "begin", "farewell", "finish", "require_own"]

#: Seconds that somebody may take at the provider.
PATIENCE: Final = 900

log = structlog.get_logger()


@dataclass(frozen=True)
class Begun:
    """Where to send the browser, and the secret that its cookie keeps meanwhile."""

    url: str
    secret: str


@dataclass(frozen=True)
class Returned:
    """What the browser brought back: parameters of the address, empty where there are none."""

    state: str
    code: str
    issuer: str
    error: str


def begin(identity: Identity | None, *, anew: bool = False) -> Begun:
    """Begin to sign in; with ``anew`` the provider asks who it is, even if it knows.

    Raises
    ------
    NotFoundError
        No provider was set up for people.
    ServiceError
        `IDENTITY_PROVIDER_UNAVAILABLE`.
    """
    identity, client = _client(identity)
    secret = secrets.token_urlsafe(32)
    asked = {
        "response_type": "code",
        "client_id": client.id,
        "redirect_uri": client.redirect_uri,
        "scope": "openid",
        "state": _derive("state", secret),
        "nonce": _derive("nonce", secret),
        "code_challenge": _challenge(_derive("verifier", secret)),
        "code_challenge_method": "S256",
    } | ({"prompt": "login"} if anew else {})
    where = _endpoint(identity, "authorization_endpoint")
    return Begun(f"{where}{'&' if '?' in where else '?'}{urlencode(asked)}", secret)


def require_own(identity: Identity | None, secret: str, returned: Returned) -> None:
    """Check that this browser, whose cookie holds the secret, began what comes back.

    Raises
    ------
    ServiceError
        `SIGN_IN_INTERRUPTED` (400).
    NotFoundError
    """
    identity, _ = _client(identity)
    about = identity.about()
    named = returned.issuer or not about.get("authorization_response_iss_parameter_supported")
    if (
        not secret
        or not same_digest(_derive("state", secret), returned.state)
        or not named
        or returned.issuer not in ("", identity.oidc.issuer)
    ):
        raise ServiceError(
            "SIGN_IN_INTERRUPTED", 400, "It took too long, or was begun elsewhere. Begin once more."
        )


def finish(service: Service, identity: Identity | None, secret: str, returned: Returned) -> str:
    """Begin a session out of what the provider sent back; returns the session's cookie value.

    Raises
    ------
    ForbiddenError
        `SIGN_IN_DECLINED`: the provider, or the person, said no. `SIGN_IN_UNKNOWN`: the person is
        known there, and nobody here.
    ServiceError
        `SIGN_IN_FAILED` (502): what the provider answered does not hold. `IDENTITY_PROVIDER_UNAVAILABLE`.
    """
    identity, client = _client(identity)
    if returned.error or not returned.code:
        raise ForbiddenError("Your identity provider did not sign you in.", "SIGN_IN_DECLINED")
    try:
        answer = _exchange(identity, client, secret, returned.code)
        claims = _claims(identity, client, secret, answer)
    except httpx.HTTPStatusError as error:
        # It answered, and refused: an old code, or a secret that is not the one it knows.
        status = error.response.status_code
        raise unavailable() if status >= 500 else _failed(f"it answered {status}") from None
    except httpx.HTTPError:
        raise unavailable() from None
    except (ValueError, TypeError, KeyError) as error:
        raise _failed(type(error).__name__) from None
    organization, role = identity.oidc.organization_claim, identity.oidc.role_claim
    try:
        return sessions.sign_in_subject(
            service, str(claims["sub"]), claims.get(organization), claims.get(role)
        )
    except ServiceError as refusal:
        if refusal.status != 401:
            raise
        raise ForbiddenError(
            "Your identity provider knows you, but this service has no organization and role for you. "
            "Ask its operator.",
            "SIGN_IN_UNKNOWN",
        ) from None


def farewell(identity: Identity | None) -> str | None:
    """Where to sign out at the provider as well, if it has such a page."""
    if identity is None or identity.oidc.client is None:
        return None
    try:
        where = _endpoint(identity, "end_session_endpoint")
    except ServiceError:
        return None
    return f"{where}{'&' if '?' in where else '?'}{urlencode({'client_id': identity.oidc.client.id})}"


def _client(identity: Identity | None) -> tuple[Identity, OidcClient]:
    if identity is None or identity.oidc.client is None:
        raise NotFoundError()
    return identity, identity.oidc.client


def _endpoint(identity: Identity, name: str) -> str:
    where = identity.about().get(name)
    if not isinstance(where, str):
        raise unavailable()
    require_safe(where)
    return where


def _exchange(identity: Identity, client: OidcClient, secret: str, code: str) -> Mapping[str, Any]:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": client.redirect_uri,
        "code_verifier": _derive("verifier", secret),
    }
    headers = {"Accept": "application/json"}
    # `client_secret_basic` is what is meant where nothing is said (OpenID Connect Discovery 1.0, 3).
    known = identity.about().get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    if client.secret is None:
        form["client_id"] = client.id
    elif "client_secret_basic" in known:
        both = f"{quote(client.id, safe='')}:{quote(client.secret, safe='')}"
        headers["Authorization"] = f"Basic {base64.b64encode(both.encode()).decode()}"
    else:
        form |= {"client_id": client.id, "client_secret": client.secret}
    return identity.fetch(_endpoint(identity, "token_endpoint"), form, headers)


def _claims(
    identity: Identity, client: OidcClient, secret: str, answer: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Claims of the ID token, as checked, and of userinfo where these are not all."""
    try:
        claims = identity.claims(str(answer["id_token"]), audience=client.id)
    except ServiceError as refusal:
        raise (_failed("ID token") if refusal.status == 401 else refusal) from None
    if not same_digest(_derive("nonce", secret), str(claims.get("nonce", ""))):
        raise _failed("nonce")
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else client.id) != client.id:
        raise _failed("azp")
    wanted = {identity.oidc.organization_claim, identity.oidc.role_claim}
    if wanted <= claims.keys() or "userinfo_endpoint" not in identity.about() or "access_token" not in answer:
        return claims
    headers = {"Authorization": f"Bearer {answer['access_token']}", "Accept": "application/json"}
    more = identity.fetch(_endpoint(identity, "userinfo_endpoint"), None, headers)
    if more.get("sub") != claims["sub"]:
        raise _failed("subject of userinfo")
    return {**{name: more[name] for name in wanted if name in more}, **claims}


def _failed(what: str) -> ServiceError:
    log.warning("what the identity provider answered does not hold", what=what)
    return ServiceError("SIGN_IN_FAILED", 502, "What the identity provider answered does not hold.")


def _derive(purpose: str, secret: str) -> str:
    digest = hashlib.sha256(f"cohortlink sign-in {purpose} {secret}".encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
