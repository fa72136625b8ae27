"""Our log, verified by others: Go's checksum database (Debian: golang-go, golang-golang-x-mod-dev)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from app.flows.seal_log import SERVICE, append, seal
from crypto.log.entry import Entry
from crypto.log.tiles import Tile, tiles_of
from tests.world import World

SOURCE = Path(__file__).parent / "golang"
GOPATH = Path("/usr/share/gocode")
ENTRIES = 700


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The verifier, compiled once."""
    if shutil.which("go") is None or not (GOPATH / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        message = "go and golang.org/x/mod are not installed: their verification did NOT run"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    out = tmp_path_factory.mktemp("go") / "verify"
    environment = os.environ | {
        "GO111MODULE": "off",
        "GOPATH": str(GOPATH),
        "GOCACHE": str(out.parent / "cache"),
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    subprocess.run(
        ["go", "build", "-o", out, "verify.go"], cwd=SOURCE, env=environment, check=True, timeout=300
    )
    return out


@pytest.fixture
def served(sqlite_world: World, tmp_path: Path) -> Path:
    """All that the service serves of a log of some hundred entries, as files."""
    world, folder = sqlite_world, tmp_path / "served"
    folder.mkdir()
    (folder / "older").write_text(world.client.get("/v1/log/checkpoint").text, newline="")
    first = int((folder / "older").read_text().split("\n")[1])
    world.auditor.get("/log/entries")
    with world.service.store.transaction("many entries") as tx:
        for number in range(ENTRIES):
            body = {"organization": f"o{number}", "name": "An organization"}
            append(tx, "organization.created", None, SERVICE, body, world.service.now())
    seal(world.service)
    (folder / "checkpoint").write_text(world.client.get("/v1/log/checkpoint").text, newline="")
    (folder / "key").write_text(world.client.get("/v1/log/key").text)
    size = int((folder / "checkpoint").read_text().split("\n")[1])
    hashes = tiles_of(size)
    for tile in [*hashes, *(Tile(None, t.number, t.width) for t in hashes if t.level == 0)]:
        # As any client of static files reads them: only the entries ask who is there.
        reader = world.client if tile.level is not None else world.auditor.client
        headers = {} if tile.level is not None else {"Authorization": f"Bearer {world.auditor.api_key}"}
        answer = reader.get(f"/v1/log/tile/{tile.path()}", headers=headers)
        assert answer.status_code == 200, tile
        assert "immutable" in answer.headers["Cache-Control"]
        path = folder / "tile" / tile.path()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(answer.content)
    chosen = [0, 1, 255, 256, 511, 512, size - 1]
    proofs = [world.education.get(f"/log/proofs/inclusion?index={i}&size={size}").json() for i in chosen]
    consistency = world.education.get(f"/log/proofs/consistency?from={first}&to={size}").json()
    document = {
        "inclusion": [{"index": proof["index"], "hashes": proof["hashes"]} for proof in proofs],
        "consistency": consistency["hashes"],
    }
    (folder / "proofs.json").write_text(json.dumps(document))
    return folder


def verify(program: Path, folder: Path) -> tuple[int, str]:
    done = subprocess.run([program, folder], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def flip(path: str, at: int) -> Callable[[Path], None]:
    def alter(folder: Path) -> None:
        data = bytearray((folder / path).read_bytes())
        data[at] ^= 1
        (folder / path).write_bytes(data)

    return alter


def in_text(path: str, old: str, new: str) -> Callable[[Path], None]:
    def alter(folder: Path) -> None:
        data = (folder / path).read_bytes()
        assert old.encode() in data
        (folder / path).write_bytes(data.replace(old.encode(), new.encode(), 1))

    return alter


def swap_proofs(folder: Path) -> None:
    document = json.loads((folder / "proofs.json").read_text())
    first, second, *_ = document["inclusion"]
    first["hashes"], second["hashes"] = second["hashes"], first["hashes"]
    (folder / "proofs.json").write_text(json.dumps(document))


def shorten_proof(folder: Path) -> None:
    document = json.loads((folder / "proofs.json").read_text())
    document["consistency"].pop()
    (folder / "proofs.json").write_text(json.dumps(document))


ALTERATIONS = {
    "a bit of the root": flip("checkpoint", 40),
    "the origin": in_text("checkpoint", "cohortlink", "cohortlinc"),
    "a bit of a full tile": flip("tile/0/001", 40),
    "a bit of the tile above": flip("tile/1/000.p/2", 40),
    "an entry": in_text("tile/entries/000", "An organization", "An Organization"),
    "two proofs exchanged": swap_proofs,
    "a proof cut short": shorten_proof,
}


def test_go_verifies_our_checkpoints_tiles_entries_and_proofs_and_refuses_altered_ones(
    program: Path, served: Path, tmp_path: Path
) -> None:
    code, said = verify(program, served)
    assert code == 0, said
    assert "7 proofs" in said
    for name, alter in ALTERATIONS.items():
        folder = tmp_path / "altered"
        shutil.copytree(served, folder)
        alter(folder)
        assert verify(program, folder)[0] == 1, name
        shutil.rmtree(folder)


def test_tiles_that_the_log_does_not_have_are_not_served_and_entries_only_to_auditors(
    sqlite_world: World,
) -> None:
    size = int(sqlite_world.client.get("/v1/log/checkpoint").text.split("\n")[1])
    for path in (f"0/000.p/{size + 9}", "0/000", "0/001", "1/000.p/1", "entries/000", "0/0", "9/../0/000"):
        assert sqlite_world.auditor.get(f"/log/tile/{path}").status_code == 404, path
    assert sqlite_world.client.get(f"/v1/log/tile/0/000.p/{size}").status_code == 200
    assert sqlite_world.client.get(f"/v1/log/tile/entries/000.p/{size}").status_code == 401
    assert sqlite_world.education.get(f"/log/tile/entries/000.p/{size}").status_code == 403


def test_hashes_of_entries_without_salt_are_not_public(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = sqlite_world
    monkeypatch.setattr("app.flows.seal_log.Entry", lambda *fields: Entry(*fields[:-1]))
    with world.service.store.transaction("old entries") as tx:
        for number in range(256):
            body = {"organization": f"old-{number}", "name": "n"}
            append(tx, "organization.created", None, SERVICE, body, world.service.now())
    monkeypatch.undo()
    with world.service.store.transaction("new entries") as tx:
        for number in range(256):
            body = {"organization": f"new-{number}", "name": "n"}
            append(tx, "organization.created", None, SERVICE, body, world.service.now())
    seal(world.service)
    assert world.client.get("/v1/log/tile/0/000").status_code == 200, "it begins with a salted entry"
    assert world.client.get("/v1/log/tile/0/001").json()["code"] == "TILE_UNSALTED"
    assert world.client.get("/v1/log/tile/1/000.p/2").status_code == 200
