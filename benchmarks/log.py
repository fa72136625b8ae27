"""The log: entries appended per second, proofs and offline verification at a million entries."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.flows.seal_log import SERVICE, append, seal
from app.flows.service import open_service
from app.settings import Settings
from benchmarks.results import table, versions, write_section
from crypto.agency.log_verify import read_copy
from crypto.canonical import canonical_json
from crypto.log.checkpoint import Checkpoint, vkey
from crypto.log.entry import Entry
from crypto.log.proof import verify_inclusion
from crypto.log.tiles import TileReader, completed
from crypto.log.tree import Frontier, leaf_hash
from crypto.log.verify import verify_copy
from crypto.signatures import SigningKey

ENTRIES = 1_000_000
ORIGIN = "log.example"
AGREEMENT = "region"
AT = "2026-11-22T09:00:00Z"

_FIRST = [
    ("organization.created", SERVICE, None, {"organization": "desk", "name": "Desk"}),
    ("organization.created", SERVICE, None, {"organization": "owner", "name": "Owner"}),
    (
        "agreement.proposed",
        "desk",
        AGREEMENT,
        {
            "version": 1,
            "hash": "0" * 64,
            "profile": "1" * 64,
            "min_cell": 10,
            "data_owners": ["owner"],
            "recipients": ["desk"],
            "effective": "2026-01-01",
            "expires": "2028-01-01",
        },
    ),
]


def _leaves(count: int) -> Iterator[bytes]:
    """A log that holds: what a busy service mostly writes, questions and their refusals."""
    question = {"indicator": "employed_q4", "cohort": "2022", "by": ["sex"]}
    for index in range(count):
        if index < len(_FIRST):
            kind, actor, agreement, body = _FIRST[index]
        else:
            kind, actor, agreement = "release.requested", "desk", AGREEMENT
            body = {"release": f"rel-{index | 1:024x}", "question": question}
            if index % 2 == 0:
                kind, body = (
                    "release.refused",
                    {**body, "release": f"rel-{(index - 1) | 1:024x}", "code": "NOT_IN_PLAN"},
                )
        yield Entry(index, kind, AT, actor, agreement, body, f"{index:032x}").leaf()


def _appends(folder: Path, count: int = 2000) -> tuple[float, float]:
    """Entries per second in the database: one a transaction and sealed, and a thousand a transaction."""
    service = open_service(Settings.for_data(folder))

    def one(tx: Any, number: int) -> None:
        body = {"organization": f"o{number}", "name": "An organization"}
        append(tx, "organization.created", None, SERVICE, body, service.now())

    start = time.perf_counter()
    for number in range(count // 10):
        with service.store.transaction("one") as tx:
            one(tx, number)
        seal(service)
    alone = count // 10 / (time.perf_counter() - start)
    start = time.perf_counter()
    with service.store.transaction("many") as tx:
        for number in range(count):
            one(tx, count + number)
    seal(service)
    together = count / (time.perf_counter() - start)
    service.close()
    return alone, together


def _make_copy(folder: Path) -> tuple[dict[int, list[bytes]], Checkpoint, str]:
    """A copy of a log with a million entries, and the hashes that a service stores for it."""
    levels: dict[int, list[bytes]] = {0: []}
    frontier, pending = Frontier(), []
    with (folder / "entries.jsonl").open("wb") as file:
        for leaf in _leaves(ENTRIES):
            file.write(leaf + b"\n")
            digest = leaf_hash(leaf)
            levels[0].append(digest)
            pending.append(digest)
            if len(levels[0]) % 256 == 0:
                for level, _, value in completed(len(levels[0]), lambda k, a, b: levels[k][a:b]):
                    levels.setdefault(level, []).append(value)
    frontier = frontier.extend(pending)
    key = SigningKey(hashlib.sha256(b"benchmark").digest())
    checkpoint = Checkpoint(ORIGIN, ENTRIES, frontier.root())
    (folder / "checkpoint").write_text(checkpoint.sign(key, ORIGIN))
    (folder / "key").write_text(vkey(ORIGIN, key.public))
    return levels, checkpoint, vkey(ORIGIN, key.public)


def _proofs(levels: dict[int, list[bytes]], checkpoint: Checkpoint, count: int = 300) -> list[list[str]]:
    rows, made, checked, size, tiles = [], 0.0, 0.0, 0, 0
    for number in range(count):
        index = number * 3331 % ENTRIES
        start = time.perf_counter()
        tree = TileReader(lambda level, a, b: levels[level][a:b], ENTRIES)
        path = tree.inclusion_proof(index)
        between = time.perf_counter()
        verify_inclusion(levels[0][index], index, ENTRIES, path, checkpoint.root)
        made, checked = made + between - start, checked + time.perf_counter() - between
        size, tiles = max(size, len(path)), max(tiles, tree.tiles_read)
    document = canonical_json({"index": index, "size": ENTRIES, "hashes": [value.hex() for value in path]})
    rows.append(["inclusion proof, hashes", str(size)])
    rows.append(["inclusion proof, bytes as JSON", str(len(document))])
    rows.append(["tiles read for it", str(tiles)])
    rows.append(["made, ms", f"{made / count * 1000:.2f}"])
    rows.append(["verified, ms", f"{checked / count * 1000:.3f}"])
    start = time.perf_counter()
    tree = TileReader(lambda level, a, b: levels[level][a:b], ENTRIES)
    path = tree.consistency_proof(ENTRIES // 3)
    rows.append(["consistency proof, hashes", str(len(path))])
    rows.append(["made, ms", f"{(time.perf_counter() - start) * 1000:.2f}"])
    return rows


def run() -> None:
    """Measure and write the section."""
    with tempfile.TemporaryDirectory() as scratch:
        alone, together = _appends(Path(scratch) / "service")
        folder = Path(scratch) / "copy"
        folder.mkdir()
        levels, checkpoint, key = _make_copy(folder)
        rows = _proofs(levels, checkpoint)
        size = (folder / "entries.jsonl").stat().st_size
        del levels
        start, used = time.perf_counter(), time.process_time()
        report = verify_copy(read_copy(folder), key=key)
        wall, used = time.perf_counter() - start, time.process_time() - used
    assert report.ok, [check for check in report.checks if not check.ok]
    rows = [
        ["appended and sealed one by one, entries/s (SQLite, every one on disk)", f"{alone:.0f}"],
        ["appended together, entries/s", f"{together:.0f}"],
        *rows,
        [f"whole log verified offline ({size / 1e6:.0f} MB), s on one core", f"{used:.1f}"],
        ["the same, s by the clock", f"{wall:.1f}"],
    ]
    note = (
        f"A log of {ENTRIES:,} entries. Verifying it offline checks every entry's form, body and place, the "
        "root, the signature, and the rules between entries."
    )
    write_section(
        "Log",
        f"{note}\n\n{table(['', 'measured'], rows)}",
        command="python -m benchmarks log",
        software=versions(["cryptography", "SQLAlchemy"]),
    )
    print(table(["", "measured"], rows))
