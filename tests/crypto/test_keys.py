"""The secret: made, read in each accepted form, refused when weak; never shown."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from crypto.encoding.keys import Keys, Secret, exposed, lv
from crypto.encoding.profile import default_profile
from crypto.errors import KeyMaterialError

RANDOM = hashlib.sha256(b"keys").digest()


def code_of(path: Path, agreement: str | None = None) -> str:
    with pytest.raises(KeyMaterialError) as caught:
        Secret.load(path, agreement)
    return caught.value.code


def test_key_check_value_when_derived_equals_hkdf_of_another_library() -> None:
    profile = default_profile("field-level")
    info = lv(b"cohortlink-encoding/1", b"kcv", bytes.fromhex(profile.fingerprint))
    salt = hashlib.sha256(b"abc" + (7).to_bytes(8, "big")).digest()
    expected = HKDF(hashes.SHA256(), 32, salt, info).derive(RANDOM).hex()
    assert Keys(Secret("abc", 7, RANDOM), profile).kcv == expected


def test_secret_when_saved_is_private_and_reads_back_the_same(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    secret = Secret.generate("cin", 2)
    secret.save(path)
    assert Secret.load(path) == Secret.load(path, "cin") == secret
    assert not exposed(path)
    path.chmod(0o644)
    assert exposed(path) == (os.name == "posix")


def test_secret_file_when_it_exists_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text("precious")
    with pytest.raises(KeyMaterialError) as caught:
        Secret.generate().save(path)
    assert caught.value.code == "KEY_FILE_EXISTS"
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    "text",
    [
        RANDOM.hex(),
        RANDOM.hex().upper() + "\n",
        base64.b64encode(RANDOM).decode(),
        base64.b64encode(RANDOM).decode().rstrip("="),
        base64.urlsafe_b64encode(RANDOM).decode() + "\r\n",
    ],
)
def test_bare_secret_when_read_belongs_to_the_named_agreement_in_epoch_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "s"
    path.write_text(text)
    assert Secret.load(path) == Secret("", 1, RANDOM)
    assert Secret.load(path, "cin") == Secret("cin", 1, RANDOM)


@pytest.mark.parametrize(
    "raw",
    [
        bytes(32),
        b"\xab" * 32,
        bytes(range(32)),
        bytes(range(0, 64, 2)),
        b"ab" * 16,
        b"correct horse battery staple 123",
        RANDOM[:8] * 4,
    ],
)
def test_secret_of_low_entropy_when_read_is_refused(tmp_path: Path, raw: bytes) -> None:
    for text in (raw.hex(), base64.b64encode(raw).decode()):
        path = tmp_path / "s"
        path.write_text(text)
        assert code_of(path) == "SECRET_WEAK"


@pytest.mark.parametrize("text", ["", "password", RANDOM.hex()[:-2], RANDOM.hex() + "00", "é" * 64, "!" * 43])
def test_file_that_is_no_secret_when_read_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "s"
    path.write_text(text, "utf-8")
    assert code_of(path) == "SECRET_MALFORMED"


def test_secret_document_when_malformed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    Secret("cin", 2, RANDOM).save(path)
    good = json.loads(path.read_text())
    for change, code in (
        ({"format": "cohortlink-secret/2"}, "KEY_FILE_FORMAT"),
        ({"secret": good["secret"][:-1]}, "KEY_FILE_MALFORMED"),
        ({"secret": base64.urlsafe_b64encode(bytes(32)).decode().rstrip("=")}, "SECRET_WEAK"),
        ({"epoch": 0}, "EPOCH_INVALID"),
        ({"epoch": True}, "EPOCH_INVALID"),
        ({"epoch": "1"}, "SECRET_MALFORMED"),
        ({"agreement": "Not A Slug"}, "AGREEMENT_INVALID"),
        ({"more": 1}, "SECRET_MALFORMED"),
    ):
        path.write_text(json.dumps(good | change))
        assert code_of(path) == code
    path.write_text(json.dumps(good))
    assert code_of(path, "chicago") == "SECRET_AGREEMENT"
    assert code_of(tmp_path / "none") == "SECRET_MISSING"


def test_secret_when_shown_hides_its_value() -> None:
    secret = Secret("cin", 1, RANDOM)
    assert RANDOM.hex() not in repr(secret)
    assert repr(RANDOM)[2:-1] not in repr(secret) + str(secret)
    assert "object at" in repr(Keys(secret, default_profile("field-level")))


def test_length_prefixes_when_joined_tell_every_list_apart() -> None:
    assert lv(b"ab", b"c") == b"\x00\x02ab\x00\x01c"
    assert lv(b"ab", b"c") != lv(b"a", b"bc") != lv(b"abc")
