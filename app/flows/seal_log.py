"""The log: append in the transaction of what is recorded, seal right after it.

Appending and the thing recorded are one transaction, so there is no entry without its matter and no
matter without its entry. Sealing signs a checkpoint over all committed entries. A crash between the two
leaves entries that no checkpoint covers yet; the next seal (after the next flow, or at start-up) covers
them, in the same order, so there is no fork and no gap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from app.auth import Caller, Role
from app.errors import NotFoundError, RefusedError
from app.flows.service import Service
from app.store import Tx, log
from crypto.log import checkpoint as notes
from crypto.log.entry import Entry
from crypto.log.tree import (
    HASH_BYTES,
    Frontier,
    consistency_ranges,
    inclusion_ranges,
    leaf_hash,
    root,
)

SERVICE = "service"
MAX_ENTRIES = 1000


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
        What happened, such as `batch.accepted`.
    agreement : str or None
        Agreement it belongs to.
    actor : str
        Organization, or `SERVICE`.
    body : mapping
        Digests, counts and codes; never an encoding, a record_ref or an unprotected count.
    at : datetime
        When, aware.
    """
    head = log.lock_head(tx)
    leaf = Entry(head.size, kind, rfc3339(at), actor, agreement, body).leaf()
    digest = leaf_hash(leaf)
    frontier = _frontier(head.size, head.frontier).extend([digest])
    appended = Appended(head.size, digest)
    log.add(tx, head.size, leaf, digest, kind, agreement, at)
    head.size, head.frontier = frontier.size, b"".join(frontier.nodes)
    return appended


def seal(service: Service) -> str | None:
    """Sign a checkpoint over all committed entries, unless the newest one covers them already.

    Returns the newest checkpoint's note; None while the log is empty. May be called at any time by any
    node: the lock of the head makes seals serial, so one size is signed once.
    """
    with service.store.transaction("seal the log") as tx:
        head = log.lock_head(tx)
        newest = log.latest_checkpoint(tx)
        if newest is not None and newest.size >= head.size:
            return newest.note
        if head.size == 0:
            return None
        origin = service.settings.log_origin
        top = _frontier(head.size, head.frontier).root()
        note = notes.Checkpoint(origin, head.size, top).sign(service.log_key, origin)
        log.add_checkpoint(tx, head.size, top, note, service.now())
        return note


def verifier_key(service: Service) -> str:
    """The log's public key as vkey text (C2SP signed-note)."""
    return notes.vkey(service.settings.log_origin, service.log_key.public)


def newest_checkpoint(service: Service) -> str:
    """The newest signed checkpoint.

    Raises
    ------
    NotFoundError
        `LOG_EMPTY` before the first entry.
    """
    with service.store.reading("checkpoint") as tx:
        newest = log.latest_checkpoint(tx)
    if newest is None:
        raise NotFoundError("LOG_EMPTY", "The log has no checkpoint yet.")
    return newest.note


def read_entries(service: Service, caller: Caller, start: int, end: int | None) -> list[bytes]:
    """Exact leaves of [start, end), at most 1000 and only sealed ones, for auditors and the operator."""
    caller.require(Role.AUDITOR, Role.OPERATOR)
    with service.store.reading("log entries") as tx:
        sealed = _sealed(tx)
        stop = min(sealed if end is None else end, sealed, start + MAX_ENTRIES)
        if start < 0 or (end is not None and end < start):
            raise RefusedError("RANGE_INVALID", "start and end must be 0 <= start <= end.")
        return [entry.leaf for entry in log.entries(tx, start, stop)]


def inclusion(service: Service, index: int, size: int | None) -> dict[str, object]:
    """Proof that entry `index` is in the tree of `size` entries (RFC 6962, 2.1.1).

    Any party may ask: a leaf hash tells nothing, and whoever holds a receipt must be able to prove it.
    """
    with service.store.reading("inclusion proof") as tx:
        sealed = _sealed(tx)
        tree_size = sealed if size is None else size
        if not 0 <= index < tree_size <= sealed:
            raise RefusedError("PROOF_OUT_OF_RANGE", "The index or the size is not in the sealed log.")
        hashes = [_range_root(tx, a, b) for a, b in inclusion_ranges(index, tree_size)]
        (leaf,) = log.leaf_hashes(tx, index, index + 1)
    return {"index": index, "size": tree_size, "leaf_hash": leaf.hex(), "hashes": hashes}


def consistency(service: Service, first: int, size: int | None) -> dict[str, object]:
    """Proof that the tree of `size` entries extends that of `first` (RFC 6962, 2.1.2)."""
    with service.store.reading("consistency proof") as tx:
        sealed = _sealed(tx)
        tree_size = sealed if size is None else size
        if not 0 < first <= tree_size <= sealed:
            raise RefusedError("PROOF_OUT_OF_RANGE", "The sizes are not in the sealed log.")
        hashes = [_range_root(tx, a, b) for a, b in consistency_ranges(first, tree_size)]
    return {"from": first, "to": tree_size, "hashes": hashes}


def _sealed(tx: Tx) -> int:
    newest = log.latest_checkpoint(tx)
    return 0 if newest is None else newest.size


def _range_root(tx: Tx, start: int, end: int) -> str:
    return root(log.leaf_hashes(tx, start, end)).hex()


def _frontier(size: int, nodes: bytes) -> Frontier:
    return Frontier(size, tuple(nodes[at : at + HASH_BYTES] for at in range(0, len(nodes), HASH_BYTES)))
