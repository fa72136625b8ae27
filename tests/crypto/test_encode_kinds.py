"""Every kind of token against vectors that the plain reference made, bit for bit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from crypto.encoding.encode import Encoder, prepare
from crypto.encoding.keys import Keys, Secret
from crypto.encoding.profile import Profile
from tests.vectors import make_encoding_kinds

VECTORS: dict[str, Any] = json.loads(make_encoding_kinds.TARGET.read_text("utf-8"))
PROFILE = Profile.from_document(VECTORS["profile"])
KEYS = Keys(Secret(VECTORS["agreement"], VECTORS["epoch"], bytes.fromhex(VECTORS["secret"])), PROFILE)


def test_published_vectors_are_what_the_reference_makes() -> None:
    assert json.loads(json.dumps(make_encoding_kinds.make())) == VECTORS


def test_fingerprint_and_keys_when_derived_are_the_published_ones() -> None:
    assert PROFILE.fingerprint == VECTORS["fingerprint"]
    keys = {f"field:{group}": KEYS.group(group).hex() for group in PROFILE.groups}
    keys |= {"eld": KEYS.diffusion.hex(), "key": KEYS.composite.hex(), "kcv": KEYS.kcv}
    assert keys == VECTORS["keys"]


def test_composite_key_of_swapped_names_is_that_of_the_same_names_in_order() -> None:
    in_order, swapped = (record["filters"]["key"]["sent"] for record in VECTORS["records"][:2])
    assert in_order == swapped and len(bytes.fromhex(in_order)) == 16
    assert [record["filters"]["key"]["sent"] for record in VECTORS["records"][2:]] == [None] * 4


@pytest.mark.parametrize("record", VECTORS["records"], ids=lambda record: record["desc"])
def test_record_of_every_kind_of_field_when_encoded_gives_the_published_filters(
    record: dict[str, Any],
) -> None:
    columns = [field.name for field in PROFILE.fields]
    table = pa.table({name: pa.array([record["row"].get(name, "")], pa.string()) for name in columns})
    prepared = prepare(table, PROFILE)
    values = {
        name: column.values[column.codes[0]]
        for name, column in prepared.columns.items()
        if column.codes[0] >= 0
    }
    assert values == record["normalised"]
    encoder, first = Encoder(prepared, PROFILE, KEYS), np.arange(1)
    for stage, filters in (("plain", encoder.plain(first)), ("sent", encoder.encode(first).filters)):
        found = {name: bytes(bits[0]).hex() if has[0] else None for name, (bits, has) in filters.items()}
        assert found == {name: one[stage] for name, one in record["filters"].items()}
