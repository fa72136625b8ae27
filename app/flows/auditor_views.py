"""What the auditor's pages show of the log: the newest entries, one entry with all that proves it, the
checkpoint with its witnesses, and the whole log held against its own rules.

Nothing here is more than an auditor can get with a copy of the log; it is the same mathematics, done here.
A page cannot prove that the service which made it is honest, so each names the command that can.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from app.auth import Caller, Role
from app.errors import ConflictError, NotFoundError
from app.flows.audit_views import Selection, note_reading
from app.flows.log_keys import keychain, local_keys
from app.flows.seal_log import cosigned, rfc3339, sealed_size, tiles
from app.flows.service import Service
from app.store import Tx, log, organizations
from app.store.models import LogEntry
from crypto.errors import CohortlinkError
from crypto.log.checkpoint import parse_vkey, split_note
from crypto.log.cosignature import cosignatures, witness_prefix, witness_vkey
from crypto.log.entry import Entry
from crypto.log.keychain import Keychain
from crypto.log.kinds import check_body
from crypto.log.proof import verify_inclusion
from crypto.log.tree import inclusion_ranges, leaf_hash, node_hash
from crypto.log.verify import Anchor, Check, LogCopy, VerificationReport, verify_copy
from crypto.signatures import PublicKey

RECENT_CHECKPOINTS: Final = 12
_VERIFYING: Final = threading.Lock()


@dataclass(frozen=True)
class Timeline:
    """A page of entries, the newest first.

    Attributes
    ----------
    size : int
        Entries of the sealed log.
    entries : sequence of Entry
    older : int or None
        Where the next page goes on: entries before this index; None at the beginning of the log.
    """

    size: int
    entries: Sequence[Entry]
    older: int | None


@dataclass(frozen=True)
class Step:
    """One step from an entry to the root.

    Attributes
    ----------
    first, last : int
        The entries whose hash is joined here.
    side : str
        ``left`` or ``right``: on which side it is joined.
    hash, result : str
        What is joined, and what comes of it (hexadecimal).
    """

    first: int
    last: int
    side: str
    hash: str
    result: str


@dataclass(frozen=True)
class Witness:
    """Somebody who cosigned a checkpoint.

    Attributes
    ----------
    organization : str or None
        Whose key it is; None for a key that is not registered here (any more).
    fingerprint : str
    at : str
        RFC 3339.
    """

    organization: str | None
    fingerprint: str
    at: str


@dataclass(frozen=True)
class Proven:
    """An entry with all that proves that it is in the log.

    Attributes
    ----------
    entry : Entry
    leaf : str
        Its exact text.
    leaf_hash, root : str
        Hexadecimal.
    steps : sequence of Step
    note : str
        The signed checkpoint, with cosignatures.
    size : int
        Entries that the checkpoint covers.
    checks : sequence of Check
        What was checked, and how it came out.
    witnesses : sequence of Witness
    """

    entry: Entry
    leaf: str
    leaf_hash: str
    root: str
    steps: Sequence[Step]
    note: str
    size: int
    checks: Sequence[Check]
    witnesses: Sequence[Witness]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


@dataclass(frozen=True)
class CheckpointView:
    """The newest checkpoint, who stands behind it, and what came before.

    Attributes
    ----------
    keys : sequence of str
        Fingerprints of all keys that the log has had, the one in force last.
    witnessed : dict or None
        The newest checkpoint with a cosignature: size, created_at, witnesses; None if there is none yet.
    recent : sequence of dict
        The newest checkpoints: size, created_at, witnesses (how many).
    """

    note: str
    origin: str
    size: int
    root: str
    created_at: str
    keys: Sequence[str]
    signed: bool
    witnesses: Sequence[Witness]
    witnessed: dict[str, Any] | None
    recent: Sequence[dict[str, Any]]


def timeline(service: Service, caller: Caller, chosen: Selection, before: int | None = None) -> Timeline:
    """Return the newest entries of a selection, below the index `before` if it is given."""
    caller.require(Role.AUDITOR, Role.OPERATOR)
    note_reading(service, caller, 0)
    with service.store.reading("timeline of the log") as tx:
        size = sealed_size(tx)
        rows = log.search(
            tx,
            size if before is None else min(before, size),
            agreement_id=chosen.agreement,
            kind=chosen.kind,
            since=chosen.since,
            until=chosen.until,
            limit=chosen.limit + 1,
            newest_first=True,
        )
    shown = rows[: chosen.limit]
    older = shown[-1].index if len(rows) > chosen.limit else None
    return Timeline(size, [Entry.parse(row.leaf) for row in shown], older)


def prove(service: Service, caller: Caller, index: int) -> Proven:
    """Return an entry with its proof, verified here step by step.

    1. The entry: canonical text of a known version and kind, which bears the index of its place.
    2. The checkpoint's signature by the log's key.
    3. The path: its hashes lead from the entry to the root that the checkpoint signs.
    4. Cosignatures of witnesses whose keys are registered, where there are any.

    Raises
    ------
    NotFoundError
        `ENTRY_UNKNOWN`: the sealed log has no such entry.
    """
    caller.require(Role.AUDITOR, Role.OPERATOR)
    note_reading(service, caller, index)
    with service.store.reading("prove an entry") as tx:
        newest = log.latest_checkpoint(tx)
        if newest is None or not 0 <= index < newest.size:
            raise NotFoundError("ENTRY_UNKNOWN", "The sealed log has no such entry.")
        row = log.entries(tx, index, index + 1)[0]
        path = tiles(tx, newest.size).inclusion_proof(index)
        note = cosigned(tx, newest.size, newest.note)
        witnesses, sound = _witnesses(tx, note)
        chain = keychain(service, tx)
    steps = _steps(row.leaf, index, newest.size, path)
    checks = [_check_entry(row.leaf, index), *_check_path(chain, row, newest.size, path, note)]
    if witnesses:
        names = ", ".join(sorted({each.organization or "a key that is not registered" for each in witnesses}))
        checks.append(Check("witnesses", sound, f"cosigned by {names}"))
    return Proven(
        entry=Entry.parse(row.leaf),
        leaf=row.leaf.decode("utf-8"),
        leaf_hash=leaf_hash(row.leaf).hex(),
        root=newest.root.hex(),
        steps=steps,
        note=note,
        size=newest.size,
        checks=checks,
        witnesses=witnesses,
    )


def _steps(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> list[Step]:
    result = leaf_hash(leaf)
    steps = []
    for (begin, end), sibling in zip(inclusion_ranges(index, size), path, strict=True):
        left = end <= index
        result = node_hash(sibling, result) if left else node_hash(result, sibling)
        steps.append(Step(begin, end - 1, "left" if left else "right", sibling.hex(), result.hex()))
    return steps


def _check_entry(leaf: bytes, index: int) -> Check:
    try:
        entry = Entry.parse(leaf)
        check_body(entry.kind, entry.agreement, entry.body)
    except CohortlinkError as error:
        return Check("entry", False, str(error))
    if entry.index != index:
        return Check("entry", False, f"it says that it is entry {entry.index}")
    return Check("entry", True, f"canonical, in its place, with exactly the fields of {entry.kind}")


def _check_path(
    chain: Keychain, row: LogEntry, size: int, path: Sequence[bytes], note: str
) -> tuple[Check, Check]:
    """The signature of the checkpoint, and the path to the root that it signs."""
    try:
        checkpoint = chain.open(note)
    except CohortlinkError as error:
        return Check("checkpoint", False, str(error)), Check("path", False, "there is no root to lead to")
    signed = Check("checkpoint", True, f"signed by {checkpoint.origin}, {checkpoint.size} entries")
    try:
        verify_inclusion(leaf_hash(row.leaf), row.index, size, path, checkpoint.root)
    except CohortlinkError as error:
        return signed, Check("path", False, str(error))
    return signed, Check("path", True, f"{len(path)} hashes lead from the entry to the root that is signed")


def _witnesses(tx: Tx, note: str) -> tuple[list[Witness], bool]:
    """Who cosigned a note, and whether all that can be checked here holds."""
    origin = note.partition("\n")[0]
    prefix, found, sound = witness_prefix(origin), [], True
    for name, _ in split_note(note)[1]:
        if not name.startswith(prefix):
            continue
        fingerprint = name.removeprefix(prefix)
        row = organizations.by_fingerprint(tx, fingerprint)
        if row is None or row.public_key is None:
            found.append(Witness(None, fingerprint, ""))
            continue
        try:
            seen = cosignatures(note, [witness_vkey(name, PublicKey.from_text(row.public_key))])
        except CohortlinkError:
            sound = False
            continue
        times = [rfc3339(datetime.fromtimestamp(each.timestamp, UTC)) for each in seen]
        found += [Witness(row.organization_id, fingerprint, at) for at in times]
    return found, sound


def checkpoint_view(service: Service, caller: Caller) -> CheckpointView:
    """Return the newest checkpoint with its cosignatures, and the newest one that has any.

    Raises
    ------
    NotFoundError
        `LOG_EMPTY`.
    """
    caller.require(Role.AUDITOR, Role.OPERATOR)
    with service.store.reading("checkpoint page") as tx:
        chain = keychain(service, tx)
        newest = log.latest_checkpoint(tx)
        if newest is None:
            raise NotFoundError("LOG_EMPTY", "The log has no checkpoint yet.")
        note = cosigned(tx, newest.size, newest.note)
        witnesses, _ = _witnesses(tx, note)
        held = log.latest_witnessed(tx)
        witnessed = None
        if held is not None:
            by, _ = _witnesses(tx, cosigned(tx, held.size, held.note))
            witnessed = {"size": held.size, "created_at": rfc3339(held.created_at), "witnesses": by}
        recent = [
            {
                "size": row.size,
                "created_at": rfc3339(row.created_at),
                "witnesses": len(log.cosignatures(tx, row.size)),
            }
            for row in log.newest_checkpoints(tx, RECENT_CHECKPOINTS)
        ]
    try:
        signed = chain.open(note).root == newest.root
    except CohortlinkError:
        signed = False
    return CheckpointView(
        note=note,
        origin=service.settings.log_origin,
        size=newest.size,
        root=newest.root.hex(),
        created_at=rfc3339(newest.created_at),
        keys=[parse_vkey(key)[1].fingerprint for key in chain.keys],
        signed=signed,
        witnesses=witnesses,
        witnessed=witnessed,
        recent=recent,
    )


def verify_log(service: Service, caller: Caller) -> VerificationReport:
    """Verify the sealed log as an auditor with a copy does: signatures, entries, roots, and the rules.

    One at a time in a process: it reads all entries, and its outcome is the same for everybody.

    Raises
    ------
    NotFoundError
        `LOG_EMPTY`.
    ConflictError
        `VERIFICATION_RUNNING`.
    """
    caller.require(Role.AUDITOR, Role.OPERATOR)
    note_reading(service, caller, 0)
    if not _VERIFYING.acquire(blocking=False):
        raise ConflictError("VERIFICATION_RUNNING", "A verification is under way; try again in a moment.")
    try:
        return _verify(service)
    finally:
        _VERIFYING.release()


def _verify(service: Service) -> VerificationReport:
    with service.store.reading("verify the log") as tx:
        chain = keychain(service, tx)
        newest = log.latest_checkpoint(tx)
        if newest is None:
            raise NotFoundError("LOG_EMPTY", "The log has no checkpoint yet.")
        earlier = [row for row in log.checkpoints(tx) if row.size < newest.size]
        report = verify_copy(
            LogCopy(
                Anchor("the newest checkpoint", cosigned(tx, newest.size, newest.note)),
                log.leaves(tx, 0, newest.size),
                chain.newest,
                [Anchor(f"the checkpoint at {row.size}", row.note) for row in earlier],
                chain.to_text(),
            ),
            # Trusted are the keys of this node's folder, whatever the tables say.
            key=local_keys(service)[0],
        )
    checks = [_own_key(check) if check.name == "key" else check for check in report.checks]
    return VerificationReport(
        _without_many(checks, len(earlier)), report.first_wrong_entry, report.checkpoint, report.note
    )


def _own_key(check: Check) -> Check:
    """The key is not one that a reader gave: nobody should take it for that."""
    said = check.detail.removesuffix(", as you gave it")
    return (
        check._replace(detail=f"{said}: this service's own, to be compared with yours") if check.ok else check
    )


def _without_many(checks: Sequence[Check], count: int) -> tuple[Check, ...]:
    """Hundreds of earlier checkpoints that hold are one line; one that does not is a line of its own."""
    many = [check for check in checks if "the checkpoint at " in check.name]
    kept = [check for check in checks if check not in many or not check.ok]
    if count:
        held = sum(check.ok for check in many if check.name.startswith("entries reach"))
        detail = f"{held} of {count} earlier checkpoints are the root of the first entries"
        kept.insert(2, Check("earlier checkpoints", all(check.ok for check in many), detail))
    return tuple(kept)
