"""The operator's program: exit codes, files, and reasons on stderr."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from app import cli
from app.store import schema


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cohortlink", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    code = caught.value.code
    return code if isinstance(code, int) else 0


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A data folder of its own, whatever the environment says."""
    for name in ("DATA", "DATABASE_URL", "BLOB_URL", "KEYS", "LOG_ORIGIN", "PART_SIZE"):
        monkeypatch.delenv("COHORTLINK_" + name, raising=False)
    return str(tmp_path / "data")


def test_bootstrap_writes_a_private_key_file_and_refuses_a_second_operator(
    tmp_path: Path, data: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "operator.key"
    arguments = ("org", "bootstrap", "--name", "Ops", "--data", data, "--json", "--key-file")
    assert run(monkeypatch, *arguments, str(key)) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"organization": "operator", "key_file": str(key)}
    assert key.read_text().startswith("clk_")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_text().strip() not in captured.out + captured.err

    assert run(monkeypatch, *arguments, str(key)) == 1
    assert "FILE_EXISTS" in capsys.readouterr().err
    second = tmp_path / "second.key"
    assert run(monkeypatch, *arguments, str(second)) == 1
    assert "OPERATOR_EXISTS" in capsys.readouterr().err
    assert not second.exists()


def test_migrate_doctor_and_log_answer(
    data: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "migrate", "--data", data, "--json") == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["before"], done["after"]) == (None, schema.head())
    assert run(monkeypatch, "doctor", "--data", data, "--json") == 0
    examined = json.loads(capsys.readouterr().out)
    assert examined["ok"] is True
    names = {item["name"] for item in examined["checks"]}
    assert names >= {"configuration", "disk", "key files", "clock", "database", "migrations", "storage"}
    scans = next(item["seen"] for item in examined["checks"] if item["name"] == "comparison")
    assert "plain" in scans and ("no amx: " in scans or scans.startswith("amx, "))
    assert run(monkeypatch, "log", "key", "--data", data) == 0
    assert capsys.readouterr().out.startswith("cohortlink.invalid/log+")
    assert run(monkeypatch, "log", "seal", "--data", data, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"checkpoint": None}


def test_doctor_finds_nothing_wrong_once_the_log_has_been_sealed_and_its_key_rotated(
    data: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = str(tmp_path / "operator.key")
    assert run(monkeypatch, "org", "bootstrap", "--name", "N", "--key-file", key, "--data", data) == 0
    assert run(monkeypatch, "log", "seal", "--data", data) == 0
    assert run(monkeypatch, "log", "rotate-key", "--data", data) == 0
    assert run(monkeypatch, "keys", "rotate", "--data", data) == 0
    assert run(monkeypatch, "doctor", "--data", data) == 0


def test_doctor_names_what_is_wrong_and_exits_with_1(
    data: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "migrate", "--data", data)
    run(monkeypatch, "doctor", "--data", data)
    (Path(data) / "keys" / "facts.json").chmod(0o644)
    capsys.readouterr()
    assert run(monkeypatch, "doctor", "--data", data) == 1
    assert "chmod 600" in capsys.readouterr().out


def test_doctor_makes_nothing_where_nothing_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mistyped = tmp_path / "dta"
    assert run(monkeypatch, "doctor", "--data", str(mistyped)) == 0
    assert "none yet" in capsys.readouterr().out
    assert not mistyped.exists()


def test_doctor_sends_nobody_to_the_clock_when_the_database_is_away(
    data: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The discard port: nothing listens there.
    monkeypatch.setenv("COHORTLINK_DATABASE_URL", "postgresql+psycopg://user:hidden@127.0.0.1:9/x")
    assert run(monkeypatch, "doctor", "--data", data) == 1
    said = capsys.readouterr().out
    assert "does not answer" in said
    assert "Start the database" in said
    assert "NTP" not in said
    assert "hidden" not in said


def test_wrong_usage_exits_with_2(monkeypatch: pytest.MonkeyPatch, data: str) -> None:
    assert run(monkeypatch, "serve", "--port", "many", "--data", data) == 2
    assert run(monkeypatch, "nonsense") == 2


def test_a_misspelt_setting_is_a_reason_on_stderr(
    monkeypatch: pytest.MonkeyPatch, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COHORTLINK_DATABSE_URL", "x")
    assert run(monkeypatch, "doctor", "--data", data) == 1
    assert "DATABSE_URL" in capsys.readouterr().out


def test_help_does_not_load_the_heavy_rooms() -> None:
    program = (
        "import sys; sys.argv = ['cohortlink', '--help']\n"
        "from app import cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'sqlalchemy', 'fastapi', 'dbos', 'duckdb', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
