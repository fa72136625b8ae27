"""Organizations, what they are known by, and who has signed in."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Float, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.store.models.base import Base


class Organization(Base):
    """A party, the operator or an auditor."""

    __tablename__ = "organizations"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str]
    created_at: Mapped[datetime]


class Credential(Base):
    """An API key (its SHA-256), an Ed25519 public key or an OpenID Connect subject of an organization."""

    __tablename__ = "credentials"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), index=True)
    kind: Mapped[str] = mapped_column(String(20))  # api_key | ed25519 | oidc
    role: Mapped[str | None] = mapped_column(String(20))  # of an API key or subject
    secret_sha256: Mapped[str | None] = mapped_column(String(64), unique=True)
    public_key: Mapped[str | None]
    fingerprint: Mapped[str | None] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    subject: Mapped[str | None] = mapped_column(String(255), index=True, unique=True)


class SignIn(Base):
    """A session of the pages: the SHA-256 of its cookie. It is worth what its credential is worth.

    It began with an API key (`credential_id`), or at the identity provider: then it has the subject, and what
    the claims said.
    """

    __tablename__ = "sign_ins"

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    credential_id: Mapped[str | None] = mapped_column(ForeignKey("credentials.id"), index=True)
    subject: Mapped[str | None] = mapped_column(String(255))
    organization: Mapped[str | None] = mapped_column(String(64))
    role: Mapped[str | None] = mapped_column(String(20))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class Attempts(Base):
    """How many more times somebody may try to sign in, as of a moment. Shared by all nodes."""

    __tablename__ = "attempts"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256 of the address
    tokens: Mapped[float] = mapped_column(Float)
    at: Mapped[datetime]
