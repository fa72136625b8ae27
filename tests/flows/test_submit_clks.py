"""CLKs as clkhash writes them, in one call: an ordinary batch, or a refusal that changes nothing."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from crypto.encoding.profile import Profile
from crypto.interop.clk_encode import ClkEncoder
from crypto.interop.clk_schema import ClkSchema
from tests.world import World, make_package

SCHEMA: dict[str, Any] = {
    "version": 3,
    "clkConfig": {
        "l": 256,
        "kdf": {"type": "HKDF", "hash": "SHA256", "salt": "c2FsdA==", "info": "aW5mbw==", "keySize": 64},
    },
    "features": [
        {
            "identifier": "name",
            "format": {"type": "string", "encoding": "utf-8"},
            "hashing": {
                "comparison": {"type": "ngram", "n": 2},
                "strategy": {"bitsPerToken": 8},
                "hash": {"type": "blakeHash"},
            },
        }
    ],
}
PROFILE = Profile.from_clk_schema(SCHEMA)
NAMES = ["Ada Quill", "Bert Osei", "Cleo Marsh", "Dora Finch", "Emil Stone", "Fay Brook"]


def clks(names: list[str], secret: bytes = b"horse") -> list[str]:
    packed = ClkEncoder(ClkSchema.from_document(SCHEMA), secret).encode([pa.array(names)])
    return [base64.b64encode(row.tobytes()).decode() for row in packed]


def completion(record: int, **changes: Any) -> dict[str, Any]:
    row = {"record": record, "completion_id": f"c{record}", "version": "1", "award_kind": "POSTSEC"}
    return row | {"award_level": "05", "award_date": "2022-05-15"} | changes


def agree(world: World) -> str:
    return world.agree(linkage_profile=PROFILE.to_document(), linkage_profile_hash=PROFILE.fingerprint)


def send(world: World, agreement: str, **body: Any) -> Any:
    return world.education.post(f"/agreements/{agreement}/batches/clks", body)


def test_clks_with_facts_when_sent_are_a_batch_with_receipt_and_references_in_the_order_sent(
    world: World,
) -> None:
    agreement = agree(world)
    facts = {"completion": [completion(2), completion(0)]}
    answer = send(world, agreement, clks=clks(NAMES), facts=facts)
    assert answer.status_code == 201, answer.text
    batch = answer.json()
    assert (batch["state"], batch["persons"]) == ("ACCEPTED", len(NAMES))
    assert len(set(batch["record_refs"])) == len(NAMES)
    assert {item["name"]: item["rows"] for item in batch["receipt"]["document"]["files"]} == {
        "encodings.parquet": len(NAMES),
        "facts-completion.parquet": 2,
    }
    again = send(world, agreement, clks=clks(NAMES), facts=facts).json()
    assert (again["id"], again["record_refs"]) == (batch["id"], batch["record_refs"])
    world.clock.advance(days=3)
    assert send(world, agreement, clks=clks(NAMES), facts=facts).json()["id"] == batch["id"]
    told = world.operator.get(f"/batches/{batch['id']}").text + world.auditor.get("/log/entries").text
    assert not any(ref in told for ref in batch["record_refs"])


def test_clks_with_blocks_when_sent_are_read_and_the_blocks_left_aside(world: World) -> None:
    agreement = agree(world)
    blocked = [[clk, "block-1"] for clk in clks(NAMES)]
    assert send(world, agreement, clknblocks=blocked).json()["persons"] == len(NAMES)


def test_record_without_a_value_when_sent_has_no_filter_and_is_not_counted_as_encodable(world: World) -> None:
    agreement = agree(world)
    empty = base64.b64encode(bytes(32)).decode()
    batch = send(world, agreement, clks=[*clks(NAMES), empty]).json()
    assert batch["screening"]["filters"]["clk"]["present"] == len(NAMES)


@pytest.mark.parametrize(
    ("body", "code", "row"),
    [
        ({"clks": []}, "CLKS_INVALID", None),
        ({}, "CLKS_INVALID", None),
        ({"clks": ["AhNABwoSSws="]}, "CLKS_INVALID", 1),
        ({"clks": [*clks(NAMES[:2]), "not base64!"]}, "CLKS_INVALID", 3),
        ({"clks": clks(NAMES), "facts": {"salary": []}}, "FACTS_INVALID", None),
        ({"clks": clks(NAMES), "facts": {"completion": [completion(6)]}}, "FACTS_INVALID", 1),
        (
            {"clks": clks(NAMES), "facts": {"completion": [completion(0), {"record": "1"}]}},
            "FACTS_INVALID",
            2,
        ),
        (
            {"clks": clks(NAMES), "facts": {"completion": [completion(1, award_date="2022")]}},
            "FACTS_INVALID",
            1,
        ),
        ({"clks": clks(NAMES), "facts": {"wage": [{"record": 0}]}}, "DATASET_NOT_PERMITTED", None),
    ],
)
def test_body_that_is_wrong_when_sent_is_refused_by_row_and_nothing_is_accepted(
    world: World, body: dict[str, Any], code: str, row: int | None
) -> None:
    agreement = agree(world)
    answer = send(world, agreement, **body)
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    problems = answer.json().get("problems", [])
    assert row is None or row in [problem["row"] for problem in problems]
    states = {
        item["state"] for item in world.operator.get(f"/agreements/{agreement}/batches").json()["batches"]
    }
    assert states <= {"REJECTED"}


def test_clks_under_an_agreement_with_another_profile_are_refused(world: World) -> None:
    agreement = world.agree()
    answer = send(world, agreement, clks=clks(NAMES))
    assert (answer.status_code, answer.json()["code"]) == (422, "PROFILE_MISMATCH")


def test_package_that_only_a_credential_vouches_for_under_another_family_is_refused(world: World) -> None:
    world.agree()
    package = make_package(kcv="0" * 64)
    listed = world.operator.get("/organizations/oh-education").json()["credentials"]
    for item in listed:
        signature = {"algorithm": "credential", "key_id": item.get("fingerprint") or "0" * 64}
        answer = world.education.post(
            "/agreements/cincinnati-nky/batches", {"document": package.manifest, "signature": signature}
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "SIGNATURE_INVALID")


def test_clks_of_1250_records_under_another_secret_when_sent_are_rejected(world: World) -> None:
    agreement = agree(world)
    rng = np.random.default_rng(1)
    names = ["".join(rng.choice(list("aaeeeiinnorrsst"), 9)) for _ in range(2600)]
    assert send(world, agreement, clks=clks(names[:1300])).status_code == 201
    wrong, right = (clks(names[1300:], secret) for secret in (b"cow", b"horse"))
    path = f"/agreements/{agreement}/batches/clks"
    answer = world.workforce.post(path, {"clks": wrong})
    assert [problem["code"] for problem in answer.json()["problems"]] == ["WRONG_KEY"]
    assert world.workforce.post(path, {"clks": right}).status_code == 201
