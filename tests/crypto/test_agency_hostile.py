"""Bad input, killed programs and altered packages: refused by row and column, and nothing is left behind."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.agency import buckets, partial, people
from crypto.agency.encode import encode_package
from crypto.agency.partial import Partial, clean_stale
from crypto.encoding.keys import Secret
from crypto.encoding.profile import default_profile
from crypto.errors import CohortlinkError, InputError
from crypto.wire import read_encodings, verify_package
from tests.crypto.test_agency_cli import Agency, failed, run


@pytest.fixture
def agency(tmp_path: Path) -> Agency:
    return Agency(tmp_path)


HEADER = "student_id,ssn,first_name,last_name,date_of_birth\n"
ROW = "s1,412550001,Anna,Smith,1990-02-03\n"


@pytest.mark.parametrize(
    ("content", "code", "row", "column"),
    [
        (HEADER.encode() + ROW.encode() + b"s2,,Be\0rta,Jones,\n", "NUL_BYTE", 2, "first_name"),
        (HEADER.encode() + b"s2,," + b"x" * (10 << 20) + b",Jones,\n", "CELL_TOO_LONG", 1, "first_name"),
        (HEADER.encode() + ROW.encode() + b"s2,,Jos\xe9,Jones,\n", "TEXT_ENCODING", 2, "first_name"),
        (HEADER.encode() + ROW.encode() * 3 + b"s9,,A,B,1990-02-30\n", "DATE_INVALID", 4, "date_of_birth"),
        (HEADER.encode() + b"s9,,A,B,yesterday\n", "DATE_INVALID", 1, "date_of_birth"),
        (HEADER.encode() + ROW.encode() + b",,A,B,\n", "ID_MISSING", 2, "student_id"),
        (HEADER.encode() + ROW.encode() + b"s1,,Ann,Smith,\n", "ID_CONFLICT", 2, "student_id"),
        (HEADER.encode() + ROW.encode() + b"s2,,Ann\n", "ROW_SHAPE", 2, None),
        (b"student_id,mood,shoe\ns1,good,44\n", "PROFILE_COLUMNS_MISSING", None, None),
        (b"pupil,first_name\ns1,Anna\n", "ID_COLUMN_MISSING", None, "student_id"),
        (HEADER.encode(), "NO_PERSONS", None, None),
        (b"", "FILE_EMPTY", None, None),
        (b"PAR1" + bytes(64), "FILE_UNREADABLE", None, None),
    ],
)
def test_file_of_persons_that_is_bad_is_refused_by_place_and_leaves_nothing(
    agency: Agency, content: bytes, code: str, row: int | None, column: str | None
) -> None:
    agency.people.write_bytes(content)
    found = failed(*agency.arguments(facts=None))
    assert (found["code"], found["row"], found["column"]) == (code, row, column)
    assert agency.left_behind() == []


def test_rows_without_anything_to_encode_are_kept_and_counted(agency: Agency) -> None:
    agency.people.write_text(HEADER + ROW + "s2,,,,\ns3,N/A,unknown,,\n")
    report = json.loads(run(*agency.arguments(facts=None), "--json").stdout)
    assert (report["persons"], report["encodable"], report["not_encodable"]) == (3, 1, 2)
    assert report["not_encodable_rows"] == [2, 3]
    told = run(*agency.arguments(facts=None, out=agency.folder / "again")).stderr
    assert "2 persons have nothing to encode (rows 2, 3)" in told


def test_file_of_persons_of_whom_nobody_has_anything_to_encode_is_refused_by_row(agency: Agency) -> None:
    agency.people.write_text(HEADER + "s2,,,,\ns3,N/A,unknown,,\n")
    found = failed(*agency.arguments(facts=None))
    assert (found["code"], found["row"]) == ("NOTHING_ENCODABLE", 1)
    assert [problem["row"] for problem in found["problems"]] == [1, 2]
    assert agency.left_behind() == []


def test_cell_that_several_fields_read_is_told_of_once(agency: Agency) -> None:
    hardened = agency.folder / "hardened.json"
    assert run("profile", "new", "--family", "record-hardened", "--out", hardened).exit_code == 0
    agency.people.write_text(HEADER + ROW + "s2,,A,B,yesterday\n")
    problems = failed(*agency.arguments(facts=None, profile=hardened))["problems"]
    assert [(problem["row"], problem["column"]) for problem in problems] == [(2, "date_of_birth")]


@pytest.mark.parametrize("option", ["--secret", "--secret-file", "--api-key-file"])
def test_secret_given_as_an_argument_is_refused_and_not_repeated(agency: Agency, option: str) -> None:
    value = "5f" * 32
    arguments: list[Any] = {
        "--secret": agency.arguments(secret=Path(value)),
        "--secret-file": ["clk", agency.people, "--schema", agency.folder / "clk.json", "--out", "clks.json"],
        "--api-key-file": ["submit", agency.out, "--url", "http://127.0.0.1:9", "--agreement", "cin"],
    }[option]
    if option == "--secret-file":
        schema = {"version": 3, "clkConfig": {"l": 64, "kdf": {"type": "HKDF"}}}
        ignored = {"identifier": "student_id", "ignored": True}
        (agency.folder / "clk.json").write_text(json.dumps(schema | {"features": [ignored]}))
        arguments += [option, value]
    elif option == "--api-key-file":
        assert run("keys", "new", "--out", agency.folder / "sign.key").exit_code == 0
        arguments += ["--signing-key", agency.folder / "sign.key", option, value]
    result = run(*arguments)
    assert result.exit_code == 1
    assert value not in result.output
    assert "never" in result.output


def test_crosswalk_that_was_changed_or_cut_is_found_and_one_that_lies_elsewhere_is_not_missed(
    agency: Agency,
) -> None:
    assert run(*agency.arguments()).exit_code == 0
    crosswalk = agency.out / "crosswalk.csv"
    right = crosswalk.read_bytes()
    for wrong in (right[:-5], right.replace(b"s1", b"s2", 1), b""):
        crosswalk.write_bytes(wrong)
        assert failed("validate", agency.out)["code"] == "CROSSWALK_DIGEST"
    crosswalk.unlink()
    assert run("validate", agency.out).exit_code == 0
    crosswalk.write_bytes(right)
    assert run("validate", agency.out).exit_code == 0


def test_progress_of_a_long_piece_is_told_within_it_and_finished_once(
    agency: Agency, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "PIECE", 40)
    monkeypatch.setattr(people, "CHUNK", 10)
    monkeypatch.setattr(people, "estimate_rows", lambda _: 50)  # too few
    agency.people.write_text(HEADER + "".join(f"s{n},,Anna,Smith,1990-02-03\n" for n in range(100)))
    told: list[tuple[str, int, int]] = []
    encode_package(
        profile=default_profile("field-level"),
        secret=Secret.load(agency.secret),
        people_file=agency.people,
        id_column="student_id",
        facts_files={},
        out=agency.out,
        today=date(2026, 11, 22),
        progress=lambda stage, done, total: told.append((stage, done, total)),
    )
    steps = [(done, total) for stage, done, total in told if stage == "encode"]
    assert sorted({done for done, _ in steps}) == list(range(0, 101, 10))
    assert [done for done, total in steps if done >= total] == [100]


def test_bad_row_far_down_a_file_is_told_by_its_own_number(
    agency: Agency, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "PIECE", 7)
    rows = [f"s{n},,Anna,Smith,1990-02-03\n" for n in range(50)]
    rows[38] = "s38,,Anna,Smith,1990-02-31\n"
    agency.people.write_text(HEADER + "".join(rows))
    assert failed(*agency.arguments(facts=None))["row"] == 39
    rows[38], rows[45] = "s38,,Anna,Smith,\n", "s3,,Berta,Smith,\n"
    agency.people.write_text(HEADER + "".join(rows))
    found = failed(*agency.arguments(facts=None))
    assert (found["code"], found["row"]) == ("ID_CONFLICT", 46)
    assert "row 4" in found["detail"]


def encoded(agency: Agency, out: Path) -> dict[str, dict[str, bytes | None]]:
    """Every person's filters by the agency's id."""
    profile = default_profile("field-level")
    report = encode_package(
        profile=profile,
        secret=Secret("cin", 1, hashlib.sha256(b"agency").digest()),
        people_file=agency.people,
        id_column="student_id",
        facts_files={},
        out=out,
        today=verify_today(),
    )
    found = read_encodings(out / "encodings.parquet", profile.link_spec())
    assert report["persons"] == len(found)
    assert (np.sort(found.record_refs) == found.record_refs).all()
    with (out / "crosswalk.csv").open(newline="") as stream:
        ids = {row["record_ref"]: row["id"] for row in csv.DictReader(stream)}
    return {
        ids[str(ref)]: {
            name: column.words[row].tobytes() if column.present[row] else None
            for name, column in found.filters.items()
        }
        for row, ref in enumerate(found.record_refs)
    }


def verify_today() -> Any:
    from datetime import date

    return date(2026, 11, 22)


def test_file_larger_than_what_memory_may_hold_encodes_as_if_it_fitted(
    agency: Agency, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["Ann", "Berta", "Carla", "Dora", "Émile", ""]
    rows = [
        f"s{n},,{names[n % 6]},{names[n % 5]}son,{1950 + n % 50}-01-{1 + n % 28:02}\n" for n in range(900)
    ]
    agency.people.write_text(HEADER + "".join(rows + rows[::7]), "utf-8")
    whole = encoded(agency, agency.folder / "whole")
    spilt: list[Path] = []
    plain = buckets.Buckets._spill

    def spill(self: buckets.Buckets) -> None:
        spilt.append(self._folder)
        plain(self)

    monkeypatch.setattr(people, "PIECE", 64)
    monkeypatch.setattr(buckets, "_ROWS", 50)
    monkeypatch.setattr(buckets.Buckets, "_spill", spill)
    monkeypatch.setattr(people, "Buckets", lambda folder, rows: buckets.Buckets(folder, rows, budget=20_000))
    assert encoded(agency, agency.folder / "pieces") == whole
    assert len(spilt) > 3
    assert not spilt[0].exists()
    assert "spill" not in {path.name for path in (agency.folder / "pieces").iterdir()}


def test_package_when_any_byte_of_any_file_changes_is_refused(agency: Agency) -> None:
    assert run(*agency.arguments()).exit_code == 0
    verify_package(agency.out)
    files = ["manifest.json", "encodings.parquet", "facts-completion.parquet"]
    contents = {name: (agency.out / name).read_bytes() for name in files}

    @settings(max_examples=150, deadline=None)
    @given(st.sampled_from(files), st.floats(0, 1, exclude_max=True), st.integers(1, 255), st.booleans())
    def alter(name: str, where: float, change: int, cut: bool) -> None:
        data = bytearray(contents[name])
        place = int(where * len(data))
        if cut:
            del data[place:]
        else:
            data[place] ^= change
        (agency.out / name).write_bytes(data)
        try:
            with pytest.raises(CohortlinkError):
                verify_package(agency.out)
        finally:
            (agency.out / name).write_bytes(contents[name])

    alter()
    verify_package(agency.out)


def test_package_of_another_profile_than_the_agreements_is_refused(agency: Agency) -> None:
    assert run(*agency.arguments()).exit_code == 0
    agreed = agency.folder / "agreed.json"
    document = default_profile("field-level").to_document()
    document["fields"][1]["max_length"] += 1
    agreed.write_text(json.dumps(document))
    assert failed("validate", agency.out, "--profile", agreed)["code"] == "PROFILE_MISMATCH"


# Whoever starts the tests in the background may have told their children to ignore some signals.
_KILLED = """
import signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from crypto.agency import encode
from crypto.agency.cli import main
def wait(*_, **__):
    Path(mark).write_text("here")
    time.sleep(60)
