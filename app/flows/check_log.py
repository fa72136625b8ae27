"""The stored log, checked against itself, against every checkpoint and against this node's memory.

An auditor checks a copy; the operator checks what lies in the tables, where an edit by hand also leaves
columns and hashes behind that do not fit. Nothing is repaired.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from app.flows import log_memory
from app.flows.log_keys import keychain, local_keys
from app.flows.seal_log import cosigned, rfc3339
from app.flows.service import Service
from app.store import Tx, log
from app.store.models import LogEntry
from crypto.errors import LogError
from crypto.log.entry import Entry
from crypto.log.keychain import Keychain
from crypto.log.tiles import completed
from crypto.log.tree import Frontier, leaf_hash
from crypto.log.verify import Anchor, Check, LogCopy, VerificationReport, verify_copy

_PAGE = 1000


def check_log(service: Service) -> VerificationReport:
    """Check the stored log.

    1. What an auditor checks: `crypto.log.verify.verify_copy` over the stored entries, every stored
       checkpoint and the remembered one.
    2. That the columns and hashes beside each entry are its own, and the head is that of all entries.

    Failures are reported, not raised; the first wrong entry is named where it can be told.
    """
    with service.store.reading("check the log") as tx:
        stored = log.checkpoints(tx)
        anchors = [
            Anchor(f"the checkpoint at {row.size}", cosigned(tx, row.size, row.note)) for row in stored
        ]
        known = log_memory.recall(service)
        if known is not None:
            anchors.append(Anchor("the remembered checkpoint", known[0]))
        columns, odd, hashes = _check_columns(tx)
        if not anchors:
            return VerificationReport((columns,), odd)
        chain = keychain(service, tx)
        newest = max(anchors, key=lambda each: _size(each, chain))
        top = _size(newest, chain)
        copy = LogCopy(
            Anchor(newest.name, newest.note, hashes[:top]),
            log.leaves(tx, 0, top),
            chain.newest,
            [each for each in anchors if each is not newest],
            chain.to_text(),
        )
        # Trusted are the keys of this node's folder, whatever the tables say.
        report = verify_copy(copy, key=local_keys(service)[0])
    wrong = [place for place in (odd, report.first_wrong_entry) if place is not None]
    # Hundreds of checkpoints that hold are one line; one that does not is a line of its own.
    many = [check for check in report.checks if "the checkpoint at " in check.name]
    kept = [check for check in report.checks if check not in many or not check.ok]
    kept.append(Check("checkpoints", all(check.ok for check in many), f"{len(stored)} stored checkpoints"))
    return VerificationReport((*kept, columns), min(wrong, default=None), report.checkpoint, report.note)


def _size(anchor: Anchor, chain: Keychain) -> int:
    try:
        return chain.open(anchor.note).size
    except LogError:
        return 0


def _check_columns(tx: Tx) -> tuple[Check, int | None, list[bytes]]:
    """Compare each row with its leaf; returns the stored leaf hashes as well."""
    head = log.head(tx)
    frontier = Frontier()
    problem: tuple[int, str] | None = None
    hashes: list[bytes] = []
    for place, row in enumerate(_rows(tx)):
        hashes.append(row.leaf_hash)
        frontier = frontier.extend([leaf_hash(row.leaf)])
        if problem is None and (found := _row_problem(tx, place, row)) is not None:
            problem = (place, found)
    size = len(hashes)
    nodes = b"".join(frontier.nodes)
    if problem is None and (head.size, head.frontier) != (size, nodes):
        place = min(size, head.size)
        missing = f"entry {place} is {'missing' if size < head.size else 'beyond the head'}"
        problem = (place, missing if size != head.size else "the head is that of other entries")
        if size == head.size:
            return Check("columns", False, problem[1]), None, hashes
    if problem is None:
        return Check("columns", True, f"{size} rows are those of their entries"), None, hashes
    return Check("columns", False, f"entry {problem[0]}: {problem[1]}"), problem[0], hashes


def _rows(tx: Tx) -> Iterator[LogEntry]:
    start = 0
    while page := log.search(tx, 2**62, start=start, limit=_PAGE):
        yield from page
        start = page[-1].index + 1


def _row_problem(tx: Tx, place: int, row: LogEntry) -> str | None:
    if row.index != place:
        return f"the row after it is {row.index}"
    if row.leaf_hash != leaf_hash(row.leaf):
        return "the stored hash is not that of the entry"
    try:
        entry = Entry.parse(row.leaf)
    except LogError as error:
        return str(error)
    if (entry.kind, entry.agreement, entry.at) != (row.kind, row.agreement_id, rfc3339(row.at)):
        return "kind, agreement or time beside the entry are not its own"
    for level, at, value in completed(place + 1, partial(log.hashes, tx)):
        if log.hashes(tx, level, at, at + 1) != [value]:
            return f"the stored hash of the {256**level} entries up to it is not theirs"
    return None
