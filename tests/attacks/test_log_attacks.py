"""The operator as adversary: whatever is done to the stored log is found, and the first wrong entry named.

She holds the database and the signing key. What she does not hold is what others remember: an auditor's copy,
a checkpoint, a witness's state, a receipt.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.errors import ServiceError
from app.flows import log_memory, seal_log
from app.flows.check_log import check_log
from app.main import create_app
from app.settings import Settings
from crypto.agency.receipt import check_receipt
from crypto.agency.witness import witness_once
from crypto.errors import CohortlinkError, LogError
from crypto.log.checkpoint import Checkpoint, open_note
from crypto.log.cosignature import witness_name, witness_vkey
from crypto.log.tree import Frontier, leaf_hash
from crypto.log.verify import Anchor, LogCopy, VerificationReport, verify_copy
from crypto.signatures import SigningKey
from tests.world import AUDITOR, Clock, Member, World, make_package


@dataclass
class Copy:
    """What an auditor took home."""

    note: str
    leaves: list[bytes]
    key: str

    def anchor(self) -> Anchor:
        return Anchor("the remembered checkpoint", self.note, [leaf_hash(leaf) for leaf in self.leaves])


class Line:
    """A witness's connection to the service in this process."""

    def __init__(self, member: Member) -> None:
        self._member = member

    def call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        response = self._member.call(method, f"/{path}", **arguments)
        if response.is_error:
            raise CohortlinkError(response.json()["code"], response.json()["detail"])
        return response


@pytest.fixture
def world(sqlite_world: World) -> World:
    """An agreement in force and an accepted batch: some twenty entries."""
    sqlite_world.agree()
    assert sqlite_world.submit(sqlite_world.education, make_package(count=8)).status_code == 200
    sqlite_world.auditor.get("/log/entries")
    return sqlite_world


def take_copy(world: World) -> Copy:
    note = world.client.get("/v1/log/checkpoint").text
    key = world.client.get("/v1/log/key").text.strip()
    size = open_note(note, [key]).size
    return Copy(note, world.auditor.get(f"/log/entries?end={size}").content.splitlines(), key)


def verify(copy: Copy, remembered: Copy | None = None) -> VerificationReport:
    earlier = [remembered.anchor()] if remembered else []
    return verify_copy(LogCopy(Anchor("the checkpoint", copy.note), iter(copy.leaves), copy.key, earlier))


def sql(world: World, *statements: tuple[str, tuple[Any, ...]]) -> None:
    """Edit the database by hand, past the program."""
    with sqlite3.connect(world.settings.data / "cohortlink.db") as connection:
        for statement, values in statements:
            connection.execute(statement, values)
    connection.close()


def witness(world: World, state: Path, key: SigningKey | None = None) -> dict[str, Any]:
    line: Any = Line(world.auditor)
    return witness_once(line, key or world.auditor.key, state, now=lambda: 1_800_000_000)


def forge(leaf: bytes) -> bytes:
    """The same entry with another actor."""
    document = json.loads(leaf)
    document["actor"] = "operator" if document["actor"] != "operator" else "auditor"
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


PLACE = 7


def change(leaves: list[bytes]) -> list[tuple[str, tuple[Any, ...]]]:
    return [('UPDATE log_entries SET leaf = ? WHERE "index" = ?', (forge(leaves[PLACE]), PLACE))]


def change_with_its_hash(leaves: list[bytes]) -> list[tuple[str, tuple[Any, ...]]]:
    leaf = forge(leaves[PLACE])
    return [
        ('UPDATE log_entries SET leaf = ?, leaf_hash = ? WHERE "index" = ?', (leaf, leaf_hash(leaf), PLACE))
    ]


def drop(leaves: list[bytes]) -> list[tuple[str, tuple[Any, ...]]]:
    return [('DELETE FROM log_entries WHERE "index" = ?', (PLACE,))]


def drop_and_close_the_gap(leaves: list[bytes]) -> list[tuple[str, tuple[Any, ...]]]:
    moved = [
        ('UPDATE log_entries SET "index" = ? WHERE "index" = ?', (index - 1, index))
        for index in range(PLACE + 1, len(leaves))
    ]
    return [*drop(leaves), *moved]


