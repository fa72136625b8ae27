"""Records encoded per second: clkhash beside our clkhash mode and our own profiles, in one run, interleaved.

``python -m benchmarks.encoding_speed --persons 10000000`` encodes ten million persons to a package and tells
the largest amount of memory that took; the report's default is smaller.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.results import PEERS, table, versions, write_section

ROUNDS = 3
CLK_ROUNDS = 7
PEER_ROWS = 10_000  # that clkhash encodes in a round; its speed does not depend on their number
ROWS = 200_000
PROFILE_ROWS = 10_000
MEMORY_PERSONS = (30_000, 120_000)
_PIECE = 100_000

_SALT = base64.b64encode(b"salt").decode()


def schema(hash_: str, strategy: str) -> dict[str, Any]:
    """clkhash's own test schema: free name, date of birth, gender; 1024 bits."""

    def feature(name: str, form: dict[str, Any], n: int, positional: bool, bits: int) -> dict[str, Any]:
        tokens = {"NAME freetext": 15, "DOB YYYY/MM/DD": 8, "GENDER M or F": 1}[name]
        hashing = {
            "comparison": {"type": "ngram", "n": n, "positional": positional},
            "strategy": {strategy: bits if strategy == "bitsPerToken" else bits * tokens},
            "hash": {"type": hash_},
        }
        return {"identifier": name, "format": form, "hashing": hashing}

    return {
        "version": 3,
        "clkConfig": {"l": 1024, "kdf": {"type": "HKDF", "salt": _SALT}},
        "features": [
            {"identifier": "INDEX", "ignored": True},
            feature("NAME freetext", {"type": "string", "minLength": 3}, 2, False, 15),
            feature("DOB YYYY/MM/DD", {"type": "date", "format": "%Y/%m/%d"}, 1, True, 30),
            feature("GENDER M or F", {"type": "enum", "values": ["M", "F"]}, 1, False, 60),
        ],
    }


