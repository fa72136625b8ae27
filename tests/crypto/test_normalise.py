"""Normalisers against published vectors, and the one Unicode table that every interpreter shares."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from unicodedata import ucd_3_2_0 as ucd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.encoding.normalise import NORMALISERS, UNICODE, name

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "encoding-normalise.json").read_text("utf-8")
)["cases"]


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: f"{case['normaliser']}: {case['desc']}")
def test_cell_when_normalised_gives_the_published_text(case: dict[str, Any]) -> None:
    normaliser = NORMALISERS[case["normaliser"]]
    if case["normal"] is None:
        with pytest.raises(ValueError):
            normaliser(case["text"], case["max_length"])
    else:
        assert normaliser(case["text"], case["max_length"]) == case["normal"]


def test_unicode_tables_when_digested_are_those_of_every_supported_python() -> None:
    """The digest was the same on Python 3.10 (Unicode 13.0), 3.11 (14.0), 3.12 (15.0) and 3.13 (15.1)."""
    digest = hashlib.sha256()
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000:
            continue
        c = chr(code)
        category = ucd.category(c)
        lower = c.lower().encode().hex() if category != "Cn" else ""
        digest.update(f"{code:x} {ucd.normalize('NFKD', c).encode().hex()} {category} {lower}\n".encode())
    assert UNICODE == "3.2.0"
    assert digest.hexdigest() == "4ea868febca83660d36d59b58db853ec0e759bc93257b8b871397410c3a91450"


def test_white_space_of_the_interpreter_is_the_one_that_the_page_names() -> None:
    named = [*range(0x9, 0xE), *range(0x1C, 0x21), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B)]
    named += [0x2028, 0x2029, 0x202F, 0x205F, 0x3000]
    assert [code for code in range(0x110000) if chr(code).isspace()] == named


@given(st.text(max_size=40), st.integers(1, 64))
def test_any_text_when_normalised_never_holds_a_sign_of_the_token_syntax(text: str, limit: int) -> None:
    for kind, normaliser in NORMALISERS.items():
        try:
            normal = normaliser(text, limit)
        except ValueError:
            assert kind == "date"
            continue
        assert not set(normal) & set("#_ \0")


@given(st.text("abcdefghijklmnopqrstuvwxyzé -'", max_size=30))
def test_name_when_normalised_again_stays_as_it_is_unless_it_ends_like_a_suffix(text: str) -> None:
    once = name(text, 64)
    assert name(once, 64) == once


def test_name_cut_by_a_feed_when_normalised_equals_the_whole_name_of_another() -> None:
    whole = "Montgomery-Featherstonehaugh"
    assert name(whole[:20], 20) == name(whole, 20) == name(whole.upper(), 20)
