"""Submission of a package: in parts, resumable, and finished only when a signed receipt was verified."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from crypto.agency.log_key import fetch_keys, read_keys, remember
from crypto.agency.progress import Progress, silent
from crypto.agency.receipt import check_receipt, write_receipt
from crypto.agency.service import Service, bad_answer, json_object
from crypto.canonical import canonical_json
from crypto.errors import CohortlinkError, PackageError
from crypto.signatures import SigningKey
from crypto.wire import FileEntry, Manifest, verify_package

STAGE = "upload"

_LARGEST_PART = 64 << 20
_BATCH_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_RESUME = "; what has arrived is kept: run the same command again to resume"


def submit(
    package: Path,
    url: str,
    agreement: str,
    api_key: str,
    signing_key: SigningKey,
    progress: Progress = silent,
    *,
    log_key: Path,
    supersedes: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Submit a package and return the service's receipt, which is also written as ``receipt.json`` beside it.

    1. Verify the package against its manifest, and that it is for this agreement.
    2. The log's key is the remembered one, or signed statements lead from that to it. Nothing is sent to a
       service that shows another. The first time, the key that it shows is what will be remembered.
    3. Announce the signed manifest; the service answers which parts it has.
    4. Send the parts that are missing, each with its digest. Only files that the manifest names are opened.
    5. Ask for completion, which the service grants once and answers alike ever after.
    6. Verify the receipt's signature against that key, and that it is for exactly this package.
    7. Remember the key, and write the receipt.

    A crash or an error anywhere before 7 loses nothing: the same call takes up where the service is.

    Parameters
    ----------
    package
        Folder with ``manifest.json``.
    url
        Address of the service.
    agreement
        The agreement's id.
    api_key
        The agency's API key.
    signing_key
        The agency's Ed25519 key.
    progress
        Called with ``"upload"``, bytes that have arrived and bytes in all.
    log_key
        File with the log's key; written the first time.
    supersedes
        Id of an earlier batch of this agency, which goes out of use when this one is accepted, not before.
    sleep
        Waits between attempts.

    Returns
    -------
    dict
        ``{"document": …, "signature": …}``.

    Raises
    ------
    PackageError
        The package is not whole, or is for another agreement (``AGREEMENT_MISMATCH``); it was begun before
        and not to take that batch's place (``SUPERSEDES_OTHER``).
    LogError
        ``LOG_KEY_OTHER``: the service shows a log with another key than the remembered one.
    SignatureError
        The receipt does not hold.
    CohortlinkError
        The service refused (its own code), cannot be reached (``SERVICE_UNREACHABLE``), failed
        (``SERVICE_FAILED``) or broke the protocol (``SERVICE_ANSWER``).
    """
    package = Path(package)
    manifest = verify_package(package)
    if manifest.agreement != agreement:
        raise PackageError("AGREEMENT_MISMATCH", "the package was made for another agreement")
    with Service(url, api_key, sleep=sleep) as service:
        try:
            known = read_keys(log_key) if log_key.exists() else []
            keys = fetch_keys(service, known)
            receipt = _deliver(service, package, manifest, signing_key, progress, supersedes)
        except CohortlinkError as error:
            if error.code in {"SERVICE_UNREACHABLE", "SERVICE_FAILED"}:
                raise CohortlinkError(error.code, error.detail + _RESUME) from None
            raise
    check_receipt(receipt, "\n".join(keys), manifest)
    if keys != known:
        remember(log_key, keys)
    write_receipt(package, receipt)
    return receipt


@dataclass(frozen=True)
class _Upload:
    """What the service knows of a batch: its id, bytes per part, and parts received of each file."""

    batch: str
    part_size: int
    received: dict[str, set[int]]


