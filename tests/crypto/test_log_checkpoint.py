"""Signed notes, checkpoints and entries: pinned, strict, and readable by others' tools."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import LogError
from crypto.log.checkpoint import Checkpoint, open_note, parse_vkey, split_note, vkey
from crypto.log.entry import Entry
from crypto.log.tree import leaf_hash
from crypto.signatures import SigningKey

VECTORS = json.loads(
    (Path(__file__).parents[1] / "vectors" / "log-checkpoint.json").read_text(encoding="utf-8")
)
FOREIGN = VECTORS["foreign"]
KEY = SigningKey(bytes.fromhex(VECTORS["seed"]))
ORIGIN = VECTORS["origin"]
VKEY = VECTORS["vkey"]
NOTE = VECTORS["checkpoints"][3]["note"]
OTHER = SigningKey(bytes(32))


@pytest.mark.parametrize("vector", VECTORS["checkpoints"], ids=lambda vector: vector["desc"])
def test_sign_golden_checkpoint_gives_the_pinned_note_and_opens_again(vector):
    checkpoint = Checkpoint(
        ORIGIN, vector["size"], bytes.fromhex(vector["root"]), tuple(vector["extensions"])
    )
    assert vkey(ORIGIN, KEY.public) == VKEY
    assert checkpoint.sign(KEY, ORIGIN) == vector["note"]
    assert open_note(vector["note"], [VKEY]) == checkpoint


@pytest.mark.parametrize("vector", VECTORS["entries"], ids=lambda vector: vector["desc"])
def test_entry_golden_document_gives_the_pinned_leaf_and_reads_back(vector):
    document = dict(vector["document"])
    assert document.pop("version") == 1
    entry = Entry(**document)
    assert entry.leaf().decode() == vector["leaf"]
    assert leaf_hash(entry.leaf()).hex() == vector["leaf_hash"]
    assert Entry.parse(entry.leaf()) == entry


def test_note_made_by_another_implementation_has_our_bytes_and_verifies():
    key = SigningKey(bytes.fromhex(FOREIGN["seed"]))
    assert vkey("PeterNeumann", key.public) == FOREIGN["vkeys"][0]
    body, signatures = split_note(FOREIGN["text"] + "\n" + "".join(FOREIGN["signatures"]))
    assert body == FOREIGN["text"]
    assert [name for name, _ in signatures] == ["PeterNeumann", "EnochRoot"]
    for text, (name, value) in zip(FOREIGN["vkeys"], signatures, strict=True):
        known_name, known = parse_vkey(text)
        assert known_name == name
        assert text.split("+")[1] == value[:4].hex()
        assert known.verify_raw(body.encode(), value[4:])
    assert key.sign_raw(body.encode()) == signatures[0][1][4:]


def test_open_note_more_signature_lines_by_unknown_keys_are_passed_over():
    cosigned = (
        NOTE
        + FOREIGN["signatures"][0]
        + "\u2014 witness.example "
        + base64.b64encode(bytes(76)).decode()
        + "\n"
    )
    assert open_note(cosigned, [VKEY]).size == 3
    twice = NOTE + NOTE.rpartition("\n\n")[2]
    assert open_note(twice, [VKEY]).size == 3


def test_open_note_known_key_with_a_wrong_signature_refuses_the_whole_note():
    body = NOTE.rpartition("\n\n")[0] + "\n"
    good = NOTE.rpartition("\n\n")[2]
    forged = (
        "\u2014 "
        + ORIGIN
        + " "
        + base64.b64encode(base64.b64decode(good.split(" ")[2])[:4] + bytes(64)).decode()
        + "\n"
    )
    for block in (forged, good + forged, forged + good):
        with pytest.raises(LogError, match="NOTE_SIGNATURE_INVALID"):
            open_note(body + "\n" + block, [VKEY])


@pytest.mark.parametrize(
    "keys",
    [[], [vkey(ORIGIN, OTHER.public)], [vkey("other.example", KEY.public)], [FOREIGN["vkeys"][0]]],
    ids=str,
)
def test_open_note_no_signature_by_a_known_key_of_the_log_is_refused(keys):
    with pytest.raises(LogError, match="NOTE_UNSIGNED"):
        open_note(NOTE, keys)


def test_open_note_signed_by_a_known_key_of_another_log_is_refused():
    """A witness or another log that we also trust cannot speak for this one."""
    body = NOTE.rpartition("\n\n")[0] + "\n"
    stranger = Checkpoint("other.example", 3, bytes(32)).sign(OTHER, "other.example")
    head = base64.b64decode(stranger.rpartition(" ")[2])[:4]
    line = "\u2014 other.example " + base64.b64encode(head + OTHER.sign_raw(body.encode())).decode() + "\n"
    with pytest.raises(LogError, match="NOTE_UNSIGNED"):
        open_note(body + "\n" + line, [VKEY, vkey("other.example", OTHER.public)])


@given(st.data())
def test_open_note_any_changed_character_is_refused(data):
    place = data.draw(st.integers(0, len(NOTE) - 1))
    character = data.draw(st.characters(min_codepoint=1, max_codepoint=0x2FFF))
    changed = NOTE[:place] + character + NOTE[place + 1 :]
    if changed != NOTE:
        with pytest.raises(LogError):
            open_note(changed, [VKEY])


def test_open_note_cut_off_anywhere_is_refused():
    for length in range(len(NOTE)):
        with pytest.raises(LogError):
            open_note(NOTE[:length], [VKEY])


def resigned(body: str) -> str:
    """Sign any text with the log's key: what a careless log could have published."""
    value = base64.b64decode(NOTE.rpartition(" ")[2])[:4] + KEY.sign_raw(body.encode())
    return f"{body}\n\u2014 {ORIGIN} {base64.b64encode(value).decode()}\n"


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "body",
    [
        f"{ORIGIN}\n03\n{ROOT}\n",
        f"{ORIGIN}\n+3\n{ROOT}\n",
        f"{ORIGIN}\n-3\n{ROOT}\n",
        f"{ORIGIN}\n 3\n{ROOT}\n",
        f"{ORIGIN}\n٣\n{ROOT}\n",
        f"{ORIGIN}\n\n{ROOT}\n",
        f"{ORIGIN}\n9223372036854775808\n{ROOT}\n",
        f"{ORIGIN}\n3\n{ROOT[:-1]}\n",
        f"{ORIGIN}\n3\n{ROOT[:-2]}B=\n",
        f"{ORIGIN}\n3\nAAAA\n",
        f"{ORIGIN}\n3\n",
        f"{ORIGIN}\n3\n{ROOT}\n\nextension after an empty line\n",
        f"with space {ORIGIN}\n3\n{ROOT}\n",
        f"\n3\n{ROOT}\n",
    ],
)
def test_open_note_signed_text_that_is_no_strict_checkpoint_is_refused(body):
    with pytest.raises(LogError) as caught:
        open_note(resigned(body), [VKEY])
    assert caught.value.code in {"CHECKPOINT_MALFORMED", "NOTE_MALFORMED"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        NOTE.replace("\u2014 ", "- "),
        NOTE.replace("\n", "\r\n"),
        NOTE + "Unexpected line.\n",
        NOTE + "\n",
        "\x01" + NOTE,
        "\ud800" + NOTE,
        NOTE.rstrip("\n"),
        NOTE.rpartition("\u2014")[0],
        NOTE.replace(f"\u2014 {ORIGIN}", "\u2014 a+b"),
        NOTE + "\u2014 short AAAA\n",
        NOTE + "\u2014 plain !!!!\n",
        NOTE.rpartition("\n\n")[0] + "\n\n" + NOTE.rpartition("\n\n")[2] * 101,
        "x" * 1_000_001 + NOTE,
    ],
)
def test_open_note_malformed_note_is_refused(text):
    with pytest.raises(LogError) as caught:
        open_note(text, [VKEY])
    assert caught.value.code == "NOTE_MALFORMED"


