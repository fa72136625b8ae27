"""``witness``: see that a log only ever grows, and say so with a signature that others can demand.

A witness needs no trust in the service and keeps one small file: the newest checkpoint that it cosigned.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from crypto.agency.service import Service, bad_answer, json_object
from crypto.canonical import canonical_json
from crypto.errors import CohortlinkError, LogError
from crypto.log.checkpoint import Checkpoint, open_note, parse_vkey
from crypto.log.cosignature import cosign, witness_name, witness_vkey
from crypto.log.keychain import Keychain
from crypto.log.proof import verify_consistency
from crypto.signatures import SigningKey
from crypto.wire import flush

FORMAT: Final = "cohortlink-witness/1"
INTERVAL_SECONDS: Final = 60.0

_MAX_STATE_BYTES = 1 << 20


def witness_once(
    service: Service,
    key: SigningKey,
    state: Path,
    *,
    log_key: str | None = None,
    now: Callable[[], float] = time.time,
) -> dict[str, Any]:
    """Verify that the log extends what this witness saw last, and cosign its newest checkpoint.

    1. The log's key is the remembered one, or signed statements lead from that to it; the first time,
       ``log_key`` or else what the service says.
    2. The checkpoint is signed by it.
    3. It is not smaller than the remembered one, and a consistency proof leads from there to here.
    4. It is remembered, on disk. Only then it is cosigned: a crash in between leaves a checkpoint that was
       seen and not yet cosigned, which the next round repeats; the other way round it could be cosigned and
       forgotten, and another one cosigned beside it.
    5. The service takes the cosignature.

    Returns
    -------
    dict
        ``origin``, ``size``, ``witness`` (name), ``vkey`` (what others verify with), ``first`` (whether
        nothing was remembered), ``checkpoint`` (the cosigned note).

    Raises
    ------
    LogError
        ``LOG_ROLLED_BACK``, ``LOG_REWRITTEN``: two signed checkpoints that no honest log signs, the second is
        kept beside the state as evidence; ``WITNESS_STATE`` for an unreadable state; a code of
        :func:`crypto.log.checkpoint.open_note`.
    CohortlinkError
        The service cannot be reached, refuses, or breaks the protocol.
    """
    seen = _load(state)
    known = seen["key"] if seen else (log_key or "").strip()
    chain = Keychain.parse(service.call("GET", "log/keys").text)
    vkey = chain.since(known or chain.newest)[-1]
    if seen and log_key is not None and log_key.strip() not in chain.keys:
        raise LogError("WITNESS_STATE", "the state is of a log with another key")
    note = service.call("GET", "log/checkpoint").text
    checkpoint = chain.open(note)
    if seen:
        _require_extension(service, state, seen, checkpoint, note)
    body = note.rpartition("\n\n")[0] + "\n"
    _save(state, {"format": FORMAT, "key": vkey, "checkpoint": note})
    name = witness_name(checkpoint.origin, key.public)
    signature = cosign(note, key, name, int(now()))
    log_name, _ = parse_vkey(vkey)
    own = [line for line in note.rpartition("\n\n")[2].splitlines(True) if line.split(" ")[1] == log_name]
    cosigned = f"{body}\n{''.join(own)}{signature}"
    content = json.dumps({"checkpoint": cosigned}).encode()
    headers = {"Content-Type": "application/json"}
    answer = json_object(service.call("POST", "log/cosignatures", content=content, headers=headers))
    if answer.get("size") != checkpoint.size:
        raise bad_answer("the cosignature was taken for another checkpoint")
    return {
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "witness": name,
        "vkey": witness_vkey(name, key.public),
        "first": seen is None,
        "checkpoint": cosigned,
    }


def _require_extension(
    service: Service, state: Path, seen: dict[str, str], checkpoint: Checkpoint, note: str
) -> None:
    before = open_note(seen["checkpoint"], [seen["key"]])
    try:
        if checkpoint.size < before.size:
            raise LogError(
                "LOG_ROLLED_BACK",
                f"entry {checkpoint.size} is missing: {before.size} entries were signed before",
            )
        hashes = []
        if 0 < before.size < checkpoint.size:
            params = {"from": before.size, "to": checkpoint.size}
            hashes = _hashes(service.call("GET", "log/proofs/consistency", params=params).content)
        if before.size > 0:
            verify_consistency(before.size, checkpoint.size, before.root, checkpoint.root, hashes)
    except LogError as error:
        evidence = _keep_evidence(state, note)
        code = error.code if error.code == "LOG_ROLLED_BACK" else "LOG_REWRITTEN"
        what = (
            error.detail
            if code == error.code
            else f"an entry below {before.size} was changed: {error.detail}"
        )
        raise LogError(code, f"{what}; evidence: {state} and {evidence}") from None


def _hashes(content: bytes) -> list[bytes]:
    try:
        return [bytes.fromhex(value) for value in json.loads(content)["hashes"]]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise bad_answer("not a consistency proof") from None


def _keep_evidence(state: Path, note: str) -> Path:
    """Keep a checkpoint that contradicts the remembered one: signed by the log, it convicts it."""
    number = 1
    while (path := state.with_name(f"{state.name}.refused-{number}")).exists():
        number += 1
    path.write_text(note, encoding="utf-8", newline="")
    return path


def _load(state: Path) -> dict[str, str] | None:
    try:
        with state.open("rb") as file:
            document = json.loads(file.read(_MAX_STATE_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        document = None
    sound = isinstance(document, dict) and document.keys() == {"format", "key", "checkpoint"}
    if not sound or document["format"] != FORMAT or not all(isinstance(v, str) for v in document.values()):
        # Starting anew would cosign whatever is shown now.
        raise LogError("WITNESS_STATE", f"{state} is not a witness's state; restore it, do not delete it")
    return dict(document)


def _save(state: Path, document: dict[str, str]) -> None:
    partial = state.with_name(f".{state.name}.partial")
    partial.write_bytes(canonical_json(document) + b"\n")
    flush(partial)
    partial.replace(state)
    flush(state.parent)


def witness_for_ever(
    step: Callable[[], dict[str, Any]],
    tell: Callable[[dict[str, Any]], None],
    complain: Callable[[CohortlinkError], None],
    *,
    interval: float = INTERVAL_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Witness again and again; trouble with the service is waited out, a log that does not hold ends it."""
    while True:
        try:
            tell(step())
        except LogError:
            raise
        except CohortlinkError as error:
            complain(error)
        sleep(interval)