def swap(leaves: list[bytes]) -> list[tuple[str, tuple[Any, ...]]]:
    return [
        ('UPDATE log_entries SET "index" = ? WHERE "index" = ?', pair)
        for pair in ((-1, PLACE), (PLACE, PLACE + 2), (PLACE + 2, -1))
    ]


def duplicate(leaves: list[bytes]) -> list[tuple[str, tuple[Any, ...]]]:
    return [
        (
            'UPDATE log_entries SET leaf = ?, leaf_hash = ? WHERE "index" = ?',
            (leaves[PLACE - 1], leaf_hash(leaves[PLACE - 1]), PLACE),
        )
    ]


def truncate(leaves: list[bytes]) -> list[tuple[str, tuple[Any, ...]]]:
    return [('DELETE FROM log_entries WHERE "index" >= ?', (PLACE,))]


Edit = Callable[[list[bytes]], list[tuple[str, tuple[Any, ...]]]]


@pytest.mark.parametrize(
    "edit", [change, change_with_its_hash, drop, drop_and_close_the_gap, swap, duplicate, truncate]
)
def test_an_edit_by_hand_is_found_by_operator_and_auditor_and_the_first_wrong_entry_named(
    world: World, edit: Edit
) -> None:
    before = take_copy(world)
    assert check_log(world.service).ok
    sql(world, *edit(before.leaves))
    own = check_log(world.service)
    assert (own.ok, own.first_wrong_entry) == (False, PLACE)
    assert any(f"entry {PLACE}" in check.detail for check in own.checks if not check.ok)
    after = Copy(before.note, stored_leaves(world), before.key)
    report = verify(after, before)
    assert (report.ok, report.first_wrong_entry) == (False, PLACE)


def stored_leaves(world: World) -> list[bytes]:
    with sqlite3.connect(world.settings.data / "cohortlink.db") as connection:
        rows = connection.execute('SELECT leaf FROM log_entries ORDER BY "index"').fetchall()
    connection.close()
    return [bytes(row[0]) for row in rows]


def rewrite(world: World, place: int) -> None:
    """Rewrite history consistently: entry, hashes, head and every checkpoint, signed with the right key."""
    leaves = stored_leaves(world)
    leaves[place] = forge(leaves[place])
    hashes = [leaf_hash(leaf) for leaf in leaves]
    head = Frontier().extend(hashes)
    origin, key = world.settings.log_origin, world.service.log_key
    edits: list[tuple[str, tuple[Any, ...]]] = [
        (
            'UPDATE log_entries SET leaf = ?, leaf_hash = ? WHERE "index" = ?',
            (leaves[place], hashes[place], place),
        ),
        ("UPDATE log_head SET frontier = ?", (b"".join(head.nodes),)),
    ]
    for size in range(place + 1, len(leaves) + 1):
        top = Frontier().extend(hashes[:size]).root()
        note = Checkpoint(origin, size, top).sign(key, origin)
        edits.append(("UPDATE checkpoints SET root = ?, note = ? WHERE size = ?", (top, note, size)))
    sql(world, *edits)


def test_a_history_rewritten_with_the_right_key_is_caught_by_whoever_remembers(
    world: World, tmp_path: Path
) -> None:
    before = take_copy(world)
    witness(world, tmp_path / "state")
    rewrite(world, PLACE)
    # The forgery itself is without a flaw, so that only memory tells.
    after = take_copy(world)
    forged = verify(after)
    assert all(check.ok for check in forged.checks if not check.name.startswith("rule "))
    # An auditor with a copy, or with the checkpoint alone.
    report = verify(after, before)
    assert (report.ok, report.first_wrong_entry) == (False, PLACE)
    # The witness, who keeps both signed checkpoints as evidence.
    with pytest.raises(LogError, match="LOG_REWRITTEN"):
        witness(world, tmp_path / "state")
    evidence = (tmp_path / "state.refused-1").read_text()
    assert open_note(evidence, [before.key]).size >= open_note(before.note, [before.key]).size
    # The node that signed the first history, at its next start.
    with pytest.raises(ServiceError, match="LOG_REWRITTEN"):
        create_app(world.settings, clock=world.clock)
    own = check_log(world.service)
    assert not own.ok
    assert any("remembered" in check.name for check in own.checks if not check.ok)


