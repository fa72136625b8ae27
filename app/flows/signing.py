"""Signatures by registered keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app.errors import RefusedError
from app.store import Tx, organizations
from crypto.errors import CohortlinkError
from crypto.signatures import PublicKey

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


def _invalid() -> RefusedError:
    return RefusedError(
        "SIGNATURE_INVALID", "No key registered to your organization made this signature over this document."
    )
