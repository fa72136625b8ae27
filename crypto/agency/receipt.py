"""Receipts: the service's signed word that it accepted exactly this batch, and where its log says so."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crypto.canonical import canonical_json, digest_of
from crypto.errors import InputError, LogError, SignatureError
from crypto.log.checkpoint import open_note, parse_vkey
from crypto.log.cosignature import cosignatures, parse_witness_vkey
from crypto.log.proof import verify_inclusion
from crypto.signatures import PublicKey
from crypto.wire import MANIFEST_NAME, Manifest, flush, read_manifest

RECEIPT_NAME = "receipt.json"
RECEIPT_TYPE = "cohortlink-receipt/1"

_MAX_BYTES = 1 << 20
_SIGNED = {"document", "signature"}
_PROVEN = {*_SIGNED, "checkpoint", "proof"}
_PROOF = {"index", "size", "hashes"}
_TEXTS = ("batch", "agreement", "organization", "manifest_sha256", "accepted_at", "log_leaf")


def verify_receipt(receipt_path: Path, key: str, witnesses: Sequence[str] = ()) -> dict[str, Any]:
    """Check a receipt file offline.

    1. It is a receipt of the known version, signed by the log's key for the purpose "receipt".
    2. Where it carries a checkpoint and a proof, the log signed that and the batch's entry is in it.
    3. Where a package's manifest lies beside it, it is the receipt for exactly that package.

    It is left to the caller to know that ``key`` is the log's, and to compare the checkpoint with what
    others have seen, or to demand a witness's cosignature on it.

    Parameters
    ----------
    receipt_path
        ``receipt.json``.
    key
        Verifier key text of the log; of a log that has had several keys, those that the caller trusts, a line
        each.
    witnesses
        Verifier key texts of witnesses who must have cosigned the receipt's checkpoint.

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
    LogError
        ``RECEIPT_OTHER_LOG`` where the checkpoint is not one of the key's log, ``RECEIPT_NOT_LOGGED`` where
        the proof does not lead to it, ``RECEIPT_UNPROVEN``, ``RECEIPT_UNWITNESSED`` where a witness is asked
        for and there is no checkpoint, or none that it cosigned.
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
    return check_receipt(receipt, key, manifest, witnesses)


def check_receipt(
    receipt: object, key: str, manifest: Manifest | None, witnesses: Sequence[str] = ()
) -> dict[str, Any]:
    """Check a receipt as :func:`verify_receipt` does, against a manifest if one is given."""
    if not isinstance(receipt, dict) or receipt.keys() not in (_SIGNED, _PROVEN):
        raise SignatureError(
            "RECEIPT_MALFORMED", "a receipt has a document, a signature, perhaps checkpoint and proof"
        )
    if not isinstance(receipt["document"], dict):
        raise SignatureError("RECEIPT_MALFORMED", "a receipt has a document and a signature")
    document: dict[str, Any] = receipt["document"]
    public = _signer(receipt["signature"], key)
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
    if "proof" in receipt:
        _check_proof(document, receipt["checkpoint"], receipt["proof"], key, witnesses)
    elif witnesses:
        raise LogError("RECEIPT_UNPROVEN", "the receipt carries no checkpoint yet; fetch it again")
    if manifest is not None and not _is_for(document, manifest):
        raise SignatureError(
            "RECEIPT_OTHER_BATCH", "the receipt is signed, but for another package than this"
        )
    return document


def _signer(signature: object, keys: str) -> PublicKey:
    """The key that a signature names, if it is one of the log's; else the newest, which will refuse it."""
    known = [parse_vkey(text)[1] for text in keys.split()]
    if not known:
        raise LogError("VKEY_MALFORMED", "there is no key of the log")
    named = signature.get("key_id") if isinstance(signature, dict) else None
    return next((key for key in known if key.fingerprint == named), known[-1])


def _check_proof(
    document: Mapping[str, Any], note: object, proof: object, key: str, witnesses: Sequence[str]
) -> None:
    """Check that the entry that the receipt names is in a tree that the log signed."""
    if not isinstance(note, str) or not isinstance(proof, dict) or proof.keys() != _PROOF:
        raise SignatureError("RECEIPT_MALFORMED", "the receipt's checkpoint or proof is not one")
    try:
        checkpoint = open_note(note, key.split())
    except LogError as error:
        raise LogError("RECEIPT_OTHER_LOG", f"the receipt's checkpoint: {error.detail}") from None
    try:
        leaf = bytes.fromhex(document["log_leaf"])
        path = [bytes.fromhex(value) for value in proof["hashes"]]
        if (proof["index"], proof["size"]) != (document["log_index"], checkpoint.size):
            raise LogError("RECEIPT_NOT_LOGGED", "the proof is for another entry or another checkpoint")
        verify_inclusion(leaf, document["log_index"], checkpoint.size, path, checkpoint.root)
    except (TypeError, ValueError):
        raise SignatureError("RECEIPT_MALFORMED", "the receipt's proof is not one") from None
    except LogError as error:
        raise LogError("RECEIPT_NOT_LOGGED", error.detail) from None
    for witness in witnesses:
        if not cosignatures(note, [witness]):
            who, _ = parse_witness_vkey(witness)
            raise LogError("RECEIPT_UNWITNESSED", f"{who} did not cosign the receipt's checkpoint")


def write_receipt(package: Path, receipt: Mapping[str, object]) -> Path:
    """Write ``receipt.json`` into the package's folder, whole or not at all.

    An older receipt that says something else is evidence, and is kept as ``receipt.1.json`` and so on; one
    that only lacks the proof, or cosignatures, is replaced.
    """
    path = package / RECEIPT_NAME
    data = canonical_json(receipt) + b"\n"
    if path.exists():
        if path.read_bytes() == data:
            return path
        if not _says_the_same(path, receipt):
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


def _says_the_same(path: Path, receipt: Mapping[str, object]) -> bool:
    try:
        kept = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    return isinstance(kept, dict) and all(
        kept.get(name) == receipt.get(name) for name in ("document", "signature")
    )


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
