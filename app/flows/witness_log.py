"""Witnesses: parties and auditors who cosign checkpoints, so that the operator cannot show two histories.

The signature is the credential: only keys that are registered to an organization here, and not revoked, are
taken. Whether a witness is independent of the operator is for whoever demands its cosignature to know.
"""

from __future__ import annotations

from app.errors import ConflictError, NotFoundError, RefusedError
from app.flows import log_memory
from app.flows.log_keys import local_keys, log_keys
from app.flows.seal_log import cosigned
from app.flows.service import Service
from app.store import Tx, log, organizations
from crypto.errors import CohortlinkError
from crypto.log.checkpoint import Checkpoint, open_note, split_note
from crypto.log.cosignature import Cosignature, cosignatures, witness_prefix, witness_vkey
from crypto.signatures import PublicKey


def receive_cosignature(service: Service, note: str) -> dict[str, object]:
    """Take a checkpoint of this log with cosignatures on it, as a witness sends it.

    1. The note is a checkpoint that this log signed.
    2. It is the one that the log has at that size. If it is not, the witness has seen another history of
       this log: that is remembered, so that nothing is signed from here on (`log_memory`).
    3. Each cosignature by a registered key that verifies is kept; there is at least one.

    Raises
    ------
    RefusedError
        `CHECKPOINT_INVALID`, `WITNESS_UNKNOWN`, `COSIGNATURE_INVALID`.
    ConflictError
        `LOG_FORKED`.
    """
    seen = _open(service, note)
    now = service.now()
    forked = False
    with service.store.transaction("receive cosignature") as tx:
        stored = log.checkpoint(tx, seen.size)
        if stored is None or stored.root != seen.root:
            forked = True
        else:
            kept = _cosignatures(tx, seen, note)
            for (_, timestamp), key, line in kept:
                log.put_cosignature(tx, seen.size, key.fingerprint, timestamp, line, now)
    if forked:
        log_memory.remember(service, note, seen.size)
        raise ConflictError(
            "LOG_FORKED", f"This log signed {seen.size} entries that are not those that it has now."
        )
    return {"size": seen.size, "witnesses": [witness.name for witness, _, _ in kept]}


def _open(service: Service, note: str) -> Checkpoint:
    """Open a checkpoint by the key that was in force at its size, or by this node's own.

    By no other: whoever has a key that was retired could else make this log stop. The node's own counts
    though the log may not name it: it may have been set back to before.
    """
    for verify in (log_keys(service).open, lambda text: open_note(text, local_keys(service)[:1])):
        try:
            return verify(note)
        except CohortlinkError:
            continue
    raise RefusedError("CHECKPOINT_INVALID", "This is not a checkpoint that this log signed.")


def _cosignatures(tx: Tx, seen: Checkpoint, note: str) -> list[tuple[Cosignature, PublicKey, str]]:
    """The cosignatures on a note by registered keys, with their keys and lines."""
    found = []
    prefix = witness_prefix(seen.origin)
    lines = note.rpartition("\n\n")[2].splitlines(keepends=True)
    for (name, _), line in zip(split_note(note)[1], lines, strict=True):
        row = organizations.by_fingerprint(tx, name.removeprefix(prefix)) if name.startswith(prefix) else None
        if row is None or row.public_key is None or row.revoked_at is not None:
            continue
        key = PublicKey.from_text(row.public_key)
        try:
            signed = cosignatures(note, [witness_vkey(name, key)])
        except CohortlinkError:
            raise RefusedError("COSIGNATURE_INVALID", "A cosignature does not verify.") from None
        found += [(each, key, line) for each in signed]
    if not found:
        raise RefusedError("WITNESS_UNKNOWN", "No key that is registered here cosigned this checkpoint.")
    return found


def witnessed_checkpoint(service: Service) -> str:
    """The newest checkpoint that carries a cosignature.

    Raises
    ------
    NotFoundError
        `LOG_UNWITNESSED`.
    """
    with service.store.reading("witnessed checkpoint") as tx:
        newest = log.latest_witnessed(tx)
        if newest is None:
            raise NotFoundError("LOG_UNWITNESSED", "No checkpoint of this log was cosigned yet.")
        return cosigned(tx, newest.size, newest.note)
