"""A batch in, over HTTP, on both databases: accepted whole, or refused with a reason and nothing kept."""

from __future__ import annotations

import json
from datetime import date

import pyarrow as pa
import pytest

from app.auth import Role
from app.store import batches, datakeys
from crypto.canonical import digest_of
from crypto.facts import validate_facts
from crypto.log.checkpoint import parse_vkey
from crypto.log.tree import leaf_hash
from tests.world import (
    EDUCATION,
    World,
    completion_table,
    encodings_bytes,
    make_package,
    make_refs,
)


def log_kinds(world: World) -> list[str]:
    lines = world.auditor.get("/log/entries").text.splitlines()
    kinds = [json.loads(line)["kind"] for line in lines]
    return [kind for kind in kinds if kind != "log.read"]


def test_submission_of_a_sound_package_yields_a_signed_receipt_and_a_log_entry(world: World) -> None:
    world.agree()
    package = make_package()
    answer = world.submit(world.education, package)
    assert answer.status_code == 200, answer.text
    batch = answer.json()
    assert batch["state"] == "ACCEPTED"
    receipt = batch["receipt"]["document"]
    assert receipt["manifest_sha256"] == digest_of(package.manifest)
    assert receipt["organization"] == EDUCATION
    _, key = parse_vkey(world.client.get("/v1/log/key").text)
    key.verify("receipt", receipt, batch["receipt"]["signature"])
    leaves = world.auditor.get("/log/entries").content.splitlines()
    assert leaf_hash(leaves[receipt["log_index"]]).hex() == receipt["log_leaf"]
    assert batch["screening"]["records"] == 60
    again = world.education.post(f"/batches/{batch['id']}/completion")
    assert again.json()["receipt"] == batch["receipt"]


def test_stored_blobs_hold_nothing_in_clear(world: World) -> None:
    world.agree()
    package = make_package()
    world.submit(world.education, package)
    stored = b"".join(path.read_bytes() for path in world.settings.data.rglob("*") if path.is_file())
    for data in package.files.values():
        assert data[100:164] not in stored
    assert make_refs(60)[0].encode() not in stored


def test_the_same_manifest_again_is_the_same_batch(world: World) -> None:
    world.agree()
    package = make_package()
    first = world.begin(world.education, package)
    second = world.begin(world.education, package)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]


def test_parts_in_any_order_and_sent_twice_are_accepted(world: World) -> None:
    world.agree()
    package = make_package(count=400)
    batch = world.begin(world.education, package).json()
    assert max(item["parts"] for item in batch["files"]) > 2
    for item in reversed(batch["files"]):
        data = package.files[item["name"]]
        for number in [*reversed(range(item["parts"])), 0]:
            part = data[number * batch["part_size"] : (number + 1) * batch["part_size"]]
            answer = world.put_part(world.education, batch["id"], item["name"], number, part)
            assert answer.status_code == 204
    known = world.education.get(f"/batches/{batch['id']}").json()
    assert all(item["received"] == list(range(item["parts"])) for item in known["files"])
    assert world.education.post(f"/batches/{batch['id']}/completion").json()["state"] == "ACCEPTED"


def test_a_stored_file_reads_back_as_it_was_sent(world: World) -> None:
    world.agree()
    package = make_package(count=400)
    batch = world.submit(world.education, package).json()["id"]
    with world.service.store.reading() as tx:
        data = batches.read_file(tx, world.service.plane("encodings"), batch, "encodings.parquet")
    assert data == package.files["encodings.parquet"]


def test_completion_with_a_part_missing_is_incomplete_and_goes_on_afterwards(world: World) -> None:
    world.agree()
    package = make_package()
    batch = world.begin(world.education, package).json()["id"]
    answer = world.education.post(f"/batches/{batch}/completion")
    assert (answer.status_code, answer.json()["code"]) == (409, "INCOMPLETE_UPLOAD")
    assert answer.json()["problems"][0]["column"] == "encodings.parquet"
    assert world.submit(world.education, package).json()["state"] == "ACCEPTED"