class Peer:
    """clkhash in its own process."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("encoding_peer.py")
        self.process = subprocess.Popen(
            [str(PEERS), str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)


def _ours(path: Path, document: dict[str, Any]) -> tuple[float, str]:
    """Records per second of processor time, file reading included, and the digest of the first rows."""
    from crypto.interop.clk_encode import ClkEncoder
    from crypto.interop.clk_schema import ClkSchema
    from crypto.tabular import read_table

    start = time.process_time()
    found = read_table(path)
    parts = list(ClkEncoder(ClkSchema.from_document(document), b"horse").chunks(found))
    seconds = time.process_time() - start
    head = np.concatenate(parts)[:PEER_ROWS].tobytes()
    return found.num_rows / seconds, hashlib.sha256(head).hexdigest()


def write_people(path: Path, count: int) -> None:
    """A file of persons for our own profiles, with names drawn from skewed frequencies."""
    rng = np.random.default_rng(20261122)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    names = np.array(["".join(rng.choice(letters, rng.integers(3, 10))).capitalize() for _ in range(20_000)])
    with path.open("w", encoding="utf-8") as stream:
        stream.write("id,ssn,first_name,last_name,date_of_birth,street,house_number,city,zip\n")
        for first in range(0, count, _PIECE):
            n = min(_PIECE, count - first)
            given, last, street, city = (
                # Frequencies fall with the rank as in lists of names: the thirtieth is half as common.
                names[(30 * ((size / 30 + 1) ** rng.random(n) - 1)).astype(np.int64)]
                for size in (2_000, 20_000, 9_000, 400)
            )
            days = np.datetime64("1950-01-01") + rng.integers(0, 20_000, n)
            numbers = zip(
                rng.integers(100_010_001, 665_999_999, n).tolist(),
                rng.integers(1, 9999, n).tolist(),
                rng.integers(10_000, 60_000, n).tolist(),
                strict=True,
            )
            texts = zip(given, last, days.astype(str), street, city, strict=True)
            stream.writelines(
                f"p{first + row},{ssn},{g},{s},{day},{road} Road,{house},{town},{code}\n"
                for row, ((g, s, day, road, town), (ssn, house, code)) in enumerate(
                    zip(texts, numbers, strict=True)
                )
            )


def _package(folder: Path, people: Path, family: str) -> tuple[float, float]:
    """Encode to a package; records per second of processor time, and of the clock."""
    from crypto.agency.encode import encode_package
    from crypto.encoding.keys import Secret
    from crypto.encoding.profile import default_profile

    out = folder / f"package-{time.monotonic_ns()}"
    cpu, clock = time.process_time(), time.perf_counter()
    report = encode_package(
        profile=default_profile(family),
        secret=Secret.generate("bench"),
        people_file=people,
        id_column="id",
        facts_files={},
        out=out,
        today=date(2026, 11, 22),
    )
    persons = int(report["persons"])
    return persons / (time.process_time() - cpu), persons / (time.perf_counter() - clock)


def _largest_memory(folder: Path, persons: int) -> tuple[float, float, float]:
    """Megabytes of a fresh process that encodes so many persons, records per second, seconds."""
    people = folder / f"people-{persons}.csv"
    write_people(people, persons)
    command = [sys.executable, "-m", "benchmarks.encoding_speed", "--one", str(people), str(folder)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    megabytes, rate, seconds = json.loads(answer)
    people.unlink()
    return megabytes, rate, seconds


def _one(people: Path, folder: Path) -> None:
    start = time.perf_counter()
    rate, _ = _package(folder, people, "record-hardened")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1024 if sys.platform != "darwin" else 1 << 20
    )
    print(json.dumps([peak, rate, time.perf_counter() - start]))


def _median(measure: Callable[[], float]) -> float:
    return median(measure() for _ in range(ROUNDS))


def _clk_rows(folder: Path) -> list[list[str]]:
    peer = Peer()
    path = folder / "clk.csv"
    rows = []
    try:
        peer.ask(do="make", path=str(path), count=ROWS)
        for hash_, strategy in (("doubleHash", "bitsPerToken"), ("blakeHash", "bitsPerToken"),
                                ("blakeHash", "bitsPerFeature")):  # fmt: skip
            document = schema(hash_, strategy)
            theirs, ours = [], []
            for _ in range(CLK_ROUNDS):
                answer = peer.ask(do="measure", path=str(path), schema=document, rows=PEER_ROWS)
                rate, digest = _ours(path, document)
                if digest != answer["digest"]:
                    raise SystemExit("the CLKs differ from clkhash's: this run is void")
                theirs.append(answer["rate"])
                ours.append(rate)
            ratio = max(ours) / max(theirs)
            rows.append(
                [f"{hash_}, {strategy}", f"{max(theirs):,.0f}", f"{max(ours):,.0f}", f"{ratio:.0f} ×"]
            )
            print("  ", *rows[-1], flush=True)
    finally:
        peer.close()
    return rows


def run(persons: tuple[int, ...] = MEMORY_PERSONS) -> None:
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clk_rows = _clk_rows(folder)
        people = folder / "people.csv"
        write_people(people, PROFILE_ROWS)
        own = []
        for family in ("record-hardened", "field-level"):
            rate = _median(lambda family=family: _package(folder, people, family)[0])
            own.append([f"`{family}`, whole package", f"{rate:,.0f}"])
            print("  ", *own[-1], flush=True)
        memory = []
        for count in persons:
            megabytes, rate, seconds = _largest_memory(folder, count)
            memory.append([f"{count:,}", f"{megabytes:,.0f}", f"{rate:,.0f}", f"{seconds:,.0f}"])
            print("  ", *memory[-1], flush=True)
    text = f"""One core, processor time (reading the file included), contestants in turn, each
by its best of {CLK_ROUNDS} rounds, since other work on the machine slows some of them.
clkhash's own random names and schema (free name as bigrams, date of birth, gender; 1024 bits): it encodes
{PEER_ROWS:,} rows a round, ours {ROWS:,}, and the CLKs are compared bit for bit in the same run; a difference
voids it.

{table(["schema", "clkhash 0.18.3, records/s", "`cohortlink-agency clk`, records/s", "ratio"], clk_rows)}
Our own profiles, {PROFILE_ROWS:,} persons with nine columns, from CSV to the finished package (normalise,
encode, diffuse, sort by reference, compress, write), median of {ROUNDS}:

{table(["profile", "records/s"], own)}
Largest memory of the process, `record-hardened`, a whole package from CSV:

{table(["persons", "MB at most", "records/s of processor time", "seconds"], memory)}"""
    write_section(
        "Encoding",
        text,
        command="python -m benchmarks.encoding_speed"
        + (f" --persons {persons[-1]}" if persons != MEMORY_PERSONS else ""),
        software=versions(["numpy", "pyarrow", "cryptography"]),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, help="also encode so many persons and tell the memory")
    parser.add_argument("--one", nargs=2, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        _one(*arguments.one)
    elif arguments.persons:
        run((*MEMORY_PERSONS, arguments.persons))
    else:
        run()
