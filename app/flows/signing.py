"""Signatures by registered keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from app.auth import Caller
from app.errors import RefusedError
from app.store import Tx, organizations
from app.store.models import Credential
from crypto.canonical import sha256_hex
from crypto.encoding import profile_clkhash
from crypto.errors import CohortlinkError
from crypto.signatures import PublicKey

#: In the place of an algorithm where a credential vouches for what cannot be signed.
CREDENTIAL: Final = "credential"

_FINGERPRINT = re.compile(r"[0-9a-f]{64}\Z")


def verify_signed(
    tx: Tx, organization: str, purpose: str, document: Mapping[str, Any], signature: Mapping[str, Any]
) -> str:
    """Check that a key registered to the organization signed the document; returns the key's fingerprint.

    1. The signature names a key that is registered to this organization and not revoked.
    2. It verifies over the canonical document for this purpose.

    The caller still owes the check that the document says what was meant.

    Raises
    ------
    RefusedError
        `SIGNATURE_INVALID`, for whatever reason it is not good: a probe learns nothing of keys.
    """
    key_id = signature.get("key_id")
    named = isinstance(key_id, str) and _FINGERPRINT.match(key_id) is not None
    row = organizations.by_fingerprint(tx, str(key_id)) if named else None
    if row is None or row.public_key is None or row.organization_id != organization or row.revoked_at:
        raise _invalid()
    try:
        PublicKey.from_text(row.public_key).verify(purpose, document, signature)
    except CohortlinkError:
        raise _invalid() from None
    assert row.fingerprint is not None
    return row.fingerprint


def fingerprint(row: Credential) -> str:
    """A credential as the log names it, 64 hex digits, from which no key can be found."""
    return row.fingerprint or sha256_hex(f"credential {row.secret_sha256 or row.subject}".encode())


def by_credential(tx: Tx, caller: Caller) -> dict[str, str]:
    """What stands in the place of a signature on what a caller sends unsigned."""
    row = organizations.credential(tx, caller.credential_id)
    if row is None:
        raise _invalid()
    return {"algorithm": CREDENTIAL, "key_id": fingerprint(row)}


def verify_manifest(
    tx: Tx, organization: str, family: str, document: Mapping[str, Any], signature: Mapping[str, Any]
) -> None:
    """Check that a manifest is the organization's: signed, or of CLKs that one of its credentials sent.

    clkhash's format has no place for a signature, so agreements of that family (rated weak) do without.

    Raises
    ------
    RefusedError
        `SIGNATURE_INVALID`.
    """
    if family != profile_clkhash.FAMILY or signature.get("algorithm") != CREDENTIAL:
        verify_signed(tx, organization, "batch-manifest", document, signature)
        return
    rows = organizations.credentials(tx, organization)
    if not any(fingerprint(row) == signature.get("key_id") and row.revoked_at is None for row in rows):
        raise _invalid()


def _invalid() -> RefusedError:
    return RefusedError(
        "SIGNATURE_INVALID", "No key registered to your organization made this signature over this document."
    )
