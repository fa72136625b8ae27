"""`cohortlink link` and `cohortlink evaluate`, offline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from app.cli import app
from app.cli_evaluate import evaluate, rate_found, score
from app.cli_link import name_packages
from crypto.encoding.profile import default_profile
from crypto.errors import CohortlinkError
from tests.flows.linkage_world import Packages, make_packages


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    return make_packages(tmp_path_factory.mktemp("offline"))


@pytest.fixture
def two(region: Packages, tmp_path: Path) -> list[Path]:
    """Copies of two packages, to be spoilt."""
    return [
        Path(shutil.copytree(region.folders[name], tmp_path / name))
        for name in ("ohio-education", "ohio-workforce")
    ]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def code_of(result: Result) -> str:
    assert isinstance(result.exception, CohortlinkError), result.output
    return result.exception.code


def test_link_and_evaluate_when_given_five_packages_find_most_pairs(region: Packages, tmp_path: Path) -> None:
    out = tmp_path / "links.parquet"
    linked = run("link", *region.folders.values(), "--out", out, "--json")
    assert linked.exit_code == 0, linked.output
    summary = json.loads(linked.stdout)
    told = run("link", *region.folders.values(), "--out", out).output
    assert told.count("expected precision") == len(region.folders) * (len(region.folders) - 1) // 2
    table = pq.read_table(out)
    assert table.column_names == ["person", "batch", "record_ref", "probability"]
    assert summary["records"] == table.num_rows
    assert set(table["batch"].to_pylist()) == set(region.folders)
    assert not out.with_name("links.parquet.part").exists()

    crosswalks = [
        argument
        for name, folder in region.folders.items()
        for argument in ("--crosswalk", f"{name}={folder / 'crosswalk.csv'}")
    ]
    judged = run("evaluate", "--links", out, "--truth", region.scenario.truth_file, *crosswalks, "--json")
    assert judged.exit_code == 0, judged.output
    result = json.loads(judged.stdout)
    assert len(result["pairs"]) == 10
    overall = result["overall"]
    assert overall["f1"]["value"] > 0.8
    for figure in ("precision", "recall", "f1"):
        assert overall[figure]["low"] <= overall[figure]["value"] <= overall[figure]["high"]
    for rate in result["rates"] + [rate for pair in result["pairs"] for rate in pair["rates"]]:
        assert rate["bias"]["low"] <= rate["bias"]["value"] <= rate["bias"]["high"]
        assert rate["bias"]["value"] == pytest.approx(rate["linked"] - rate["true"], abs=2e-5)
    told = run("evaluate", "--links", out, "--truth", region.scenario.truth_file, *crosswalks).output
    assert "all pairs: precision" in told
    assert "ohio-education, share found in another batch: linked" in told


def test_link_when_the_profile_is_absent_or_another_one_refuses(two: list[Path], tmp_path: Path) -> None:
    for package in two:
        (package / "profile.json").unlink()
    out = tmp_path / "links.parquet"
    assert code_of(run("link", *two, "--out", out)) == "PROFILE_NEEDED"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(default_profile("record-hardened").to_document()))
    assert code_of(run("link", *two, "--out", out, "--profile", other)) == "PROFILE_MISMATCH"
    assert not out.exists()


def test_link_when_packages_are_of_different_secrets_refuses(region: Packages, tmp_path: Path) -> None:
    stranger = make_packages(tmp_path, seed=8).folders["ohio-workforce"]
    result = run("link", region.folders["ohio-education"], stranger, "--out", tmp_path / "links.parquet")
    assert code_of(result) == "KCV_MISMATCH"


def test_link_when_a_file_was_cut_short_names_it(two: list[Path], tmp_path: Path) -> None:
    file = two[1] / "encodings.parquet"
    file.write_bytes(file.read_bytes()[:-1])
    assert code_of(run("link", *two, "--out", tmp_path / "links.parquet")) == "FILE_SIZE"


def test_packages_when_two_share_a_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortlinkError) as refused:
        name_packages([tmp_path / "a" / "batch", tmp_path / "b" / "batch"])
    assert refused.value.code == "BATCH_NAME_TWICE"


def test_link_when_given_one_package_refuses(two: list[Path], tmp_path: Path) -> None:
    assert code_of(run("link", two[0], "--out", tmp_path / "links.parquet")) == "TOO_FEW_PACKAGES"


def test_score_when_counted_by_hand_agrees() -> None:
    # Person 1 in a, b, c all linked; person 2 in a, b not linked; person 3's record in c joined to 2's in b.
    records = pa.table(
        {
            "batch": ["a", "b", "c", "a", "b", "c"],
            "person": [10, 10, 10, 20, 30, 30],
            "truth": ["1", "1", "1", "2", "2", "3"],
        }
    )
    found = score(records)
    assert (found.true_positives, found.false_positives, found.false_negatives) == (3, 1, 1)


def test_score_when_a_person_has_two_records_in_one_batch_counts_only_pairs_across() -> None:
    records = pa.table({"batch": ["a", "a", "b"], "person": [1, 1, 1], "truth": ["x", "x", "x"]})
    found = score(records)
    assert (found.true_positives, found.false_positives, found.false_negatives) == (2, 0, 0)


def test_rate_when_counted_by_hand_counts_persons_once_and_wrong_links_as_found() -> None:
    # x (two records in a, one linked) and y are truly in b; z is not, and is linked to y's record there.
    records = pa.table(
        {
            "batch": ["a", "a", "a", "a", "b", "b"],
            "person": pa.array([1, None, 2, 3, 1, 3], pa.int64()),
            "truth": ["x", "x", "y", "z", "x", "y"],
        }
    )
    rate = rate_found(records, "a", ["b"])
    assert (rate["persons"], rate["linked"], rate["true"], rate["bias"]["value"]) == (3, 0.66667, 0.66667, 0)
    assert rate["bias"]["low"] == -rate["bias"]["high"] < 0
    nobody = rate_found(records, "c", ["a"])
    assert (nobody["persons"], nobody["linked"], nobody["bias"]["value"]) == (0, None, None)


def test_evaluation_when_records_are_missing_from_the_links_counts_them_as_missed() -> None:
    links = pa.table({"person": [1], "batch": ["a"], "record_ref": ["r1"]})
    truth = pa.table({"truth": ["x", "x"], "batch": ["a", "b"], "id": ["1", "2"]})
    crosswalks = {
        "a": pa.table({"id": ["1"], "record_ref": ["r1"]}),
        "b": pa.table({"id": ["2"], "record_ref": ["r2"]}),
    }
    result = evaluate(links, truth, crosswalks)
    assert result["overall"]["false_negatives"] == 1
    assert result["records_missing_from_links"] == 1
    assert result["overall"]["precision"]["value"] is None


def test_evaluate_when_the_truth_lacks_a_column_names_it(tmp_path: Path) -> None:
    links, truth, crosswalk = tmp_path / "l.parquet", tmp_path / "t.csv", tmp_path / "c.csv"
    pq.write_table(pa.table({"person": [1], "batch": ["a"], "record_ref": ["r"]}), links)
    truth.write_text("person,batch\nx,a\n")
    crosswalk.write_text("id,record_ref\n1,r\n")
    result = run(
        *("evaluate", "--links", links, "--truth", truth),
        *("--crosswalk", f"a={crosswalk}", "--crosswalk", f"b={crosswalk}"),
    )
    assert code_of(result) == "COLUMN_MISSING"
