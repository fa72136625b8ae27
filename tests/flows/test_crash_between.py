"""Whatever fails in the middle of a flow, before or after it took effect: old state or new, never between."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from app.flows import submit_batch
from app.flows.receive_parts import receive_part
from app.store import Store, batches, datakeys, log
from app.store.blobs import Blobs
from tests.world import World, make_package


def settled(world: World, batch: str) -> dict[str, Any]:
    """The batch, after checking that state, keys, parts, blobs, receipt and log say the same."""
    found: dict[str, Any] = world.education.get(f"/batches/{batch}").json()
    with world.service.store.reading() as tx:
        paths = {part.path for part in batches.parts(tx, batch)}
        keys = datakeys.count(tx)
        accepted = sum(entry.kind == "batch.accepted" for entry in log.entries(tx, 0, log.size(tx)))
    assert paths <= set(world.service.store.blobs.list("")), "a row names a blob that is not there"
    assert ("receipt" in found) == (found["state"] == "ACCEPTED") == bool(accepted)
    assert accepted <= 1
    assert (keys > 0) == (found["state"] in ("UPLOADING", "ACCEPTED"))
    return found


def failing(original: Callable[..., Any], *, after: bool) -> Callable[..., Any]:
    """The original, failing once, before or after it took effect."""
    calls = 0

    def call(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 1:
            return original(*arguments, **named)
        if after:
            original(*arguments, **named)
        raise OSError("the disk is full")

    return call


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("place", ["append", "in_force", "seal", "describe", "verify_manifest"])
def test_completion_that_fails_anywhere_is_repeated_to_one_acceptance(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch, place: str, after: bool
) -> None:
    world = sqlite_world
    world.agree()
    batch = world.upload(world.education, make_package())
    monkeypatch.setattr(submit_batch, place, failing(getattr(submit_batch, place), after=after))
    answer = world.education.post(f"/batches/{batch}/completion")
    assert answer.status_code == 500
    state = settled(world, batch)["state"]
    assert state == ("ACCEPTED" if place == "seal" else "UPLOADING")
    assert world.education.post(f"/batches/{batch}/completion").json()["state"] == "ACCEPTED"
    settled(world, batch)
    assert world.auditor.get("/log/entries").text.count("batch.accepted") == 1, "it is sealed as well"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_part_whose_write_fails_is_sent_again(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    world = sqlite_world
    world.agree()
    package = make_package()
    batch = world.begin(world.education, package).json()
    put = failing(Blobs.put, after=after)
    monkeypatch.setattr(Blobs, "put", lambda self, path, chunks: put(self, path, chunks))
    name = batch["files"][0]["name"]
    data = package.files[name][: batch["part_size"]]
    assert world.put_part(world.education, batch["id"], name, 0, data).status_code == 500
    settled(world, batch["id"])
    assert world.submit(world.education, package).json()["state"] == "ACCEPTED"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_part_whose_row_fails_is_sent_again(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    world = sqlite_world
    world.agree()
    package = make_package()
    batch = world.begin(world.education, package).json()
    monkeypatch.setattr(batches, "put_part", failing(batches.put_part, after=after))
    name = batch["files"][0]["name"]
    data = package.files[name][: batch["part_size"]]
    assert world.put_part(world.education, batch["id"], name, 0, data).status_code == 500
    settled(world, batch["id"])
    assert world.submit(world.education, package).json()["state"] == "ACCEPTED"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_rejection_whose_clean_up_fails_is_still_a_rejection(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    world = sqlite_world
    world.agree()
    package = make_package()
    package.files["encodings.parquet"] = package.files["encodings.parquet"][:-1] + b"!"
    batch = world.upload(world.education, package)
    delete = failing(Blobs.delete, after=after)
    monkeypatch.setattr(Blobs, "delete", lambda self, paths: delete(self, paths))
    assert world.education.post(f"/batches/{batch}/completion").status_code == 500
    assert settled(world, batch)["state"] == "REJECTED"
    assert world.education.post(f"/batches/{batch}/completion").json()["code"] == "DIGEST_MISMATCH"


def test_a_commit_that_was_lost_on_the_way_back_is_found_by_asking_again(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = sqlite_world
    world.agree()
    batch = world.upload(world.education, make_package())
    original = Store.transaction
    lost: list[str] = []

    class Lost:
        """Commits, and then says that the connection broke."""

        def __init__(self, inner: Any, name: str) -> None:
            self.inner, self.name = inner, name

        def __enter__(self) -> Any:
            return self.inner.__enter__()

        def __exit__(self, *arguments: Any) -> Any:
            result = self.inner.__exit__(*arguments)
            if self.name == "accept batch" and not lost:
                lost.append(self.name)
                raise ConnectionResetError
            return result

    monkeypatch.setattr(Store, "transaction", lambda self, name="": Lost(original(self, name), name))
    assert world.education.post(f"/batches/{batch}/completion").status_code == 500
    receipt = settled(world, batch)["receipt"]
    again = world.education.post(f"/batches/{batch}/completion").json()["receipt"]
    # The proof that stands beside a receipt may be by a later checkpoint; what was signed is the same.
    assert (again["document"], again["signature"]) == (receipt["document"], receipt["signature"])


def test_a_sender_that_breaks_off_leaves_nothing_of_the_part(sqlite_world: World) -> None:
    world = sqlite_world
    world.agree()
    package = make_package()
    batch = world.begin(world.education, package).json()
    name = batch["files"][0]["name"]
    data = package.files[name][: batch["part_size"]]

    def broken() -> Iterable[bytes]:
        yield data[:1000]
        raise ConnectionResetError

    caller = submit_batch.Caller("oh-education", submit_batch.Role.AGENCY, "test")
    digest = "sha-256=:" + "A" * 43 + "=:"
    with pytest.raises(ConnectionResetError):
        receive_part(world.service, caller, batch["id"], name, 0, digest, broken())
    assert world.service.store.blobs.list("encodings") == []
    settled(world, batch["id"])


def test_a_part_that_replaces_another_and_fails_to_commit_keeps_the_one_before(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = sqlite_world
    world.agree()
    package = make_package()
    batch = world.begin(world.education, package).json()
    name = batch["files"][0]["name"]
    data = package.files[name][: batch["part_size"]]
    assert world.put_part(world.education, batch["id"], name, 0, data).status_code == 204
    monkeypatch.setattr(batches, "put_part", failing(batches.put_part, after=True))
    other = bytes(len(data))
    assert world.put_part(world.education, batch["id"], name, 0, other).status_code == 500
    settled(world, batch["id"])
    assert world.put_part(world.education, batch["id"], name, 0, other).status_code == 204
    assert world.submit(world.education, package).json()["state"] == "ACCEPTED"
    settled(world, batch["id"])
