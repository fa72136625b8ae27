"""The golden cases about the service, over HTTP: small cells, permissions, differencing, bad files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from app.flows import link_inputs, run_linkage
from app.outcomes.indicators import INDICATORS
from app.settings import Settings
from tests.world import (
    Clock,
    Member,
    World,
    completion_table,
    encodings_bytes,
    make_package,
    make_refs,
    parquet,
    wage_table,
)

COHORT = "2021-22"
#: Persons and found by institution: the second has the twelve persons of golden case 13.
INSTITUTIONS = {"100001": (238, 150), "100002": (12, 6)}


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[World]:
    """250 graduates, of whom the wage file holds some, encoded alike in both files, and linked."""
    settings = Settings.for_data(tmp_path_factory.mktemp("golden") / "data", part_size=65_536)
    settings.data.mkdir()
    (settings.data / "cohortlink.db").write_bytes(migrated_sqlite.read_bytes())
    with World(settings, Clock()) as world:
        world.agree(
            dimensions=["institution", "race_ethnicity"],
            indicators=["employed_q4", "gap", "retained"],
            min_cell={"oh-education": 10, "oh-workforce": 10, "partnership": 15},
        )
        refs = make_refs(250)
        schools = [code for code, (n, _) in INSTITUTIONS.items() for _ in range(n)]
        races = ["White" if i % 2 else "BlackOrAfricanAmerican" for i in range(250)]
        extra = {"institution_id": schools, "id_system": ["UNITID"] * 250, "race": races}
        found = [i for i in range(250) if i < 150 or 238 <= i < 244]
        education = make_package(count=250, facts=completion_table(refs, **extra))
        working = [refs[i] for i in found]
        encodings = only(encodings_bytes(refs), working)
        workforce = make_package(
            kind="wage", count=len(working), facts=wage_table(working), encodings=encodings
        )
        for member, package in ((world.education, education), (world.workforce, workforce)):
            assert world.submit(member, package).status_code == 200
        run = world.operator.post("/agreements/cincinnati-nky/runs", {}).json()["id"]
        owner = run_linkage.begin(world.service, run, "w")
        assert owner is not None
        planes = world.service.plane("encodings"), world.service.plane("links")
        produced = link_inputs.link_inputs(world.service, *planes, run, owner)
        run_linkage.finish(world.service, run, owner, produced)
        yield world


def only(encodings: bytes, refs: list[str]) -> bytes:
    """Encodings of some of the records."""
    table = pq.read_table(pa.BufferReader(encodings))
    return parquet(table.filter(pc.is_in(table["record_ref"], value_set=pa.array(refs))))


def ask(world: World, **question: Any) -> Any:
    body = {"indicator": "employed_q4", "cohort": COHORT, "by": [], "where": {}} | question
    return world.partnership.post("/agreements/cincinnati-nky/releases", body)


def test_cell_of_twelve_when_a_party_asks_for_fifteen_is_withheld(linked: World) -> None:
    table = ask(linked, by=["institution"]).json()["table"]
    assert table["policy"]["min_cell"] == 15
    small = next(row for row in table["rows"] if row["key"]["institution"] == "100002")
    assert (small["status"], small["n"], small["found"], small["rate"]) == ("withheld", None, None, None)


def test_dimension_when_undeclared_is_refused_by_name(linked: World) -> None:
    answer = ask(linked, by=["county"])
    assert (answer.status_code, answer.json()["code"]) == (403, "DIMENSION_NOT_PERMITTED")


def test_cohort_minus_one_institution_when_the_whole_is_out_is_not_in_the_plan(linked: World) -> None:
    assert ask(linked).status_code == 201
    for where in ({"institution": ["100001"]}, {"institution": {"not": "100002"}}):
        answer = ask(linked, where=where)
        assert (answer.status_code, answer.json()["code"]) == (422, "NOT_IN_PLAN")


def test_indicator_when_unknown_or_not_permitted_is_refused(linked: World) -> None:
    for indicator in ("median_earnings_q2", "unemployed"):
        assert ask(linked, indicator=indicator).json()["code"] == "INDICATOR_NOT_PERMITTED"


def test_indicators_over_http_are_the_declarations(linked: World) -> None:
    answer = linked.partnership.get("/indicators").json()["indicators"]
    assert [each["id"] for each in answer] == list(INDICATORS)
    assert linked.client.get("/v1/indicators").status_code == 401


def test_gap_of_a_release_is_made_from_what_it_shows(linked: World) -> None:
    release = ask(linked, by=["race_ethnicity"]).json()
    rows = {row["key"]["race_ethnicity"]: row for row in release["table"]["rows"]}
    path = f"/releases/{release['id']}/gap"
    gaps = linked.partnership.get(path, params={"reference": "White"}).json()
    for row in gaps["rows"]:
        shown = rows[row["key"]["race_ethnicity"]]["rate"] is not None
        assert (row["points"] is not None) is shown
    assert gaps["coverage"]["text"]
    assert linked.partnership.get(path, params={"reference": "Nobody"}).json()["code"] == "UNKNOWN_CODE"
    assert linked.operator.get(path, params={"reference": "White"}).status_code == 403
    trend = linked.partnership.get(f"/releases/{release['id']}/trend")
    assert trend.json()["code"] == "INDICATOR_NOT_PERMITTED"


def test_thresholds_with_a_gap_are_refused_and_whole_ones_taken(linked: World) -> None:
    head = "source,version,county_fips,family_type,year,annual_amount,licence_note\n"
    rows = [f"test,1,39061,a1i0p0s0t0,{year},30000,invented\n" for year in (2022, 2023, 2024)]
    refused = linked.operator.post("/thresholds", {"csv": head + rows[0] + rows[2]})
    assert (refused.status_code, refused.json()["code"]) == (422, "THRESHOLD_GAP")
    assert linked.partnership.post("/thresholds", {"csv": head + "".join(rows)}).status_code == 403
    taken = linked.operator.post("/thresholds", {"csv": head + "".join(rows)})
    assert (taken.status_code, taken.json()["rows"]) == (201, 3)


def test_release_after_one_owner_revokes_is_refused(linked: World) -> None:
    # Last in this file: nothing can be asked afterwards.
    body = linked.workforce.state("cincinnati-nky", "agreement-revocation")
    answer = linked.workforce.post("/agreements/cincinnati-nky/revocations", body)
    assert answer.status_code in (200, 201), answer.text
    assert ask(linked).json()["code"] == "AGREEMENT_REVOKED"


def refused_file(world: World, member: Member, table: pa.Table, kind: str) -> dict[str, Any]:
    answer = world.submit(member, make_package(kind=kind, facts=table))
    assert answer.status_code == 422, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_file_with_last_names_is_refused_whole(sqlite_world: World) -> None:
    sqlite_world.agree()
    table = completion_table(make_refs(60), last_name=["Miller"] * 60)
    problem = refused_file(sqlite_world, sqlite_world.education, table, "completion")
    assert problem["code"] == "PII_COLUMN"
    assert "Miller" not in str(problem)


@pytest.fixture(scope="module")
def open_world(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[World]:
    """An agreement to which nothing was submitted yet; refused batches leave it as it is."""
    settings = Settings.for_data(tmp_path_factory.mktemp("refusals") / "data", part_size=65_536)
    settings.data.mkdir()
    (settings.data / "cohortlink.db").write_bytes(migrated_sqlite.read_bytes())
    with World(settings, Clock()) as world:
        world.agree()
        yield world


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("award_date", "2022", "BAD_VALUE"),
        ("award_date", "2027-01-15", "DATE_IN_FUTURE"),
        ("completion_id", "c0", "DUPLICATE_KEY"),
    ],
)
def test_completion_row_when_wrong_is_told_by_row_and_column_and_never_by_value(
    open_world: World, column: str, value: str, code: str
) -> None:
    table = completion_table(make_refs(60))
    columns = {name: table[name].to_pylist() for name in table.column_names}
    columns[column][6] = value
    problem = refused_file(open_world, open_world.education, pa.table(columns), "completion")
    (found,) = problem["problems"]
    assert (found["row"], found["column"], found["code"]) == (7, column, code)
    assert f"'{value}'" not in str(found)


def test_encodings_of_which_no_fact_speaks_are_refused_by_row(open_world: World) -> None:
    table = completion_table(make_refs(60)).filter(pa.array([i != 6 for i in range(60)]))
    problem = refused_file(open_world, open_world.education, table, "completion")
    assert problem["code"] == "RECORD_WITHOUT_FACTS"
    assert [(p["row"], p["code"]) for p in problem["problems"]] == [(7, "RECORD_WITHOUT_FACTS")]


def test_facts_of_which_no_encoding_is_there_are_refused_by_row(open_world: World) -> None:
    refs = make_refs(60)
    table = completion_table([*refs[:59], "f" * 32])
    problem = refused_file(open_world, open_world.education, table, "completion")
    assert [(p["row"], p["code"]) for p in problem["problems"]] == [(60, "RECORD_REF_UNKNOWN")]


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("quarter", "2023Q5", "BAD_VALUE"),
        ("quarter", "2027Q1", "DATE_IN_FUTURE"),
        ("wages", "9,000", "BAD_VALUE"),
        ("wages", "-9000", "NEGATIVE_WAGES"),
        ("work_county_fips", "39061", "COUNTY_NOT_IN_STATE"),
    ],
)
def test_wage_row_when_wrong_is_told_by_row_and_column_and_never_by_value(
    open_world: World, column: str, value: str, code: str
) -> None:
    table = wage_table(make_refs(60))
    columns = {name: table[name].to_pylist() for name in table.column_names}
    columns.setdefault(column, [None] * 60)[6] = value
    if column == "work_county_fips":
        columns["state_fips"][6] = "21"
    problem = refused_file(open_world, open_world.workforce, pa.table(columns), "wage")
    assert problem["code"] == "FACTS_INVALID"
    (found,) = problem["problems"]
    assert (found["row"], found["column"], found["code"]) == (7, column, code)
    assert value not in str(problem)
