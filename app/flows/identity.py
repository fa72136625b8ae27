"""Tokens of an OpenID Connect provider: who they say somebody is, checked.

Programs show access tokens, people bring ID tokens when they sign in (`provider_sign_in`). Both are
checked here:

1. The token names a signature algorithm of the list below (no shared secrets, no `none`) and a key.
2. The key is one of the issuer's, which its discovery document points to. Keys are kept for a while and
   read again when a token names an unknown one, but not more often than every few seconds: a forged
   token must not make us knock at the provider's door.
3. The signature verifies; `iss` and `aud` are exactly those expected; `exp` is there and not past,
   `nbf` and `iat` are not to come (a minute of clock skew is forgiven); `sub` is there.

The caller still owes what the claims mean here: which organization, which role (`organizations`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import httpx
import structlog
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from app.auth import unauthenticated
from app.errors import ServiceError
from app.settings import Oidc

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519")
SKEW_SECONDS: Final = 60
#: How long keys are trusted without asking again, and the shortest time between two questions.
KEYS_SECONDS: Final = 600.0
QUIET_SECONDS: Final = 5.0
MAX_TOKEN: Final = 16_384
_TIMEOUT: Final = 5.0
_MAX_DOCUMENT: Final = 1_000_000

log = structlog.get_logger()


class Fetch(Protocol):
    """Reads a JSON object by its address; with a form, posts that."""

    def __call__(
        self,
        url: str,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        """Return the object."""
        ...


class Identity:
    """One provider and its keys; safe to share between threads.

    Parameters
    ----------
    oidc : Oidc
    clock : callable
        Aware UTC now, against which tokens expire.
    fetch : Fetch
    ticks : callable
        Seconds that never run backwards, against which keys grow old.
    """

    def __init__(
        self,
        oidc: Oidc,
        clock: Callable[[], datetime],
        *,
        fetch: Fetch | None = None,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        require_safe(oidc.issuer)
        self.oidc = oidc
        self._clock = clock
        self.fetch = fetch or _fetch
        self._ticks = ticks
        self._guard = threading.Lock()
        self._keys: KeySet | None = None
        self._about: Mapping[str, Any] = {}
        self._read_at = -KEYS_SECONDS
        self._tried_at = -QUIET_SECONDS

    def about(self) -> Mapping[str, Any]:
        """What the provider says of itself: its discovery document.

        Raises
        ------
        ServiceError
            `IDENTITY_PROVIDER_UNAVAILABLE` (503).
        """
        self._current()
        return self._about

    def claims(self, token: str, audience: str | None = None) -> dict[str, Any]:
        """The claims of a token, as checked.

        Parameters
        ----------
        token : str
        audience : str, optional
            Whom it must be for; this service as an interface if not given.

        Raises
        ------
        ServiceError
            `UNAUTHENTICATED`, whatever is wrong; `IDENTITY_PROVIDER_UNAVAILABLE` (503) if the keys cannot
            be had.
        """
        if len(token) > MAX_TOKEN:
            raise unauthenticated()
        try:
            try:
                decoded = jwt.decode(token, self._current(), algorithms=list(ALGORITHMS))
            except (JoseError, ValueError):
                # Perhaps by a key that is new: once more, if we may look again.
                newer = self._newer()
                if newer is None:
                    raise
                decoded = jwt.decode(token, newer, algorithms=list(ALGORITHMS))
            self._registry(audience or self.oidc.audience).validate(decoded.claims)
        except (JoseError, ValueError, TypeError, KeyError):
            raise unauthenticated() from None
        return dict(decoded.claims)

    def _registry(self, audience: str) -> jwt.JWTClaimsRegistry:
        return jwt.JWTClaimsRegistry(
            now=int(self._clock().timestamp()),
            leeway=SKEW_SECONDS,
            iss={"essential": True, "value": self.oidc.issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )

    def _current(self) -> KeySet:
        with self._guard:
            if self._keys is None or self._ticks() - self._read_at >= KEYS_SECONDS:
                self._read()
            if self._keys is None:
                raise unavailable()
            return self._keys

    def _newer(self) -> KeySet | None:
        """Keys read after those that were tried, or None if it is too early to ask again."""
        with self._guard:
            return self._keys if self._read() else None

    def _read(self) -> bool:
        """Ask for the keys, unless that was done a moment ago. An outage leaves the old keys in use."""
        if self._ticks() - self._tried_at < QUIET_SECONDS:
            return False
        self._tried_at = self._ticks()
        try:
            found = self.fetch(self.oidc.issuer.rstrip("/") + "/.well-known/openid-configuration")
            if found.get("issuer") != self.oidc.issuer:
                raise ValueError("another issuer")
            where = str(found["jwks_uri"])
            require_safe(where)
            self._keys = KeySet.import_key_set(self.fetch(where))  # type: ignore[arg-type]
            self._about = found
        except (httpx.HTTPError, JoseError, ServiceError, ValueError, KeyError, TypeError) as error:
            log.warning("keys of the identity provider cannot be read", error=type(error).__name__)
            return False
        self._read_at = self._ticks()
        return True


def unavailable() -> ServiceError:
    """The provider cannot be asked just now."""
    return ServiceError(
        "IDENTITY_PROVIDER_UNAVAILABLE", 503, "The identity provider does not answer; try again."
    )


def require_safe(url: str) -> None:
    """Refuse an address that is neither https nor on this machine.

    Raises
    ------
    ServiceError
        `SETTINGS_INVALID`.
    """
    parts = urlsplit(url)
    local = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise ServiceError("SETTINGS_INVALID", 500, "The identity provider must be asked over https.")


def _fetch(
    url: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
) -> Mapping[str, Any]:
    # No redirects: where keys come from is what the configuration says.
    method = "GET" if form is None else "POST"
    with httpx.stream(
        method, url, data=form, headers=headers, timeout=_TIMEOUT, follow_redirects=False
    ) as answer:
        answer.raise_for_status()
        data = b""
        for chunk in answer.iter_bytes():
            data += chunk
            if len(data) > _MAX_DOCUMENT:
                raise ValueError("the document is too large")
    document = httpx.Response(200, content=data).json()
    if not isinstance(document, dict):
        raise TypeError("not an object")
    return document