mark = sys.argv[1]
encode.write_manifest = wait
sys.argv[1:] = sys.argv[2:]
main()
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX's")
def test_encoding_when_killed_leaves_no_package_and_the_next_run_clears_what_it_left(agency: Agency) -> None:
    mark = agency.folder / "mark"
    command = [sys.executable, "-c", _KILLED, str(mark), *map(str, agency.arguments())]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not mark.exists():
            assert process.poll() is None
            time.sleep(0.02)
        assert [name for name in agency.left_behind() if not name.startswith(".")] == []
        living = agency.left_behind()
        # While that program lives, its folder is left alone.
        assert clean_stale(agency.out) == 0
        assert agency.left_behind() == living
        process.send_signal(signal.SIGKILL)
    assert agency.left_behind() == living
    result = run(*agency.arguments(), "--json")
    assert json.loads(result.stdout)["cleaned"] == 1
    assert agency.left_behind() == ["package"]
    verify_package(agency.out)


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_encoding_when_told_to_stop_leaves_nothing_and_says_so(
    agency: Agency, number: signal.Signals
) -> None:
    mark = agency.folder / "mark"
    command = [sys.executable, "-c", _KILLED, str(mark), *map(str, agency.arguments())]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        while not mark.exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        told = process.communicate(timeout=30)[1]
    assert process.returncode == 1
    assert b"INTERRUPTED" in told
    assert agency.left_behind() == []


