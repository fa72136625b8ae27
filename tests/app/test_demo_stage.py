"""The demo deletes nothing but its own folder, and measures what is true."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.demo.measure import true_rates, truth_by_batch
from app.demo.publishing import forge
from app.demo.setting_up import draft
from app.demo.stage import MARKER, DemoError, prepare


def test_prepare_foreign_folder_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("ten years of work")
    with pytest.raises(DemoError, match="left alone"):
        prepare(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "ten years of work"


def test_prepare_older_demo_is_emptied(tmp_path: Path) -> None:
    first = prepare(tmp_path / "data")
    (first.world / "old.txt").write_text("old")
    second = prepare(tmp_path / "data")
    assert (second.data / MARKER).is_file()
    assert not (second.world / "old.txt").exists()


def test_prepare_file_instead_of_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(DemoError, match="is a file"):
        prepare(tmp_path / "data")


def test_service_files_leave_the_world_outside_out(tmp_path: Path) -> None:
    space = prepare(tmp_path / "data")
    (space.data / "cohortlink.db").write_text("")
    assert space.service_files() == [space.data / "cohortlink.db"]


def test_true_rates_person_with_two_awards_counts_once_with_the_highest(tmp_path: Path) -> None:
    outcomes = tmp_path / "outcomes.csv"
    outcomes.write_text(
        "person,state,cohort_year,pathway,award_date,excluded_q4,employed_q4\n"
        "1,39,2020-21,CERTIFICATE,2020-09-01,false,false\n"
        "1,39,2020-21,ASSOCIATE,2021-05-01,false,true\n"
        "2,39,2020-21,ASSOCIATE,2021-05-01,true,false\n"
        "3,21,2021-22,CERTIFICATE,2021-09-01,false,false\n"
        "3,39,2021-22,CERTIFICATE,2022-03-01,false,true\n"
    )
    by_pathway = true_rates(outcomes, "pathway")
    assert (by_pathway["CERTIFICATE"].persons, by_pathway["CERTIFICATE"].employed) == (2, 0)
    assert (by_pathway["ASSOCIATE"].persons, by_pathway["ASSOCIATE"].employed) == (1, 1)
    assert (by_pathway["total"].persons, by_pathway["total"].employed) == (2, 1)
    assert true_rates(outcomes, "cohort_year")["2020-21"].percent == "100.0"


def test_truth_by_batch_names_batches_in_place_of_sources(tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text("person,source,id\n7,a,x1\n7,b,y1\n8,c,z1\n")
    truth_by_batch(tmp_path / "truth.csv", {"a": "b_1", "b": "b_2"}, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "person,batch,id\n7,b_1,x1\n7,b_2,y1\n"


def test_forge_changes_one_digit_of_the_run_and_tells_which_entry(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    lines = [b'{"kind":"run.started"}', b'{"body":{"persons_sha256":"0ab"},"kind":"run.finished"}']
    (copy / "entries.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    assert forge(copy, tmp_path / "forged") == 1
    forged = (tmp_path / "forged" / "entries.jsonl").read_bytes()
    assert forged == (copy / "entries.jsonl").read_bytes().replace(b'"0ab"', b'"1ab"')


def test_draft_is_made_of_what_an_agreement_may_hold() -> None:
    from crypto.canonical import canonical_json
    from crypto.encoding.profile import default_profile

    profile = default_profile("field-level")
    document = draft(profile.to_document(), profile.fingerprint)
    assert json.loads(canonical_json(document)) == document
    assert {party["role"] for party in document["parties"]} == {"data_owner", "recipient", "operator"}
