"""Two agencies whose tools make CLKs, as they would do it: commands, a served application, a run."""

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

from app.flows import link_inputs, run_linkage
from app.flows.organizations import authenticate
from crypto.agency.cli import app as agency
from crypto.encoding.profile import Profile
from tests.world import EDUCATION, WORKFORCE, World

PERSONS, FIRST = 400, 200
GIVEN = ["Ada", "Bert", "Cleo", "Dora", "Emil", "Fay", "Gus", "Hanna", "Ivo", "Jane", "Karl", "Lena", "Max"]
FAMILY = ["Quill", "Osei", "Marsh", "Finch", "Stone", "Brook", "Vogel", "Ito", "Nagy", "Perez", "Adler"]


def feature(name: str, n: int) -> dict[str, Any]:
    return {
        "identifier": name,
        "format": {"type": "string", "encoding": "utf-8"},
        "hashing": {
            "comparison": {"type": "ngram", "n": n},
            "strategy": {"bitsPerToken": 12},
            "hash": {"type": "blakeHash"},
        },
    }


SCHEMA: dict[str, Any] = {
    "version": 3,
    "clkConfig": {
        "l": 1024,
        "kdf": {"type": "HKDF", "hash": "SHA256", "salt": "c2FsdA==", "info": "aW5mbw==", "keySize": 64},
    },
    "features": [
        {"identifier": "id", "ignored": True},
        feature("given", 2),
        feature("family", 2),
        feature("born", 2),
    ],
}


def person(at: int) -> str:
    given, family = GIVEN[at % len(GIVEN)], FAMILY[at // len(GIVEN) % len(FAMILY)]
    return f"p{at},{given},{family},19{50 + at * 7 % 49}-{1 + at * 5 % 12:02}-{1 + at * 11 % 28:02}"


@pytest.fixture
def url(sqlite_world: World) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(sqlite_world.app, port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def command(*arguments: object) -> Result:
    return CliRunner().invoke(agency, [str(argument) for argument in arguments])


def said(result: Result) -> dict[str, Any]:
    """The command's document, among what the served application logged meanwhile."""
    found: dict[str, Any] = json.loads(result.stdout[max(result.stdout.rfind("\n{\n"), 0) :])
    return found


def encoded(folder: Path, who: str, rows: range) -> Path:
    """What one agency makes on its own machine, up to the CLKs."""
    people, out = folder / f"{who}.csv", folder / f"{who}-clks.json"
    people.write_text("\n".join(["id,given,family,born", *map(person, rows)]) + "\n")
    secret = folder / "secret"
    secret.write_text("horse\n")
    made = command("clk", people, "--schema", folder / "schema.json", "--secret-file", secret, "--out", out)
    assert made.exit_code == 0, made.output
    return out


def send(world: World, folder: Path, url: str, who: str, *facts: str) -> Result:
    member = world.education if who == EDUCATION else world.workforce
    key = folder / f"{who}.key"
    key.write_text(member.api_key)
    return command(
        "clk-submit", folder / f"{who}-clks.json", "--people", folder / f"{who}.csv", "--id", "id",
        "--url", url, "--agreement", "cincinnati-nky", "--api-key-file", key,
        "--out", folder / f"{who}-out", "--json",
        *(part for fact in facts for part in ("--facts", fact)),
    )  # fmt: skip


def test_agencies_that_send_clks_by_command_are_linked_by_a_run_and_keep_receipt_and_crosswalk(
    sqlite_world: World, url: str, tmp_path: Path
) -> None:
    world = sqlite_world
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    profile = tmp_path / "profile.json"
    made = command(
        "profile",
        "new",
        "--family",
        "clkhash",
        "--schema",
        tmp_path / "schema.json",
        "--out",
        profile,
        "--json",
    )
    assert said(made)["risk"] == "weak"
    document = Profile.load(profile).to_document()
    world.agree(linkage_profile=document, linkage_profile_hash=Profile.load(profile).fingerprint)
    encoded(tmp_path, EDUCATION, range(PERSONS))
    encoded(tmp_path, WORKFORCE, range(FIRST, FIRST + PERSONS))

    awards = tmp_path / "awards.csv"
    rows = [f"p{at},c{at},1,POSTSEC,05,2022-05-15" for at in range(PERSONS)]
    awards.write_text("id,completion_id,version,award_kind,award_level,award_date\n" + "\n".join(rows) + "\n")
    sent = send(world, tmp_path, url, EDUCATION, f"completion={awards}")
    assert sent.exit_code == 0, sent.output
    assert said(sent)["facts"] == {"completion": PERSONS}
    assert send(world, tmp_path, url, WORKFORCE).exit_code == 0
    again = send(world, tmp_path, url, WORKFORCE)
    assert (again.exit_code, said(again)["code"]) == (1, "OUT_NOT_EMPTY")
    assert (tmp_path / f"{EDUCATION}-out" / "receipt.json").is_file()

    operator = authenticate(world.service, f"Bearer {world.operator.api_key}")
    run_id = str(run_linkage.start_run(world.service, operator, "cincinnati-nky")["id"])
    owner = run_linkage.begin(world.service, run_id, "w")
    assert owner is not None
    encodings, links = (world.service.plane(name) for name in ("encodings", "links"))
    produced = link_inputs.link_inputs(world.service, encodings, links, run_id, owner)
    run_linkage.finish(world.service, run_id, owner, produced)
    quality = world.operator.get(f"/runs/{run_id}/quality").json()
    assert 0.95 * (PERSONS - FIRST) <= quality["links"] <= PERSONS - FIRST


def test_clks_that_are_not_as_many_as_the_persons_when_sent_by_command_are_refused_before_anything_is_sent(
    sqlite_world: World, url: str, tmp_path: Path
) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    encoded(tmp_path, EDUCATION, range(20))
    (tmp_path / f"{EDUCATION}.csv").write_text("id,given\np1,Ada\n")
    refused = send(sqlite_world, tmp_path, url, EDUCATION)
    assert (refused.exit_code, said(refused)["code"]) == (1, "CLKS_MISMATCH")
    assert not (tmp_path / f"{EDUCATION}-out").exists()


def test_profile_of_clkhash_when_used_to_encode_or_without_its_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    new = ("profile", "new", "--family", "clkhash", "--out", tmp_path / "profile.json")
    assert command(*new).exit_code == 2
    assert command(*new, "--schema", tmp_path / "schema.json").exit_code == 0
    people, secret = tmp_path / "people.csv", tmp_path / "secret.json"
    people.write_text("id,given\np1,Ada\n")
    assert command("secret", "new", "--out", secret, "--agreement", "cin").exit_code == 0
    refused = command(
        "encode", "--profile", tmp_path / "profile.json", "--secret", secret, "--people", people,
        "--id", "id", "--out", tmp_path / "package", "--json",
    )  # fmt: skip
    assert said(refused)["code"] == "PROFILE_CLKHASH"
    checked = command("profile", "check", people, "--profile", tmp_path / "profile.json", "--json")
    assert said(checked)["code"] == "PROFILE_CLKHASH"