def test_folder_without_lock_is_only_cleared_when_it_is_old(tmp_path: Path) -> None:
    fresh, old = tmp_path / ".out.partial-1", tmp_path / ".out.partial-2"
    for folder in (fresh, old):
        folder.mkdir()
    os.utime(old, (1, 1))
    (tmp_path / ".other.partial-3").mkdir()
    assert clean_stale(tmp_path / "out") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.partial-3", ".out.partial-1"]


def test_partial_folder_on_a_system_without_posix_is_published_without_open_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Windows renames no folder with an open file, and flushes no folder; locks are the open files themselves.
    class Windows:
        name = "nt"

        def __getattr__(self, item: str) -> object:
            return getattr(os, item)

    monkeypatch.setattr(partial, "os", Windows())
    monkeypatch.setattr("crypto.wire.os", Windows())
    with Partial(tmp_path / "out") as made:
        (made.path / "file").write_text("x")
        made.publish()
        assert made._lock.closed
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["file"]
    dead = tmp_path / ".out.partial-0"
    dead.mkdir()
    (dead / "lock").touch()
    assert clean_stale(tmp_path / "out") == 1


def test_secret_when_not_in_a_file_is_taken_from_the_environment_once(
    agency: Agency, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COHORTLINK_AGENCY_SECRET", agency.secret.read_text())
    result = run(*agency.arguments(secret=None), "--json")
    assert result.exit_code == 0, result.output
    first = json.loads(result.stdout)["kcv"]
    assert "COHORTLINK_AGENCY_SECRET" not in os.environ
    again = run(*agency.arguments(out=agency.folder / "again"), "--json")
    assert json.loads(again.stdout)["kcv"] == first
    found = failed(*agency.arguments(secret=None, out=agency.folder / "third"))
    assert found["code"] == "SECRET_MISSING"
    monkeypatch.setenv("COHORTLINK_AGENCY_SECRET", "hunter2")
    found = failed(*agency.arguments(secret=None, out=agency.folder / "third"))
    assert found["code"] == "SECRET_MALFORMED"


def test_out_of_space_while_spilling_leaves_nothing(agency: Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(buckets.Buckets, "_spill", full)
    monkeypatch.setattr(people, "Buckets", lambda folder, rows: buckets.Buckets(folder, rows, budget=0))
    assert failed(*agency.arguments())["code"] == "SYSTEM_ERROR"
    assert agency.left_behind() == []


def test_target_inside_a_folder_that_is_not_there_is_made(agency: Agency) -> None:
    out = agency.folder / "deep" / "er" / "package"
    assert run(*agency.arguments(out=out)).exit_code == 0
    verify_package(out)
    shutil.rmtree(agency.folder / "deep")
    with pytest.raises(InputError):
        partial.check_out(agency.people)
