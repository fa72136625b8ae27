"""The commands about the log, as people call them, against a service that listens."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from typer.testing import CliRunner, Result

from app.cli import app as operator_program
from crypto.agency.cli import app as agency_program
from tests.world import World, make_package


@pytest.fixture
def url(sqlite_world: World) -> Iterator[str]:
    """The service on a port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(sqlite_world.app, port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def files(sqlite_world: World, tmp_path: Path) -> Path:
    """What an auditor has on her machine."""
    folder = tmp_path / "auditor"
    folder.mkdir()
    (folder / "api.key").write_text(sqlite_world.auditor.api_key)
    sqlite_world.auditor.key.save(folder / "signing.json")
    (folder / "log.vkey").write_text(sqlite_world.client.get("/v1/log/key").text)
    return folder


def agency(*arguments: object) -> Result:
    return CliRunner().invoke(agency_program, [str(argument) for argument in arguments])


def said(result: Result) -> dict[str, Any]:
    """The command's document, among what the service logged meanwhile in this process."""
    found: dict[str, Any] = json.loads(result.stdout[max(result.stdout.rfind("\n{\n"), 0) :])
    return found


def line_of(result: Result, words: str) -> str:
    """What follows some words on the command's own line."""
    return next(line.split(words)[1] for line in result.stdout.splitlines() if words in line)


def operator(world: World, *arguments: object) -> Result:
    data = ["--data", str(world.settings.data)]
    return CliRunner().invoke(operator_program, [*map(str, arguments), *data])


def witness(url: str, files: Path, *more: object) -> Result:
    return agency(
        "witness", "--url", url, "--api-key-file", files / "api.key", "--signing-key", files / "signing.json",
        "--state", files / "witness.json", "--once", *more,
    )  # fmt: skip


def verify(url: str, files: Path, *more: object) -> Result:
    known = ("--key", files / "log.vkey")
    return agency("log", "verify", "--url", url, "--api-key-file", files / "api.key", *known, *more)


def test_witness_command_cosigns_and_others_can_demand_it(sqlite_world: World, url: str, files: Path) -> None:
    world = sqlite_world
    first = witness(url, files, "--key", files / "log.vkey")
    assert first.exit_code == 0, first.output
    assert "others verify with --witness and this key: " in first.output
    (files / "witness.vkey").write_text(line_of(first, "this key: ") + "\n")
    world.agree()
    again = witness(url, files, "--json")
    assert (again.exit_code, said(again)["first"]) == (0, False)
    verified = verify(url, files, "--witness", files / "witness.vkey", "--save", files / "copy")
    assert verified.exit_code == 0, verified.output
    assert "witness " in verified.output and "the log holds" in verified.output
    offline = agency("log", "verify", "--copy", files / "copy", "--key", files / "log.vkey", "--json")
    assert said(offline)["ok"]
    page = agency("log", "summary", "cincinnati-nky", "--copy", files / "copy")
    assert "Agreed" in page.output and "approved, version 1" in page.output


def test_witness_command_refuses_a_log_that_shrank_and_keeps_the_evidence(
    sqlite_world: World, url: str, files: Path
) -> None:
    world = sqlite_world
    assert witness(url, files).exit_code == 0
    state: dict[str, Any] = json.loads((files / "witness.json").read_text())
    size = int(state["checkpoint"].split("\n")[1])
    _sign_as_if(world, files, size + 40)
    refused = witness(url, files, "--json")
    assert refused.exit_code == 1
    assert said(refused)["code"] == "LOG_ROLLED_BACK"
    assert f"entry {size} is missing" in refused.stderr
    assert (files / "witness.json.refused-1").is_file()


def _sign_as_if(world: World, files: Path, size: int) -> None:
    """The witness remembers more entries than the log has: a backup was restored."""
    from crypto.log.checkpoint import Checkpoint

    origin = world.settings.log_origin
    note = Checkpoint(origin, size, bytes(32)).sign(world.service.log_key, origin)
    state = json.loads((files / "witness.json").read_text()) | {"checkpoint": note}
    (files / "witness.json").write_text(json.dumps(state))


def test_a_new_key_is_made_by_command_and_followed_by_command(
    sqlite_world: World, url: str, files: Path
) -> None:
    world = sqlite_world
    world.agree()
    receipt = world.submit(world.education, make_package()).json()["receipt"]
    (files / "receipt.json").write_text(json.dumps(receipt))
    assert witness(url, files).exit_code == 0
    rotated = operator(world, "log", "rotate-key")
    assert rotated.exit_code == 0, rotated.output
    assert "names the new key" in rotated.output
    later = world.submit(world.workforce, make_package(kind="wage", seed=2)).json()["receipt"]
    (files / "later.json").write_text(json.dumps(later))
    # Whoever knows the old key only can verify the log and what it signed, and witness it.
    assert verify(url, files).exit_code == 0, verify(url, files).output
    assert witness(url, files).exit_code == 0
    known = ("--key", files / "log.vkey")
    assert agency("receipt", "verify", files / "receipt.json", *known).exit_code == 0
    assert agency("receipt", "verify", files / "later.json", *known).exit_code == 1
    followed = agency("log", "key", "--url", url, *known)
    assert followed.exit_code == 0, followed.output
    assert "1 new keys" in followed.output
    for name in ("receipt.json", "later.json"):
        assert agency("receipt", "verify", files / name, *known).exit_code == 0
    assert operator(world, "log", "check").exit_code == 0
    assert operator(world, "log", "key").stdout.split()[-1] == (files / "log.vkey").read_text().split()[-1]


def test_an_export_is_verified_by_command(sqlite_world: World, files: Path) -> None:
    sqlite_world.agree()
    lines = sqlite_world.auditor.get("/log/export?kind=agreement.*").text
    (files / "export.jsonl").write_text(lines)
    done = agency("log", "verify-export", files / "export.jsonl", "--key", files / "log.vkey")
    assert done.exit_code == 0 and "valid: 4 entries" in done.output, done.output
    (files / "export.jsonl").write_text(lines.replace("agreement.review", "agreement.reviem"))
    assert agency("log", "verify-export", files / "export.jsonl", "--key", files / "log.vkey").exit_code == 1
