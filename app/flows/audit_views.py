"""What auditors read: entries, tiles, selections with proofs, a page per agreement; and that they read it.

Reading entries is itself on the log: one `log.read` per credential and hour, committed before the first
leaf is given out, so that nobody reads without a trace and reading does not drown the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from app.auth import Caller, Role
from app.errors import ForbiddenError, NotFoundError, RefusedError
from app.flows.seal_log import append, cosigned, seal, sealed_size, tiles
from app.flows.service import Service
from app.flows.sign_agreement import visible
from app.store import Tx, log
from crypto.errors import LogError
from crypto.log.entry import Entry
from crypto.log.export import export_lines
from crypto.log.summary import summarize
from crypto.log.tiles import Tile, entry_bundle

MAX_ENTRIES: Final = 1000
READING: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Selection:
    """Which entries: of an agreement, of a kind (or all of `kind.*`), of [since, until), from an index."""

    agreement: str | None = None
    kind: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    start: int = 0
    limit: int = MAX_ENTRIES


def read_entries(service: Service, caller: Caller, start: int, end: int | None) -> list[bytes]:
    """Exact leaves of [start, end), at most 1000 and only sealed ones, for auditors and the operator."""
    caller.require(Role.AUDITOR, Role.OPERATOR)
    if start < 0 or (end is not None and end < start):
        raise RefusedError("RANGE_INVALID", "start and end must be 0 <= start <= end.")
    with service.store.reading("sealed log") as tx:
        sealed = sealed_size(tx)
    note_reading(service, caller, start)
    with service.store.reading("log entries") as tx:
        stop = min(sealed if end is None else end, sealed, start + MAX_ENTRIES)
        return [entry.leaf for entry in log.entries(tx, start, stop)]


def read_tile(service: Service, path: str) -> bytes:
    """A tile of hashes, for everybody (tlog-tiles).

    Hashes of salted entries tell nothing (docs/adr/0008). A tile with an entry of version 1 in it is not
    served: whoever guesses such an entry could tell that it is there.

    Raises
    ------
    NotFoundError
        `TILE_UNKNOWN`, for what is not a tile of hashes of the sealed log.
    ForbiddenError
        `TILE_UNSALTED`.
    """
    tile = _tile(path)
    with service.store.reading("tile") as tx:
        if tile.level is None or not tile.is_of(sealed_size(tx)):
            raise _no_tile()
        # Versions only grow, so the first entry tells for all of the tile.
        first = log.entries(tx, tile.start, tile.start + 1) if tile.level == 0 else []
        if any(Entry.parse(entry.leaf).salt is None for entry in first):
            raise ForbiddenError("This tile is of entries without salt; auditors read them.", "TILE_UNSALTED")
        return b"".join(log.hashes(tx, tile.level, tile.start, tile.start + tile.width))


def read_bundle(service: Service, caller: Caller, path: str) -> bytes:
    """An entry bundle, for auditors and the operator (tlog-tiles); `path` begins with ``entries/``.

    Raises
    ------
    NotFoundError
        `TILE_UNKNOWN`, for what is not a bundle of the sealed log.
    """
    caller.require(Role.AUDITOR, Role.OPERATOR)
    tile = _tile(path)
    note_reading(service, caller, tile.start)
    with service.store.reading("entry bundle") as tx:
        if tile.level is not None or not tile.is_of(sealed_size(tx)):
            raise _no_tile()
        return entry_bundle([each.leaf for each in log.entries(tx, tile.start, tile.start + tile.width)])


def _tile(path: str) -> Tile:
    try:
        return Tile.parse(path)
    except LogError:
        raise _no_tile() from None


def _no_tile() -> NotFoundError:
    return NotFoundError("TILE_UNKNOWN", "The sealed log has no such tile.")


def search(service: Service, caller: Caller, chosen: Selection) -> dict[str, Any]:
    """Entries of a selection, read, with the index to go on from (`next`, None at the end)."""
    size, _, rows = _select(service, caller, chosen)
    limit = _limit(chosen)
    return {
        "size": size,
        "entries": [Entry.parse(leaf).to_document() for _, leaf in rows],
        "next": rows[-1][0] + 1 if len(rows) == limit else None,
    }


def export(service: Service, caller: Caller, chosen: Selection) -> Iterator[str]:
    """Entries of a selection as JSON Lines with proofs (`crypto.log.export`)."""
    size, note, rows = _select(service, caller, chosen)
    with service.store.reading("proofs of selection") as tx:
        tree = tiles(tx, size)
        proven = [(index, leaf, tree.inclusion_proof(index)) for index, leaf in rows]
    return export_lines(note, proven)


def _select(service: Service, caller: Caller, chosen: Selection) -> tuple[int, str, list[tuple[int, bytes]]]:
    caller.require(Role.AUDITOR, Role.OPERATOR)
    note_reading(service, caller, chosen.start)
    with service.store.reading("search log") as tx:
        newest = log.latest_checkpoint(tx)
        if newest is None:
            raise NotFoundError("LOG_EMPTY", "The log has no checkpoint yet.")
        rows = log.search(
            tx,
            newest.size,
            agreement_id=chosen.agreement,
            kind=chosen.kind,
            since=chosen.since,
            until=chosen.until,
            start=chosen.start,
            limit=_limit(chosen),
        )
        note = cosigned(tx, newest.size, newest.note)
        return newest.size, note, [(row.index, row.leaf) for row in rows]


def _limit(chosen: Selection) -> int:
    return max(1, min(chosen.limit, MAX_ENTRIES))


def summary(service: Service, caller: Caller, agreement_id: str) -> dict[str, Any]:
    """The page on an agreement, for auditors and the operator."""
    caller.require(Role.AUDITOR, Role.OPERATOR)
    with service.store.reading("see agreement") as tx:
        visible(tx, caller, agreement_id)
    note_reading(service, caller, 0)
    return agreement_summary(service, agreement_id)


def agreement_summary(service: Service, agreement_id: str) -> dict[str, Any]:
    """The page on an agreement, out of its sealed entries."""
    with service.store.reading("summary of agreement") as tx:
        sealed = sealed_size(tx)
        rows = log.entries(tx, 0, sealed, agreement_id=agreement_id)
        return summarize(agreement_id, (Entry.parse(row.leaf) for row in rows)) | {"size": sealed}


def note_reading(service: Service, caller: Caller, start: int) -> None:
    """Log that this credential reads, unless it did so within the hour; sealed before anything is read."""
    now = service.now()
    with service.store.reading("who read lately") as tx:
        if _read_lately(tx, caller, now):
            return
    with service.store.transaction("note reading") as tx:
        log.lock_head(tx)
        if _read_lately(tx, caller, now):
            return
        body = {"credential": caller.credential_id, "role": str(caller.role), "start": start}
        append(tx, "log.read", None, caller.organization, body, now)
    seal(service)


def _read_lately(tx: Tx, caller: Caller, now: datetime) -> bool:
    rows = log.search(tx, log.size(tx), kind="log.read", since=now - READING, limit=MAX_ENTRIES)
    return any(Entry.parse(row.leaf).body["credential"] == caller.credential_id for row in rows)
