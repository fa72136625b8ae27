"""The manifest of a batch package: what it says, and the strict reading of it. Pure: no files, no clock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

from crypto.errors import PackageError

FORMAT: Final = "cohortlink-batch/1"
ENCODINGS_NAME: Final = "encodings.parquet"
FACT_KINDS: Final = ("completion", "wage", "participation", "truth")

_HEX64: Final = re.compile(r"[0-9a-f]{64}\Z")
_AGREEMENT: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?\Z")
_SOFTWARE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}/[A-Za-z0-9.+_-]{1,64}\Z")


@dataclass(frozen=True)
class FileEntry:
    """One file that travels. ``facts`` is its kind of facts, or None for the encodings; ``size`` in bytes."""

    name: str
    kind: Literal["encodings", "facts"]
    facts: str | None
    rows: int
    size: int
    sha256: str


@dataclass(frozen=True)
class Coverage:
    """Persons in the batch, persons with at least one filter, persons with a strong identifier's filter."""

    persons: int
    encodable: int
    strong_identifier: int


@dataclass(frozen=True)
class Manifest:
    """What a package says of itself; :meth:`to_document` is what is signed."""

    agreement: str
    epoch: int
    profile: str
    kcv: str
    created_on: date
    persons: int
    files: tuple[FileEntry, ...]
    coverage: Coverage
    software: str

    @property
    def encodings(self) -> FileEntry:
        """The one file of encodings."""
        return next(entry for entry in self.files if entry.kind == "encodings")

    def facts_of(self, kind: str) -> FileEntry | None:
        """The file of facts of a kind, if the package has one."""
        return next((entry for entry in self.files if entry.facts == kind), None)

    def to_document(self) -> dict[str, Any]:
        """The JSON document, ready for canonical JSON and a signature."""
        return {
            "format": FORMAT,
            "agreement": self.agreement,
            "epoch": self.epoch,
            "profile": self.profile,
            "kcv": self.kcv,
            "created_on": self.created_on.isoformat(),
            "persons": self.persons,
            "files": [
                {
                    "name": entry.name,
                    "kind": entry.kind,
                    "facts": entry.facts,
                    "rows": entry.rows,
                    "size": entry.size,
                    "sha256": entry.sha256,
                }
                for entry in self.files
            ],
            "coverage": {
                "persons": self.coverage.persons,
                "encodable": self.coverage.encodable,
                "strong_identifier": self.coverage.strong_identifier,
            },
            "software": self.software,
        }


def bad_manifest(detail: str) -> PackageError:
    """The refusal of a manifest that is malformed or contradicts itself."""
    return PackageError("MANIFEST_INVALID", detail)


def _mapping(value: object, keys: set[str], what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or any(not isinstance(key, str) for key in value):
        raise bad_manifest(f"{what} is not an object")
    if set(value) != keys:
        wrong = sorted(set(value) ^ keys)
        raise bad_manifest(f"{what} has missing or unknown members: {', '.join(w[:40] for w in wrong[:5])}")
    return value


def _text(value: object, pattern: re.Pattern[str], what: str) -> str:
    if not isinstance(value, str) or not pattern.match(value):
        raise bad_manifest(f"{what} is malformed")
    return value


def _count(value: object, what: str, *, least: int = 0) -> int:
    # bool is an int in Python; true must not pass as 1 or two spellings of a manifest would verify alike.
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**53:
        raise bad_manifest(f"{what} is not a whole number of at least {least}")
    return value


def _day(value: object, what: str) -> date:
    try:
        day = date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        day = None
    if day is None or day.isoformat() != value:
        raise bad_manifest(f"{what} is not a date YYYY-MM-DD")
    return day


def _file_entry(value: object) -> FileEntry:
    item = _mapping(value, {"name", "kind", "facts", "rows", "size", "sha256"}, "a file")
    kind, facts = item["kind"], item["facts"]
    if kind == "encodings":
        if facts is not None or item["name"] != ENCODINGS_NAME:
            raise bad_manifest(f"encodings must be the file {ENCODINGS_NAME}")
    elif kind == "facts":
        if facts not in FACT_KINDS or item["name"] != f"facts-{facts}.parquet":
            raise bad_manifest("a file of facts must be named facts-<kind>.parquet with a known kind")
    else:
        raise bad_manifest("a file's kind must be encodings or facts")
    return FileEntry(
        name=item["name"],
        kind="encodings" if kind == "encodings" else "facts",
        facts=facts,
        rows=_count(item["rows"], "rows"),
        size=_count(item["size"], "size", least=1),
        sha256=_text(item["sha256"], _HEX64, "sha256"),
    )


_MEMBERS: Final = {
    "format",
    "agreement",
    "epoch",
    "profile",
    "kcv",
    "created_on",
    "persons",
    "files",
    "coverage",
    "software",
}


def parse_manifest(document: Mapping[str, Any]) -> Manifest:
    """Read a manifest document strictly: no unknown members, no other types, consistent counts.

    Raises
    ------
    PackageError
        ``MANIFEST_VERSION`` for another format, ``MANIFEST_INVALID`` for everything else.
    """
    found = document.get("format") if isinstance(document, Mapping) else None
    if found != FORMAT:
        raise PackageError("MANIFEST_VERSION", f"the package is not of the format {FORMAT}")
    item = _mapping(document, _MEMBERS, "the manifest")
    if not isinstance(item["files"], list):
        raise bad_manifest("files is not a list")
    files = tuple(_file_entry(entry) for entry in item["files"])
    if len({entry.name for entry in files}) != len(files):
        raise bad_manifest("a file is listed twice")
    counts = _mapping(item["coverage"], {"persons", "encodable", "strong_identifier"}, "coverage")
    coverage = Coverage(**{name: _count(value, name) for name, value in counts.items()})
    persons = _count(item["persons"], "persons")
    encodings = [entry for entry in files if entry.kind == "encodings"]
    if len(encodings) != 1 or encodings[0].rows != persons or coverage.persons != persons:
        raise bad_manifest("the package must hold one file of encodings with one row per person")
    if not coverage.strong_identifier <= coverage.encodable <= persons:
        raise bad_manifest("coverage counts more persons than there are")
    agreement = item["agreement"]
    return Manifest(
        agreement="" if agreement == "" else _text(agreement, _AGREEMENT, "agreement"),
        epoch=_count(item["epoch"], "epoch", least=1),
        profile=_text(item["profile"], _HEX64, "profile"),
        kcv=_text(item["kcv"], _HEX64, "kcv"),
        created_on=_day(item["created_on"], "created_on"),
        persons=persons,
        files=files,
        coverage=coverage,
        software=_text(item["software"], _SOFTWARE, "software"),
    )
