"""Ed25519 over canonical JSON, bound to a purpose."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import InputError, KeyMaterialError, SignatureError
from crypto.signatures import PURPOSES, PublicKey, SigningKey, signed_bytes, strict_b64decode

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "signatures.json").read_text(encoding="utf-8"))
KEY = SigningKey(bytes(range(32)))
OTHER = SigningKey(bytes(range(1, 33)))
DOCUMENT = {"agreement": "a", "count": 3}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["desc"])
def test_sign_golden_document_has_the_pinned_bytes_and_signature(vector):
    key = SigningKey(bytes.fromhex(vector["seed"]))
    assert key.public.to_text() == vector["public_key"]
    assert key.public.fingerprint == vector["fingerprint"]
    assert signed_bytes(vector["purpose"], vector["document"]) == bytes.fromhex(vector["signed_bytes"])
    assert key.sign(vector["purpose"], vector["document"]) == vector["signature"]
    key.public.verify(vector["purpose"], vector["document"], vector["signature"])


def test_sign_raw_rfc_8032_test_1_has_the_published_signature():
    key = SigningKey(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
    assert key.public.raw.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert key.sign_raw(b"").hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )


@pytest.mark.parametrize("signed_for", sorted(PURPOSES))
def test_verify_signature_for_another_purpose_is_refused(signed_for):
    signature = KEY.sign(signed_for, DOCUMENT)
    for purpose in PURPOSES:
        if purpose == signed_for:
            KEY.public.verify(purpose, DOCUMENT, signature)
        else:
            with pytest.raises(SignatureError) as caught:
                KEY.public.verify(purpose, DOCUMENT, signature)
            assert caught.value.code == "SIGNATURE_INVALID"


def test_verify_signature_by_another_key_is_refused():
    with pytest.raises(SignatureError) as caught:
        KEY.public.verify("receipt", DOCUMENT, OTHER.sign("receipt", DOCUMENT))
    assert caught.value.code == "SIGNATURE_WRONG_KEY"


def test_verify_other_key_that_claims_the_expected_id_is_refused():
    forged = OTHER.sign("receipt", DOCUMENT) | {"key_id": KEY.public.fingerprint}
    with pytest.raises(SignatureError) as caught:
        KEY.public.verify("receipt", DOCUMENT, forged)
    assert caught.value.code == "SIGNATURE_INVALID"


@pytest.mark.parametrize(
    "changed", [{"agreement": "b", "count": 3}, {"agreement": "a"}, {"agreement": "a", "count": "3"}]
)
def test_verify_changed_document_is_refused(changed):
    with pytest.raises(SignatureError, match="SIGNATURE_INVALID"):
        KEY.public.verify("receipt", changed, KEY.sign("receipt", DOCUMENT))


@given(st.integers(0, 511))
def test_verify_any_flipped_bit_of_the_signature_is_refused(bit):
    signature = KEY.sign("receipt", DOCUMENT)
    raw = bytearray(base64.b64decode(signature["value"]))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SignatureError, match="SIGNATURE_INVALID"):
        KEY.public.verify("receipt", DOCUMENT, signature | {"value": base64.b64encode(raw).decode()})


@pytest.mark.parametrize(
    "change",
    [
        {"algorithm": "none"},
        {"algorithm": None},
        {"key_id": "00"},
        {"key_id": KEY.public.fingerprint.upper()},
        {"key_id": None},
        {"value": ""},
        {"value": "AAAA"},
        {"value": KEY.sign("receipt", DOCUMENT)["value"].rstrip("=")},
        {"value": KEY.sign("receipt", DOCUMENT)["value"] + "\n"},
        {"value": 5},
        {"extra": "field"},
    ],
    ids=str,
)
def test_verify_malformed_signature_is_refused(change):
    with pytest.raises(SignatureError) as caught:
        KEY.public.verify("receipt", DOCUMENT, KEY.sign("receipt", DOCUMENT) | change)
    assert caught.value.code == "SIGNATURE_MALFORMED"


@pytest.mark.parametrize("signature", [None, [], "text", {}, {"value": "x"}], ids=repr)
def test_verify_something_that_is_no_signature_is_refused(signature):
    with pytest.raises(SignatureError, match="SIGNATURE_MALFORMED"):
        KEY.public.verify("receipt", DOCUMENT, signature)


def test_sign_unknown_purpose_is_refused():
    with pytest.raises(SignatureError, match="UNKNOWN_PURPOSE"):
        KEY.sign("login", DOCUMENT)


def test_sign_document_with_a_float_is_refused():
    with pytest.raises(InputError, match="NOT_CANONICAL"):
        KEY.sign("receipt", {"rate": 0.5})


def test_strict_b64decode_second_spelling_of_the_same_bytes_is_refused():
    # "AB==" and "AA==" differ only in bits that decode to nothing.
    assert strict_b64decode("AA==") == b"\0"
    for text in ("AB==", "AA", "AA=", " AA==", "AA==\n", "A-_=", "ÄA==", None, b"AA=="):
        assert strict_b64decode(text) is None


def _on_curve_point(y: int, sign: int) -> tuple[int, int] | None:
    """Decompress a point of edwards25519 (RFC 8032, section 5.1.3)."""
    p = 2**255 - 19
    d = -121665 * pow(121666, -1, p) % p
    square = (y * y - 1) * pow(d * y * y + 1, -1, p) % p
    x = pow(square, (p + 3) // 8, p)
    if x * x % p != square:
        x = x * pow(2, (p - 1) // 4, p) % p
    if x * x % p != square:
        return None
    return ((p - x) % p if x & 1 != sign else x, y)


def _double(point: tuple[int, int]) -> tuple[int, int]:
    p = 2**255 - 19
    d = -121665 * pow(121666, -1, p) % p
    x, y = point
    t = d * x * x * y * y % p
    return (2 * x * y * pow(1 + t, -1, p) % p, (y * y + x * x) * pow(1 - t, -1, p) % p)


def test_public_key_every_refused_point_has_small_order_and_is_refused_with_both_signs():
    from crypto.signatures import _SMALL_ORDER

    assert len(_SMALL_ORDER) == 7
    for raw in _SMALL_ORDER:
        point = _on_curve_point(int.from_bytes(raw, "little") % (2**255 - 19), 0)
        assert point is not None
        assert _double(_double(_double(point))) == (0, 1)
        for sign in (0, 0x80):
            with pytest.raises(KeyMaterialError, match="anyone"):
                PublicKey(raw[:31] + bytes([raw[31] | sign]))


@pytest.mark.parametrize(
    "text", ["", "AAAA", "A" * 44, KEY.public.to_text() + "=", KEY.public.to_text()[:-1]]
)
def test_public_key_malformed_text_is_refused(text):
    with pytest.raises(KeyMaterialError, match="BAD_PUBLIC_KEY"):
        PublicKey.from_text(text)


def test_public_key_text_round_trip_is_the_same_key():
    assert PublicKey.from_text(KEY.public.to_text()) == KEY.public


def test_signing_key_saved_file_is_private_and_loads_as_the_same_key(tmp_path):
    path = tmp_path / "agency.key"
    key = SigningKey.generate()
    key.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["format"] == "cohortlink-signing-key/1"
    assert SigningKey.load(path) == key


def test_signing_key_save_over_any_file_is_refused_and_changes_nothing(tmp_path):
    path = tmp_path / "agency.key"
    KEY.save(path)
    before = path.read_bytes()
    with pytest.raises(KeyMaterialError, match="KEY_FILE_EXISTS"):
        OTHER.save(path)
    assert path.read_bytes() == before
    link = tmp_path / "link.key"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyMaterialError, match="KEY_FILE_EXISTS"):
        OTHER.save(link)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_signing_key_load_of_a_file_open_to_others_is_refused(tmp_path, mode):
    path = tmp_path / "agency.key"
    KEY.save(path)
    path.chmod(mode)
    with pytest.raises(KeyMaterialError, match="KEY_FILE_EXPOSED"):
        SigningKey.load(path)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "KEY_FILE_MALFORMED"),
        ("[]", "KEY_FILE_MALFORMED"),
        ("{}", "KEY_FILE_FORMAT"),
        ('{"format":"cohortlink-signing-key/2","seed":"x"}', "KEY_FILE_FORMAT"),
        ('{"format":"cohortlink-secret/1","seed":"x"}', "KEY_FILE_FORMAT"),
        ('{"format":"cohortlink-signing-key/1"}', "KEY_FILE_MALFORMED"),
        ('{"format":"cohortlink-signing-key/1","seed":"c2hvcnQ"}', "KEY_FILE_MALFORMED"),
        ('{"format":"cohortlink-signing-key/1","seed":"' + "A" * 43 + '="}', "KEY_FILE_MALFORMED"),
        ('{"format":"cohortlink-signing-key/1","seed":"' + "A" * 42 + 'B"}', "KEY_FILE_MALFORMED"),
        ('{"format":"cohortlink-signing-key/1","seed":17}', "KEY_FILE_MALFORMED"),
    ],
)
def test_signing_key_load_of_a_malformed_or_unknown_file_is_refused_without_its_content(
    tmp_path, content, code
):
    path = tmp_path / "agency.key"
    path.touch(mode=0o600)
    path.write_text(content)
    with pytest.raises(KeyMaterialError) as caught:
        SigningKey.load(path)
    assert caught.value.code == code
    assert "c2hvcnQ" not in str(caught.value)


def test_signing_key_load_of_a_missing_file_is_refused(tmp_path):
    with pytest.raises(KeyMaterialError, match="KEY_FILE_MISSING"):
        SigningKey.load(tmp_path / "absent")


def test_signing_key_shown_in_any_way_hides_the_seed():
    shown = f"{KEY!r} {KEY} {KEY:}"
    assert "seed" not in shown
    assert repr(bytes(range(32))) not in shown