def test_a_part_with_another_digest_is_refused_and_leaves_nothing(world: World) -> None:
    world.agree()
    package = make_package()
    batch = world.begin(world.education, package).json()
    name = batch["files"][0]["name"]
    part = package.files[name][: batch["part_size"]]
    answer = world.education.call(
        "PUT",
        f"/batches/{batch['id']}/files/{name}/parts/0",
        content=part,
        headers={"Content-Digest": "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"},
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "DIGEST_MISMATCH")
    assert world.service.store.blobs.list("encodings") == []
    known = world.education.get(f"/batches/{batch['id']}").json()
    assert all(item["received"] == [] for item in known["files"])


@pytest.mark.parametrize("change", [b"x", b""])
def test_a_part_of_another_length_is_refused(sqlite_world: World, change: bytes) -> None:
    world = sqlite_world
    world.agree()
    package = make_package()
    batch = world.begin(world.education, package).json()
    name = batch["files"][0]["name"]
    part = package.files[name][: batch["part_size"]]
    wrong = part + change if change else part[:-1]
    answer = world.put_part(world.education, batch["id"], name, 0, wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, "PART_SIZE")


def test_a_file_that_is_not_the_announced_one_is_rejected_for_good(world: World) -> None:
    world.agree()
    package = make_package()
    honest = package.files["encodings.parquet"]
    package.files["encodings.parquet"] = honest[:-1] + bytes([honest[-1] ^ 1])
    answer = world.submit(world.education, package)
    assert (answer.status_code, answer.json()["code"]) == (422, "DIGEST_MISMATCH")
    listed = world.education.get("/agreements/cincinnati-nky/batches").json()["batches"]
    assert [item["state"] for item in listed] == ["REJECTED"]
    repeated = world.education.post(f"/batches/{listed[0]['id']}/completion")
    assert repeated.json()["code"] == "DIGEST_MISMATCH"
    assert world.service.store.blobs.list("encodings") == []
    with world.service.store.reading() as tx:
        assert datakeys.count(tx) == 0
    assert log_kinds(world)[-1] == "batch.rejected"
    assert world.submit(world.education, make_package()).json()["state"] == "ACCEPTED"


def refused_at_begin(world: World, package: object, code: str, status: int = 422) -> None:
    before = log_kinds(world)
    answer = world.begin(world.education, package)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert world.education.get("/agreements/cincinnati-nky/batches").json()["batches"] == []
    assert log_kinds(world) == before


def test_a_manifest_of_another_profile_is_refused(world: World) -> None:
    world.agree()
    package = make_package()
    package.manifest["profile"] = "0" * 64
    refused_at_begin(world, package, "PROFILE_MISMATCH")


def test_a_manifest_of_another_agreement_is_refused(sqlite_world: World) -> None:
    world = sqlite_world
    world.agree()
    package = make_package("another")
    body = world.education.signed("batch-manifest", package.manifest)
    answer = world.education.post("/agreements/cincinnati-nky/batches", body)
    assert answer.json()["code"] == "AGREEMENT_MISMATCH"


def test_an_unknown_agreement_and_one_that_is_not_ours_look_the_same(sqlite_world: World) -> None:
    world = sqlite_world
    world.agree()
    stranger = world.join("stranger", Role.AGENCY)
    missing = world.begin(world.education, make_package("nowhere"))
    hidden = world.begin(stranger, make_package())
    for answer in (missing, hidden):
        assert (answer.status_code, answer.json()["code"]) == (404, "AGREEMENT_UNKNOWN")
    assert missing.json()["detail"] == hidden.json()["detail"]


def test_a_manifest_signed_with_another_key_is_refused(world: World) -> None:
    world.agree()
    package = make_package()
    answer = world.education.post(
        "/agreements/cincinnati-nky/batches", world.workforce.signed("batch-manifest", package.manifest)
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "SIGNATURE_INVALID")


def test_a_manifest_changed_after_signing_is_refused(sqlite_world: World) -> None:
    world = sqlite_world
    world.agree()
    body = world.education.signed("batch-manifest", make_package().manifest)
    body["document"]["epoch"] = 2
    answer = world.education.post("/agreements/cincinnati-nky/batches", body)
    assert answer.json()["code"] == "SIGNATURE_INVALID"


