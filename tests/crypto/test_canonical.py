"""One byte string per document."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.canonical import canonical_json, digest_of, parse_canonical, sha256_hex
from crypto.errors import InputError

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "canonical.json").read_text(encoding="utf-8"))

# Text without lone surrogates is what JSON can carry; Hypothesis leaves those out of `text()` by itself.
SCALARS = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text()
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["desc"])
def test_canonical_json_golden_document_has_the_pinned_bytes(vector):
    assert canonical_json(vector["document"]) == bytes.fromhex(vector["bytes"])
    assert digest_of(vector["document"]) == vector["sha256"]


@given(DOCUMENTS)
def test_parse_canonical_of_canonical_bytes_returns_the_same_document(document):
    assert parse_canonical(canonical_json(document)) == document


@given(st.dictionaries(st.text(), st.integers(0, 9), min_size=2), st.randoms())
def test_canonical_json_keys_in_any_order_give_the_same_bytes(document, random):
    items = list(document.items())
    random.shuffle(items)
    assert canonical_json(dict(items)) == canonical_json(document)


@given(DOCUMENTS)
def test_canonical_json_any_document_is_read_alike_by_an_ordinary_json_reader(document):
    assert json.loads(canonical_json(document)) == document


@given(st.binary(max_size=60))
def test_parse_canonical_random_bytes_give_a_document_with_those_bytes_or_the_error(data):
    # Any other exception than InputError would fail the test.
    with contextlib.suppress(InputError):
        assert canonical_json(parse_canonical(data)) == data


@pytest.mark.parametrize(
    "document",
    [
        1.5,
        float("nan"),
        2**53,
        -(2**53),
        {1: "a"},
        {"a": b"bytes"},
        {"a": {1, 2}},
        "\ud800",
        {"\udfff": 1},
        pytest.param(object(), id="an object"),
    ],
    ids=ascii,
)
def test_canonical_json_value_without_canonical_form_is_refused(document):
    with pytest.raises(InputError) as caught:
        canonical_json({"field": document})
    assert caught.value.code == "NOT_CANONICAL"


def test_canonical_json_refusal_never_shows_the_value():
    with pytest.raises(InputError) as caught:
        canonical_json({"name": "Ada Lovelace", "wage": 1234.56})
    assert "Ada" not in str(caught.value)
    assert "1234" not in str(caught.value)


def test_canonical_json_nesting_beyond_the_limit_is_refused_not_a_crash():
    document: object = 1
    for _ in range(5000):
        document = [document]
    with pytest.raises(InputError, match="deeper"):
        canonical_json(document)
    with pytest.raises(InputError, match="deeper"):
        parse_canonical(b"[" * 200_000 + b"]" * 200_000)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": 1}',
        b'{"a":1}\n',
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a":1.0}',
        b'{"a":1e3}',
        b'{"a":-0}',
        b'{"a":"\\u0041"}',
        b'{"a":"\\/"}',
        b'{"a":NaN}',
        b'{"a":9007199254740992}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b'{"a":01}',
        b"",
    ],
)
def test_parse_canonical_other_spelling_is_refused(data):
    with pytest.raises(InputError) as caught:
        parse_canonical(data)
    assert caught.value.code == "NOT_CANONICAL"


def test_sha256_hex_known_input_has_the_known_digest():
    assert sha256_hex(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@given(st.recursive(SCALARS, lambda inner: st.dictionaries(st.text(), inner, max_size=4), max_leaves=12))
def test_parse_canonical_bytes_that_python_sorts_are_accepted_only_if_they_are_canonical(document):
    """Python sorts keys by code point: the same bytes for ASCII, and not always beyond."""
    data = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    if data == canonical_json(document):
        assert parse_canonical(data) == document
    else:
        with pytest.raises(InputError, match="NOT_CANONICAL"):
            parse_canonical(data)


def test_parse_canonical_keys_sorted_by_code_point_instead_of_utf16_are_refused():
    with pytest.raises(InputError, match="NOT_CANONICAL"):
        parse_canonical('{"\ufb33":1,"\U0001f600":2}'.encode())
    assert list(parse_canonical('{"\U0001f600":2,"\ufb33":1}'.encode())) == ["\U0001f600", "\ufb33"]