def test_two_readers_who_are_shown_different_histories_find_out_when_they_compare(world: World) -> None:
    one = take_copy(world)
    rewrite(world, len(one.leaves) - 1)
    other = take_copy(world)
    other = Copy(other.note, other.leaves[: len(one.leaves)], other.key)
    with sqlite3.connect(world.settings.data / "cohortlink.db") as connection:
        note = connection.execute(
            "SELECT note FROM checkpoints WHERE size = ?", (len(one.leaves),)
        ).fetchone()
    connection.close()
    other.note = note[0]
    assert all(c.ok for c in verify(other).checks if not c.name.startswith("rule "))
    report = verify(other, one)
    assert (report.ok, report.first_wrong_entry) == (False, len(one.leaves) - 1)


def test_a_receipt_of_another_log_or_without_its_entry_is_refused(world: World) -> None:
    batch = world.education.get("/agreements/cincinnati-nky/batches").json()
    listed = batch["batches"] if isinstance(batch, dict) else batch
    receipt = world.education.get(f"/batches/{listed[0]['id']}").json()["receipt"]
    key = world.client.get("/v1/log/key").text.strip()
    assert check_receipt(receipt, key, None)["log_index"] == receipt["proof"]["index"]
    # A log of the same key under another name signs the same receipt: the checkpoint tells them apart.
    size, root = receipt["proof"]["size"], open_note(receipt["checkpoint"], [key]).root
    elsewhere = Checkpoint("other.example/log", size, root).sign(world.service.log_key, "other.example/log")
    with pytest.raises(LogError, match="RECEIPT_OTHER_LOG"):
        check_receipt(receipt | {"checkpoint": elsewhere}, key, None)
    origin = world.settings.log_origin
    fork = Checkpoint(origin, size, bytes(32)).sign(world.service.log_key, origin)
    with pytest.raises(LogError, match="RECEIPT_NOT_LOGGED"):
        check_receipt(receipt | {"checkpoint": fork}, key, None)
    moved = receipt["proof"] | {"index": receipt["proof"]["index"] - 1}
    with pytest.raises(LogError, match="RECEIPT_NOT_LOGGED"):
        check_receipt(receipt | {"proof": moved}, key, None)
    stranger = SigningKey.generate()
    with pytest.raises(LogError, match="RECEIPT_UNWITNESSED"):
        check_receipt(
            receipt, key, None, [witness_vkey(witness_name(origin, stranger.public), stranger.public)]
        )


def test_a_database_set_back_to_yesterday_is_found_at_start(world: World, tmp_path: Path) -> None:
    backup = tmp_path / "yesterday.db"
    _backup(world.settings.data / "cohortlink.db", backup)
    size = len(take_copy(world).leaves)
    assert world.submit(world.workforce, make_package(kind="wage", count=8)).status_code == 200
    _backup(backup, world.settings.data / "cohortlink.db")
    with pytest.raises(ServiceError, match=f"LOG_ROLLED_BACK: Entry {size} is missing"):
        create_app(world.settings, clock=world.clock)
    own = check_log(world.service)
    assert (own.ok, own.first_wrong_entry) == (False, size)


def test_a_backup_that_took_the_memory_along_is_found_by_the_witness_and_then_at_start(
    world: World, tmp_path: Path
) -> None:
    database, seen = world.settings.data / "cohortlink.db", world.settings.keys / log_memory.NAME
    _backup(database, tmp_path / "yesterday.db")
    shutil.copy(seen, tmp_path / "seen")
    size = len(take_copy(world).leaves)
    assert world.submit(world.workforce, make_package(kind="wage", count=8)).status_code == 200
    cosigned = witness(world, tmp_path / "state")["checkpoint"]
    _backup(tmp_path / "yesterday.db", database)
    shutil.copy(tmp_path / "seen", seen)
    with pytest.raises(LogError, match=f"LOG_ROLLED_BACK: entry {size} is missing"):
        witness(world, tmp_path / "state")
    # Told what the witness has seen, the service signs nothing any more.
    answer = world.client.post("/v1/log/cosignatures", json={"checkpoint": cosigned})
    assert (answer.status_code, answer.json()["code"]) == (409, "LOG_FORKED")
    with pytest.raises(ServiceError, match="LOG_ROLLED_BACK"):
        create_app(world.settings, clock=world.clock)


