"""Rows by sector over HTTP: whose employers could be read off looks like whatever else is withheld."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from app.flows import link_inputs, run_linkage
from app.settings import Settings
from tests.app.outcomes.builders import token
from tests.app.outcomes.test_golden_service import only
from tests.world import Clock, World, completion_table, encodings_bytes, make_package, make_refs, wage_table

ID = "cincinnati-nky"
Job = tuple[str, str, str]


def jobs(naics: str, *paid: tuple[str, int, str]) -> list[Job]:
    """Employer, persons, wages of each."""
    return [(naics, f"{naics} {name}", wages) for name, persons, wages in paid for _ in range(persons)]


JOBS: list[Job] = [
    # Health care, 90 persons: five employers that pay alike.
    *jobs("622110", *((name, 18, "5000") for name in "abcde")),
    # Retail, 60 persons: two employers.
    *jobs("445110", ("a", 30, "5000"), ("b", 30, "5000")),
    # Manufacturing, 40 persons: one of three employers pays 160,200 of 200,000 dollars, 80.1 per cent.
    *jobs(
        "311111", ("a", 31, "5000"), ("a", 1, "5200"), ("b", 4, "5000"), ("c", 3, "5000"), ("c", 1, "4800")
    ),
    # Construction, 40 persons: one of three employers pays 160,000 of 200,000 dollars, 80.0 per cent.
    *jobs("236115", ("a", 32, "5000"), ("b", 4, "5000"), ("c", 4, "5000")),
    # Restaurants: four persons at four employers.
    *jobs("722511", *((name, 1, "5000") for name in "abcd")),
]
GRADUATES = 400


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[World]:
    settings = Settings.for_data(tmp_path_factory.mktemp("sectors") / "data", part_size=65_536)
    settings.data.mkdir()
    (settings.data / "cohortlink.db").write_bytes(migrated_sqlite.read_bytes())
    with World(settings, Clock()) as world:
        world.agree(dimensions=["naics_sector", "state_of_work"], min_cell=10)
        refs = make_refs(GRADUATES)
        working = refs[: len(JOBS)]
        wages = wage_table(working)
        for name, values in (
            ("employer_token", [token(employer) for _, employer, _ in JOBS]),
            ("naics", [naics for naics, _, _ in JOBS]),
            ("wages", [f"{amount}.00" for _, _, amount in JOBS]),
        ):
            at = wages.schema.get_field_index(name)
            column = pa.array(values, pa.string())
            wages = wages.append_column(name, column) if at < 0 else wages.set_column(at, name, column)
        education = make_package(count=GRADUATES, facts=completion_table(refs))
        encodings = only(encodings_bytes(refs), working)
        workforce = make_package(kind="wage", count=len(working), facts=wages, encodings=encodings)
        for member, package in ((world.education, education), (world.workforce, workforce)):
            answer = world.submit(member, package)
            assert answer.status_code == 200, answer.text
        run = world.operator.post(f"/agreements/{ID}/runs", {}).json()["id"]
        owner = run_linkage.begin(world.service, run, "w")
        assert owner is not None
        planes = world.service.plane("encodings"), world.service.plane("links")
        produced = link_inputs.link_inputs(world.service, *planes, run, owner)
        run_linkage.finish(world.service, run, owner, produced)
        yield world


def ask(world: World, *by: str) -> Any:
    body = {"indicator": "employed_q4", "cohort": "2021-22", "by": list(by), "where": {}}
    answer = world.partnership.post(f"/agreements/{ID}/releases", body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_sector_of_few_employers_or_a_dominant_one_looks_like_an_empty_or_a_small_one(linked: World) -> None:
    table = ask(linked, "naics_sector")["table"]
    rows = {row["key"]["naics_sector"]: row for row in table["rows"]}
    shown = {code: row["found"] for code, row in rows.items() if row["status"] == "published"}
    assert shown == {"62": 90, "23": 40}
    assert (table["total"]["n"], table["total"]["found"]) == (400, 234)
    # Two employers, one of 80.1 per cent, four persons, nobody: but for code and label one and the same.
    for code in ("44-45", "31-33", "72", "11", "99"):
        assert {name: rows[code][name] for name in rows[code] if name not in ("key", "label")} == {
            "status": "count_only", "n": 400, "found": None, "rate": None
        }  # fmt: skip
    assert any("3 employers" in note for note in table["notes"])


def test_csv_of_sectors_withholds_the_same_cells_in_the_same_words(linked: World) -> None:
    release = ask(linked, "naics_sector")["id"]
    text = linked.partnership.get(f"/releases/{release}", headers={"Accept": "text/csv"}).text
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    rows = {row["naics_sector"]: row for row in csv.DictReader(lines)}
    told = [
        {name: value for name, value in rows[code].items() if name not in ("naics_sector", "label")}
        for code in ("44-45", "31-33", "72", "11")
    ]
    assert told[0] == told[1] == told[2] == told[3]
    assert rows["23"]["found"] == "40"


def test_state_of_work_is_shown_whatever_its_employers_are(linked: World) -> None:
    (ohio, *_) = ask(linked, "state_of_work")["table"]["rows"]
    assert (ohio["key"]["state_of_work"], ohio["found"], ohio["rate"]) == ("39", 234, "58.5")


def test_sector_as_a_filter_answers_with_its_row_and_a_withheld_one_with_none(linked: World) -> None:
    def total(code: str) -> tuple[Any, Any]:
        body = {"indicator": "employed_q4", "cohort": "2021-22", "by": [], "where": {"naics_sector": code}}
        answer = linked.partnership.post(f"/agreements/{ID}/releases", body).json()
        return answer["table"]["total"]["n"], answer["table"]["total"]["found"]

    assert total("62") == (400, 90)
    assert total("44-45") == total("11") == (400, None)
