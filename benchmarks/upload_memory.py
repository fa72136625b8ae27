"""The server's memory while a batch goes up and is checked, from the first part to the receipt.

    python -m benchmarks.upload_memory [--records 6000000]

The server is `cohortlink serve` in a process of its own, over SQLite and a directory. Encodings are random
bits of the default profile's shape, one fact each: the service cannot tell. Another agency's batch is there
already, so that the check compares the secrets of both. Twice the size of the batch is needed on disk (1.4 kB
for each record), and removed at the end.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.settings import Settings
from benchmarks.results import table, versions, write_section
from crypto.encoding.profile import Profile, default_profile
from crypto.encoding.screening import LEAST_RECORDS
from crypto.wire import EncodingsWriter
from tests.world import Clock, Member, Package, World, completion_table, make_package, parquet

LIMIT_MB = 300
SENDERS = 4
#: Records of the batch that is there already: as many as are compared.
BEFORE = LEAST_RECORDS
_PIECE = 8_192


@dataclass
class Watched:
    """Resident memory of a process in MB, by phase: the largest that was seen, sampled."""

    pid: int
    most: dict[str, float] = field(default_factory=dict)
    phase: str = "start"
    _stop: threading.Event = field(default_factory=threading.Event)

    def now(self) -> float:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024

    def sample(self) -> None:
        while not self._stop.wait(0.02):
            try:
                self.most[self.phase] = max(self.most.get(self.phase, 0.0), self.now())
            except (OSError, StopIteration):
                return

    @contextmanager
    def watching(self) -> Iterator[Watched]:
        thread = threading.Thread(target=self.sample, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()


def write_files(folder: Path, profile: Profile, records: int) -> None:
    """Encodings of random bits, and a wage fact for each, a piece at a time."""
    rng, spec = np.random.default_rng(1), profile.link_spec()
    employer = hashlib.sha256(b"employer").hexdigest()
    writer: pq.ParquetWriter | None = None
    with EncodingsWriter(folder / "encodings.parquet", spec) as encodings:
        for begin in range(0, records, _PIECE):
            count = min(_PIECE, records - begin)
            # Ascending because they begin with their number, and random besides.
            refs = [f"{begin + at:016x}{rng.integers(2**63):016x}" for at in range(count)]
            columns = [pa.array(refs)]
            for item in spec.filters:
                width = item.width // 8
                data = pa.py_buffer(rng.bytes(count * width))
                columns.append(pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), count, [None, data]))
            encodings.write(columns)
            facts = pa.table(
                {
                    "record_ref": refs,
                    "state_fips": ["39"] * count,
                    "quarter": ["2023Q2"] * count,
                    "employer_token": [employer] * count,
                    "wages": ["5000.00"] * count,
                }
            )
            writer = writer or pq.ParquetWriter(folder / "facts-wage.parquet", facts.schema)
            writer.write_table(facts)
    assert writer is not None
    writer.close()


def manifest_of(folder: Path, records: int) -> dict[str, Any]:
    """The manifest of the files, as an agency's program makes it."""
    manifest = make_package(kind="wage").manifest
    manifest["persons"] = records
    manifest["coverage"] = dict.fromkeys(manifest["coverage"], records)
    for entry in manifest["files"]:
        path = folder / entry["name"]
        with path.open("rb") as file:
            entry["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
        entry["size"], entry["rows"] = path.stat().st_size, records
    return manifest


def batch_before(folder: Path, profile: Profile) -> Package:
    """Another agency's small batch."""
    folder.mkdir()
    write_files(folder, profile, BEFORE)
    data = (folder / "encodings.parquet").read_bytes()
    refs = pq.read_table(pa.BufferReader(data), columns=["record_ref"])["record_ref"].to_pylist()
    facts = completion_table(refs)
    package = make_package(count=BEFORE, encodings=data, facts=facts)
    package.manifest["profile"] = profile.fingerprint
    assert package.files["facts-completion.parquet"] == parquet(facts)
    return package.reseal()


@contextmanager
def serving(settings: Settings) -> Iterator[tuple[str, int]]:
    """`cohortlink serve` without a worker; its address and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = {**os.environ, **settings.to_environ(), "COHORTLINK_RATE_LIMIT": "0"}
    command = [sys.executable, "-m", "app.cli", "serve", "--no-worker", "--port", str(port)]
    process = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                if httpx.get(f"{url}/healthz").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(30)


def send(url: str, member: Member, batch: dict[str, Any], folder: Path) -> None:
    """Every part with its digest, some at a time."""
    size = batch["part_size"]
    parts = [(entry["name"], number) for entry in batch["files"] for number in range(entry["parts"])]

    def one(part: tuple[str, int]) -> None:
        name, number = part
        with (folder / name).open("rb") as file:
            file.seek(number * size)
            data = file.read(size)
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        headers = {
            "Authorization": f"Bearer {member.api_key}",
            "Content-Digest": f"sha-256=:{digest}:",
        }
        path = f"{url}/v1/batches/{batch['id']}/files/{name}/parts/{number}"
        answer = client.put(path, content=data, headers=headers)
        assert answer.status_code == 204, answer.text

    with httpx.Client(timeout=300) as client, ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(one, parts))


@dataclass(frozen=True)
class Measured:
    """What came of one batch."""

    records: int
    size: int
    most: dict[str, float]
    seconds: dict[str, float]


def measure(records: int, root: Path, profile: Profile | None = None) -> Measured:
    """Send a batch of so many records to a fresh server and have it checked."""
    profile = profile or default_profile("record-hardened")
    files = root / "files"
    files.mkdir(parents=True)
    write_files(files, profile, records)
    settings = Settings.for_data(root / "data")
    manifest = manifest_of(files, records) | {"profile": profile.fingerprint}
    with World(settings, Clock()) as world:
        document = {"linkage_profile": profile.to_document(), "linkage_profile_hash": profile.fingerprint}
        world.agree(**document)
        before = world.submit(world.education, batch_before(root / "before", profile))
        assert before.json()["state"] == "ACCEPTED", before.text
        begun = world.workforce.post(
            "/agreements/cincinnati-nky/batches", world.workforce.signed("batch-manifest", manifest)
        )
        assert begun.status_code == 201, begun.text
        member = world.workforce
    seconds = {}
    headers = {"Authorization": f"Bearer {member.api_key}"}
    with serving(settings) as (url, pid), Watched(pid).watching() as watched:
        time.sleep(0.3)
        for phase in ("upload", "completion"):
            watched.phase, at = phase, time.perf_counter()
            if phase == "upload":
                send(url, member, begun.json(), files)
            else:
                path = f"{url}/v1/batches/{begun.json()['id']}/completion"
                done = httpx.post(path, headers=headers, timeout=3600)
                assert done.json()["state"] == "ACCEPTED", done.text
                assert len(done.json()["screening"]["others"]) == 1
            seconds[phase] = time.perf_counter() - at
    return Measured(records, sum(entry["size"] for entry in manifest["files"]), watched.most, seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--records", type=int, default=6_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(given.records, Path(folder))
    rows = [
        ("idle, after its start", f"{found.most['start']:.0f}", ""),
        ("while the parts go up", f"{found.most['upload']:.0f}", f"{found.seconds['upload']:.0f}"),
        (
            "while the batch is checked",
            f"{found.most['completion']:.0f}",
            f"{found.seconds['completion']:.0f}",
        ),
    ]
    most = max(found.most.values())
    text = (
        f"{found.records:,} encodings of the default profile ({found.size / 1e9:.1f} GB with a wage fact for "
        f"each) in one batch, {SENDERS} parts at a time, over SQLite and a directory, beside a batch of "
        "another agency with which it is compared. Resident memory of the process of `cohortlink serve`, "
        "libraries included, sampled fifty times a second; the check is the whole of the completion, from "
        "the digests to the receipt. The sender shares the machine and is not counted, nor is a worker.\n\n"
        + table(("server", "MB at most", "seconds"), rows)
        + f"\nGoal: below {LIMIT_MB} MB: {'met' if most < LIMIT_MB else 'missed'}.\n"
    )
    write_section(
        "Memory of the server while a batch goes up",
        text,
        command=f"python -m benchmarks.upload_memory --records {given.records}",
        software=versions(["pyarrow", "fastapi", "uvicorn"]),
    )
    print(text)
    return 0 if most < LIMIT_MB else 1


if __name__ == "__main__":
    sys.exit(main())
