"""Destruction: asked for by one, executed by another, certified; nothing can be decrypted afterwards."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.flows import destroy_data
from app.flows.service import open_service
from app.settings import Settings
from app.store import batches, datakeys
from app.store.keystore import PLANES
from crypto.errors import EnvelopeError
from crypto.log.checkpoint import parse_vkey
from tests.world import World, make_package

ID = "cincinnati-nky"


def revoked_with_data(world: World) -> str:
    world.agree()
    batch = str(world.submit(world.education, make_package()).json()["id"])
    body = world.workforce.state(ID, "agreement-revocation")
    world.workforce.post(f"/agreements/{ID}/revocations", body)
    return batch


def test_destruction_needs_a_witness_and_leaves_a_signed_certificate(world: World) -> None:
    batch = revoked_with_data(world)
    with world.service.store.reading() as tx:
        kept = [part.path for part in batches.parts(tx, batch, "encodings.parquet")]
    old_blobs = {path: b"".join(world.service.store.blobs.get(path)) for path in kept}
    plane = world.service.plane("encodings")

    due = world.workforce.post(f"/agreements/{ID}/destruction")
    assert (due.status_code, due.json()["state"]) == (202, "DESTRUCTION_DUE")
    alone = world.workforce.post(f"/agreements/{ID}/destruction")
    assert (alone.status_code, alone.json()["code"]) == (409, "WITNESS_NEEDED")
    assert world.education.get(f"/agreements/{ID}/certificate").status_code == 404

    done = world.operator.post(f"/agreements/{ID}/destruction")
    assert (done.status_code, done.json()["state"]) == (202, "DESTROYED")
    certificate = world.education.get(f"/agreements/{ID}/certificate").json()
    _, key = parse_vkey(world.client.get("/v1/log/key").text)
    key.verify("certificate", certificate["document"], certificate["signature"])
    document = certificate["document"]
    assert (document["requested_by"], document["executed_by"]) == ("oh-workforce", "operator")
    assert document["datasets"][0]["batch"] == batch
    assert {item["plane"] for item in document["keys"]} == {"encodings", "facts"}

    assert world.service.store.blobs.list("") == []
    with world.service.store.reading() as tx:
        assert datakeys.count(tx) == 0
    # Blobs from a backup stay shut: their data key is gone.
    for path, data in old_blobs.items():
        world.service.store.blobs.put(path, [data])
        with pytest.raises(KeyError):
            list(plane.read(batch, path))
    assert world.education.get(f"/batches/{batch}").json()["state"] == "DESTROYED"
    assert world.operator.post(f"/agreements/{ID}/destruction").json()["state"] == "DESTROYED"


def test_destruction_of_an_agreement_in_force_is_refused(sqlite_world: World) -> None:
    world = sqlite_world
    world.agree()
    answer = world.operator.post(f"/agreements/{ID}/destruction")
    assert (answer.status_code, answer.json()["code"]) == (409, "AGREEMENT_STATE")


def test_a_recipient_cannot_have_data_destroyed(sqlite_world: World) -> None:
    revoked_with_data(sqlite_world)
    answer = sqlite_world.partnership.post(f"/agreements/{ID}/destruction")
    assert answer.status_code == 403


def keep(world: World, folder: Path) -> Path:
    """A backup of the embedded database, as docs/operations.md makes it, and of the blobs."""
    folder.mkdir()
    with (
        contextlib.closing(sqlite3.connect(world.settings.data / "cohortlink.db")) as live,
        contextlib.closing(sqlite3.connect(folder / "cohortlink.db")) as kept,
    ):
        live.backup(kept)
    shutil.copytree(world.settings.data / "blobs", folder / "blobs")
    return folder


def openable(data: Path, keys: Path, batch: str) -> dict[str, str]:
    """What can be read of the batch from a restored database and blobs, with these keys."""
    shutil.copytree(keys, data / "keys")
    service = open_service(Settings.for_data(data))
    found = {}
    try:
        for plane, name in (("encodings", "encodings.parquet"), ("facts", "facts-completion.parquet")):
            try:
                with service.store.reading() as tx:
                    batches.read_file(tx, service.plane(plane), batch, name)  # type: ignore[arg-type]
                found[plane] = "open"
            except (KeyError, EnvelopeError) as error:
                found[plane] = type(error).__name__
    finally:
        service.close()
        shutil.rmtree(data / "keys")
    return found


def test_a_database_backup_from_before_opens_nothing_with_the_keys_that_live_on(
    sqlite_world: World, tmp_path: Path
) -> None:
    world = sqlite_world
    batch = revoked_with_data(world)
    other = make_package("other-study", seed=5)
    world.agree(id="other-study")
    lasting = str(world.submit(world.education, other).json()["id"])
    backup = keep(world, tmp_path / "backup")
    old_keys = shutil.copytree(world.settings.keys, tmp_path / "old-keys")

    world.workforce.post(f"/agreements/{ID}/destruction")
    assert world.operator.post(f"/agreements/{ID}/destruction").json()["state"] == "DESTROYED"

    shut = {"encodings": "EnvelopeError", "facts": "EnvelopeError"}
    assert openable(backup, world.settings.keys, batch) == shut
    assert openable(backup, world.settings.keys, lasting) == {"encodings": "open", "facts": "open"}
    # The control: it is the erased key, and nothing else, that keeps it shut.
    assert openable(backup, old_keys, batch) == {"encodings": "open", "facts": "open"}
    names = [path.name for path in world.settings.keys.rglob("*") if ID in path.name]
    assert names == [], "nothing of the agreement's keys is left, nor of a writer that was killed"


def test_no_key_that_lives_on_unwraps_a_data_key_of_the_backup(sqlite_world: World, tmp_path: Path) -> None:
    """The adversary holds the backup and every key left, and tries each with each."""
    world = sqlite_world
    batch = revoked_with_data(world)
    world.agree(id="other-study")
    world.submit(world.education, make_package("other-study", seed=5))
    with world.service.store.reading() as tx:
        rows = datakeys.of_agreement(tx, ID)
    world.workforce.post(f"/agreements/{ID}/destruction")
    world.operator.post(f"/agreements/{ID}/destruction")
    left = []
    for plane in PLANES:
        keys = world.service.keys(plane)
        other = keys.agreement("other-study")
        left += [keys.master(), *([other] if other else [])]
    left += [one.combine(two, f"{plane}:{ID}") for one in left for two in left for plane in PLANES]
    assert len(rows) == 2
    for row in rows:
        for ring in left:
            for key_id, key in ring.keys.items():
                aad = b"cohortlink/wrap/1\n" + row.key_id.encode() + f"\n{batch}:{row.plane}".encode()
                with pytest.raises(InvalidTag):
                    AESGCM(key).decrypt(row.wrapped[:12], row.wrapped[12:], aad)
                assert key_id != row.key_id


def test_destruction_that_breaks_off_after_erasing_is_executed_by_a_second_call(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = sqlite_world
    batch = revoked_with_data(world)
    world.workforce.post(f"/agreements/{ID}/destruction")
    with monkeypatch.context() as patch:
        patch.setattr(destroy_data, "append", _broken)
        assert world.operator.post(f"/agreements/{ID}/destruction").status_code == 500
    assert world.operator.get(f"/agreements/{ID}").json()["state"] == "DESTRUCTION_DUE"
    with world.service.store.reading() as tx, pytest.raises(EnvelopeError):
        batches.read_file(tx, world.service.plane("facts"), batch, "facts-completion.parquet")
    assert world.operator.post(f"/agreements/{ID}/destruction").json()["state"] == "DESTROYED"
    document = world.education.get(f"/agreements/{ID}/certificate").json()["document"]
    assert len(document["keys"]) == 2


def test_destruction_of_data_that_the_master_key_alone_opens_asks_for_a_rotation(sqlite_world: World) -> None:
    world = sqlite_world
    batch = revoked_with_data(world)
    with world.service.store.transaction() as tx:
        for row in datakeys.of_agreement(tx, ID):
            row.key_id = world.service.keys(row.plane).master().current  # type: ignore[arg-type]
    world.workforce.post(f"/agreements/{ID}/destruction")
    answer = world.operator.post(f"/agreements/{ID}/destruction")
    assert (answer.status_code, answer.json()["code"]) == (409, "KEYS_TOO_OLD")
    assert world.education.get(f"/batches/{batch}").json()["state"] == "ACCEPTED"


def _broken(*_: object, **__: object) -> None:
    raise OSError("the disk is full")