@given(st.text())
def test_open_note_any_text_is_refused_with_the_one_error(text):
    with pytest.raises(LogError):
        open_note(text, [VKEY])
    with pytest.raises(LogError):
        open_note(text + NOTE, [VKEY]) if text else open_note("", [VKEY])


def test_parse_vkey_every_substring_and_every_changed_byte_of_a_key_is_refused():
    text = FOREIGN["vkeys"][0]
    assert parse_vkey(text)[0] == "PeterNeumann"
    assert parse_vkey(text + "\n")[0] == "PeterNeumann"
    wrong = [
        text[i:j] for i in range(len(text)) for j in range(i + 1, len(text) + 1) if (i, j) != (0, len(text))
    ]
    wrong += [text[:i] + chr(ord(text[i]) + 1) + text[i + 1 :] for i in range(len(text))]
    wrong += [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",  # too long
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",  # unknown type
        text.replace("c74f20a3", "C74F20A3"),
        text + "\n\n",
    ]
    for item in wrong:
        with pytest.raises(LogError, match="VKEY_MALFORMED"):
            parse_vkey(item)


def test_checkpoint_signed_under_another_name_than_its_origin_is_refused():
    with pytest.raises(LogError, match="CHECKPOINT_MALFORMED"):
        Checkpoint(ORIGIN, 0, bytes(32)).sign(KEY, "other.example")


@pytest.mark.parametrize(
    "arguments",
    [
        ("", 0, bytes(32)),
        ("a b", 0, bytes(32)),
        ("a+b", 0, bytes(32)),
        ("a\nb", 0, bytes(32)),
        ("a", -1, bytes(32)),
        ("a", 2**63, bytes(32)),
        ("a", 0, bytes(31)),
        ("a", 0, bytes(32), ("",)),
        ("a", 0, bytes(32), ("two\nlines",)),
        ("a", 0, bytes(32), ("tab\t",)),
    ],
)
def test_checkpoint_with_impossible_values_is_refused(arguments):
    with pytest.raises(LogError, match="CHECKPOINT_MALFORMED"):
        Checkpoint(*arguments)


ENTRY = json.loads(VECTORS["entries"][0]["leaf"])


@pytest.mark.parametrize(
    "change",
    [
        {"index": -1},
        {"index": True},
        {"index": "0"},
        {"kind": ""},
        {"kind": None},
        {"at": "2026-11-22T09:00:00+00:00"},
        {"at": "2026-11-22 09:00:00Z"},
        {"at": "2026-13-22T09:00:00Z"},
        {"at": "2026-11-22T09:00:00Z\n"},
        {"actor": 5},
        {"agreement": 5},
        {"body": []},
        {"more": 1},
    ],
    ids=str,
)
def test_entry_malformed_document_is_refused(change):
    leaf = json.dumps(ENTRY | change, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(LogError, match="ENTRY_MALFORMED"):
        Entry.parse(leaf)


@pytest.mark.parametrize("version", [0, 3, "1", None, True])
def test_entry_of_an_unknown_version_is_refused(version):
    leaf = json.dumps(ENTRY | {"version": version}, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(LogError, match="ENTRY_VERSION"):
        Entry.parse(leaf)


@pytest.mark.parametrize("leaf", [b"", b"[]", b"1", b"{}", b'{"version": 1}', b"\xff"])
def test_entry_leaf_that_is_no_entry_is_refused(leaf):
    with pytest.raises(LogError):
        Entry.parse(leaf)
