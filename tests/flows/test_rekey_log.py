"""The log's key is replaced in the open: whoever knows the old one can follow, and follows nobody else."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from app.errors import ServiceError
from app.flows import log_keys, rekey_log, seal_log
from app.flows.check_log import check_log
from app.flows.service import open_service
from crypto.agency.receipt import check_receipt
from crypto.agency.witness import witness_once
from crypto.errors import LogError
from crypto.log.checkpoint import Checkpoint, open_note, vkey
from crypto.log.entry import Entry
from crypto.log.keychain import Change, Keychain, change_key
from crypto.log.rules import Rules
from crypto.log.verify import Anchor, LogCopy, VerificationReport, verify_copy
from crypto.signatures import SigningKey
from tests.attacks.test_log_attacks import Line
from tests.world import World, make_package


def key_of(world: World) -> str:
    return world.client.get("/v1/log/key").text.strip()


def verify(world: World, trusted: str, **changes: Any) -> VerificationReport:
    note = world.client.get("/v1/log/checkpoint").text
    keys = world.client.get("/v1/log/keys").text
    size = int(note.split("\n")[1])
    leaves = world.auditor.get(f"/log/entries?end={size}").content.splitlines()
    copy = LogCopy(Anchor("the checkpoint", note), leaves, key_of(world), keys=keys)
    return verify_copy(dataclasses.replace(copy, **changes), key=trusted)


def failed(report: VerificationReport) -> list[str]:
    return [check.name for check in report.checks if not check.ok]


def test_a_new_key_is_followed_from_the_old_one_by_everybody(world: World, tmp_path: Path) -> None:
    world.agree()
    receipt = world.submit(world.education, make_package()).json()["receipt"]
    line: Any = Line(world.auditor)
    witness_once(line, world.auditor.key, tmp_path / "state")
    old, before = key_of(world), world.client.get("/v1/log/checkpoint").text
    done = rekey_log.rekey_log(world.service)
    new = key_of(world)
    assert (done["old"], done["new"]) == (old, new)
    assert old != new
    # The first checkpoint over the entry is signed by both: no reader is left behind.
    first = world.client.get("/v1/log/checkpoint").text
    assert open_note(first, [old]).size == open_note(first, [new]).size == int(str(done["index"])) + 1
    later = world.submit(world.workforce, make_package(kind="wage", seed=2)).json()["receipt"]
    note = world.client.get("/v1/log/checkpoint").text
    with pytest.raises(LogError, match="NOTE_UNSIGNED"):
        open_note(note, [old])
    for trusted in (old, new):
        report = verify(world, trusted, earlier=[Anchor("of before", before), Anchor("of both", first)])
        assert report.ok, failed(report)
    assert check_receipt(receipt, old, None)["log_index"] < check_receipt(later, new, None)["log_index"]
    assert check_receipt(receipt, f"{old}\n{new}", None)
    assert witness_once(line, world.auditor.key, tmp_path / "state")["size"] > done["index"]
    assert json.loads((tmp_path / "state").read_text())["key"] == new
    assert check_log(world.service).ok
    again = rekey_log.rekey_log(world.service)
    assert again["old"] == new
    assert verify(world, old).ok
    other = open_service(world.settings)
    assert check_log(other).ok, "also after a restart, with both keys gone"
    other.close()


def test_a_swap_of_the_key_without_the_old_ones_word_is_refused(sqlite_world: World) -> None:
    world = sqlite_world
    old, erased = key_of(world), world.service.log_key
    rekey_log.rekey_log(world.service)
    new, origin = key_of(world), world.settings.log_origin
    thief = SigningKey.generate()
    stolen = vkey(origin, thief.public)
    # Another key, bare; a chain of the thief's own making; the honest chain with another end.
    assert failed(verify(world, old, key=stolen, keys=None)) == ["key"]
    own = change_key(3, origin, thief, SigningKey.generate().public)
    assert failed(verify(world, old, key=own.new, keys=Keychain(own.old, [own]).to_text())) == ["key"]
    chain = log_keys.log_keys(world.service)
    forged = Change(chain.changes[0].index, old, stolen, thief.sign("log-key", {"old": old}))
    with pytest.raises(LogError, match="KEY_CHANGE_INVALID"):
        Keychain(old, [forged])
    # A key that whoever stole the old key named, but that no entry does.
    hidden = change_key(5, origin, erased, thief.public)
    text = Keychain(old, [hidden]).to_text()
    report = verify(world, old, key=stolen, keys=text)
    assert "signature of the checkpoint" in failed(report)
    report = verify(world, new, keys=Keychain(new).to_text())
    assert failed(report) == ["log keys"]
    assert report.first_wrong_entry == chain.changes[0].index
    assert f"entry {chain.changes[0].index}" in next(c.detail for c in report.checks if not c.ok)


def test_a_checkpoint_by_a_retired_key_is_refused_beyond_its_time(sqlite_world: World) -> None:
    world = sqlite_world
    old, erased = key_of(world), world.service.log_key
    rekey_log.rekey_log(world.service)
    world.operator.post("/organizations", {"id": "later", "name": "Later"})
    note = world.client.get("/v1/log/checkpoint").text
    body = note.partition("\n\n")[0]
    forged = Checkpoint.parse_body(body + "\n").sign(erased, world.settings.log_origin)
    report = verify(world, old, checkpoint=Anchor("the checkpoint", forged))
    assert failed(report) == ["signature of the checkpoint"]


def test_whoever_has_a_retired_key_cannot_make_the_log_stop(sqlite_world: World) -> None:
    world = sqlite_world
    erased, origin = world.service.log_key, world.settings.log_origin
    rekey_log.rekey_log(world.service)
    fake = Checkpoint(origin, 10_000, bytes(32)).sign(erased, origin)
    answer = world.client.post("/v1/log/cosignatures", json={"checkpoint": fake})
    assert (answer.status_code, answer.json()["code"]) == (422, "CHECKPOINT_INVALID")
    assert world.operator.post("/organizations", {"id": "later", "name": "Later"}).status_code == 201


@pytest.mark.parametrize("place", ["make_next", "append", "seal", "promote"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_rotation_that_dies_anywhere_is_finished_or_forgotten(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch, place: str, after: bool
) -> None:
    world = sqlite_world
    old = key_of(world)
    owner: Any = {"make_next": log_keys, "promote": log_keys}.get(place, rekey_log)
    original, calls = getattr(owner, place), []

    def dying(*arguments: Any, **named: Any) -> Any:
        calls.append(place)
        # The first seal and promotion are of before.
        if place in ("seal", "promote") and len(calls) == 1:
            return original(*arguments, **named)
        if after:
            original(*arguments, **named)
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(owner, place, dying)
        with pytest.raises(OSError, match="killed"):
            rekey_log.rekey_log(world.service)
    again = open_service(world.settings)
    seal_log.seal(again)
    assert check_log(again).ok
    assert verify(world, old).ok
    rekey_log.rekey_log(again)
    assert verify(world, old).ok
    assert not (world.settings.keys / log_keys.NEXT).exists()
    again.close()


def test_a_node_without_the_new_key_signs_nothing(sqlite_world: World) -> None:
    world = sqlite_world
    kept = world.settings.log_key.read_bytes()
    rekey_log.rekey_log(world.service)
    world.settings.log_key.unlink()
    world.settings.log_key.write_bytes(kept)
    world.settings.log_key.chmod(0o600)
    answer = world.operator.post("/organizations", {"id": "later", "name": "Later"})
    assert answer.status_code == 500
    with pytest.raises(ServiceError, match="LOG_KEY_OTHER"):
        seal_log.seal(world.service)


def test_rules_name_an_entry_that_changes_the_key_without_the_old_ones_word() -> None:
    old, new, third = (SigningKey.generate() for _ in range(3))

    def broken(*changes: Change) -> dict[str, tuple[int, str]]:
        rules = Rules()
        for change in changes:
            at = "2026-11-22T09:00:00Z"
            rules.feed(Entry(change.index, "log.rekeyed", at, "service", None, change.body(), "0" * 32))
        return rules.broken

    first = change_key(0, "log", old, new.public)
    assert broken(first, change_key(1, "log", new, third.public)) == {}
    assert broken(first, change_key(1, "log", old, third.public))["keys"][0] == 1
    assert broken(dataclasses.replace(first, index=4))["keys"][0] == 4
    assert broken(dataclasses.replace(first, new=vkey("log", third.public)))["keys"][0] == 0
