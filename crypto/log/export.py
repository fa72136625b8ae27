"""Selected entries with their proofs, as JSON Lines: evidence that stands without the rest of the log.

The first line is ``{"format","checkpoint"}``; each further line is ``{"index","leaf","hashes"}``: the entry's
exact text and its audit path to that checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from crypto.errors import CohortlinkError, LogError
from crypto.log.checkpoint import Checkpoint, open_note
from crypto.log.entry import Entry
from crypto.log.proof import verify_inclusion
from crypto.log.tree import leaf_hash

FORMAT: Final = "cohortlink-log-export/1"


def export_lines(checkpoint: str, proven: Iterable[tuple[int, bytes, Sequence[bytes]]]) -> Iterator[str]:
    """Return the lines of an export; each of ``proven`` is index, leaf, audit path."""
    yield json.dumps({"format": FORMAT, "checkpoint": checkpoint}) + "\n"
    for index, leaf, path in proven:
        line = {"index": index, "leaf": leaf.decode("utf-8"), "hashes": [value.hex() for value in path]}
        yield json.dumps(line) + "\n"


def verify_export(lines: Iterable[str], key: str) -> tuple[Checkpoint, list[Entry]]:
    """Verify an export offline.

    1. The checkpoint is signed by the log's key.
    2. Every entry is well formed, bears its index, and is in the tree that the checkpoint signs.

    It is left to the caller to know that the key is the log's (or the keys, a line each). An export does not
    show that nothing was left out: for that, take a copy of the whole log.

    Raises
    ------
    LogError
        ``EXPORT_MALFORMED``, or a code of :func:`crypto.log.checkpoint.open_note`,
        :meth:`crypto.log.entry.Entry.parse` or :func:`crypto.log.proof.verify_inclusion`, naming the line.
    """
    rows = iter(lines)
    head = _row(next(rows, ""), 1)
    if head.keys() != {"format", "checkpoint"} or head["format"] != FORMAT:
        raise LogError("EXPORT_MALFORMED", f"not an export of the format {FORMAT}", row=1)
    checkpoint = open_note(str(head["checkpoint"]), key.split())
    entries = []
    for number, line in enumerate(rows, start=2):
        row = _row(line, number)
        try:
            leaf = str(row["leaf"]).encode("utf-8")
            path = [bytes.fromhex(text) for text in row["hashes"]]
            entry = Entry.parse(leaf)
            verify_inclusion(leaf_hash(leaf), entry.index, checkpoint.size, path, checkpoint.root)
        except (KeyError, TypeError, ValueError):
            raise LogError("EXPORT_MALFORMED", "not a line of an export", row=number) from None
        except CohortlinkError as error:
            raise LogError(error.code, error.detail, row=number) from None
        if entry.index != row.get("index"):
            raise LogError("EXPORT_MALFORMED", "the line and its entry have different indexes", row=number)
        entries.append(entry)
    return checkpoint, entries


def _row(line: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise LogError("EXPORT_MALFORMED", "not a line of an export", row=number)
    return row
