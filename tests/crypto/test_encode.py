"""The fast encoding against published vectors and against the plain reference, bit for bit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.encoding import bloom, hardening
from crypto.encoding.encode import CHUNK, Encoder, draw_refs, encode_table, prepare
from crypto.encoding.keys import Keys, Secret, pseudorandom_key
from crypto.encoding.normalise import NORMALISERS
from crypto.encoding.profile import Profile, default_profile
from crypto.encoding.profile_families import FAMILIES
from crypto.encoding.profile_parts import Diffusion
from crypto.encoding.shared import shuffled
from crypto.errors import InputError, ProfileError
from tests.crypto import encoding_reference as reference

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "encoding.json").read_text("utf-8")
)
PROFILE = Profile.from_document(VECTORS["profile"])
SECRET = Secret(VECTORS["agreement"], VECTORS["epoch"], bytes.fromhex(VECTORS["secret"]))
KEYS = Keys(SECRET, PROFILE)


def encoded(rows: list[dict[str, str]], profile: Profile, keys: Keys) -> list[dict[str, bytes | None]]:
    names = sorted({name for row in rows for name in row})
    table = pa.table({name: pa.array([row.get(name, "") for row in rows], pa.string()) for name in names})
    chunk = Encoder(prepare(table, profile), profile, keys).encode(np.arange(len(rows)))
    return [
        {
            name: bytes(packed[place]) if present[place] else None
            for name, (packed, present) in chunk.filters.items()
        }
        for place in range(len(rows))
    ]


def test_fingerprint_of_the_vector_profile_when_computed_is_the_published_one() -> None:
    assert PROFILE.fingerprint == VECTORS["fingerprint"]
    assert reference.fingerprint(VECTORS["profile"]).hex() == VECTORS["fingerprint"]


def test_every_key_when_derived_is_the_published_one() -> None:
    assert pseudorandom_key(SECRET).hex() == VECTORS["prk"]
    assert {f"field:{group}": KEYS.group(group).hex() for group in PROFILE.groups} | {
        "eld": KEYS.diffusion.hex(),
        "kcv": KEYS.kcv,
    } == VECTORS["keys"]


@pytest.mark.parametrize("other", VECTORS["others"], ids=lambda other: other["desc"])
def test_keys_of_another_epoch_agreement_or_profile_when_derived_differ_as_published(
    other: dict[str, Any],
) -> None:
    document = json.loads(json.dumps(VECTORS["profile"]))
    if other["reorder"]:
        document["fields"].reverse()
    secret = Secret(other["agreement"], other["epoch"], SECRET.value)
    keys = Keys(secret, Profile.from_document(document))
    assert pseudorandom_key(secret).hex() == other["prk"]
    assert (keys.kcv, keys.group("name").hex()) == (other["kcv"], other["name"])
    assert keys.kcv != KEYS.kcv
    assert keys.group("name") != KEYS.group("name")


@pytest.mark.parametrize(
    "case", VECTORS["positions"], ids=lambda case: f"{case['token']}#{case['occurrence']}"
)
def test_positions_of_a_token_when_drawn_are_the_published_ones(case: dict[str, Any]) -> None:
    token = f"{case['token']}#{case['occurrence']}".encode()
    found = bloom.positions(
        KEYS.group(case["group"]), case["salt"].encode(), token, len(case["positions"]), case["width"]
    )
    assert found.tolist() == case["positions"]


def test_index_sets_when_drawn_are_the_published_ones() -> None:
    sets = hardening.index_sets(KEYS.diffusion, "person", 512, Diffusion(5, 256))
    published = VECTORS["index_sets"]
    assert sets[:4].tolist() == published["first"]
    assert sets[-1].tolist() == published["last"]
    assert hashlib.sha256(sets.astype(">u2").tobytes()).hexdigest() == published["sha256"]
    assert all(len(set(chosen)) == 5 for chosen in sets.tolist())


def test_filters_before_and_after_diffusion_when_encoded_are_the_published_ones() -> None:
    records = VECTORS["records"]
    found = encoded([record["row"] for record in records], PROFILE, KEYS)
    for record, filters in zip(records, found, strict=True):
        for name, published in record["filters"].items():
            value = filters[name]
            assert (value.hex() if value is not None else None) == (
                published["out"] if published else None
            ), (
                record["desc"],
                name,
            )
            bits = reference.plain_filter(VECTORS["profile"], name, reference_keys(), record["normalised"])
            assert (reference.packed(bits).hex() if bits else None) == (
                published["plain"] if published else None
            )


def reference_keys() -> dict[str, bytes]:
    return reference.keys(VECTORS["profile"], SECRET.value, SECRET.agreement, SECRET.epoch)


words = st.text("abné ", max_size=7)
rows = st.fixed_dictionaries(
    {
        "first_name": words,
        "last_name": words,
        "dob": st.sampled_from(["", "1990-02-28", "2/3/1991", "20000229"]),
        "ssn": st.sampled_from(["", "412-55-0001", "412550002", "000000000"]),
        "zip": st.sampled_from(["", "45202", "41011-1234", "x"]),
    }
)


@settings(max_examples=25, deadline=None)
@given(st.lists(rows, min_size=1, max_size=8))
def test_fast_encoding_of_any_rows_when_compared_with_the_plain_one_agrees(
    people: list[dict[str, str]],
) -> None:
    keys = reference_keys()
    for row, filters in zip(people, encoded(people, PROFILE, KEYS), strict=True):
        values = {
            field.name: NORMALISERS[field.normaliser](row[field.columns[0]], field.max_length)
            if row[field.columns[0]].strip()
            else ""
            for field in PROFILE.fields
        }
        for name, found in filters.items():
            assert found == reference.encode(VECTORS["profile"], name, keys, values)


@pytest.mark.parametrize("family", FAMILIES)
def test_default_profile_of_a_family_when_one_person_is_encoded_agrees_with_the_plain_one(
    family: str,
) -> None:
    profile = default_profile(family)
    assert profile.fingerprint == VECTORS["families"][family]
    row = {
        "ssn": "412-55-0001",
        "first_name": "Annabella",
        "last_name": "De la Cruz-Hansen",
        "middle_name": "Bo",
        "date_of_birth": "1990-02-28",
        "sex": "F",
        "street": "Main Street",
        "house_number": "12",
        "city": "Cincinnati",
        "zip": "45202",
    }
    values = {
        "ssn": "412550001",
        "given_name": "annabella",
        "surname": "delacruzhansen",
        "middle_initial": "b",
        "birth_date": "19900228",
        "sex": "f",
        "street": "mainst",
        "house_number": "12",
        "city": "cincinnati",
        "zip": "45202",
    }
    # The hardened default cuts names a second time, under another key, for the filter with the number.
    values |= {f"id_{name}": values[name] for name in ("given_name", "surname")}
    whole = {"given": "given_name", "surname": "surname", "street": "street", "zip": "zip", "initial": ""}
    whole |= {"birth": "birth_date", "month": "birth_date", "house": "house_number", "stem": "surname"}
    whole |= {"call": "given_name", "road": "street"}
    values |= {f"key_{name}": values.get(field, "a") for name, field in whole.items()}
    values["key_middle"] = values["middle_initial"]
    document = profile.to_document()
    made = reference.keys(document, SECRET.value, SECRET.agreement, SECRET.epoch)
    found = encoded([row], profile, Keys(SECRET, profile))[0]
    assert found == {
        item.name: reference.encode(document, item.name, made, values) for item in profile.filters
    }


def many(count: int) -> pa.Table:
    generator = np.random.default_rng(7)
    syllables = np.array(["an", "be", "ri", "so", "ma", "el", "to", "ka"])
    names = ["".join(syllables[generator.integers(0, 8, 3)]) for _ in range(count)]
    return pa.table(
        {
            "first_name": names,
            "last_name": list(reversed(names)),
            "dob": [f"19{70 + i % 30}-0{1 + i % 9}-1{i % 9}" for i in range(count)],
            "ssn": [f"412{10 + i % 80}{1000 + i % 9000}" for i in range(count)],
            "zip": [f"4{5000 + i % 999}" for i in range(count)],
        }
    )


def test_encoding_in_chunks_and_any_order_when_gathered_equals_encoding_at_once() -> None:
    table = many(CHUNK + 300)
    encoder = Encoder(prepare(table, PROFILE), PROFILE, KEYS)
    order = shuffled(table.num_rows)
    parts = list(encoder.chunks(order))
    assert [len(next(iter(part.filters.values()))[1]) for part in parts] == [CHUNK, 300]
    for name in ("name", "ssn", "person"):
        gathered = np.concatenate([part.filters[name][0] for part in parts])
        some = np.arange(0, table.num_rows, 911)
        at_once = encoder.encode(order[some]).filters[name][0]
        assert (gathered[some] == at_once).all()


def test_token_cache_when_it_overflows_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    table = many(64)
    index = np.arange(64)
    expected = Encoder(prepare(table, PROFILE), PROFILE, KEYS).encode(index)
    monkeypatch.setattr(bloom, "_CACHE_BYTES", 256)
    monkeypatch.setattr(bloom, "_BLOCK_BYTES", 512)
    encoder = Encoder(prepare(table, PROFILE), PROFILE, KEYS)
    for start in range(0, 64, 8):
        found = encoder.encode(index[start : start + 8])
        for name, (packed, _) in found.filters.items():
            assert (packed == expected.filters[name][0][start : start + 8]).all()


def test_diffusion_when_compared_with_bit_by_bit_xor_agrees_for_odd_numbers_of_records() -> None:
    generator = np.random.default_rng(3)
    filters = generator.integers(0, 2**64, (67, 4), dtype=np.uint64)
    sets = hardening.index_sets(b"k" * 32, "x", 256, Diffusion(3, 128))
    bits = np.unpackbits(filters.view(np.uint8), axis=1)
    expected = np.packbits(np.bitwise_xor.reduce(bits[:, sets], axis=2), axis=1)
    assert (hardening.diffuse(filters, sets).view(np.uint8) == expected).all()
    assert hardening.diffuse(filters[:0], sets).shape == (0, 2)


def test_hardened_default_on_ordinary_persons_when_filled_lies_between_the_promised_bounds() -> None:
    profile = default_profile("record-hardened")
    generator = np.random.default_rng(5)
    syllables = np.array(["an", "be", "ri", "so", "ma", "el", "to", "ka", "sch", "ton"])

    def word(parts: int) -> str:
        return "".join(syllables[generator.integers(0, 10, parts)])

    count = 300
    table = pa.table(
        {
            "first_name": [word(3) for _ in range(count)],
            "last_name": [word(3) for _ in range(count)],
            "date_of_birth": [f"19{60 + i % 40}-{1 + i % 12:02}-{1 + i % 28:02}" for i in range(count)],
            "ssn": [f"412{10 + i % 80}{1000 + i}" for i in range(count)],
            "street": [word(4) + " street" for _ in range(count)],
            "house_number": [str(1 + 37 * i % 9999) for i in range(count)],
            "city": [word(4) for _ in range(count)],
            "zip": [f"{10000 + 97 * i}" for i in range(count)],
        }
    )
    fill = Encoder(prepare(table, profile), profile, Keys(SECRET, profile)).fill(np.arange(count))
    bloom = [item.name for item in profile.filters if not item.composite]
    assert all(0.40 < (fill[name] or 0) < 0.52 for name in bloom)
    assert all(share is None for name, share in fill.items() if name not in bloom)


def test_encode_table_when_called_twice_gives_other_references_and_the_same_filters() -> None:
    table = many(50)
    one, two = (encode_table(table, PROFILE, KEYS) for _ in range(2))
    assert len(one) == len(two) == 50
    assert not set(one.record_refs) & set(two.record_refs)
    assert list(one.record_refs) == sorted(one.record_refs)
    for name in one.filters:
        assert sorted(map(bytes, one.filters[name].words)) == sorted(map(bytes, two.filters[name].words))
    bit_zero = one.filters["name"].words[:, 0] >> np.uint64(63)
    assert set(bit_zero.tolist()) <= {0, 1}


def test_words_of_an_encoding_when_read_hold_bit_zero_as_their_most_significant() -> None:
    table = pa.table({"ssn": ["412550001"]})
    words = encode_table(table, PROFILE, KEYS).filters["ssn"].words[0]
    published = bytes.fromhex(VECTORS["records"][0]["filters"]["ssn"]["out"])
    assert [int(word) for word in words] == [
        int.from_bytes(published[i : i + 8], "big") for i in range(0, len(published), 8)
    ]


def test_absent_column_when_encoded_leaves_its_filters_absent_for_everybody() -> None:
    found = encode_table(pa.table({"last_name": ["Smith", "Jones"]}), PROFILE, KEYS)
    assert found.filters["name"].present.all()
    assert found.filters["person"].present.all()
    assert not found.filters["ssn"].present.any()
    assert not found.filters["ssn"].words.any()


def test_table_without_any_column_of_the_profile_when_prepared_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        prepare(pa.table({"a;b": ["1"]}), PROFILE)
    assert caught.value.code == "PROFILE_COLUMNS_MISSING"


def test_dates_that_are_none_when_prepared_are_listed_by_row_without_their_value() -> None:
    table = pa.table({"dob": ["1990-01-01", "secret-1", "", "secret-1", "1990-02-30"], "ssn": [""] * 5})
    with pytest.raises(InputError) as caught:
        prepare(table, PROFILE)
    error = caught.value
    assert (error.code, error.row, error.column) == ("DATE_INVALID", 2, "dob")
    assert [problem.row for problem in error.problems] == [2, 4, 5]
    assert "secret" not in str(error) + str(error.problems)


def test_unusable_cells_when_prepared_are_counted_and_missing() -> None:
    prepared = prepare(pa.table({"ssn": ["000000000", "412550001", "N/A", ""]}), PROFILE)
    assert prepared.fields["ssn"].unusable == 1
    assert (prepared.columns["ssn"].codes >= 0).tolist() == [False, True, False, False]
    assert prepared.absent == ("given_name", "surname", "birth_date", "zip")


def test_keys_of_another_profile_when_used_are_refused() -> None:
    other = default_profile("field-level")
    with pytest.raises(ProfileError) as caught:
        Encoder(prepare(pa.table({"ssn": ["412550001"]}), PROFILE), PROFILE, Keys(SECRET, other))
    assert caught.value.code == "PROFILE_MISMATCH"


def test_references_when_drawn_are_sorted_different_and_lower_hexadecimal() -> None:
    refs = draw_refs(1000)
    assert len(set(refs)) == 1000
    assert list(refs) == sorted(refs)
    assert all(len(ref) == 32 and set(ref) <= set("0123456789abcdef") for ref in refs)
    assert sorted(shuffled(1000).tolist()) == list(range(1000))
    assert shuffled(1000).tolist() != shuffled(1000).tolist()
    assert len(draw_refs(0)) == 0
