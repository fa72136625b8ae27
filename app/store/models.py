"""The tables. No relationships: what a flow needs, it asks for.

Points in time are aware UTC datetimes. Documents are JSON as they were signed; their digests are those
of their canonical form. No column holds an encoding, a record_ref, a wage or an unprotected count.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class AgreementState(StrEnum):
    """States that are stored. ACTIVE and EXPIRED are APPROVED seen by the clock, never stored."""

    DRAFT = "DRAFT"
    REVIEW = "REVIEW"
    APPROVED = "APPROVED"
    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    SUSPENDED = "SUSPENDED"
    REVOKED = "REVOKED"
    DESTRUCTION_DUE = "DESTRUCTION_DUE"
    DESTROYED = "DESTROYED"


class BatchState(StrEnum):
    """States of a batch; UPLOADING, ACCEPTED and SUPERSEDED hold data, and only ACCEPTED is used."""

    UPLOADING = "UPLOADING"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    SUPERSEDED = "SUPERSEDED"
    WITHDRAWN = "WITHDRAWN"
    DESTROYED = "DESTROYED"


class RunState(StrEnum):
    """States of a linkage run."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in Python on both databases (SQLite stores it naive)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Root of the models; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 (declared so by SQLAlchemy)
        datetime: UtcDateTime,
        dict[str, Any]: JSON(none_as_null=True),
        int: BigInteger,
        str: String(200),
        bytes: LargeBinary,
    }


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
    """A session of the pages: the SHA-256 of its cookie. It is worth what its credential is worth."""

    __tablename__ = "sign_ins"

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    credential_id: Mapped[str] = mapped_column(ForeignKey("credentials.id"), index=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class Agreement(Base):
    """An agreement at its current version. Its row is the lock of all that happens under it."""

    __tablename__ = "agreements"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    state: Mapped[str] = mapped_column(String(20))
    version: Mapped[int]
    proposer_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class AgreementVersion(Base):
    """What was proposed, as it was proposed."""

    __tablename__ = "agreement_versions"

    agreement_id: Mapped[str] = mapped_column(ForeignKey("agreements.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    document: Mapped[dict[str, Any]]
    hash: Mapped[str] = mapped_column(String(64))
    profile_hash: Mapped[str] = mapped_column(String(64))
    proposed_by: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    created_at: Mapped[datetime]


class AgreementParty(Base):
    """Who takes part in a version and as what (data_owner, recipient, operator)."""

    __tablename__ = "agreement_parties"

    agreement_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(String(20), primary_key=True)

    __table_args__ = (
        ForeignKeyConstraint(
            ["agreement_id", "version"],
            ["agreement_versions.agreement_id", "agreement_versions.version"],
        ),
    )


class Approval(Base):
    """A data owner's signature over the hash of a version."""

    __tablename__ = "approvals"

    agreement_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    document: Mapped[dict[str, Any]]
    signature: Mapped[dict[str, Any]]
    approved_at: Mapped[datetime]

    __table_args__ = (
        ForeignKeyConstraint(
            ["agreement_id", "version"],
            ["agreement_versions.agreement_id", "agreement_versions.version"],
        ),
    )


class Revocation(Base):
    """A data owner's signed withdrawal from an agreement."""

    __tablename__ = "revocations"

    agreement_id: Mapped[str] = mapped_column(ForeignKey("agreements.id"), primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    document: Mapped[dict[str, Any]]
    signature: Mapped[dict[str, Any]]
    revoked_at: Mapped[datetime]


class Hold(Base):
    """A data owner's or the operator's suspension of an agreement, until the same organization lifts it."""

    __tablename__ = "holds"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    agreement_id: Mapped[str] = mapped_column(ForeignKey("agreements.id"), index=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    since: Mapped[datetime]
    lifted_at: Mapped[datetime | None]


class Batch(Base):
    """One agency's submission."""

    __tablename__ = "batches"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    agreement_id: Mapped[str] = mapped_column(ForeignKey("agreements.id"), index=True)
    agreement_version: Mapped[int]
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), index=True)
    state: Mapped[str] = mapped_column(String(20))
    epoch: Mapped[int]
    profile_hash: Mapped[str] = mapped_column(String(64))
    kcv: Mapped[str] = mapped_column(String(128))
    persons: Mapped[int]
    part_size: Mapped[int]
    manifest: Mapped[dict[str, Any]]
    manifest_sha256: Mapped[str] = mapped_column(String(64))
    signature: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    rejection: Mapped[dict[str, Any] | None]
    screening: Mapped[dict[str, Any] | None]
    receipt: Mapped[dict[str, Any] | None]
    log_index: Mapped[int | None]
    supersedes: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (
        # The same manifest twice is the same batch, also when two requests race.
        Index(
            "uq_batches_live_manifest",
            "agreement_id",
            "organization_id",
            "manifest_sha256",
            unique=True,
            sqlite_where=text("state IN ('UPLOADING', 'ACCEPTED')"),
            postgresql_where=text("state IN ('UPLOADING', 'ACCEPTED')"),
        ),
    )


class BatchFile(Base):
    """A file of a batch, as its manifest announces it."""

    __tablename__ = "batch_files"

    batch_id: Mapped[str] = mapped_column(ForeignKey("batches.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(120), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))  # encodings | facts
    facts: Mapped[str | None] = mapped_column(String(40))
    rows: Mapped[int]
    size: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))


class BatchPart(Base):
    """A part that is safely on disk under `path`; a file is its parts in order."""

    __tablename__ = "batch_parts"

    batch_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(120), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    size: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    path: Mapped[str]
    received_at: Mapped[datetime]

    __table_args__ = (
        ForeignKeyConstraint(["batch_id", "name"], ["batch_files.batch_id", "batch_files.name"]),
    )


class DataKey(Base):
    """A wrapped data key. Deleting the row is how its blobs are shut."""

    __tablename__ = "data_keys"

    owner: Mapped[str] = mapped_column(String(64), primary_key=True)  # a batch's or a run's id
    plane: Mapped[str] = mapped_column(String(20), primary_key=True)
    agreement_id: Mapped[str] = mapped_column(ForeignKey("agreements.id"), index=True)
    key_id: Mapped[str]
    wrapped: Mapped[bytes]
    created_at: Mapped[datetime]


class Run(Base):
    """A linkage run; its frozen inputs are in `run_inputs`."""

    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    agreement_id: Mapped[str] = mapped_column(ForeignKey("agreements.id"), index=True)
    agreement_version: Mapped[int]
    requested_by: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    state: Mapped[str] = mapped_column(String(20))
    stage: Mapped[str] = mapped_column(String(40), default="")
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    parameters: Mapped[dict[str, Any]]
    report: Mapped[dict[str, Any] | None]
    links_path: Mapped[str | None]
    links_sha256: Mapped[str | None] = mapped_column(String(64))
    error_code: Mapped[str | None] = mapped_column(String(60))
    executor: Mapped[str | None]
    heartbeat_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    log_index: Mapped[int | None]


class RunInput(Base):
    """A batch that a run reads, at the digest at which it was frozen."""

    __tablename__ = "run_inputs"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    batch_id: Mapped[str] = mapped_column(ForeignKey("batches.id"), primary_key=True, index=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    manifest_sha256: Mapped[str] = mapped_column(String(64))


class Release(Base):
    """A question that was asked, and the protected answer or the refusal."""

    __tablename__ = "releases"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    agreement_id: Mapped[str] = mapped_column(ForeignKey("agreements.id"), index=True)
    agreement_version: Mapped[int]
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    ledger_id: Mapped[str | None] = mapped_column(ForeignKey("ledger.id"))
    requested_by: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    status: Mapped[str] = mapped_column(String(20))
    query: Mapped[dict[str, Any]]
    query_sha256: Mapped[str] = mapped_column(String(64), index=True)
    document: Mapped[dict[str, Any] | None]
    document_sha256: Mapped[str | None] = mapped_column(String(64))
    refusal_code: Mapped[str | None] = mapped_column(String(60))
    created_at: Mapped[datetime]
    visible_at: Mapped[datetime | None]
    log_index: Mapped[int | None]


class Objection(Base):
    """A data owner's objection to a release in review: its table is never shown to a recipient."""

    __tablename__ = "objections"

    release_id: Mapped[str] = mapped_column(ForeignKey("releases.id"), primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    objected_at: Mapped[datetime]


class LedgerEntry(Base):
    """What was decided once for a cohort: the protected cube from which every answer is read."""

    __tablename__ = "ledger"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    agreement_id: Mapped[str] = mapped_column(ForeignKey("agreements.id"))
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    indicator: Mapped[str] = mapped_column(String(60))
    cohort: Mapped[str] = mapped_column(String(40))
    min_cell: Mapped[int]
    cube: Mapped[dict[str, Any]]
    cube_sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]

    __table_args__ = (
        # A cohort and indicator, once decided, is frozen.
        Index("uq_ledger_question", "agreement_id", "indicator", "cohort", unique=True),
    )


class Certificate(Base):
    """A signed statement of destruction."""

    __tablename__ = "certificates"

    agreement_id: Mapped[str] = mapped_column(ForeignKey("agreements.id"), primary_key=True)
    requested_by: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    requested_at: Mapped[datetime]
    document: Mapped[dict[str, Any] | None]
    signature: Mapped[dict[str, Any] | None]
    issued_at: Mapped[datetime | None]


class LogEntry(Base):
    """A leaf of the log: its exact bytes. `kind`, `agreement_id`, `at` repeat them for filters."""

    __tablename__ = "log_entries"

    index: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    leaf: Mapped[bytes]
    leaf_hash: Mapped[bytes]
    kind: Mapped[str] = mapped_column(String(60), index=True)
    agreement_id: Mapped[str | None] = mapped_column(String(64), index=True)
    at: Mapped[datetime]


class LogHead(Base):
    """One row: how many entries there are, and the roots of the complete subtrees over them.

    Its lock makes appending serial. The subtrees (32 bytes each, largest first) make a root without
    reading the past; an entry that is edited afterwards does not change them, so it gives itself away.
    """

    __tablename__ = "log_head"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    size: Mapped[int]
    frontier: Mapped[bytes]


class Checkpoint(Base):
    """A signed note over the first `size` entries."""

    __tablename__ = "checkpoints"

    size: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    root: Mapped[bytes]
    note: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]


class LogHash(Base):
    """Root of a complete subtree of 256**level leaves (level 1 and above), written when its last leaf is.

    Level 0 are the entries' own hashes. Together they are the log's tiles.
    """

    __tablename__ = "log_hashes"

    level: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hash: Mapped[bytes]


class Cosignature(Base):
    """A witness's newest signature line on the checkpoint of a size."""

    __tablename__ = "cosignatures"

    size: Mapped[int] = mapped_column(ForeignKey("checkpoints.size"), primary_key=True, autoincrement=False)
    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    timestamp: Mapped[int]
    line: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime]