def _deliver(
    service: Service,
    package: Path,
    manifest: Manifest,
    key: SigningKey,
    progress: Progress,
    supersedes: str | None,
) -> dict[str, Any]:
    """Steps 3 to 5 of :func:`submit`."""
    document = manifest.to_document()
    body: dict[str, Any] = {"document": document, "signature": key.sign("batch-manifest", document)}
    if supersedes is not None:
        body["supersedes"] = supersedes
    answer = json_object(
        service.call(
            "POST",
            f"agreements/{quote(manifest.agreement, safe='')}/batches",
            content=canonical_json(body),
            headers={"Content-Type": "application/json"},
        )
    )
    state = answer.get("state")
    if state not in {"UPLOADING", "ACCEPTED"}:
        shown = state if isinstance(state, str) and re.fullmatch(r"[A-Z_]{1,32}", state) else "unknown"
        raise PackageError("BATCH_CLOSED", f"the service has this batch in state {shown}; encode a new one")
    if supersedes is not None and answer.get("supersedes") != supersedes:
        raise PackageError(
            "SUPERSEDES_OTHER", "this package was begun before, and not to take that batch's place"
        )
    if state == "UPLOADING":
        _send_missing(service, package, manifest, _parse_upload(answer, manifest), progress)
    completed = json_object(service.call("POST", f"batches/{_batch_id(answer)}/completion"))
    receipt = completed.get("receipt")
    if completed.get("state") != "ACCEPTED" or not isinstance(receipt, dict):
        raise bad_answer("no receipt for a complete batch")
    return receipt


def _send_missing(
    service: Service, package: Path, manifest: Manifest, upload: _Upload, progress: Progress
) -> None:
    total = sum(entry.size for entry in manifest.files)
    done = sum(
        _part_bytes(entry, number, upload.part_size)
        for entry in manifest.files
        for number in upload.received[entry.name]
    )
    progress(STAGE, done, total)
    for entry in manifest.files:
        missing = set(range(_parts(entry, upload.part_size))) - upload.received[entry.name]
        with (package / entry.name).open("rb") as file:
            for number in sorted(missing):
                file.seek(number * upload.part_size)
                part = file.read(upload.part_size)
                digest = base64.b64encode(hashlib.sha256(part).digest()).decode("ascii")
                service.call(
                    "PUT",
                    f"batches/{upload.batch}/files/{quote(entry.name, safe='')}/parts/{number}",
                    content=part,
                    headers={
                        "Content-Type": "application/octet-stream",
                        "Content-Digest": f"sha-256=:{digest}:",
                    },
                )
                done += len(part)
                progress(STAGE, done, total)


def _parse_upload(answer: dict[str, object], manifest: Manifest) -> _Upload:
    """Read which parts are there; an answer about other files or sizes than the manifest's is refused."""
    part_size, files = answer.get("part_size"), answer.get("files")
    if type(part_size) is not int or not 0 < part_size <= _LARGEST_PART or not isinstance(files, list):
        raise bad_answer("no usable part size or files")
    listed = {item.get("name"): item for item in files if isinstance(item, dict)}
    if listed.keys() != {entry.name for entry in manifest.files}:
        raise bad_answer("other files than the manifest's")
    received = {}
    for entry in manifest.files:
        item, parts = listed[entry.name], _parts(entry, part_size)
        numbers = item.get("received")
        if item.get("size") != entry.size or item.get("parts") != parts or not isinstance(numbers, list):
            raise bad_answer("other sizes or parts than the manifest's")
        if not all(type(number) is int and 0 <= number < parts for number in numbers):
            raise bad_answer("parts that do not exist")
        received[entry.name] = set(numbers)
    return _Upload(_batch_id(answer), part_size, received)


def _batch_id(answer: dict[str, object]) -> str:
    batch = answer.get("id")
    # The id becomes part of an address; nothing that the service says may lead elsewhere.
    if not isinstance(batch, str) or not _BATCH_ID.fullmatch(batch):
        raise bad_answer("no usable batch id")
    return batch


def _parts(entry: FileEntry, part_size: int) -> int:
    return -(-entry.size // part_size)


def _part_bytes(entry: FileEntry, number: int, part_size: int) -> int:
    return min(part_size, entry.size - number * part_size)
