"""Receipts: the service's signed word that it accepted exactly this batch, and where its log says so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crypto.canonical import canonical_json, digest_of
from crypto.errors import InputError, SignatureError
from crypto.log.checkpoint import parse_vkey
from crypto.wire import MANIFEST_NAME, Manifest, flush, read_manifest

RECEIPT_NAME = "receipt.json"
RECEIPT_TYPE = "cohortlink-receipt/1"

_MAX_BYTES = 1 << 20
_TEXTS = ("batch", "agreement", "organization", "manifest_sha256", "accepted_at", "log_leaf")


def verify_receipt(receipt_path: Path, key: str) -> dict[str, Any]:
    """Check a receipt file offline.

    1. It is a receipt of the known version, signed by the log's key for the purpose "receipt".
    2. Where a package's manifest lies beside it, it is the receipt for exactly that package.

    It is left to the caller to know that ``key`` is the log's, and to look up the entry ``log_index`` in a
    verified copy of the log.

    Parameters
    ----------
    receipt_path
        ``receipt.json``.
    key
        Verifier key text of the log.

    Returns
    -------
    dict
        The receipt's document.

    Raises
    ------
    InputError
        ``RECEIPT_UNREADABLE``.
    SignatureError
        ``RECEIPT_MALFORMED``, ``RECEIPT_VERSION``, ``RECEIPT_OTHER_BATCH``, or a code of
        :meth:`crypto.signatures.PublicKey.verify`.
    """
    receipt_path = Path(receipt_path)
    try:
        with receipt_path.open("rb") as file:
            receipt = json.loads(file.read(_MAX_BYTES).decode("utf-8"))
    except OSError:
        raise InputError("RECEIPT_UNREADABLE", f"{receipt_path} cannot be read") from None
    except (ValueError, RecursionError):
        raise InputError("RECEIPT_UNREADABLE", f"{receipt_path} is not JSON") from None
    beside = receipt_path.parent
    manifest = read_manifest(beside) if (beside / MANIFEST_NAME).is_file() else None
    return check_receipt(receipt, key, manifest)


def check_receipt(receipt: object, key: str, manifest: Manifest | None) -> dict[str, Any]:
    """Check a receipt as :func:`verify_receipt` does, against a manifest if one is given."""
    if not isinstance(receipt, dict) or receipt.keys() != {"document", "signature"}:
        raise SignatureError("RECEIPT_MALFORMED", "a receipt has a document and a signature, and no more")
    if not isinstance(receipt["document"], dict):
        raise SignatureError("RECEIPT_MALFORMED", "a receipt has a document and a signature")
    document: dict[str, Any] = receipt["document"]
    _, public = parse_vkey(key)
    try:
        public.verify("receipt", document, receipt["signature"])
    except InputError:  # a document without canonical form was never signed
        raise SignatureError("RECEIPT_MALFORMED", "the receipt has no canonical form") from None
    if document.get("type") != RECEIPT_TYPE:
        raise SignatureError("RECEIPT_VERSION", f"the receipt is not of the type {RECEIPT_TYPE}")
    if not all(isinstance(document.get(name), str) for name in _TEXTS):
        raise SignatureError("RECEIPT_MALFORMED", "the receipt lacks a field")
    if type(document.get("log_index")) is not int or not isinstance(document.get("files"), list):
        raise SignatureError("RECEIPT_MALFORMED", "the receipt lacks a field")
    if manifest is not None and not _is_for(document, manifest):
        raise SignatureError(
            "RECEIPT_OTHER_BATCH", "the receipt is signed, but for another package than this"
        )
    return document


def write_receipt(package: Path, receipt: Mapping[str, object]) -> Path:
    """Write ``receipt.json`` into the package's folder, whole or not at all.

    An older receipt that says something else is evidence, and is kept as ``receipt.1.json`` and so on.
    """
    path = package / RECEIPT_NAME
    data = canonical_json(receipt) + b"\n"
    if path.exists():
        if path.read_bytes() == data:
            return path
        number = 1
        while (kept := package / f"receipt.{number}.json").exists():
            number += 1
        path.rename(kept)
    partial = package / f".{RECEIPT_NAME}.partial"
    partial.write_bytes(data)
    flush(partial)
    partial.replace(path)
    flush(package)
    return path


def _is_for(document: Mapping[str, Any], manifest: Manifest) -> bool:
    files = [{"name": f.name, "sha256": f.sha256, "rows": f.rows} for f in manifest.files]
    by_name = sorted(files, key=lambda item: str(item["name"]))
    listed = document["files"]
    if not all(isinstance(item, dict) and isinstance(item.get("name"), str) for item in listed):
        return False
    return (
        document["manifest_sha256"] == digest_of(manifest.to_document())
        and document["agreement"] == manifest.agreement
        and sorted(listed, key=lambda item: str(item["name"])) == by_name
    )
