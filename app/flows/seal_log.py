"""The log: append in the transaction of what is recorded, seal right after it.

Appending and the thing recorded are one transaction, so there is no entry without its matter and no
matter without its entry. Sealing signs a checkpoint over all committed entries. A crash between the two
leaves entries that no checkpoint covers yet; the next seal (after the next flow, or at start-up) covers
them, in the same order, so there is no fork and no gap.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from app.errors import NotFoundError, RefusedError, ServiceError
from app.flows import log_keys, log_memory
from app.flows.service import Service
from app.store import Tx, log
from crypto.log import checkpoint as notes
from crypto.log.entry import SALT_BYTES, Entry
from crypto.log.kinds import check_body
from crypto.log.tiles import MAX_LEAF_BYTES, TileReader, completed
from crypto.log.tree import HASH_BYTES, Frontier, leaf_hash

SERVICE = "service"


@dataclass(frozen=True)
class Appended:
    """Where an entry stands."""

    index: int
    leaf_hash: bytes

    @property
    def leaf_hex(self) -> str:
        return self.leaf_hash.hex()


def rfc3339(at: datetime) -> str:
    """UTC with `Z`, to whole seconds."""
    return at.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def append(
    tx: Tx, kind: str, agreement: str | None, actor: str, body: Mapping[str, object], at: datetime
) -> Appended:
    """Append an entry in the caller's transaction; it is there if and only if that commits.

    Call it last: it takes the lock that all flows share.

    Parameters
    ----------
    kind : str
        What happened: one of `crypto.log.kinds.KINDS`.
    agreement : str or None
        Agreement it belongs to.
    actor : str
        Organization, or `SERVICE`.
    body : mapping
        What the kind declares; never an encoding, a record_ref or an unprotected count.
    at : datetime
        When, aware.

    Raises
    ------
    LogError
        `ENTRY_KIND`, `ENTRY_BODY`: no reader would accept the entry. `ENTRY_TOO_LARGE` where no entry
        bundle could hold it.
    """
    check_body(kind, agreement, body)
    head = log.lock_head(tx)
    salt = secrets.token_hex(SALT_BYTES)
    leaf = Entry(head.size, kind, rfc3339(at), actor, agreement, body, salt).leaf()
    if len(leaf) > MAX_LEAF_BYTES:
        raise ServiceError("ENTRY_TOO_LARGE", 500, f"{kind}: {len(leaf)} bytes, of {MAX_LEAF_BYTES}.")
    digest = leaf_hash(leaf)
    frontier = _frontier(head.size, head.frontier).extend([digest])
    appended = Appended(head.size, digest)
    log.add(tx, head.size, leaf, digest, kind, agreement, at)
    for level, place, value in completed(frontier.size, partial(log.hashes, tx)):
        log.add_hash(tx, level, place, value)
    head.size, head.frontier = frontier.size, b"".join(frontier.nodes)
    return appended


def seal(service: Service) -> str | None:
    """Sign a checkpoint over all committed entries, unless the newest one covers them already.

    1. Under the lock of the head, so that seals are serial and one size is signed once, by whatever node.
    2. The log extends what this node remembers to have signed; else nothing is signed.
    3. The key that the log names signs, and over the entry that names it the one before as well.
    4. The checkpoint is remembered, then committed. A crash in between leaves a signature that nobody has
       seen over entries that were committed before; the next seal makes the same one again (Ed25519 is
       deterministic).

    Returns the newest checkpoint's note; None while the log is empty.

    Raises
    ------
    ServiceError
        `LOG_ROLLED_BACK`, `LOG_REWRITTEN`, `LOG_KEY_OTHER`.
    """
    note = _seal(service)
    log_keys.promote(service)
    return note


def _seal(service: Service) -> str | None:
    with service.store.transaction("seal the log") as tx:
        head = log.lock_head(tx)
        newest = log.latest_checkpoint(tx)
        _require_extension(service, tx, head.size)
        if newest is not None and newest.size >= head.size:
            _require_size(head.size, newest.size)
            return newest.note
        if head.size == 0:
            return None
        origin = service.settings.log_origin
        top = _frontier(head.size, head.frontier).root()
        keys = log_keys.signers(service, tx, 0 if newest is None else newest.size)
        note = notes.Checkpoint(origin, head.size, top).sign(keys[0], origin, *keys[1:])
        log_memory.remember(service, note, head.size)
        log.add_checkpoint(tx, head.size, top, note, service.now())
        return note


def _require_extension(service: Service, tx: Tx, size: int) -> None:
    """Compare the log with the remembered checkpoint, by the stored one of that size where there is one."""
    known = log_memory.recall(service)
    if known is None:
        return
    seen = known[1]
    _require_size(size, seen.size)
    stored = log.checkpoint(tx, seen.size)
    found = stored.root if stored is not None else tiles(tx, seen.size).root()
    if found != seen.root:
        raise ServiceError(
            "LOG_REWRITTEN",
            500,
            f"An entry below {seen.size} is not the one that was signed; 'cohortlink log check' names it.",
        )


def _require_size(size: int, signed: int) -> None:
    if size < signed:
        raise ServiceError(
            "LOG_ROLLED_BACK",
            500,
            f"Entry {size} is missing: {signed} entries were signed and {size} are here. Restore a newer "
            "backup; going on from here would give the log two histories.",
        )


def verifier_key(service: Service) -> str:
    """The log's public key as vkey text (C2SP signed-note), the newest where it has had several."""
    return log_keys.log_keys(service).newest


