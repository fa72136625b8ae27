"""The whole demo, small, as a user runs it; then a search for everybody in everything that it left."""

from __future__ import annotations

import base64
import re
import stat
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from app.demo import plan
from app.demo.selfcheck import Identifiers, collect, files_below, search
from app.demo.stage import MARKER, Workspace

SCALE = "0.02"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str]:
    """The demo's folder and all that it printed."""
    data = tmp_path_factory.mktemp("demo") / "data"
    program = Path(sys.executable).parent / "cohortlink"
    done = subprocess.run(
        [program, "demo", "--data", data, "--scale", SCALE, "--seed", "3"],
        capture_output=True,
        text=True,
        check=False,
        timeout=540,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return Workspace(data), done.stdout


@pytest.fixture(scope="module")
def known(told: tuple[Workspace, str]) -> Identifiers:
    space, _ = told
    return collect(
        space.agencies.glob("*/people.csv"),
        [space.package(agency.slug) / "crosswalk.csv" for agency in plan.AGENCIES],
    )


def _said(space: Workspace) -> list[Path]:
    return files_below([space.said, space.operator / "service.log", space.auditor])


def test_demo_tells_the_whole_way(told: tuple[Workspace, str]) -> None:
    _, text = told
    words = " ".join(text.split())
    for number in range(1, 9):
        assert f"─ {number}. " in text
    assert "the agreement is ACTIVE" in words
    assert "the same as in the log" in words
    assert "withheld" in words
    assert "DIMENSION_NOT_PERMITTED" in words
    assert words.count("the log holds") == 2
    assert "the log does NOT hold" in words
    assert "Refused, and entry" in words
    assert "Nothing was found" in words


def test_demo_prints_every_figure_with_its_coverage_note(told: tuple[Workspace, str]) -> None:
    _, text = told
    words = " ".join(text.split())
    for title in (
        "Employed one year after graduation",
        "Earning a self-sufficient wage",
        "Gap between groups",
        "Contribution of a program",
    ):
        assert "Coverage. Wage records of Kentucky and Ohio" in words.partition(title)[2], title
    assert len(re.findall(r"Of the cohort's persons at least \d+ % could be encoded", words)) == 4


def test_demo_links_education_with_workforce_well(told: tuple[Workspace, str]) -> None:
    _, text = told
    line = next(line for line in text.splitlines() if "education × workforce" in line)
    precision, recall, f1 = (float(figure) for figure in re.findall(r"(\d\.\d{3}) \(", line))
    assert min(precision, recall, f1) >= 0.95


def test_demo_leaves_charts_with_words_beside_the_picture(told: tuple[Workspace, str]) -> None:
    space, _ = told
    charts = sorted(space.partnership.glob("*.svg"))
    assert len(charts) == 2
    assert all('role="img"' in chart.read_text() and "<desc" in chart.read_text() for chart in charts)


def test_demo_data_holds_no_name_and_no_number(told: tuple[Workspace, str], known: Identifiers) -> None:
    space, _ = told
    kept = files_below(space.service_files())
    assert {"cohortlink.db"} <= {path.name for path in kept}
    assert search(kept, known).hits == {}


def test_demo_answers_and_logs_hold_no_name_number_or_record_ref(
    told: tuple[Workspace, str], known: Identifiers
) -> None:
    space, _ = told
    said = [*_said(space), *space.partnership.glob("employed*")]
    assert len(said) > 40
    assert search(said, known, references=True).hits == {}


def test_demo_search_would_have_found_an_agencys_own_file(
    told: tuple[Workspace, str], known: Identifiers
) -> None:
    space, _ = told
    hits = search([space.agencies / "ohio-education" / "people.csv"], known).hits
    assert {hit.split(" in ")[0] for hit in hits} >= {"number", "birth date", "full name", "surname"}


def test_demo_leaves_no_encoding_in_clear(told: tuple[Workspace, str]) -> None:
    space, _ = told
    everything = b"\0".join(
        path.read_bytes() for path in [*files_below(space.service_files()), *_said(space)]
    )
    looked_for = 0
    for agency in plan.AGENCIES:
        table = pq.read_table(space.package(agency.slug) / "encodings.parquet").slice(0, 12)
        for name in table.column_names[1:]:
            for bits in {value.as_py() for value in table[name] if value.is_valid}:
                if len(set(bits)) < 6:
                    continue  # nearly empty: such bytes mean nothing
                looked_for += 1
                assert bits not in everything
                assert bits.hex().encode() not in everything
                assert base64.b64encode(bits).rstrip(b"=")[:-2] not in everything
    assert looked_for > 200


def test_demo_keys_are_readable_by_their_owner_alone(told: tuple[Workspace, str]) -> None:
    space, _ = told
    keys = [
        *space.world.rglob("api-key"),
        *space.world.rglob("signing-key.json"),
        *space.agencies.glob("secret.json"),
    ]
    assert len(keys) == 8 + 5 + 1
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in keys)
    assert (space.data / MARKER).is_file()


def test_demo_secret_of_the_agencies_never_reaches_the_service(told: tuple[Workspace, str]) -> None:
    space, _ = told
    secret = re.search(r'"secret":\s*"([^"]+)"', (space.agencies / "secret.json").read_text())
    assert secret is not None
    everything = [*files_below(space.service_files()), *_said(space)]
    assert all(secret[1].encode() not in path.read_bytes() for path in everything)
    keys = [path.read_text().strip().encode() for path in space.world.rglob("api-key")]
    assert all(key not in path.read_bytes() for path in everything for key in keys if path.name != "api-key")
