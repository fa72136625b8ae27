"""Entries of the log: closed, versioned documents whose canonical bytes are the leaves of the tree."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from crypto.canonical import canonical_json, parse_canonical
from crypto.errors import InputError, LogError

#: The version that is written. Version 1 has no salt; logs that began with it stay readable.
ENTRY_VERSION = 2
SALT_BYTES = 16

_FIELDS = {"index", "kind", "at", "actor", "agreement", "body"}
_VERSIONS = {1: _FIELDS, 2: _FIELDS | {"salt"}}
_SALT = re.compile(r"[0-9a-f]{32}")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?Z", re.ASCII)


@dataclass(frozen=True)
class Entry:
    """One thing that happened.

    Parameters
    ----------
    index
        Position in the log, from 0; part of the leaf, so that a moved entry tells on itself.
    kind
        What happened, such as ``"batch.accepted"``.
    at
        RFC 3339 in UTC with ``Z``.
    actor
        An organization's id, or ``"service"``.
    agreement
        The agreement's id, or None for what belongs to none.
    body
        Digests and counts of the matter; never an encoding, a record_ref or an unprotected count.
    salt
        16 random bytes in hexadecimal, so that an entry's hash tells nothing to whoever guesses the entry;
        None in entries of version 1.

    Raises
    ------
    LogError
        ``ENTRY_MALFORMED``.
    """

    index: int
    kind: str
    at: str
    actor: str
    agreement: str | None
    body: Mapping[str, object]
    salt: str | None = None

    def __post_init__(self) -> None:
        if type(self.index) is not int or self.index < 0:
            raise _malformed("index is a position from 0")
        if not all(isinstance(text, str) and text for text in (self.kind, self.at, self.actor)):
            raise _malformed("kind, at and actor are texts")
        if self.agreement is not None and not isinstance(self.agreement, str):
            raise _malformed("agreement is an id or null")
        if not isinstance(self.body, Mapping):
            raise _malformed("body is an object")
        if not _is_time(self.at):
            raise _malformed("at is RFC 3339 in UTC with Z")
        if self.salt is not None and not (isinstance(self.salt, str) and _SALT.fullmatch(self.salt)):
            raise _malformed("a salt is 16 bytes in hexadecimal")

    def to_document(self) -> dict[str, object]:
        """Return the document whose canonical bytes are the leaf."""
        document: dict[str, object] = {
            "version": 1 if self.salt is None else ENTRY_VERSION,
            "index": self.index,
            "kind": self.kind,
            "at": self.at,
            "actor": self.actor,
            "agreement": self.agreement,
            "body": self.body,
        }
        return document if self.salt is None else document | {"salt": self.salt}

    def leaf(self) -> bytes:
        """Return the leaf's bytes: one line of canonical JSON."""
        return canonical_json(self.to_document())

    @classmethod
    def parse(cls, leaf: bytes) -> Entry:
        """Read a leaf, strictly.

        Raises
        ------
        LogError
            ``ENTRY_MALFORMED``, or ``ENTRY_VERSION`` for a version that this program does not know.
        """
        try:
            document = parse_canonical(leaf)
        except InputError:
            raise _malformed("not canonical JSON") from None
        if not isinstance(document, dict):
            raise _malformed("not an object")
        version = document.pop("version", None)
        if type(version) is not int or version not in _VERSIONS:
            raise LogError("ENTRY_VERSION", f"an entry's version is at most {ENTRY_VERSION}")
        if document.keys() != _VERSIONS[version] or document.get("salt", "") is None:
            raise _malformed("missing or unknown fields")
        return cls(**document)


def _is_time(text: str) -> bool:
    if not _TIME.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _malformed(what: str) -> LogError:
    return LogError("ENTRY_MALFORMED", f"not a log entry: {what}")
