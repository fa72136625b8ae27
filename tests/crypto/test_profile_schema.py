"""The published JSON Schema is what the code makes, takes the profiles that ship, and refuses others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import numpy as np
import pyarrow as pa
import pytest

from crypto.encoding.encode import Encoder, prepare
from crypto.encoding.keys import Keys, Secret
from crypto.encoding.profile import Profile, default_profile
from crypto.encoding.profile_families import FAMILIES
from crypto.encoding.profile_schema import profile_schema
from crypto.encoding.tokens import tokenise
from crypto.errors import ProfileError

PUBLISHED = Path(__file__).parents[2] / "docs" / "profile.schema.json"
SECRET = Secret("cin", 1, bytes((i * i * 73 + 11 * i) % 251 for i in range(32)))


def test_schema_that_is_published_is_what_the_program_prints() -> None:
    assert json.loads(PUBLISHED.read_text("utf-8")) == profile_schema()


@pytest.mark.parametrize("family", FAMILIES)
def test_profiles_that_ship_are_valid_under_the_published_schema(family: str) -> None:
    jsonschema_rs.validator_for(profile_schema()).validate(default_profile(family).to_document())


def document() -> dict[str, Any]:
    return json.loads(json.dumps(default_profile("field-level").to_document()))


def with_field(**members: Any) -> dict[str, Any]:
    found = document()
    found["fields"][1].update(members)
    return found


@pytest.mark.parametrize(
    "bad",
    [
        {**document(), "surprise": 1},
        {**document(), "risk": "none"},
        {**document(), "format": "cohortlink-profile/2"},
        with_field(max_length=0),
        with_field(normaliser="soundex"),
        with_field(tokens={"kind": "qgram", "positions": 3}),
        with_field(tokens={"kind": "code", "positions": [], "levels": []}),
        with_field(nicknames={}),
    ],
)
def test_document_that_the_program_refuses_is_refused_by_the_schema(bad: dict[str, Any]) -> None:
    assert not jsonschema_rs.validator_for(profile_schema()).is_valid(bad)
    with pytest.raises(ProfileError):
        Profile.from_document(bad)


def small(**members: Any) -> dict[str, Any]:
    """A profile of one field and one filter."""
    found = document()
    field = found["fields"][1] | {"name": "x", "columns": ["x"], "group": "x", **members}
    plain = {**found["filters"][1], "name": "x", "fields": ["x"], "levels": []}
    return {**found, "fields": [field], "filters": [plain]}


def agreement(profile: Profile, one: str, other: str) -> float:
    """Dice of two values' filters."""
    prepared = prepare(pa.table({"x": [one, other]}), profile)
    packed = Encoder(prepared, profile, Keys(SECRET, profile)).encode(np.arange(2)).filters["x"][0]
    both = np.bitwise_count(packed[0] & packed[1]).sum()
    return float(2 * both / np.bitwise_count(packed).sum())


def test_numbers_when_closer_than_the_distance_share_tokens_and_the_more_the_closer() -> None:
    rule = {"kind": "numeric", "positions": 8, "distance": 8, "resolution": 2}
    profile = Profile.from_document(small(normaliser="integer", tokens=rule))
    assert Profile.from_document(profile.to_document()) == profile
    jsonschema_rs.validator_for(profile_schema()).validate(profile.to_document())
    # clkhash's published example: 25 under distance 8 and resolution 2.
    assert tokenise(["25"], profile.fields[0].tokens).texts == ["88", "96", "104", "112", "120"]
    assert tokenise(["-3"], profile.fields[0].tokens).texts == ["-24", "-16", "-8", "0", "8"]
    near = [agreement(profile, "100", str(other)) for other in (100, 102, 104, 106, 120)]
    assert near[0] == 1.0 and near[0] > near[1] > near[2] > near[3] > near[4] and near[4] < 0.1


def test_codes_when_hierarchical_share_a_token_for_each_level_that_they_share() -> None:
    rule = {"kind": "code", "levels": [2, 4, 6], "positions": [30, 20, 10]}
    profile = Profile.from_document(small(normaliser="alphanumeric", tokens=rule))
    assert Profile.from_document(profile.to_document()) == profile
    jsonschema_rs.validator_for(profile_schema()).validate(profile.to_document())
    assert tokenise(["513801", "51", "5"], profile.fields[0].tokens).texts == [
        "0:51",
        "1:5138",
        "2:513801",
        "0:5",
    ]
    alike = [agreement(profile, "51.3801", other) for other in ("513801", "51.3899", "51.0000", "11.0101")]
    assert alike[0] == 1.0 and alike[0] > alike[1] > alike[2] > alike[3] and alike[3] < 0.1


def test_nicknames_when_the_profile_has_them_are_written_as_the_full_name() -> None:
    profile = Profile.from_document(small(nicknames={"bill": "william", "will": "william"}))
    assert Profile.from_document(profile.to_document()) == profile
    assert profile.fingerprint != Profile.from_document(small()).fingerprint
    assert agreement(profile, "Bill", "WILLIAM") == agreement(profile, "Will", "bill") == 1.0
    assert agreement(Profile.from_document(small()), "Bill", "WILLIAM") < 1.0


@pytest.mark.parametrize(
    "members",
    [
        {"nicknames": {"Bill": "william"}},
        {"nicknames": {"bill": "will", "will": "william"}},
        {"nicknames": {"bill": ""}},
        {"nicknames": {"bill": 3}},
        {"normaliser": "place", "nicknames": {"bill": "william"}},
        {"tokens": {"kind": "numeric", "positions": 8, "distance": 8, "resolution": 2}},
        {"normaliser": "integer"},
        {"tokens": {"kind": "code", "levels": [4, 2], "positions": [1, 1]}},
        {"tokens": {"kind": "code", "levels": [2, 4], "positions": [1]}},
    ],
)
def test_profile_whose_members_contradict_each_other_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(ProfileError) as caught:
        Profile.from_document(small(**members))
    assert caught.value.code == "PROFILE_INVALID"
