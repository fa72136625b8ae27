"""The agency's program as its users meet it: commands, exit codes, files left behind, nothing told twice."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from crypto.agency import encode as encode_module
from crypto.agency.cli import app
from crypto.encoding.keys import Secret
from crypto.encoding.profile import Profile, default_profile
from crypto.signatures import PublicKey, SigningKey
from crypto.wire import read_encodings, read_manifest, verify_package

PEOPLE = """student_id,ssn,first_name,last_name,date_of_birth,favourite
s1,412-55-0001,Annabella,Smithers,1990-02-03,red
s2,,José,Núñez Jr.,2/28/1991,blue
s3,,,,,
s1,412550001,ANNABELLA,smithers,19900203,green
"""
COMPLETIONS = """student_id,completion_id,version,is_deleted,award_kind,award_level,award_date
s2,c2,1,false,POSTSEC,03,2022-06-30
s1,c1,1,false,POSTSEC,05,2022-06-30
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def failed(*arguments: object) -> dict[str, Any]:
    """The refusal that ``--json`` prints; also: exit code 1, a reason on stderr, no value anywhere."""
    result = run(*arguments, "--json")
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("error: ")
    document: dict[str, Any] = json.loads(result.stdout)
    assert document["status"] == "failed"
    for value in ("412-55", "Smithers", "Annabella", "Núñez", "hunter2"):
        assert value not in result.output
    return document