def newest_checkpoint(service: Service) -> str:
    """The newest signed checkpoint, with the cosignatures that witnesses have put on it so far.

    Raises
    ------
    NotFoundError
        `LOG_EMPTY` before the first entry.
    """
    with service.store.reading("checkpoint") as tx:
        newest = log.latest_checkpoint(tx)
        if newest is None:
            raise NotFoundError("LOG_EMPTY", "The log has no checkpoint yet.")
        return cosigned(tx, newest.size, newest.note)


def cosigned(tx: Tx, size: int, note: str) -> str:
    """A checkpoint's note with its cosignatures."""
    return note + "".join(log.cosignatures(tx, size))


def tiles(tx: Tx, size: int) -> TileReader:
    """The tree of the first `size` entries, read from the stored hashes."""
    return TileReader(partial(log.hashes, tx), size)


def sealed_size(tx: Tx) -> int:
    """How many entries the newest checkpoint covers."""
    newest = log.latest_checkpoint(tx)
    return 0 if newest is None else newest.size


def inclusion(service: Service, index: int, size: int | None) -> dict[str, object]:
    """Proof that entry `index` is in the tree of `size` entries (RFC 6962, 2.1.1).

    Any party may ask: a leaf hash tells nothing, and whoever holds a receipt must be able to prove it.
    """
    with service.store.reading("inclusion proof") as tx:
        sealed = sealed_size(tx)
        tree_size = sealed if size is None else size
        if not 0 <= index < tree_size <= sealed:
            raise RefusedError("PROOF_OUT_OF_RANGE", "The index or the size is not in the sealed log.")
        tree = tiles(tx, tree_size)
        hashes = [value.hex() for value in tree.inclusion_proof(index)]
        leaf = tree.leaf_hash(index).hex()
    return {"index": index, "size": tree_size, "leaf_hash": leaf, "hashes": hashes}


def consistency(service: Service, first: int, size: int | None) -> dict[str, object]:
    """Proof that the tree of `size` entries extends that of `first` (RFC 6962, 2.1.2)."""
    with service.store.reading("consistency proof") as tx:
        sealed = sealed_size(tx)
        tree_size = sealed if size is None else size
        if not 0 < first <= tree_size <= sealed:
            raise RefusedError("PROOF_OUT_OF_RANGE", "The sizes are not in the sealed log.")
        hashes = [value.hex() for value in tiles(tx, tree_size).consistency_proof(first)]
    return {"from": first, "to": tree_size, "hashes": hashes}


def receipt_proof(service: Service, index: int) -> dict[str, Any]:
    """Checkpoint and proof of inclusion that a receipt carries; empty while the entry is not sealed.

    Of the smallest checkpoint that covers the entry, so that it stays the same; cosignatures may join it.
    """
    with service.store.reading("receipt's proof") as tx:
        found = log.first_checkpoint_over(tx, index)
        if found is None:
            return {}
        hashes = [value.hex() for value in tiles(tx, found.size).inclusion_proof(index)]
        return {
            "checkpoint": cosigned(tx, found.size, found.note),
            "proof": {"index": index, "size": found.size, "hashes": hashes},
        }


def _frontier(size: int, nodes: bytes) -> Frontier:
    return Frontier(size, tuple(nodes[at : at + HASH_BYTES] for at in range(0, len(nodes), HASH_BYTES)))
