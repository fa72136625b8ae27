"""Look for the generated people in everything that the service keeps and says.

The demo knows every name, number, birth date and address that it invented, so it can do what no outsider
can: search for all of them. Short surnames are common words (King, Price, Young); a name therefore counts
as found if it is a rare word by its length or stands beside its bearer's given name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

LONG_SURNAME = 8
"""Letters from which a surname is no accident in a stream of random bytes, nor an ordinary word of a
program.
"""

SHORTEST_RUN = 7

_NUMBER = re.compile(rb"(?<![0-9A-Za-z])(\d{3})-?(\d{2})-?(\d{4})(?![0-9A-Za-z])")
_WORD = re.compile(rb"(?<![A-Za-z])[A-Za-z][A-Za-z'\-]{2,24}(?![A-Za-z])")
_PAIR = re.compile(
    rb"(?<![A-Za-z])([A-Za-z][a-zA-Z'\-]{2,24})[\s,\"';:|]{1,6}(?=([A-Za-z][a-zA-Z'\-]{2,24})(?![A-Za-z]))"
)
_BIRTH_DATE = re.compile(rb"(?<!\d)((?:19\d\d|200[0-9])-\d\d-\d\d)(?!\d)")
_ADDRESS = re.compile(rb"(?<!\d)(\d{1,4}) ([A-Z][A-Za-z]+(?: [A-Z][a-z]+){1,2})(?![a-z])")
_REFERENCE = re.compile(rb"(?<![0-9A-Za-z])[0-9a-f]{32}(?![0-9A-Za-z])")


@dataclass
class Identifiers:
    """Everything that must not be found, in the form in which it is compared."""

    numbers: set[bytes] = field(default_factory=set)
    surnames: set[bytes] = field(default_factory=set)
    full_names: set[tuple[bytes, bytes]] = field(default_factory=set)
    birth_dates: set[bytes] = field(default_factory=set)
    addresses: set[tuple[bytes, bytes]] = field(default_factory=set)
    references: set[bytes] = field(default_factory=set)

    def __len__(self) -> int:
        return sum(len(values) for values in vars(self).values())


@dataclass
class Findings:
    """What was searched, and how often something was found where (kind and file; never the value)."""

    files: int = 0
    size: int = 0
    hits: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, path: Path, times: int) -> None:
        """Count ``times`` hits of a kind in a file; none is no hit."""
        if times:
            self.hits[f"{kind} in {path}"] = self.hits.get(f"{kind} in {path}", 0) + times


def read_text(path: Path) -> pa.Table:
    """Read a CSV file with every column as text."""
    with path.open(encoding="utf-8") as stream:
        columns = [name.strip('"') for name in stream.readline().rstrip("\n").split(",")]
    return pa_csv.read_csv(
        path, convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string()))
    )


def collect(people_files: Iterable[Path], crosswalks: Iterable[Path] = ()) -> Identifiers:
    """Read the identifiers of everybody in the agencies' files, and the record_refs of their packages."""
    known = Identifiers()
    for path in people_files:
        table = read_text(path)
        values = {name: table[name].to_pylist() for name in table.column_names}
        known.numbers.update(text.encode() for text in values["ssn"] if text)
        for first, last in zip(values["first_name"], values["last_name"], strict=True):
            given, family = first.casefold().encode(), last.casefold().encode()
            if len(family) >= LONG_SURNAME and b" " not in family:
                known.surnames.add(family)
            if len(given) > 2 and len(family) > 2:
                known.full_names.update({(given, family), (family, given)})
        known.birth_dates.update(text.encode() for text in values.get("date_of_birth", ()) if text)
        for number, street in zip(values.get("house_number", ()), values.get("street", ()), strict=True):
            known.addresses.add((number.encode(), street.encode()))
    for path in crosswalks:
        known.references.update(text.encode() for text in read_text(path)["record_ref"].to_pylist())
    return known


def files_below(folders: Iterable[Path]) -> list[Path]:
    """All files below the folders (or the files themselves), sorted."""
    found: list[Path] = []
    for folder in folders:
        found += [folder] if folder.is_file() else [path for path in folder.rglob("*") if path.is_file()]
    return sorted(found)


def readable(data: bytes) -> bytes:
    """Runs of at least seven printable ASCII characters, parted by NUL: what could hold an identifier.

    Of encrypted bytes almost nothing is left, so that the patterns need not walk through hundreds of
    megabytes.
    """
    printable = np.zeros(256, dtype=np.bool_)
    printable[[9, 10, 13, *range(32, 127)]] = True
    inside = np.concatenate(([False], printable[np.frombuffer(data, dtype=np.uint8)], [False]))
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    starts, ends = edges[::2], edges[1::2]
    long = ends - starts >= SHORTEST_RUN
    return b"\0".join(data[a:b] for a, b in zip(starts[long].tolist(), ends[long].tolist(), strict=True))


def search(paths: Iterable[Path], known: Identifiers, *, references: bool = False) -> Findings:
    """Search files, whatever their format, for identifiers in clear.

    Parameters
    ----------
    paths
        Files.
    known
        What must not be found.
    references
        Also search for record_refs: answers and logs must not hold them, the service's own database may.
    """
    findings = Findings()
    for path in paths:
        raw = path.read_bytes()
        findings.files += 1
        findings.size += len(raw)
        findings.add("unencrypted table", path, int(raw.startswith((b"PAR1", b"ARROW1"))))
        data = readable(raw)
        findings.add(
            "number", path, sum(b"".join(m.groups()) in known.numbers for m in _NUMBER.finditer(data))
        )
        findings.add(
            "birth date", path, sum(m.group(1) in known.birth_dates for m in _BIRTH_DATE.finditer(data))
        )
        findings.add("address", path, sum(m.groups() in known.addresses for m in _ADDRESS.finditer(data)))
        findings.add("surname", path, sum(m.group().lower() in known.surnames for m in _WORD.finditer(data)))
        pairs = ((m.group(1).lower(), m.group(2).lower()) for m in _PAIR.finditer(data))
        findings.add("full name", path, sum(pair in known.full_names for pair in pairs))
        if references:
            findings.add(
                "record_ref", path, sum(m.group() in known.references for m in _REFERENCE.finditer(data))
            )
    return findings
