"""Sessions of the pages: somebody shows an API key, or comes from the identity provider, and gets a cookie.

The cookie holds 256 random bits, of which the SHA-256 is stored; a session is worth exactly what its API
key, or its registered subject, is worth at that moment: revoke or expire it, and the session is over. What
the provider's claims say is asked again every hour (`provider_sign_in`). Forms carry a token that is
derived from the cookie, so that another site, which can send the cookie but not read it, cannot send forms.

How the cookie is set is for the pages: `HttpOnly`, `SameSite=Strict`, `Path=/`, `Secure` over TLS
(`app.api.sessions.set_cookie`).
"""

from __future__ import annotations

import hashlib
import math
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta

from app.auth import Caller, Role, api_key_digest, bearer, same_digest, unauthenticated
from app.errors import ForbiddenError, ServiceError
from app.flows.organizations import authenticate, by_subject
from app.flows.service import Service
from app.store import attempts, organizations, sign_ins

LIFETIME = timedelta(hours=8)
#: Of sessions that rest on a provider's claims: going there again takes one click.
PROVIDER_LIFETIME = timedelta(hours=1)
#: Attempts to sign in from one address: so many at once, and one more after so many seconds.
ATTEMPTS = 10
ATTEMPT_SECONDS = 10.0
_COOKIE = re.compile(r"[A-Za-z0-9_-]{43}\Z")


@dataclass(frozen=True)
class Session:
    """Somebody who signed in.

    Attributes
    ----------
    caller : Caller
    csrf : str
        What every form of this session must carry.
    by_provider : bool
        Whether it began at the identity provider.
    """

    caller: Caller
    csrf: str
    by_provider: bool = False

    def require_csrf(self, given: str | None) -> None:
        """Check the token of a form.

        Raises
        ------
        ForbiddenError
            `CSRF`: the form was not one of ours.
        """
        if given is None or not same_digest(given, self.csrf):
            raise ForbiddenError("The form is not one of this session; load the page again.", "CSRF")


def sign_in(service: Service, api_key: str) -> str:
    """Begin a session with an API key; returns the cookie's value.

    Raises
    ------
    ServiceError
        `UNAUTHENTICATED`.
    """
    header = f"Bearer {api_key.strip()}"
    caller = authenticate(service, header)
    token = secrets.token_urlsafe(32)
    now = service.now()
    with service.store.transaction("sign in") as tx:
        sign_ins.forget_expired(tx, now)
        row = organizations.by_secret(tx, api_key_digest(bearer(header)))
        assert row is not None
        assert row.id == caller.credential_id
        ends = min(filter(None, [now + LIFETIME, row.expires_at]))
        sign_ins.add(tx, _digest(token), row.id, now, ends)
    return token


def sign_in_subject(service: Service, subject: str, organization: object, role: object) -> str:
    """Begin a session of somebody whom the identity provider named; returns the cookie's value.

    Raises
    ------
    ServiceError
        `UNAUTHENTICATED`: not somebody of ours.
    """
    token = secrets.token_urlsafe(32)
    now = service.now()
    with service.store.transaction("sign in by the provider") as tx:
        sign_ins.forget_expired(tx, now)
        caller = by_subject(tx, now, subject, organization, role)
        # Kept are claims that were found good, or none where the subject is registered.
        registered = organizations.by_subject(tx, subject) is not None
        claimed = (None, None) if registered else (caller.organization, str(caller.role))
        sign_ins.add_subject(tx, _digest(token), subject, claimed, now, now + PROVIDER_LIFETIME)
    return token


def throttle(service: Service, address: str) -> None:
    """Count an attempt to sign in from an address, before the key is looked at; all nodes count together.

    Raises
    ------
    ServiceError
        `RATE_LIMITED` with `Retry-After`.
    """
    # To the microsecond: in whole seconds a bucket that is asked often would never fill.
    now = service.clock()
    name = hashlib.sha256(b"cohortlink sign-in " + address.encode()).hexdigest()
    with service.store.transaction("attempt to sign in") as tx:
        attempts.forget_full(tx, ATTEMPTS, 1 / ATTEMPT_SECONDS, now)
        wait = attempts.take(tx, name, ATTEMPTS, 1 / ATTEMPT_SECONDS, now)
    if wait:
        headers = {"Retry-After": str(max(1, math.ceil(wait)))}
        raise ServiceError("RATE_LIMITED", 429, "Too many attempts; wait and go on.", headers=headers)


def resume(service: Service, token: str | None) -> Session:
    """The session of a cookie.

    Raises
    ------
    ServiceError
        `UNAUTHENTICATED`: none, unknown, ended, or its API key is not good any more.
    """
    if token is None or not _COOKIE.match(token):
        raise unauthenticated()
    now = service.now()
    with service.store.reading("resume session") as tx:
        row = sign_ins.find(tx, _digest(token))
        if row is None or row.expires_at <= now:
            raise unauthenticated()
        if row.subject is not None:
            caller = by_subject(tx, now, row.subject, row.organization, row.role)
            return Session(caller, _csrf(token), by_provider=True)
        credential = organizations.credential(tx, row.credential_id) if row.credential_id else None
    if credential is None or credential.role is None or credential.revoked_at is not None:
        raise unauthenticated()
    if credential.expires_at is not None and credential.expires_at <= now:
        raise unauthenticated()
    caller = Caller(credential.organization_id, Role(credential.role), credential.id)
    return Session(caller, _csrf(token))


def sign_out(service: Service, token: str | None) -> None:
    """End a session; without one nothing happens."""
    if token is not None and _COOKIE.match(token):
        with service.store.transaction("sign out") as tx:
            sign_ins.remove(tx, _digest(token))


def _digest(token: str) -> str:
    return hashlib.sha256(b"cohortlink session " + token.encode()).hexdigest()


def _csrf(token: str) -> str:
    # Another hash of the same 256 bits: who knows it learns neither the cookie nor what is stored.
    return hashlib.sha256(b"cohortlink form " + token.encode()).hexdigest()