def test_a_second_secret_in_one_epoch_is_refused(world: World) -> None:
    world.agree()
    assert world.submit(world.education, make_package()).status_code == 200
    other = make_package(kind="wage", seed=2, kcv="cd" * 32)
    answer = world.begin(world.workforce, other)
    assert (answer.status_code, answer.json()["code"]) == (422, "SECRET_MISMATCH")
    later = make_package(kind="wage", seed=2, kcv="cd" * 32, epoch=2)
    assert world.begin(world.workforce, later).status_code == 201


def test_of_two_first_batches_with_different_secrets_only_one_gets_in(world: World) -> None:
    world.agree()
    first = world.upload(world.education, make_package())
    second = world.upload(world.workforce, make_package(kind="wage", seed=2, kcv="cd" * 32))
    assert world.education.post(f"/batches/{first}/completion").status_code == 200
    answer = world.workforce.post(f"/batches/{second}/completion")
    assert (answer.status_code, answer.json()["code"]) == (422, "SECRET_MISMATCH")
    assert world.workforce.get(f"/batches/{second}").json()["state"] == "REJECTED"


def test_a_kind_of_facts_that_is_not_permitted_is_refused(world: World) -> None:
    world.agree()
    refused_at_begin(world, make_package(kind="wage"), "DATASET_NOT_PERMITTED")


def test_an_organization_without_any_dataset_is_refused(sqlite_world: World) -> None:
    world = sqlite_world
    world.agree(datasets=[{"organization": "oh-workforce", "kind": "wage"}])
    refused_at_begin(world, make_package(kind=None), "DATASET_NOT_PERMITTED")


def test_a_field_that_is_not_permitted_is_refused_by_name(sqlite_world: World) -> None:
    world = sqlite_world
    fields = ["completion_id", "version", "award_kind", "award_level"]
    world.agree(datasets=[{"organization": EDUCATION, "kind": "completion", "fields": fields}])
    answer = world.submit(world.education, make_package())
    assert answer.json()["code"] == "FIELD_NOT_PERMITTED"
    assert [item["column"] for item in answer.json()["problems"]] == ["award_date"]


def test_facts_with_bad_rows_are_refused_by_row_and_column_without_values(world: World) -> None:
    world.agree()
    refs = make_refs(60)
    levels = ["05"] * 59 + ["secret-value"]
    package = make_package(facts=completion_table(refs, award_level=levels))
    answer = world.submit(world.education, package)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "FACTS_INVALID")
    assert (problem["problems"][0]["row"], problem["problems"][0]["column"]) == (60, "award_level")
    assert "secret-value" not in answer.text


def test_facts_with_a_name_column_are_refused_as_pii(world: World) -> None:
    world.agree()
    refs = make_refs(60)
    package = make_package(facts=completion_table(refs, last_name=["Miller"] * 60))
    answer = world.submit(world.education, package)
    assert (answer.status_code, answer.json()["code"]) == (422, "PII_COLUMN")
    assert "Miller" not in answer.text
    assert log_kinds(world)[-1] == "batch.rejected"


def test_facts_of_a_record_that_is_not_encoded_are_refused_by_row(sqlite_world: World) -> None:
    world = sqlite_world
    world.agree()
    refs = [*make_refs(60)[:-1], "f" * 32]
    answer = world.submit(world.education, make_package(facts=completion_table(refs)))
    assert answer.json()["code"] == "FACTS_INVALID"
    assert answer.json()["problems"][0] == {
        "row": 60,
        "column": "record_ref",
        "code": "RECORD_REF_UNKNOWN",
        "detail": "is not in the encodings",
    }


@pytest.mark.parametrize(
    ("encodings", "code"),
    [
        (b"not parquet", "FILE_UNREADABLE"),
        (encodings_bytes(make_refs(60))[:-9], "FILE_UNREADABLE"),
        (encodings_bytes(make_refs(59)), "FILE_ROWS"),
        (encodings_bytes(make_refs(60), fill=0.0), "SCREENING_FAILED"),
        (encodings_bytes(make_refs(60), fill=1.0), "SCREENING_FAILED"),
    ],
    ids=["no-parquet", "truncated", "row-missing", "empty-filters", "full-filters"],
)
def test_encodings_that_cannot_be_right_are_rejected(
    sqlite_world: World, encodings: bytes, code: str
) -> None:
    world = sqlite_world
    world.agree()
    answer = world.submit(world.education, make_package(encodings=encodings))
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text


