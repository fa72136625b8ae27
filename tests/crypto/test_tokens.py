"""Tokens of whole columns against obvious Python."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from crypto.encoding.profile_parts import TokenRule
from crypto.encoding.tokens import gather, occurrences, token_bytes, tokenise

values = st.lists(st.text("abé李𝒳", min_size=1, max_size=9), min_size=1, max_size=6, unique=True)


def texts_of(found: list[str], rule: TokenRule) -> list[list[str]]:
    tokens = tokenise(found, rule)
    return [
        [tokens.texts[i] for i in tokens.ids[tokens.starts[place] : tokens.starts[place + 1]]]
        for place in range(len(found))
    ]


@given(values, st.integers(1, 3))
def test_qgrams_of_any_values_when_cut_are_every_window_of_the_padded_text(found: list[str], q: int) -> None:
    pad = "_" * (q - 1)
    expected = [
        [(pad + value + pad)[i : i + q] for i in range(len(value) + 2 * (q - 1) - q + 1)] for value in found
    ]
    assert texts_of(found, TokenRule("qgram", (5,), q)) == expected


def test_digits_dates_and_exact_values_when_cut_are_as_specified() -> None:
    assert texts_of(["4520", "4"], TokenRule("digits", (5,), 0)) == [["0:4", "1:5", "2:2", "3:0"], ["0:4"]]
    assert texts_of(["412550001"], TokenRule("exact", (5,), 0)) == [["412550001"]]
    rule = TokenRule("date", (4, 3, 2), 0)
    assert texts_of(["19900228", "19910228"], rule) == [["y1990", "m02", "d28"], ["y1991", "m02", "d28"]]
    tokens = tokenise(["19900228"], rule)
    assert tokens.part.tolist() == [0, 1, 2]
    assert texts_of([], rule) == []


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=30))
def test_occurrences_of_any_tokens_when_numbered_count_up_within_each_row(
    pairs: list[tuple[int, int]],
) -> None:
    rows = np.array([row for row, _ in pairs], np.int64)
    ids = np.array([token for _, token in pairs], np.int64)
    found = zip(*(part.tolist() for part in occurrences(rows, ids)), strict=True)
    expected = [
        (row, token, number + 1)
        for (row, token), count in sorted(Counter(pairs).items())
        for number in range(count)
    ]
    assert list(found) == expected


def test_rows_without_value_when_gathered_have_no_token() -> None:
    tokens = tokenise(["ab", "c"], TokenRule("qgram", (5,), 2))
    rows, ids = gather(tokens, np.array([1, -1, 0]))
    assert rows.tolist() == [0, 0, 2, 2, 2]
    assert [tokens.texts[i] for i in ids] == ["_c", "c_", "_a", "ab", "b_"]


def test_token_when_written_as_bytes_carries_its_occurrence() -> None:
    assert token_bytes("é_", 2) == "é_#2".encode()
