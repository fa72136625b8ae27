"""Offline verification of a downloaded log against its checkpoint and against what was seen before.

Nothing here asks the service anything: an auditor with a copy, the log's key and a checkpoint that she
remembers needs no one's word.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any, NamedTuple

from crypto.errors import LogError
from crypto.log.checkpoint import Checkpoint, parse_vkey
from crypto.log.cosignature import cosignatures, parse_witness_vkey
from crypto.log.entry import Entry
from crypto.log.keychain import Change, Keychain
from crypto.log.rules import RULES, Rules
from crypto.log.tree import Frontier, leaf_hash, root

REPORT_FORMAT = "cohortlink-log-verification/1"

_REPORT_EVERY = 4096
_LAST_SECOND = 253_402_300_799  # of the year 9999, the last that a date can show


class Check(NamedTuple):
    """One thing that was checked: its name, whether it holds, and a sentence for a person."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class Anchor:
    """A signed checkpoint that the entries must reach.

    Parameters
    ----------
    name
        What reports call it.
    note
        The signed note.
    leaf_hashes
        The leaf hashes of that tree, 32 bytes each, where they were kept. They are believed only if they
        hash to the checkpoint's root, and then tell exactly which entry differs.
    """

    name: str
    note: str
    leaf_hashes: Sequence[bytes] | None = None


@dataclass(frozen=True)
class LogCopy:
    """A downloaded log.

    Parameters
    ----------
    checkpoint
        The checkpoint that the copy was made at.
    entries
        Leaves in order, exact bytes; read once.
    key
        Verifier key text that came with the copy.
    earlier
        Older checkpoints of the same log, and any that the reader remembers from elsewhere.
    keys
        All keys of the log, as :meth:`crypto.log.keychain.Keychain.to_text` writes them; None where the log
        has had the one key only.
    """

    checkpoint: Anchor
    entries: Iterable[bytes]
    key: str
    earlier: Sequence[Anchor] = ()
    keys: str | None = None


@dataclass(frozen=True)
class VerificationReport:
    """What was checked and how it came out.

    Parameters
    ----------
    checks
        In the order in which they were made.
    first_wrong_entry
        Index of the first entry that is wrong, missing or too many, where it can be told: a copy without
        leaf hashes may hold an earlier one that only shows in the root.
    checkpoint
        The checkpoint, if its signature holds.
    note
        Its text as found: with another one for the same log it can be evidence.
    """

    checks: tuple[Check, ...]
    first_wrong_entry: int | None = None
    checkpoint: Checkpoint | None = None
    note: str = field(default="", repr=False)

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return all(check.ok for check in self.checks)

    def to_document(self) -> dict[str, object]:
        """Return the report for ``--json``."""
        known = self.checkpoint
        return {
            "format": REPORT_FORMAT,
            "ok": self.ok,
            "origin": known.origin if known else None,
            "size": known.size if known else None,
            "root": known.root.hex() if known else None,
            "first_wrong_entry": self.first_wrong_entry,
            "checks": [check._asdict() for check in self.checks],
            "checkpoint": self.note,
        }


def verify_copy(
    copy: LogCopy,
    *,
    key: str | None = None,
    witnesses: Sequence[str] = (),
    progress: Callable[[str, int, int], None] | None = None,
) -> VerificationReport:
    """Verify a copy of the log.

    1. The key: the given one if there is one, else the copy's. Where the copy's is another, signed statements
       must lead from the one to the other, and the entries must hold exactly these.
    2. The signature of the copy's checkpoint, and of every earlier one, all of the same log, each by the key
       that was in force.
    3. Every entry: canonical, of a known version, and bearing the index of its place.
    4. As many entries as the checkpoint says, hashing to its root.
    5. For each earlier checkpoint: the same entries, cut at its size, hash to its root. This is stronger than
       a consistency proof: nothing that it covered was removed or rewritten.
    6. For each witness that is asked for: the newest checkpoint that it cosigned, at least one.
    7. What the entries say about one another: :data:`crypto.log.rules.RULES`.

    It is left to the caller to know that the key is the log's (without ``key`` a forger could have put his
    own beside his forgery), and to remember this checkpoint for the next time.

    Parameters
    ----------
    copy
        The log.
    key
        Verifier key text from a source that the caller trusts.
    witnesses
        Verifier key texts of witnesses, each of whom must have cosigned.
    progress
        Called with stage, done and total (entries).

    Returns
    -------
    VerificationReport
        Failures are reported, not raised.
    """
    outcome, chain = _check_key(copy, key)
    checks = [outcome]
    anchors: list[tuple[Anchor, Checkpoint]] = []
    if chain is not None:
        notes = (copy.checkpoint, *copy.earlier)
        checks += [_check_signature(anchor, chain, anchors) for anchor in notes]
    if not anchors or anchors[0][0] is not copy.checkpoint:
        return VerificationReport(tuple(checks), note=copy.checkpoint.note)

    checks += [_check_witness(witness, anchors) for witness in witnesses]
    assert chain is not None
    rules, changes = Rules(), KeyChanges()
    hashes, odd = _read_entries(copy.entries, anchors[0][1].size, [rules.feed, changes.feed], progress)
    checks.append(odd[1] if odd else Check("entries", True, f"{len(hashes)} entries, each in its place"))
    outcomes, wrong, doubtful = _check_roots(hashes, anchors)
    checks += outcomes
    if odd:
        wrong.append(odd[0])
    else:
        keys, place = changes.compare(chain, len(hashes))
        checks.append(keys)
        wrong += [] if place is None else [place]
    checks += _rule_checks(rules)
    first = min([*wrong, *(place for place, _ in rules.broken.values())], default=None)
    # A checkpoint that fails below the first known fault proves an earlier one that cannot be told exactly.
    if first is not None and doubtful is not None and doubtful <= first:
        first = None
    return VerificationReport(tuple(checks), first, anchors[0][1], copy.checkpoint.note)


