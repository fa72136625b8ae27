"""The tables. No relationships: what a flow needs, it asks for.

Points in time are aware UTC datetimes. Documents are JSON as they were signed; their digests are those
of their canonical form. No column holds an encoding, a record_ref, a wage or an unprotected count.
"""

from app.store.models.agreements import (
    Agreement,
    AgreementParty,
    AgreementState,
    AgreementVersion,
    Approval,
    Certificate,
    Hold,
    Revocation,
)
from app.store.models.base import Base, UtcDateTime
from app.store.models.batches import Batch, BatchFile, BatchPart, BatchState, DataKey, KeyErasure
from app.store.models.cubes import Cube
from app.store.models.log import Checkpoint, Cosignature, LogEntry, LogHash, LogHead
from app.store.models.organizations import Attempts, Credential, Organization, SignIn
from app.store.models.releases import LedgerEntry, Objection, Release
from app.store.models.runs import Run, RunInput, RunState

__all__ = [
    "Agreement",
    "AgreementParty",
    "AgreementState",
    "AgreementVersion",
    "Approval",
    "Attempts",
    "Base",
    "Batch",
    "BatchFile",
    "BatchPart",
    "BatchState",
    "Certificate",
    "Checkpoint",
    "Cosignature",
    "Credential",
    "Cube",
    "DataKey",
    "Hold",
    "KeyErasure",
    "LedgerEntry",
    "LogEntry",
    "LogHash",
    "LogHead",
    "Objection",
    "Organization",
    "Release",
    "Revocation",
    "Run",
    "RunInput",
    "RunState",
    "SignIn",
    "UtcDateTime",
]
