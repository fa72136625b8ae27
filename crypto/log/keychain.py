"""The keys of a log, from its first on: each later one is named by a statement that the one before signed.

The statement is an entry of the log (``log.rekeyed``), so that whoever holds the log can follow it, and it
bears its own proof, so that whoever remembers only a key can follow it too. A key signs checkpoints from the
one that covers its entry on, up to the one before the next key's; the first checkpoint of a new key carries
a signature by the old one as well, for readers who know nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from crypto.errors import CohortlinkError, LogError
from crypto.log.checkpoint import Checkpoint, open_note, parse_vkey, split_note, vkey
from crypto.signatures import PublicKey, SigningKey

FORMAT: Final = "cohortlink-log-keys/1"
STATEMENT: Final = "cohortlink-log-key/1"
PURPOSE: Final = "log-key"


@dataclass(frozen=True)
class Change:
    """A change of keys: index of its entry, keys before and after (vkeys), the old key's signature."""

    index: int
    old: str
    new: str
    signature: Mapping[str, Any]

    def body(self) -> dict[str, Any]:
        """Return the body of the entry ``log.rekeyed``."""
        return {"old": self.old, "new": self.new, "signature": dict(self.signature)}

    def verify(self) -> None:
        """Check that the old key signed this change, at this place, to a key of the same log.

        Raises
        ------
        LogError
            ``KEY_CHANGE_INVALID``.
        """
        try:
            (name, old), (other, _) = parse_vkey(self.old), parse_vkey(self.new)
            if name != other or self.old == self.new:
                raise LogError("KEY_CHANGE_INVALID", "a log's key follows another key of the same log")
            old.verify(PURPOSE, _statement(self.index, self.old, self.new), self.signature)
        except CohortlinkError as error:
            raise LogError("KEY_CHANGE_INVALID", f"a change of the log's key: {error.detail}") from None


def change_key(index: int, origin: str, old: SigningKey, new: PublicKey) -> Change:
    """Sign a change of keys that will be entry ``index``."""
    before, after = vkey(origin, old.public), vkey(origin, new)
    return Change(index, before, after, old.sign(PURPOSE, _statement(index, before, after)))


def _statement(index: int, old: str, new: str) -> dict[str, object]:
    return {"type": STATEMENT, "index": index, "old": old, "new": new}


@dataclass(frozen=True)
class Keychain:
    """The keys of a log in order.

    Parameters
    ----------
    first
        Verifier key text of the first key.
    changes
        All that follow; each is verified here.

    Raises
    ------
    LogError
        ``KEY_CHANGE_INVALID``, ``VKEY_MALFORMED``.
    """

    first: str
    changes: Sequence[Change] = ()

    def __post_init__(self) -> None:
        parse_vkey(self.first)
        key, place = self.first, -1
        for change in self.changes:
            if change.old != key or change.index <= place:
                raise LogError("KEY_CHANGE_INVALID", "a key of the log does not follow the one before it")
            change.verify()
            key, place = change.new, change.index

    @property
    def newest(self) -> str:
        """Verifier key text of the newest key."""
        return self.changes[-1].new if self.changes else self.first

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys, the first one first."""
        return (self.first, *(change.new for change in self.changes))

    def since(self, known: str) -> tuple[str, ...]:
        """Return a known key and all that followed it.

        Raises
        ------
        LogError
            ``LOG_KEY_OTHER`` where no statement leads from the known key to these.
        """
        if known not in self.keys:
            raise LogError("LOG_KEY_OTHER", "no signed statement leads from the log's key that you know here")
        return self.keys[self.keys.index(known) :]

    def in_force(self, size: int) -> str:
        """Return the key that signs checkpoints of ``size`` entries."""
        key = self.first
        for change in self.changes:
            if size > change.index:
                key = change.new
        return key

    def open(self, note: str) -> Checkpoint:
        """Verify a checkpoint by the key that is in force at its size; errors as :func:`open_note`."""
        claimed = Checkpoint.parse_body(split_note(note)[0])
        return open_note(note, [self.in_force(claimed.size)])

    def to_text(self) -> str:
        """Return the keys as one line of JSON, as ``/v1/log/keys`` and copies hold them."""
        changes = [{"index": change.index, **change.body()} for change in self.changes]
        return json.dumps({"format": FORMAT, "first": self.first, "changes": changes}) + "\n"

    @classmethod
    def parse(cls, text: str) -> Keychain:
        """Read and verify what :meth:`to_text` wrote.

        Raises
        ------
        LogError
            ``KEYS_MALFORMED``, ``KEY_CHANGE_INVALID``, ``VKEY_MALFORMED``.
        """
        try:
            document = json.loads(text)
            if document["format"] != FORMAT or document.keys() != {"format", "first", "changes"}:
                raise ValueError
            changes = tuple(Change(**each) for each in document["changes"])
            texts = [document["first"], *(text for each in changes for text in (each.old, each.new))]
            if any(type(text) is not str for text in texts):
                raise ValueError
            if any(type(each.index) is not int or each.index < 0 for each in changes):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise LogError("KEYS_MALFORMED", f"not keys of a log in the format {FORMAT}") from None
        return cls(document["first"], changes)