def _backup(source: Path, target: Path) -> None:
    with sqlite3.connect(source) as old, sqlite3.connect(target) as new:
        old.backup(new)
    old.close()
    new.close()


@pytest.mark.parametrize("place", ["remember", "add_checkpoint", "commit"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_death_anywhere_in_sealing_leaves_a_log_that_goes_on(
    sqlite_settings: Settings, clock: Clock, monkeypatch: pytest.MonkeyPatch, place: str, after: bool
) -> None:
    with World(sqlite_settings, clock) as world:
        before = take_copy(world)
        owner: Any = {"remember": log_memory, "add_checkpoint": seal_log.log}.get(place)
        with monkeypatch.context() as patch:
            if owner is None:
                _die_at_commit(patch, world, after=after)
            else:
                _die(patch, owner, place, after=after)
            answer = world.operator.post("/organizations", {"id": "late", "name": "Late"})
            assert answer.status_code == 500
        again = create_app(sqlite_settings, clock=clock).state.service
        assert check_log(again).ok
        again.close()
        now = take_copy(world)
        assert verify(now, before).ok
        assert b'"late"' in now.leaves[len(before.leaves) + 1] or b'"late"' in now.leaves[len(before.leaves)]


def _die(patch: pytest.MonkeyPatch, owner: Any, name: str, *, after: bool) -> None:
    real = getattr(owner, name)

    def dying(*arguments: Any, **named: Any) -> Any:
        if after:
            real(*arguments, **named)
        raise RuntimeError("the power goes")

    patch.setattr(owner, name, dying)


def _die_at_commit(patch: pytest.MonkeyPatch, world: World, *, after: bool) -> None:
    """Die around the commit of the seal, not of what is sealed."""
    real = type(world.service.store).transaction
    from contextlib import contextmanager

    @contextmanager
    def dying(store: Any, name: str = "unnamed") -> Any:
        if name != "seal the log":
            with real(store, name) as tx:
                yield tx
            return
        with real(store, name) as tx:
            yield tx
            if not after:
                raise RuntimeError("the power goes")
        raise RuntimeError("the power goes")

    patch.setattr(type(world.service.store), "transaction", dying)


def test_only_registered_keys_cosign_and_a_cosignature_shows_on_the_checkpoint(
    world: World, tmp_path: Path
) -> None:
    answer = world.client.get("/v1/log/checkpoint/witnessed")
    assert answer.json()["code"] == "LOG_UNWITNESSED"
    with pytest.raises(CohortlinkError, match="WITNESS_UNKNOWN"):
        witness(world, tmp_path / "stranger", SigningKey.generate())
    told = witness(world, tmp_path / "state")
    copy = take_copy(world)
    witnessed = world.client.get("/v1/log/checkpoint/witnessed").text
    assert told["checkpoint"] == witnessed
    report = verify_copy(
        LogCopy(Anchor("the checkpoint", witnessed), copy.leaves[: told["size"]], copy.key),
        witnesses=[told["vkey"]],
    )
    assert report.ok
    assert witness(world, tmp_path / "state")["size"] >= told["size"], "again and again"
    listed = world.operator.get(f"/organizations/{AUDITOR}").json()["credentials"]
    key = next(item["id"] for item in listed if item["kind"] == "ed25519")
    assert world.operator.call("DELETE", f"/organizations/{AUDITOR}/credentials/{key}").status_code == 204
    with pytest.raises(CohortlinkError, match="WITNESS_UNKNOWN"):
        witness(world, tmp_path / "state")


def test_a_witness_does_not_start_anew_from_a_damaged_state(world: World, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("{}")
    with pytest.raises(LogError, match="WITNESS_STATE"):
        witness(world, tmp_path / "state")
