"""The package: strict manifest, and no byte of it changes unnoticed."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crypto.canonical import canonical_json
from crypto.encoding.encode import draw_refs
from crypto.encoding.types import FilterSpec, LinkSpec
from crypto.errors import PackageError
from crypto.wire import (
    ENCODINGS_NAME,
    Coverage,
    Manifest,
    file_entry,
    parse_manifest,
    read_encodings,
    read_manifest,
    verify_package,
    write_encodings,
    write_facts,
    write_manifest,
)

SPEC = LinkSpec(
    (FilterSpec("name", 128, "dice", (0.9,), False), FilterSpec("ssn", 64, "dice", (), True)), "one-to-one"
)
ROWS = 5
PRESENT = np.array([True, False, True, True, False])


def filters() -> dict[str, tuple[Any, Any]]:
    generator = np.random.default_rng(1)
    return {
        "name": (generator.integers(0, 256, (ROWS, 16), dtype=np.uint8), np.ones(ROWS, np.bool_)),
        "ssn": (generator.integers(0, 256, (ROWS, 8), dtype=np.uint8), PRESENT),
    }


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    folder.mkdir()
    refs = draw_refs(ROWS)
    write_encodings(folder / ENCODINGS_NAME, SPEC, refs, [filters()])
    facts = pa.table({"record_ref": refs.tolist(), "quarter": ["2023Q1"] * ROWS})
    write_facts(folder / "facts-wage.parquet", facts)
    files = (
        file_entry(folder / ENCODINGS_NAME, ROWS, None),
        file_entry(folder / "facts-wage.parquet", ROWS, "wage"),
    )
    digest = write_manifest(
        folder,
        Manifest(
            agreement="cin",
            epoch=1,
            profile="ab" * 32,
            kcv="cd" * 32,
            created_on=date(2026, 11, 22),
            persons=ROWS,
            files=files,
            coverage=Coverage(ROWS, ROWS, 3),
            software="cohortlink-agency/0.1.0",
        ),
    )
    (folder / "report.json").write_text(json.dumps({"manifest_sha256": digest}))
    return folder


def refusal(work: Callable[[], object]) -> str:
    with pytest.raises(PackageError) as caught:
        work()
    return caught.value.code


def test_package_when_whole_verifies_and_reads_back_its_manifest(package: Path) -> None:
    manifest = verify_package(package)
    assert manifest == read_manifest(package) == parse_manifest(manifest.to_document())
    assert manifest.encodings.name == ENCODINGS_NAME
    wage = manifest.facts_of("wage")
    assert wage is not None
    assert wage.rows == ROWS
    assert manifest.facts_of("truth") is None


def test_encodings_when_read_back_are_the_bits_that_were_written(package: Path) -> None:
    source = package / ENCODINGS_NAME
    for given in (source, str(source), source.read_bytes(), pa.BufferReader(source.read_bytes())):
        found = read_encodings(given, SPEC)
        assert len(found) == ROWS
        packed, _ = filters()["name"]
        assert found.filters["name"].words.astype(">u8").tobytes() == packed.tobytes()
        assert found.filters["ssn"].present.tolist() == PRESENT.tolist()
        assert not found.filters["ssn"].words[~PRESENT].any()
        assert found.filters["ssn"].words.dtype == np.uint64


def test_encodings_in_several_row_groups_when_read_are_one(tmp_path: Path) -> None:
    refs = draw_refs(2 * ROWS)
    path = tmp_path / "e.parquet"
    write_encodings(path, SPEC, refs, [filters(), filters()])
    found = read_encodings(path, SPEC)
    assert found.record_refs.tolist() == refs.tolist()
    assert (found.filters["name"].words[:ROWS] == found.filters["name"].words[ROWS:]).all()
    with pytest.raises(ValueError):
        write_encodings(path, SPEC, refs, [filters()])


def test_encodings_without_rows_when_read_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    write_encodings(path, SPEC, draw_refs(0), [])
    found = read_encodings(path, SPEC)
    assert len(found) == 0
    assert found.filters["name"].words.shape == (0, 2)


def test_encodings_of_other_filters_or_references_when_read_are_refused(package: Path) -> None:
    source = package / ENCODINGS_NAME
    other = LinkSpec(SPEC.filters[:1], "one-to-one")
    assert refusal(lambda: read_encodings(source, other)) == "ENCODINGS_SCHEMA"
    table = pq.read_table(source)
    schema = table.schema
    backwards = table.take(list(range(ROWS))[::-1]).cast(schema)
    pq.write_table(backwards, source)
    assert refusal(lambda: read_encodings(source, SPEC)) == "RECORD_REF_ORDER"
    pq.write_table(table.take([0, 0]).cast(schema), source)
    assert refusal(lambda: read_encodings(source, SPEC)) == "RECORD_REF_ORDER"
    named = table.set_column(0, schema.field(0), pa.array(["Ann Smith"] * ROWS))
    pq.write_table(named, source)
    assert refusal(lambda: read_encodings(source, SPEC)) == "RECORD_REF_INVALID"
    assert refusal(lambda: read_encodings(b"PAR1", SPEC)) == "FILE_UNREADABLE"


def test_package_altered_at_any_byte_when_verified_is_refused(package: Path) -> None:
    generator = random.Random(11)
    for name in ("manifest.json", ENCODINGS_NAME, "facts-wage.parquet"):
        path = package / name
        raw = path.read_bytes()
        places = range(len(raw)) if name == "manifest.json" else generator.sample(range(len(raw)), 150)
        for place in places:
            altered = bytearray(raw)
            altered[place] ^= 1 << generator.randrange(8)
            path.write_bytes(altered)
            refusal(lambda: verify_package(package))
        path.write_bytes(raw)
    verify_package(package)


def test_package_cut_or_lengthened_when_verified_is_refused(package: Path) -> None:
    for name in ("manifest.json", ENCODINGS_NAME, "facts-wage.parquet"):
        path = package / name
        raw = path.read_bytes()
        for wrong in (b"", raw[: len(raw) // 2], raw[:-1], raw + b"\n", raw + b"\0"):
            path.write_bytes(wrong)
            refusal(lambda: verify_package(package))
        path.unlink()
        assert refusal(lambda: verify_package(package)) in {"FILE_MISSING", "MANIFEST_MISSING"}
        path.write_bytes(raw)


def test_package_with_a_link_in_place_of_a_file_when_verified_is_refused(package: Path) -> None:
    path = package / "facts-wage.parquet"
    path.rename(package / "elsewhere")
    path.symlink_to(package / "elsewhere")
    assert refusal(lambda: verify_package(package)) == "FILE_MISSING"


def test_package_whose_report_is_damaged_when_verified_is_refused(package: Path) -> None:
    (package / "report.json").write_text("{")
    assert refusal(lambda: verify_package(package)) == "REPORT_INVALID"
    (package / "report.json").unlink()
    verify_package(package)


def test_package_that_lies_about_rows_when_verified_is_refused(package: Path) -> None:
    (package / "report.json").unlink()
    document = read_manifest(package).to_document()
    document["files"][1]["rows"] = ROWS + 1
    (package / "manifest.json").write_bytes(canonical_json(document))
    assert refusal(lambda: verify_package(package)) == "FILE_ROWS"


def test_manifest_that_is_not_canonical_when_read_is_refused(package: Path) -> None:
    path = package / "manifest.json"
    document = json.loads(path.read_bytes())
    path.write_text(json.dumps(document, indent=1))
    assert refusal(lambda: read_manifest(package)) == "MANIFEST_INVALID"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda d: d.update(format="cohortlink-batch/2"), "MANIFEST_VERSION"),
        (lambda d: d.update(more=1), "MANIFEST_INVALID"),
        (lambda d: d.pop("kcv"), "MANIFEST_INVALID"),
        (lambda d: d.update(kcv="CD" * 32), "MANIFEST_INVALID"),
        (lambda d: d.update(agreement="../x"), "MANIFEST_INVALID"),
        (lambda d: d.update(epoch=True), "MANIFEST_INVALID"),
        (lambda d: d.update(epoch=0), "MANIFEST_INVALID"),
        (lambda d: d.update(created_on="2026-1-2"), "MANIFEST_INVALID"),
        (lambda d: d.update(created_on=20261122), "MANIFEST_INVALID"),
        (lambda d: d.update(persons=6), "MANIFEST_INVALID"),
        (lambda d: d.update(software="x"), "MANIFEST_INVALID"),
        (lambda d: d.update(files={}), "MANIFEST_INVALID"),
        (lambda d: d["files"].pop(0), "MANIFEST_INVALID"),
        (lambda d: d["files"].append(d["files"][1]), "MANIFEST_INVALID"),
        (lambda d: d["files"][1].update(name="../../etc/passwd"), "MANIFEST_INVALID"),
        (lambda d: d["files"][1].update(name="crosswalk.csv"), "MANIFEST_INVALID"),
        (lambda d: d["files"][1].update(facts="gossip"), "MANIFEST_INVALID"),
        (lambda d: d["files"][1].update(facts=[]), "MANIFEST_INVALID"),
        (lambda d: d["files"][0].update(facts="wage"), "MANIFEST_INVALID"),
        (lambda d: d["files"][0].update(kind="other"), "MANIFEST_INVALID"),
        (lambda d: d["files"][0].update(size=-1), "MANIFEST_INVALID"),
        (lambda d: d["files"][0].update(rows=2**53), "MANIFEST_INVALID"),
        (lambda d: d["files"][0].update(sha256="0"), "MANIFEST_INVALID"),
        (lambda d: d["coverage"].update(encodable=6), "MANIFEST_INVALID"),
        (lambda d: d["coverage"].update(strong_identifier="3"), "MANIFEST_INVALID"),
    ],
)
def test_manifest_that_is_wrong_when_parsed_is_refused(
    package: Path, change: Callable[[dict[str, Any]], object], code: str
) -> None:
    document = copy.deepcopy(read_manifest(package).to_document())
    change(document)
    assert refusal(lambda: parse_manifest(document)) == code


@pytest.mark.parametrize("document", [None, [], "x", {}, {"format": []}])
def test_thing_that_is_no_manifest_when_parsed_is_refused(document: Any) -> None:
    assert refusal(lambda: parse_manifest(document)) == "MANIFEST_VERSION"