def _check_key(copy: LogCopy, trusted: str | None) -> tuple[Check, Keychain | None]:
    try:
        chain = Keychain(copy.key.removesuffix("\n")) if copy.keys is None else Keychain.parse(copy.keys)
        if copy.key.removesuffix("\n") != chain.newest:
            return Check("key", False, "the keys that came with the log do not lead to its key"), None
        name, key = parse_vkey(chain.newest)
        if trusted is None:
            source = "taken from the log itself: compare it with its owner's"
        elif len(chain.since(trusted.removesuffix("\n"))) > 1:
            source = "which follows, by signed statements, the one that you gave"
        else:
            source = "as you gave it"
    except LogError as error:
        if error.code == "LOG_KEY_OTHER":
            return Check("key", False, "the key that came with the log is not the one that you trust"), None
        return Check("key", False, str(error)), None
    return Check("key", True, f"{name}, fingerprint {key.fingerprint}, {source}"), chain


class KeyChanges:
    """The changes of the log's key that its entries tell, to be compared with those that it shows."""

    def __init__(self) -> None:
        self._found: list[Change] = []

    def feed(self, entry: Entry) -> None:
        """Take the next entry."""
        if entry.kind == "log.rekeyed" and entry.body.keys() == {"old", "new", "signature"}:
            body: Mapping[str, Any] = entry.body
            self._found.append(Change(entry.index, body["old"], body["new"], body["signature"]))

    def compare(self, chain: Keychain, size: int) -> tuple[Check, int | None]:
        """Compare with the changes that lie within the first ``size`` entries; also the first other one."""
        shown = [change for change in chain.changes if change.index < size]
        for ours, theirs in zip_longest(self._found, shown):
            if ours != theirs:
                place = min(each.index for each in (ours, theirs) if each is not None)
                detail = f"entry {place}: the log's key is not changed as its keys say"
                return Check("log keys", False, detail), place
        count = f"{len(shown)} changes of the log's key" if shown else "no change of the log's key"
        return Check("log keys", True, f"{count}, as its keys say"), None


def _check_signature(anchor: Anchor, chain: Keychain, opened: list[tuple[Anchor, Checkpoint]]) -> Check:
    """Open a checkpoint and append it to ``opened`` if it can be relied on."""
    name = f"signature of {anchor.name}"
    try:
        checkpoint = chain.open(anchor.note)
    except LogError as error:
        return Check(name, False, str(error))
    opened.append((anchor, checkpoint))
    return Check(name, True, f"signed by {checkpoint.origin} at {checkpoint.size} entries")


def _check_witness(witness: str, anchors: Sequence[tuple[Anchor, Checkpoint]]) -> Check:
    """Find the newest checkpoint that the witness cosigned."""
    name = "witness"
    try:
        who, _ = parse_witness_vkey(witness)
        name = f"witness {who}"
        for anchor, checkpoint in sorted(anchors, key=lambda pair: -pair[1].size):
            for seen in cosignatures(anchor.note, [witness]):
                when = datetime.fromtimestamp(min(seen.timestamp, _LAST_SECOND), UTC)
                rest = anchors[0][1].size - checkpoint.size
                return Check(
                    name,
                    True,
                    f"cosigned {checkpoint.size} entries at {when:%Y-%m-%dT%H:%M:%SZ}"
                    + (f"; {rest} entries since then are not cosigned yet" if rest > 0 else ""),
                )
    except LogError as error:
        return Check(name, False, str(error))
    return Check(name, False, "cosigned none of the checkpoints at hand")