class Agency:
    """A folder with a profile, a secret and files, as after following the guide."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.profile = folder / "profile.json"
        self.secret = folder / "secret.json"
        self.people = folder / "people.csv"
        self.facts = folder / "completions.csv"
        self.out = folder / "package"
        self.profile.write_text(json.dumps(default_profile("field-level").to_document()))
        Secret("cin", 2, hashlib.sha256(b"agency").digest()).save(self.secret)
        self.people.write_text(PEOPLE, "utf-8")
        self.facts.write_text(COMPLETIONS, "utf-8")

    def arguments(self, **changes: object) -> list[object]:
        options: dict[str, object] = {
            "--profile": self.profile,
            "--secret": self.secret,
            "--people": self.people,
            "--id": "student_id",
            "--facts": f"completion={self.facts}",
            "--out": self.out,
        }
        options |= {f"--{name}": value for name, value in changes.items()}
        return ["encode", *(part for pair in options.items() if pair[1] is not None for part in pair)]

    def left_behind(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if "package" in path.name)


@pytest.fixture
def agency(tmp_path: Path) -> Agency:
    return Agency(tmp_path)


def test_encode_when_all_is_well_writes_a_package_that_verifies(agency: Agency) -> None:
    result = run(*agency.arguments(), "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["persons"], report["merged"], report["rows"]) == (3, 1, 4)
    assert (report["encodable"], report["not_encodable"], report["strong_identifier"]) == (2, 1, 1)
    assert set(report["absent"]) == {"middle_initial", "sex", "street", "house_number", "city", "zip"}
    manifest = verify_package(agency.out)
    assert (manifest.agreement, manifest.epoch, manifest.persons) == ("cin", 2, 3)
    assert manifest.coverage.encodable == 2
    assert report["kcv"] == manifest.kcv
    spec = Profile.load(agency.profile).link_spec()
    encodings = read_encodings(agency.out / "encodings.parquet", spec)
    assert int(encodings.filters["ssn"].present.sum()) == 1
    assert not encodings.filters["zip"].present.any()
    assert agency.left_behind() == ["package"]


def test_crosswalk_when_written_is_private_unlisted_and_leads_to_the_right_records(agency: Agency) -> None:
    assert run(*agency.arguments()).exit_code == 0
    path = agency.out / "crosswalk.csv"
    assert os.name != "posix" or stat.S_IMODE(path.stat().st_mode) == 0o600
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    refs = {row["id"]: row["record_ref"] for row in rows}
    assert sorted(refs) == ["s1", "s2", "s3"]
    assert [entry.name for entry in read_manifest(agency.out).files] == [
        "encodings.parquet",
        "facts-completion.parquet",
    ]
    facts = pq.read_table(agency.out / "facts-completion.parquet")
    assert facts.column_names[0] == "record_ref"
    pairs = zip(facts["record_ref"].to_pylist(), facts["completion_id"].to_pylist(), strict=True)
    assert dict(pairs) == {refs["s1"]: "c1", refs["s2"]: "c2"}
    assert facts["record_ref"].to_pylist() == sorted(facts["record_ref"].to_pylist())
    encodings = read_encodings(agency.out / "encodings.parquet", Profile.load(agency.profile).link_spec())
    with_ssn = encodings.record_refs[encodings.filters["ssn"].present].tolist()
    assert with_ssn == [refs["s1"]]


def test_package_when_searched_holds_no_identifier_outside_the_crosswalk(agency: Agency) -> None:
    result = run(*agency.arguments())
    haystack = result.output.encode()
    for path in agency.out.iterdir():
        if path.name != "crosswalk.csv":
            haystack += path.read_bytes()
    for path in agency.out.glob("*.parquet"):
        haystack += str(pq.read_table(path).to_pydict()).encode()
    for value in ("412550001", "412-55-0001", "nnabella", "mithers", "1990-02-03", "19900203", "Núñez"):
        assert value.encode() not in haystack
    assert b"'s1'" not in haystack


def test_two_encodings_of_one_file_when_compared_share_no_reference_but_the_check_value(
    agency: Agency, tmp_path: Path
) -> None:
    assert run(*agency.arguments()).exit_code == 0
    assert run(*agency.arguments(out=tmp_path / "again")).exit_code == 0
    one, two = read_manifest(agency.out), read_manifest(tmp_path / "again")
    assert one.kcv == two.kcv
    assert one.encodings.sha256 != two.encodings.sha256


@pytest.mark.parametrize(
    ("people", "code", "row", "column"),
    [
        (PEOPLE.replace("student_id", "pupil"), "ID_COLUMN_MISSING", None, "student_id"),
        ("student_id,colour\ns1,red\n", "PROFILE_COLUMNS_MISSING", None, None),
        (PEOPLE.replace("s3,", ","), "ID_MISSING", 3, "student_id"),
        (PEOPLE.replace("ANNABELLA", "Berta"), "ID_CONFLICT", 4, "student_id"),
        (PEOPLE.replace("1990-02-03", "hunter2"), "DATE_INVALID", 1, "date_of_birth"),
        (PEOPLE.replace("José", "hunt\0er2"), "NUL_BYTE", 2, "first_name"),
        (PEOPLE.replace("José", "hunter2" * 1_500_000), "CELL_TOO_LONG", 2, "first_name"),
        (PEOPLE.replace(",blue", ""), "ROW_SHAPE", 2, None),
        (PEOPLE.splitlines()[0] + "\n", "NO_PERSONS", None, None),
        ("", "FILE_EMPTY", None, None),
    ],
)
def test_bad_people_when_encoded_are_refused_by_place_and_leave_nothing(
    agency: Agency, people: str, code: str, row: int | None, column: str | None
) -> None:
    agency.people.write_text(people, "utf-8")
    found = failed(*agency.arguments())
    assert (found["code"], found["row"], found["column"]) == (code, row, column)
    assert agency.left_behind() == []


def test_people_in_another_text_encoding_when_encoded_need_its_name(agency: Agency) -> None:
    agency.people.write_text(PEOPLE, "latin-1")
    found = failed(*agency.arguments())
    assert (found["code"], found["row"], found["column"]) == ("TEXT_ENCODING", 2, "first_name")
    assert run(*agency.arguments(encoding="latin-1")).exit_code == 0


@pytest.mark.parametrize(("sign", "name"), [(";", ";"), ("\t", "\t"), ("\t", "tab"), ("\t", "\\t")])
def test_people_in_another_dialect_when_encoded_need_its_delimiter(
    agency: Agency, sign: str, name: str
) -> None:
    agency.people.write_text(PEOPLE.replace(",", sign), "utf-8-sig")
    assert failed(*agency.arguments(facts=None))["code"] == "ID_COLUMN_MISSING"
    assert run(*agency.arguments(facts=None, delimiter=name)).exit_code == 0


def test_conflicting_id_when_refused_names_both_rows(agency: Agency) -> None:
    agency.people.write_text(PEOPLE.replace("ANNABELLA", "Berta"), "utf-8")
    found = failed(*agency.arguments())
    assert "row 1" in found["detail"]
    assert [problem["row"] for problem in found["problems"]] == [4]


@pytest.mark.parametrize(
    ("facts", "code", "row", "column"),
    [
        (COMPLETIONS.replace("s1,", "s9,"), "FACT_ID_UNKNOWN", 2, "student_id"),
        (COMPLETIONS.replace("completion_id", "last_name"), "PII_COLUMN", None, "last_name"),
        (COMPLETIONS.replace("award_level", "mood"), "UNKNOWN_COLUMN", None, "mood"),
        (COMPLETIONS.replace(",05,", ",99,"), "INVALID_ROWS", 2, "award_level"),
        (COMPLETIONS.replace("c2", "412-55-0001"), "PII_VALUE", 1, "completion_id"),
        (COMPLETIONS.replace("student_id", "pupil"), "UNKNOWN_COLUMN", None, "pupil"),
    ],
)
def test_bad_facts_when_encoded_are_refused_by_place_and_leave_nothing(
    agency: Agency, facts: str, code: str, row: int | None, column: str | None
) -> None:
    agency.facts.write_text(facts, "utf-8")
    found = failed(*agency.arguments())
    assert (found["code"], found["row"], found["column"]) == (code, row, column)
    assert agency.left_behind() == []


def test_facts_when_validated_before_encoding_are_accepted_or_refused(agency: Agency) -> None:
    facts = f"completion={agency.facts}"
    result = run("validate", "--facts", facts, "--id", "student_id", "--json")
    assert json.loads(result.stdout)["facts"] == {"completion": 2}
    agency.facts.write_text(COMPLETIONS.replace("2022-06-30", "2999-06-30"))
    assert failed("validate", "--facts", facts, "--id", "student_id")["code"] == "INVALID_ROWS"
    assert failed("validate", "--facts", f"gossip={agency.facts}", "--id", "student_id")["code"] == (
        "FACTS_KIND_UNKNOWN"
    )


def test_target_that_is_taken_when_encoding_is_left_untouched(agency: Agency) -> None:
    agency.out.mkdir()
    assert run(*agency.arguments()).exit_code == 0
    before = sorted((path.name, path.stat().st_mtime_ns) for path in agency.out.iterdir())
    assert failed(*agency.arguments())["code"] == "OUT_NOT_EMPTY"
    assert failed(*agency.arguments(out=agency.people))["code"] == "OUT_NOT_EMPTY"
    assert sorted((path.name, path.stat().st_mtime_ns) for path in agency.out.iterdir()) == before


@pytest.mark.parametrize("step", ["Facts", "encode_people", "write_manifest", "write_people"])
def test_encoding_when_any_step_of_writing_fails_leaves_nothing(
    agency: Agency, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(encode_module, step, full)
    assert failed(*agency.arguments())["code"] == "SYSTEM_ERROR"
    assert agency.left_behind() == []


def test_unexpected_failure_when_it_quotes_a_cell_is_told_by_its_type_alone(
    agency: Agency, monkeypatch: pytest.MonkeyPatch
) -> None:
    def surprise(*_: object, **__: object) -> None:
        raise ValueError("cannot convert 'hunter2'")

    monkeypatch.setattr(encode_module, "encode_people", surprise)
    found = failed(*agency.arguments())
    assert (found["code"], found["detail"]) == ("INTERNAL", "unexpected ValueError; please report it")


def test_weak_secret_or_profile_of_a_newer_version_when_encoding_is_refused(agency: Agency) -> None:
    weak = agency.folder / "weak"
    weak.write_text("ab" * 32)
    assert failed(*agency.arguments(secret=weak))["code"] == "SECRET_WEAK"
    weak.write_text("hunter2")
    assert failed(*agency.arguments(secret=weak))["code"] == "SECRET_MALFORMED"
    document = default_profile("field-level").to_document() | {"format": "cohortlink-profile/2"}
    agency.profile.write_text(json.dumps(document))
    assert failed(*agency.arguments())["code"] == "PROFILE_VERSION"
    assert agency.left_behind() == []


def test_bare_secret_when_encoding_takes_its_agreement_from_the_option_and_warns_if_exposed(
    agency: Agency,
) -> None:
    bare = agency.folder / "bare"
    bare.write_text(hashlib.sha256(b"agency").hexdigest())
    bare.chmod(0o644)
    result = run(*agency.arguments(secret=bare, agreement="cin"))
    assert result.exit_code == 0
    assert "chmod 600" in result.stderr
    assert (read_manifest(agency.out).agreement, read_manifest(agency.out).epoch) == ("cin", 1)


def test_package_when_validated_is_compared_with_the_agreed_profile(agency: Agency) -> None:
    assert run(*agency.arguments()).exit_code == 0
    result = run("validate", agency.out, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["facts"], told["without_facts"]) == ({"completion": 2}, told["persons"] - 2)
    other = agency.folder / "other.json"
    assert run("profile", "new", "--family", "record-hardened", "--out", other).exit_code == 0
    assert failed("validate", agency.out, "--profile", other)["code"] == "PROFILE_MISMATCH"
    path = agency.out / "encodings.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    assert failed("validate", agency.out)["code"] == "FILE_SIZE"


def test_secret_and_keys_when_made_are_private_and_never_overwritten(tmp_path: Path) -> None:
    secret, key = tmp_path / "s.json", tmp_path / "k.json"
    result = run("secret", "new", "--out", secret, "--agreement", "cin", "--epoch", 3)
    assert result.exit_code == 0
    found = Secret.load(secret)
    assert (found.agreement, found.epoch) == ("cin", 3)
    assert found.value.hex() not in result.output
    result = run("keys", "new", "--out", key, "--json")
    document = json.loads(result.stdout)
    public = PublicKey.from_text((tmp_path / "k.json.pub").read_text().strip())
    assert public.fingerprint == document["fingerprint"] == SigningKey.load(key).public.fingerprint
    assert public.to_text() == document["public_key"]
    for path in (secret, key):
        assert os.name != "posix" or stat.S_IMODE(path.stat().st_mode) == 0o600
    assert failed("secret", "new", "--out", secret)["code"] == "KEY_FILE_EXISTS"
    assert failed("keys", "new", "--out", key)["code"] == "KEY_FILE_EXISTS"
    key.unlink()
    assert failed("keys", "new", "--out", key)["code"] == "KEY_FILE_EXISTS"
    assert not key.exists()


def test_profile_when_made_and_shown_tells_its_measured_risk(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    result = run("profile", "new", "--family", "field-level", "--out", path)
    assert "high" in result.output
    shown = json.loads(run("profile", "show", path, "--json").stdout)
    assert shown["profile"] == json.loads(path.read_text())
    assert shown["risk"] == "high"
    assert json.loads(run("profile", "show", "--json").stdout)["family"] == "record-hardened"
    assert run("profile", "show", "field-level").exit_code == 0
    text = run("profile", "show", "record-hardened").stdout
    assert [
        text.count(words) for words in ("diffusion t=8", "diffusion t=5", "composite key │", " none ")
    ] == [1, 1, 16, 0]
    assert failed("profile", "new", "--family", "field-level", "--out", path)["code"] == "PROFILE_EXISTS"
    assert failed("profile", "new", "--family", "clk", "--out", tmp_path / "q")["code"] == "FAMILY_UNKNOWN"


def test_profile_check_when_run_counts_fills_and_warns_and_writes_nothing(agency: Agency) -> None:
    before = sorted(agency.folder.iterdir())
    result = run("profile", "check", agency.people, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    fields = {field["field"]: field for field in found["fields"]}
    assert fields["given_name"]["share"] == 0.75
    assert fields["ssn"]["distinct"] == 1
    assert fields["zip"]["column"] is None
    assert any(": fill" in line for line in found["warnings"])
    assert all(item["entropy"] >= 0 and 0 <= item["share"] <= 0.75 for item in found["filters"])
    assert sorted(agency.folder.iterdir()) == before
    assert run("profile", "check", agency.people, "--profile", agency.profile).exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["encode"],
        ["encode", "--secret-value", "x"],
        ["validate"],
        ["validate", "--facts", "completion=x"],
        ["validate", "--facts", "completion", "--id", "x"],
        ["validate", "--facts", "wage=a", "--facts", "wage=b", "--id", "x"],
        ["log", "verify"],
        ["log", "verify", "--url", "http://localhost", "--copy", "x"],
        ["nonsense"],
        ["secret", "new", "--out", "x", "--epoch", "0"],
    ],
)
def test_wrong_usage_when_met_ends_with_exit_code_two(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["submit", "none", "--url", "http://localhost:1", "--agreement", "cin", "--api-key-file", "none"],
        ["receipt", "verify", "none", "--key", "none"],
        ["log", "verify", "--copy", "none"],
        ["validate", "none"],
    ],
)
def test_files_that_do_not_exist_when_named_end_with_exit_code_one(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if arguments[0] == "submit":
        arguments = [*arguments, "--signing-key", "none"]
    failed(*arguments)


def test_help_when_asked_names_every_command() -> None:
    text = run("--help").output
    for command in ("secret", "keys", "profile", "encode", "validate", "submit", "receipt", "log"):
        assert command in text
    assert run("--version").output.startswith("cohortlink-agency ")


def test_profile_check_says_once_what_is_true_of_several_fields(tmp_path: Path) -> None:
    people = tmp_path / "wages.csv"
    rows = [f"{n},{900_000_000 + 7919 * n % 99_999_999},Name{n % 40},First{n % 30}" for n in range(60)]
    people.write_text("id,ssn,last_name,first_name\n" + "\n".join(rows) + "\n")
    done = run("profile", "check", people, "--json")
    assert done.exit_code == 0, done.output
    warned = json.loads(done.stdout)["warnings"]
    missing = [line for line in warned if "no column" in line]
    assert len(missing) == 1
    assert missing[0].startswith("fields birth_date, street, ")
    absent = [line for line in warned if "absent" in line and line.startswith("filter")]
    assert len(absent) == 1
    assert absent[0].startswith("filters person, ")
