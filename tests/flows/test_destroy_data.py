"""Destruction: asked for by one, executed by another, certified; nothing can be decrypted afterwards."""

from __future__ import annotations

import pytest

from app.store import batches, datakeys
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
