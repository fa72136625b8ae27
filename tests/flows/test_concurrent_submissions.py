"""Many at once, on both databases: nothing locks up, nothing is done twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.world import World, make_package

MANY = 16


def test_one_manifest_begun_by_many_at_once_is_one_batch(world: World) -> None:
    world.agree()
    package = make_package()
    with ThreadPoolExecutor(MANY) as pool:
        answers = list(pool.map(lambda _: world.begin(world.education, package), range(MANY)))
    assert sorted(answer.status_code for answer in answers) == [200] * (MANY - 1) + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_one_batch_completed_by_many_at_once_has_one_receipt_and_one_entry(world: World) -> None:
    world.agree()
    batch = world.upload(world.education, make_package())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: world.education.post(f"/batches/{batch}/completion"), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["receipt"]["signature"]["value"] for answer in answers}) == 1
    assert world.auditor.get("/log/entries").text.count('"kind":"batch.accepted"') == 1


def test_one_part_sent_by_many_at_once_is_there_once(world: World) -> None:
    world.agree()
    package = make_package()
    batch = world.begin(world.education, package).json()
    name = batch["files"][0]["name"]
    data = package.files[name][: batch["part_size"]]
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: world.put_part(world.education, batch["id"], name, 0, data), range(8))
        )
    assert {answer.status_code for answer in answers} == {204}
    assert len(world.service.store.blobs.list("encodings")) == 1


def test_many_submitters_at_once_are_all_accepted(world: World) -> None:
    world.agree()
    packages = [make_package(count=8, seed=number + 10) for number in range(MANY)]
    with ThreadPoolExecutor(MANY) as pool:
        answers = list(pool.map(lambda package: world.submit(world.education, package), packages))
    assert [answer.json().get("state") for answer in answers] == ["ACCEPTED"] * MANY
    assert world.auditor.get("/log/entries").text.count('"kind":"batch.accepted"') == MANY
    assert world.client.get("/readyz").status_code == 200