def _rule_checks(rules: Rules) -> list[Check]:
    return [
        Check(
            f"rule {rule}",
            rule not in rules.broken,
            f"entry {rules.broken[rule][0]}: {rules.broken[rule][1]}" if rule in rules.broken else meaning,
        )
        for rule, meaning in RULES.items()
    ]


def _read_entries(
    entries: Iterable[bytes],
    size: int,
    readers: Sequence[Callable[[Entry], None]],
    progress: Callable[[str, int, int], None] | None,
) -> tuple[list[bytes], tuple[int, Check] | None]:
    """Hash every leaf; also return the first that does not fit its place, with the reason.

    An entry's own index shows a removed, repeated or moved entry at once, where the root only says that
    something is different somewhere.
    """
    hashes: list[bytes] = []
    odd: tuple[int, Check] | None = None
    for place, leaf in enumerate(entries):
        hashes.append(leaf_hash(leaf))
        if odd is None:
            problem = _entry_problem(leaf, place, readers)
            if problem:
                odd = (place, Check("entries", False, f"entry {place}: {problem}"))
        if progress and place % _REPORT_EVERY == 0:
            progress("verify", place, size)
    if progress:
        progress("verify", len(hashes), size)
    if odd is None and len(hashes) != size:
        what = "is missing" if len(hashes) < size else "is beyond the checkpoint"
        place = min(len(hashes), size)
        detail = f"entry {place} {what}: {len(hashes)} entries, the checkpoint says {size}"
        odd = (place, Check("entries", False, detail))
    return hashes, odd


def _entry_problem(leaf: bytes, place: int, readers: Sequence[Callable[[Entry], None]]) -> str | None:
    """What is wrong with an entry by itself; one that is well is given to the readers.

    After the first that is not, they are not asked further: what follows would be judged in a state
    that is not the log's.
    """
    try:
        entry = Entry.parse(leaf)
    except LogError as error:
        return str(error)
    if entry.index != place:
        return f"it says that it is entry {entry.index}"
    for read in readers:
        read(entry)
    return None


def _check_roots(
    hashes: Sequence[bytes], anchors: Sequence[tuple[Anchor, Checkpoint]]
) -> tuple[list[Check], list[int], int | None]:
    """Compare the entries with every checkpoint.

    Also return the entries that are known to be wrong, and the smallest checkpoint below which one is wrong
    without it being known which.

    From the smallest checkpoint on, so that at the first difference it is known how far all was well.
    """
    frontier = Frontier()
    reached = [0]
    checks: list[Check] = []
    wrong: list[int] = []
    doubtful: int | None = None
    for anchor, checkpoint in sorted(anchors, key=lambda pair: pair[1].size):
        name, size = f"entries reach {anchor.name}", checkpoint.size
        if size <= len(hashes):
            frontier = frontier.extend(hashes[frontier.size : size])
            if hmac.compare_digest(frontier.root(), checkpoint.root):
                reached.append(size)
                checks.append(Check(name, True, f"the first {size} entries have the root that it signs"))
                continue
        differing = _first_difference(hashes, anchor, checkpoint)
        proven = max((other for other in reached if other < size), default=0)
        if differing is None and size - proven == 1:
            differing = proven
        if differing is not None:
            wrong.append(differing)
        if size > len(hashes):
            detail = f"it covers {size} entries and there are {len(hashes)}"
        elif differing is not None:
            detail = f"entry {differing} is not the one that it signs"
        else:
            detail = f"an entry of {proven} to {size - 1} is not the one that it signs"
            doubtful = size if doubtful is None else doubtful
        checks.append(Check(name, False, detail))
    return checks, wrong, doubtful


def _first_difference(hashes: Sequence[bytes], anchor: Anchor, checkpoint: Checkpoint) -> int | None:
    """Return the first entry that differs from what the checkpoint covers, where leaf hashes were kept."""
    kept = anchor.leaf_hashes
    if kept is None or len(kept) != checkpoint.size or root(kept) != checkpoint.root:
        return None
    pairs = enumerate(zip(kept, hashes, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(kept), len(hashes)))
