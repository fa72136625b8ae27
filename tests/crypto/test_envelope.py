"""Encryption at rest: whole or not at all, and only in its place."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import envelope
from crypto.envelope import Keyring, WrappedKey, decrypt, encrypt, new_data_key
from crypto.errors import EnvelopeError, KeyMaterialError

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "envelope.json").read_text(encoding="utf-8"))
KEY = bytes(range(32))
FRAME = 64
CONTEXT = "batch:b1:facts"


@pytest.fixture
def small_frames(monkeypatch):
    """Frames of 64 bytes, so that many of them are cheap."""
    monkeypatch.setattr(envelope, "FRAME_BYTES", FRAME)


def opened(blob: bytes, key: bytes = KEY, context: str = CONTEXT) -> bytes:
    return b"".join(decrypt([blob], key, context))


def sealed(text: bytes, key: bytes = KEY, context: str = CONTEXT) -> bytes:
    return b"".join(encrypt([text], key, context))


def refused(blob: bytes, key: bytes = KEY, context: str = CONTEXT) -> str:
    with pytest.raises(EnvelopeError) as caught:
        opened(blob, key, context)
    return caught.value.code


@pytest.mark.parametrize("vector", VECTORS["blobs"], ids=lambda vector: vector["desc"])
def test_decrypt_golden_blob_gives_the_pinned_text(vector):
    text = opened(bytes.fromhex(vector["blob"]), bytes.fromhex(vector["key"]), vector["context"])
    assert text == bytes.fromhex(vector["text"])


@pytest.mark.parametrize("vector", VECTORS["wrapped"], ids=lambda vector: vector["desc"])
def test_unwrap_golden_key_gives_the_pinned_data_key(vector):
    keyring = Keyring({vector["key_id"]: bytes.fromhex(vector["master_key"])}, vector["key_id"])
    wrapped = WrappedKey(vector["key_id"], bytes.fromhex(vector["blob"]))
    assert keyring.unwrap(wrapped, vector["context"]) == bytes.fromhex(vector["data_key"])


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 2**20 + 1, 3 * 2**20])
def test_encrypt_text_of_any_size_around_a_frame_decrypts_to_itself(size):
    text = os.urandom(size)
    blob = sealed(text)
    frames = max(1, -(-size // 2**20))
    assert len(blob) == envelope.HEADER_BYTES + size + 16 * frames
    assert opened(blob) == text


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=200), max_size=8), st.integers(1, 50))
def test_encrypt_text_cut_anywhere_decrypts_however_the_blob_is_cut(chunks, step):
    blob = b"".join(encrypt(chunks, KEY, CONTEXT))
    pieces = [blob[i : i + step] for i in range(0, len(blob), step)]
    assert b"".join(decrypt(pieces, KEY, CONTEXT)) == b"".join(chunks)


@pytest.mark.usefixtures("small_frames")
@pytest.mark.parametrize("size", [0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME, 3 * FRAME + 7])
def test_decrypt_blob_cut_off_at_any_byte_is_refused(size):
    blob = sealed(bytes(size))
    assert opened(blob) == bytes(size)
    for length in range(len(blob)):
        assert refused(blob[:length]) == ("ENVELOPE_FORMAT" if length < 12 else "ENVELOPE_REFUSED")


@pytest.mark.usefixtures("small_frames")
def test_decrypt_blob_with_any_byte_altered_is_refused():
    blob = sealed(os.urandom(2 * FRAME + 5))
    for place in range(len(blob)):
        altered = bytearray(blob)
        altered[place] ^= 0x01
        assert refused(bytes(altered)) == ("ENVELOPE_FORMAT" if place < 5 else "ENVELOPE_REFUSED")


@pytest.mark.usefixtures("small_frames")
def test_decrypt_frames_dropped_swapped_repeated_or_extended_are_refused():
    blob = sealed(os.urandom(4 * FRAME))
    head, step = blob[:12], FRAME + 16
    frames = [blob[12 + i * step : 12 + (i + 1) * step] for i in range(4)]
    orders = [[0, 1, 2], [1, 2, 3], [0, 2, 1, 3], [0, 0, 1, 2, 3], [0, 1, 2, 3, 3], [3], [3, 1, 2, 0], [0, 3]]
    for order in orders:
        assert refused(head + b"".join(frames[i] for i in order)) == "ENVELOPE_REFUSED"
    assert refused(blob + b"\0") == "ENVELOPE_REFUSED"
    assert refused(blob + bytes(step)) == "ENVELOPE_REFUSED"
    assert refused(blob + blob) == "ENVELOPE_REFUSED"


@pytest.mark.usefixtures("small_frames")
def test_decrypt_frame_of_another_blob_under_the_same_key_is_refused():
    one, two = sealed(bytes(2 * FRAME)), sealed(bytes(2 * FRAME))
    cut = 12 + FRAME + 16
    assert refused(one[:cut] + two[cut:]) == "ENVELOPE_REFUSED"


@pytest.mark.usefixtures("small_frames")
def test_decrypt_empty_final_frame_after_others_is_refused_although_authentic():
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    prefix, aad = bytes(7), b"cohortlink/envelope/1\n" + CONTEXT.encode()
    frames = [AESGCM(KEY).encrypt(prefix + bytes(5), bytes(FRAME), aad)]
    frames.append(AESGCM(KEY).encrypt(prefix + b"\0\0\0\1\1", b"", aad))
    assert refused(b"CLEV\x01" + prefix + b"".join(frames)) == "ENVELOPE_REFUSED"


@pytest.mark.usefixtures("small_frames")
def test_decrypt_every_piece_before_a_fault_is_authentic():
    text = os.urandom(3 * FRAME)
    blob = bytearray(sealed(text))
    blob[-1] ^= 1
    pieces: list[bytes] = []
    with pytest.raises(EnvelopeError):
        pieces.extend(decrypt([bytes(blob)], KEY, CONTEXT))
    assert b"".join(pieces) == text[: 2 * FRAME]


def test_decrypt_with_another_key_or_context_is_refused():
    blob = sealed(b"text")
    assert refused(blob, key=bytes(32)) == "ENVELOPE_REFUSED"
    assert refused(blob, context="batch:b2:facts") == "ENVELOPE_REFUSED"


def test_decrypt_unknown_version_is_refused():
    blob = sealed(b"text")
    assert refused(blob[:4] + b"\x02" + blob[5:]) == "ENVELOPE_FORMAT"


@given(st.binary(max_size=300))
def test_decrypt_random_bytes_are_refused(data):
    assert refused(data) == "ENVELOPE_FORMAT"
    refused(b"CLEV\x01" + data)


def test_encrypt_same_text_twice_gives_different_blobs():
    assert sealed(b"text") != sealed(b"text")


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_encrypt_key_of_another_length_is_refused(length):
    with pytest.raises(KeyMaterialError, match="BAD_DATA_KEY"):
        sealed(b"", key=bytes(length))
    with pytest.raises(KeyMaterialError, match="BAD_DATA_KEY"):
        Keyring.generate().wrap(bytes(length), CONTEXT)


def test_keyring_created_file_is_private_never_overwritten_and_loads_alike(tmp_path):
    path = tmp_path / "facts.keys"
    keyring = Keyring.create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Keyring.load(path) == keyring
    with pytest.raises(KeyMaterialError, match="KEY_FILE_EXISTS"):
        Keyring.create(path)
    assert Keyring.load(path) == keyring


def test_keyring_from_env_reads_the_same_text_as_the_file(tmp_path):
    keyring = Keyring.create(tmp_path / "keys")
    text = (tmp_path / "keys").read_text()
    assert Keyring.from_env("MASTER", {"MASTER": text}) == keyring
    for environ in ({}, {"MASTER": ""}):
        with pytest.raises(KeyMaterialError, match="KEY_ENV_MISSING"):
            Keyring.from_env("MASTER", environ)
    with pytest.raises(KeyMaterialError, match="KEY_FILE_MALFORMED"):
        Keyring.from_env("MASTER", {"MASTER": "passphrase"})


def test_keyring_wrapped_key_opens_only_with_its_ring_and_context():
    keyring, data_key = Keyring.generate(), new_data_key()
    wrapped = keyring.wrap(data_key, CONTEXT)
    assert keyring.unwrap(wrapped, CONTEXT) == data_key
    with pytest.raises(EnvelopeError, match="UNWRAP_FAILED"):
        keyring.unwrap(wrapped, "batch:b1:encodings")
    with pytest.raises(EnvelopeError, match="MASTER_KEY_UNKNOWN"):
        Keyring.generate().unwrap(wrapped, CONTEXT)


def test_keyring_any_altered_byte_of_a_wrapped_key_is_refused():
    keyring = Keyring.generate()
    wrapped = keyring.wrap(new_data_key(), CONTEXT)
    blobs = [wrapped.blob[:-1], wrapped.blob + b"\0", b""]
    blobs += [bytes(b ^ (i == n) for i, b in enumerate(wrapped.blob)) for n in range(len(wrapped.blob))]
    for blob in blobs:
        with pytest.raises(EnvelopeError, match="UNWRAP_FAILED"):
            keyring.unwrap(WrappedKey(wrapped.key_id, blob), CONTEXT)


def test_keyring_older_key_still_unwraps_after_a_new_one_is_current():
    old, new = Keyring.generate(), Keyring.generate()
    both = Keyring({**old.keys, **new.keys}, new.current)
    data_key = new_data_key()
    assert both.unwrap(old.wrap(data_key, CONTEXT), CONTEXT) == data_key
    assert both.wrap(data_key, CONTEXT).key_id == new.current


@pytest.mark.parametrize(
    "change", [{"current": "absent"}, {"keys": {"00": "A" * 43}}, {"keys": []}, {"current": 1}]
)
def test_keyring_malformed_document_is_refused(change):
    text = json.dumps(Keyring.generate().to_document() | change)
    with pytest.raises(KeyMaterialError, match="KEYRING_MALFORMED"):
        Keyring.from_env("MASTER", {"MASTER": text})


def test_keyring_shown_in_any_way_hides_the_keys():
    keyring = Keyring.generate()
    for key in keyring.keys.values():
        assert repr(key) not in repr(keyring)