def test_facts_that_are_no_parquet_are_rejected(sqlite_world: World) -> None:
    world = sqlite_world
    world.agree()
    package = make_package()
    package.files["facts-completion.parquet"] = b"not parquet"
    assert world.submit(world.education, package.reseal()).json()["code"] == "FILE_UNREADABLE"


def test_nothing_is_taken_before_the_agreement_is_active_nor_after_revocation(world: World) -> None:
    identifier = world.agree()
    batch = world.upload(world.education, make_package())
    body = world.workforce.state(identifier, "agreement-revocation")
    assert world.workforce.post(f"/agreements/{identifier}/revocations", body).json()["state"] == "REVOKED"
    begun = world.begin(world.education, make_package(seed=3))
    completed = world.education.post(f"/batches/{batch}/completion")
    for answer in (begun, completed):
        assert (answer.status_code, answer.json()["code"]) == (409, "AGREEMENT_REVOKED")
    assert world.education.get(f"/batches/{batch}").json()["state"] == "UPLOADING"


def test_a_withdrawn_batch_cannot_be_decrypted_any_more(world: World) -> None:
    world.agree()
    batch = world.submit(world.education, make_package()).json()["id"]
    answer = world.education.call("DELETE", f"/batches/{batch}")
    assert (answer.status_code, answer.json()["state"]) == (200, "WITHDRAWN")
    assert world.education.call("DELETE", f"/batches/{batch}").status_code == 200
    assert world.service.store.blobs.list("") == []
    with world.service.store.reading() as tx:
        assert datakeys.count(tx) == 0
    assert log_kinds(world)[-1] == "batch.withdrawn"
    answer = world.education.post(f"/batches/{batch}/completion")
    assert answer.json()["code"] == "BATCH_STATE"


def test_a_batch_of_another_agency_looks_absent(world: World) -> None:
    world.agree()
    package = make_package()
    batch = world.upload(world.education, package)
    other = world.workforce
    data = package.files["encodings.parquet"][:65_536]
    answers = [
        other.get(f"/batches/{batch}"),
        other.post(f"/batches/{batch}/completion"),
        other.call("DELETE", f"/batches/{batch}"),
        world.put_part(other, batch, "encodings.parquet", 0, data),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (404, "BATCH_UNKNOWN")
    assert world.partnership.get(f"/batches/{batch}").status_code == 404
    assert world.auditor.get(f"/batches/{batch}").status_code == 200


@pytest.mark.parametrize("name", ["facts-wage.parquet", "crosswalk.csv", "..%2Fx"])
def test_a_file_that_the_manifest_does_not_name_is_not_taken(sqlite_world: World, name: str) -> None:
    world = sqlite_world
    world.agree()
    batch = world.begin(world.education, make_package()).json()["id"]
    assert world.put_part(world.education, batch, name, 0, b"x").status_code == 404


def test_a_part_without_a_content_digest_is_refused(sqlite_world: World) -> None:
    world = sqlite_world
    world.agree()
    batch = world.begin(world.education, make_package()).json()["id"]
    answer = world.education.call("PUT", f"/batches/{batch}/files/encodings.parquet/parts/0", content=b"x")
    assert (answer.status_code, answer.json()["code"]) == (400, "CONTENT_DIGEST_REQUIRED")


def test_a_typed_table_of_facts_is_accepted_as_well_as_a_textual_one(sqlite_world: World) -> None:
    world = sqlite_world
    world.agree()
    typed = validate_facts("completion", completion_table(make_refs(60)), submitted_on=date(2026, 11, 20))
    assert isinstance(typed, pa.Table)
    assert world.submit(world.education, make_package(facts=typed)).json()["state"] == "ACCEPTED"
