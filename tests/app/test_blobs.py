"""Blobs in a directory and behind the S3 protocol: one set of tests for both."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.errors import ServiceError
from app.store.blobs import S3_PART, Blobs
from tests import objectstore


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with objectstore.running_server() as endpoint, objectstore.credentials(endpoint):
        yield endpoint


@pytest.fixture(params=["directory", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "directory":
        return Blobs.open((tmp_path / "with space").as_uri())
    return Blobs.open(objectstore.new_bucket(request.getfixturevalue("server")))


def test_an_object_when_written_is_read_back_and_listed(blobs: Blobs) -> None:
    blobs.put("facts/b_1/file-1", [b"abc", b"", b"def"])
    blobs.put("facts/b_2/file-1", [])
    assert b"".join(blobs.get("facts/b_1/file-1")) == b"abcdef"
    assert b"".join(blobs.get("facts/b_2/file-1")) == b""
    assert blobs.list("") == blobs.list("facts") == ["facts/b_1/file-1", "facts/b_2/file-1"]
    assert blobs.list("facts/b_2") == ["facts/b_2/file-1"]


def test_an_object_of_several_parts_is_read_back(blobs: Blobs) -> None:
    data = secrets.token_bytes(2 * S3_PART + 12_345)
    blobs.put("big", (data[at : at + 1_000_003] for at in range(0, len(data), 1_000_003)))
    assert b"".join(blobs.get("big")) == data


@pytest.mark.parametrize("length", [10, S3_PART + 1])
def test_a_source_that_fails_leaves_no_object(blobs: Blobs, length: int) -> None:
    def source() -> Iterator[bytes]:
        yield bytes(length)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        blobs.put("a/b", source())
    assert blobs.list("") == []
    with pytest.raises(FileNotFoundError):
        list(blobs.get("a/b"))


def test_removing_what_is_not_there_is_no_error(blobs: Blobs) -> None:
    blobs.put("a/b", [b"x"])
    blobs.delete(["a/b", "a/c", "a/b"])
    assert blobs.list("") == []


def test_the_probe_says_what_the_store_does_and_leaves_nothing(blobs: Blobs) -> None:
    found = blobs.probe()
    assert found.kind == ("directory" if blobs.root else "s3")
    assert found.conditional_put, "both of these do"
    assert blobs.list("") == []


def test_the_probe_of_a_store_that_ignores_conditions_says_so(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    import obstore

    put = obstore.put
    monkeypatch.setattr(obstore, "put", lambda *args, mode="overwrite", **named: put(*args, **named))
    assert not blobs.probe().conditional_put


def test_the_probe_of_a_store_that_lists_late_refuses_it(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Blobs, "list", lambda *_: [])
    with pytest.raises(OSError, match="list"):
        blobs.probe()


@pytest.mark.parametrize("url", ["ftp://host/x", "s3:///x", "file://host/x", "s3://bucket/x?region=y", "x"])
def test_any_other_address_is_refused(url: str) -> None:
    with pytest.raises(ServiceError) as refusal:
        Blobs.open(url)
    assert refusal.value.code == "SETTINGS_INVALID"


def test_an_endpoint_that_is_away_is_an_error_and_not_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in objectstore.SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(
        "app.store.blobs.S3_RETRIES", {"max_retries": 0, "retry_timeout": timedelta(seconds=1)}
    )
    with pytest.raises(Exception, match=r"(?i)error"):
        Blobs.open("s3://bucket").probe()
