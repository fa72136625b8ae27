"""The log as outsiders see it: signed, complete, provable; and sealed again after a crash."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.flows.seal_log import SERVICE, append, seal, verifier_key
from app.flows.service import Service
from app.main import create_app
from app.store import log
from crypto.log.checkpoint import open_note
from crypto.log.proof import verify_consistency, verify_inclusion
from crypto.log.tree import leaf_hash, root
from tests.world import Clock, World


def organization(number: int) -> dict[str, object]:
    return {"organization": f"o{number}", "name": "An organization"}


def add(service: Service, number: int) -> None:
    with service.store.transaction("test entry") as tx:
        append(tx, "organization.created", None, SERVICE, organization(number), service.now())


def test_checkpoint_covers_every_entry_and_every_proof_verifies(world: World) -> None:
    world.agree()
    key = world.client.get("/v1/log/key").text
    checkpoint = open_note(world.client.get("/v1/log/checkpoint").text, [key.strip()])
    leaves = world.auditor.get("/log/entries").content.splitlines()
    hashes = [leaf_hash(leaf) for leaf in leaves]
    assert (checkpoint.size, checkpoint.root) == (len(leaves), root(hashes))
    for index, digest in enumerate(hashes):
        proof = world.education.get(f"/log/proofs/inclusion?index={index}&size={len(leaves)}").json()
        path = [bytes.fromhex(text) for text in proof["hashes"]]
        verify_inclusion(digest, index, len(leaves), path, checkpoint.root)
    for first in range(1, len(leaves) + 1):
        proof = world.education.get(f"/log/proofs/consistency?from={first}&to={len(leaves)}").json()
        path = [bytes.fromhex(text) for text in proof["hashes"]]
        verify_consistency(first, len(leaves), root(hashes[:first]), checkpoint.root, path)


def test_entries_are_for_auditors_and_the_operator(sqlite_world: World) -> None:
    world = sqlite_world
    assert world.auditor.get("/log/entries").status_code == 200
    assert world.operator.get("/log/entries").status_code == 200
    for member in (world.education, world.partnership):
        assert member.get("/log/entries").status_code == 403
    assert world.client.get("/v1/log/entries").status_code == 401
    assert world.client.get("/v1/log/proofs/inclusion?index=0").status_code == 401


def test_entries_are_half_open_and_bounded(sqlite_world: World) -> None:
    world = sqlite_world
    world.auditor.get("/log/entries")  # from here on its reading is on the log
    every = world.auditor.get("/log/entries").content.splitlines()
    assert world.auditor.get("/log/entries?start=1&end=3").content.splitlines() == every[1:3]
    assert world.auditor.get(f"/log/entries?start={len(every)}").content == b""
    answer = world.auditor.get("/log/entries?start=3&end=1")
    assert answer.json()["code"] == "RANGE_INVALID"


@pytest.mark.parametrize(
    "query", ["inclusion?index=99", "inclusion?index=1&size=1", "consistency?from=0", "consistency?from=99"]
)
def test_a_proof_out_of_range_is_refused(sqlite_world: World, query: str) -> None:
    answer = sqlite_world.auditor.get(f"/log/proofs/{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "PROOF_OUT_OF_RANGE")


def test_entries_that_a_crash_left_unsealed_are_sealed_at_the_next_start(world: World, clock: Clock) -> None:
    before = open_note(world.client.get("/v1/log/checkpoint").text, [verifier_key(world.service)])
    add(world.service, 1)  # committed, and then the process dies before it seals
    assert world.client.get("/readyz").status_code == 503
    assert world.auditor.get(f"/log/proofs/inclusion?index={before.size}").status_code == 422
    again = create_app(world.settings, clock=clock).state.service
    after = open_note(world.client.get("/v1/log/checkpoint").text, [verifier_key(again)])
    again.close()
    assert after.size == before.size + 1
    assert world.client.get("/readyz").status_code == 200


def test_a_rolled_back_entry_leaves_no_gap(service: Service) -> None:
    add(service, 0)
    with pytest.raises(RuntimeError):  # noqa: PT012, SIM117 (the block that fails is the matter)
        with service.store.transaction() as tx:
            append(tx, "organization.created", None, SERVICE, organization(1), service.now())
            raise RuntimeError("the power goes")
    add(service, 2)
    note = seal(service)
    assert note is not None
    assert open_note(note, [verifier_key(service)]).size == 2


def test_many_writers_at_once_make_one_log_without_gap_or_fork(service: Service) -> None:
    def write(number: int) -> None:
        add(service, number)
        seal(service)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    with service.store.reading() as tx:
        entries = log.entries(tx, 0, 100)
        newest = log.latest_checkpoint(tx)
    assert [entry.index for entry in entries] == list(range(40))
    assert newest is not None
    assert newest.root == root([leaf_hash(entry.leaf) for entry in entries])


def test_sealing_an_empty_or_sealed_log_signs_nothing(service: Service) -> None:
    assert seal(service) is None
    add(service, 0)
    assert seal(service) == seal(service)
