"""API keys and tokens, and who a caller is.

A key is 256 random bits, so a fast hash is enough to store it: guessing is hopeless, and a stolen table
gives no key away. (A slow password hash would only slow us down.)
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum

from app.errors import ForbiddenError, ServiceError

_API_KEY = re.compile(r"clk_[A-Za-z0-9_-]{43}\Z")
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\Z")


class Role(StrEnum):
    """What a credential may be used for."""

    OPERATOR = "operator"
    AGENCY = "agency"
    PARTNERSHIP = "partnership"
    AUDITOR = "auditor"


@dataclass(frozen=True)
class Caller:
    """Who calls: an organization, in one role, by one credential."""

    organization: str
    role: Role
    credential_id: str

    def require(self, *roles: Role) -> None:
        """Everything is denied unless granted.

        Raises
        ------
        ForbiddenError
            If the caller's role is none of these.
        """
        if self.role not in roles:
            raise ForbiddenError()

    @property
    def sees_everything(self) -> bool:
        """Operators and auditors see every agreement's metadata; parties see their own."""
        return self.role in (Role.OPERATOR, Role.AUDITOR)


def new_api_key() -> str:
    """`clk_` and 43 characters: 256 random bits."""
    return "clk_" + secrets.token_urlsafe(32)


def api_key_digest(api_key: str) -> str:
    """What is stored of an API key."""
    return hashlib.sha256(api_key.encode()).hexdigest()


def same_digest(left: str, right: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(left, right)


def bearer(header: str | None) -> str:
    """The API key of an `Authorization` header.

    Raises
    ------
    ServiceError
        `UNAUTHENTICATED` if there is none or it cannot be one.
    """
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not _API_KEY.match(token.strip()):
        raise unauthenticated()
    return token.strip()


def bearer_token(header: str | None) -> str | None:
    """The token of an `Authorization` header, if it has the form of one (JWS compact serialization)."""
    scheme, _, token = (header or "").partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and _TOKEN.match(token) else None


def unauthenticated() -> ServiceError:
    """One answer for every way in which a key is not good."""
    return ServiceError(
        "UNAUTHENTICATED",
        401,
        "Send a valid API key or access token as 'Authorization: Bearer …'.",
        headers={"WWW-Authenticate": "Bearer"},
    )
