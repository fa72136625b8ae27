"""Transactions, planes, blobs and keys of the service."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.errors import ServiceError
from app.flows.seal_log import SERVICE, append
from app.flows.service import Service, open_service
from app.settings import Settings
from app.store import KeyStore, Plane, agreements, organizations
from app.store.keystore import PLANES
from crypto.errors import EnvelopeError

BODY = {"organization": "somebody", "name": "Somebody"}


def test_a_transaction_that_raises_leaves_the_old_state(service: Service) -> None:
    with pytest.raises(RuntimeError):  # noqa: PT012, SIM117 (the block that fails is the matter)
        with service.store.transaction() as tx:
            organizations.add(tx, "a", "A", service.now())
            raise RuntimeError
    with service.store.reading() as tx:
        assert organizations.find(tx, "a") is None


def test_what_was_read_stays_readable_after_the_transaction(service: Service) -> None:
    now = service.now()
    with service.store.transaction() as tx:
        made = organizations.add(tx, "a", "A", now)
    with service.store.reading() as tx:
        found = organizations.find(tx, "a")
    assert made.name == "A"
    assert found is not None
    assert (found.name, found.created_at) == ("A", now)


def test_a_reader_does_not_wait_for_a_writer(service: Service) -> None:
    with service.store.transaction() as writing:
        organizations.add(writing, "a", "A", service.now())
        with service.store.reading() as tx:
            assert organizations.find(tx, "a") is None


def test_64_writers_that_read_first_are_serial_and_none_is_refused(service: Service) -> None:
    def step(_: int) -> None:
        with service.store.transaction() as tx:
            append(tx, "organization.created", None, SERVICE, BODY, service.now())

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(step, range(64)))


def plane(service: Service, name: str = "facts") -> Plane:
    made = service.plane(name)  # type: ignore[arg-type]
    with service.store.transaction() as tx:
        if agreements.find(tx, "some-agreement") is None:
            organizations.add(tx, "a", "A", service.now())
            agreements.add(tx, "some-agreement", "a", "DRAFT", service.now())
        made.create_key(tx, "owner", "some-agreement", service.now())
    return made


def test_a_plane_reads_back_what_it_wrote(service: Service) -> None:
    facts = plane(service)
    path = facts.write("owner", "file", [b"abc" * 1000, b"def"])
    assert b"".join(facts.read("owner", path)) == b"abc" * 1000 + b"def"
    assert stat.S_IMODE(service.store.blobs.root.stat().st_mode) == 0o700


def test_one_planes_keyring_does_not_open_another(service: Service) -> None:
    facts = plane(service)
    facts.write("owner", "file", [b"abc"])
    foreign = Plane("facts", service.store, KeyStore(service.settings.keys, "links"))
    with pytest.raises(EnvelopeError):
        foreign.write("owner", "file", [b"abc"])


def test_a_blob_under_another_path_is_refused(service: Service) -> None:
    facts = plane(service)
    path = facts.write("owner", "file", [b"abc"])
    service.store.blobs.put(path + "x", list(service.store.blobs.get(path)))
    with pytest.raises(EnvelopeError):
        list(facts.read("owner", path + "x"))


def test_a_source_that_fails_leaves_no_blob(service: Service) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"x" * 3_000_000
        raise RuntimeError

    with pytest.raises(RuntimeError):
        service.store.blobs.put("a/b", chunks())
    assert service.store.blobs.list("") == []
    assert [item for item in service.store.blobs.root.rglob("*") if item.is_file()] == []


def test_keys_are_made_once_private_and_never_beside_old_data(sqlite_settings: Settings) -> None:
    first = open_service(sqlite_settings)
    files = [*(sqlite_settings.keyring(name) for name in PLANES), sqlite_settings.log_key,
             sqlite_settings.release_secret]  # fmt: skip
    assert [stat.S_IMODE(item.stat().st_mode) for item in files] == [0o600] * 5
    assert len(first.release_secret()) == 32
    with first.store.transaction() as tx:
        append(tx, "organization.created", None, SERVICE, BODY, first.now())
    first.close()
    before = sqlite_settings.log_key.read_bytes()
    open_service(sqlite_settings).close()
    assert sqlite_settings.log_key.read_bytes() == before
    sqlite_settings.log_key.unlink()
    with pytest.raises(ServiceError, match="KEYS_MISSING"):
        open_service(sqlite_settings)
