"""Late reports over HTTP: what is out stays, and an old run still gives what it gave, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.flows import link_inputs, run_linkage
from app.flows.replay_run import replay_run
from app.outcomes.document import render
from app.outcomes.indicators import INDICATORS, Indicator
from app.outcomes.measures import FoundInQuarter
from app.settings import Settings
from tests.app.outcomes.test_golden_service import only
from tests.world import (
    Clock,
    World,
    completion_table,
    encodings_bytes,
    make_package,
    make_refs,
    parquet,
    wage_table,
)

ID = "cincinnati-nky"


@pytest.fixture
def region(tmp_path: Path, migrated_sqlite: Path) -> Iterator[World]:
    """A service in September 2023: the wages of 2023Q2 are preliminary."""
    settings = Settings.for_data(tmp_path / "data", part_size=65_536)
    settings.data.mkdir()
    (settings.data / "cohortlink.db").write_bytes(migrated_sqlite.read_bytes())
    clock = Clock()
    clock.now = datetime(2023, 9, 1, 12, tzinfo=UTC)
    with World(settings, clock) as world:
        yield world


def agree(world: World, indicator: str = "employed_q4") -> None:
    world.agree(
        effective="2022-01-01",
        expires="2030-01-01",
        dimensions=[],
        max_dimensions=0,
        min_cell={"oh-education": 10},
        indicators=[indicator],
    )


def submit(world: World, kind: str, first: int, last: int) -> None:
    refs = make_refs(200)
    mine = refs[first:last]
    facts = wage_table(mine) if kind == "wage" else completion_table(mine)
    package = make_package(
        kind=kind, count=len(mine), facts=facts, encodings=only(encodings_bytes(refs), mine)
    )
    package.manifest["created_on"] = "2023-08-30"
    member = world.workforce if kind == "wage" else world.education
    answer = world.submit(member, package)
    assert answer.status_code == 200, answer.text


def link(world: World) -> str:
    run = str(world.operator.post(f"/agreements/{ID}/runs", {}).json()["id"])
    owner = run_linkage.begin(world.service, run, "w")
    assert owner is not None
    planes = world.service.plane("encodings"), world.service.plane("links")
    produced = link_inputs.link_inputs(world.service, *planes, run, owner)
    run_linkage.finish(world.service, run, owner, produced)
    return run


def ask(world: World, indicator: str = "employed_q4") -> Any:
    body = {"indicator": indicator, "cohort": "2021-22", "by": [], "where": {}}
    return world.partnership.post(f"/agreements/{ID}/releases", body)


def test_release_before_late_reports_stays_and_is_repeated_bit_for_bit_after_them(region: World) -> None:
    agree(region)
    submit(region, "completion", 0, 200)
    submit(region, "wage", 0, 150)
    first = link(region)
    before = ask(region).json()
    assert before["table"]["total"]["rate"] == "75.0"
    assert before["table"]["vintage"] == "PRELIMINARY"
    region.clock.now = datetime(2024, 3, 1, 12, tzinfo=UTC)
    submit(region, "wage", 150, 158)
    second = link(region)
    assert second != first
    after = ask(region).json()
    assert (after["table"], after["run"]) == (before["table"], first)
    replayed = replay_run(region.service, first)
    assert replayed["same"], [check for check in replayed["checks"] if not check["same"]]


def test_coverage_of_a_release_is_read_from_the_encodings_and_repeated_bit_for_bit(region: World) -> None:
    agree(region)
    refs = make_refs(200)
    # 60 of the 200 have no filter that needs a strong identifier; the manifest may say what it likes.
    table = pq.read_table(pa.BufferReader(encodings_bytes(refs)))
    filters = table["ssn"].to_pylist()
    place = table.column_names.index("ssn")
    column = pa.array([None] * 60 + filters[60:], table.schema.field("ssn").type)
    encodings = parquet(table.set_column(place, table.schema.field("ssn"), column))
    package = make_package(count=200, facts=completion_table(refs), encodings=encodings)
    package.manifest["created_on"] = "2023-08-30"
    assert region.submit(region.education, package).status_code == 200
    submit(region, "wage", 0, 150)
    run = link(region)
    coverage = ask(region).json()["table"]["coverage"]
    assert (coverage["encodable"], coverage["strong_identifier"]) == ("77", "55")  # 175 and 125 of 225
    assert "at least 55 % had a strong identifier" in coverage["text"]
    replayed = replay_run(region.service, run)
    assert replayed["same"], [check for check in replayed["checks"] if not check["same"]]


def test_release_from_a_batch_that_was_replaced_since_is_repeated_bit_for_bit(region: World) -> None:
    agree(region)
    submit(region, "completion", 0, 200)
    submit(region, "wage", 0, 150)
    first = link(region)
    assert ask(region).json()["table"]["total"]["rate"] == "75.0"
    listed = region.workforce.get(f"/agreements/{ID}/batches").json()["batches"]
    refs = make_refs(200)
    package = make_package(
        kind="wage",
        count=158,
        facts=wage_table(refs[:158]),
        encodings=only(encodings_bytes(refs), refs[:158]),
    )
    body = region.workforce.signed("batch-manifest", package.manifest) | {"supersedes": listed[0]["id"]}
    begun = region.workforce.post(f"/agreements/{ID}/batches", body)
    assert begun.status_code == 201, begun.text
    assert region.submit(region.workforce, package).json()["state"] == "ACCEPTED"
    replayed = replay_run(region.service, first)
    assert replayed["same"], [check for check in replayed["checks"] if not check["same"]]


def test_new_indicator_is_one_declaration_and_its_golden_case(
    region: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = Indicator(
        id="employed_q5",
        title="Employed five quarters after graduation",
        definition="Per cent of graduates found with wages in the fifth quarter after their award's.",
        numerator="persons with wages above zero in the fifth quarter",
        denominator="persons with an award in the cohort, minus those excluded by the end of that quarter",
        measure=FoundInQuarter.after(5),
        dimensions=("pathway", "sex"),
        additivity="As employed_q4.",
        horizon="the fifth quarter after the last award of the cohort",
    )
    monkeypatch.setitem(INDICATORS, declared.id, declared)
    agree(region, declared.id)
    submit(region, "completion", 0, 200)
    # Of these 60 wages are in 2023Q3, the fifth quarter, and the others in the fourth.
    refs = make_refs(200)
    wages = wage_table(refs[:150])
    quarters = ["2023Q3"] * 60 + ["2023Q2"] * 90
    wages = wages.set_column(wages.column_names.index("quarter"), "quarter", [quarters])
    package = make_package(
        kind="wage", count=150, facts=wages, encodings=only(encodings_bytes(refs), refs[:150])
    )
    region.clock.now = datetime(2024, 3, 1, 12, tzinfo=UTC)
    assert region.submit(region.workforce, package).status_code == 200
    link(region)
    table = ask(region, "employed_q5").json()["table"]
    assert (table["total"]["n"], table["total"]["found"], table["total"]["rate"]) == (200, 60, "30.0")
    listed = region.partnership.get("/indicators").json()["indicators"]
    assert declared.to_document() in listed
    assert "## `employed_q5`: Employed five quarters after graduation" in render()


def test_table_of_thresholds_larger_than_other_bodies_is_taken_and_kept_by_digest(region: World) -> None:
    head = "source,version,county_fips,family_type,year,annual_amount,licence_note\n"
    note = "invented " * 400
    rows = [
        f"test,1,39061,a1i{i}p{p}s{s}t0,{year},30000,{note}\n"
        for i in range(6) for p in range(6) for s in range(6) for year in range(2018, 2026)
    ]  # fmt: skip
    text = head + "".join(rows)
    assert len(text) > 5_000_000
    answer = region.operator.post("/thresholds", {"csv": text})
    assert (answer.status_code, answer.json()["rows"]) == (201, len(rows))
    from app.flows import load_thresholds

    digest = answer.json()["sha256"]
    small = head + "".join(f"test,2,39061,a1i0p0s0t0,{year},1,x\n" for year in (2022, 2023))
    assert region.operator.post("/thresholds", {"csv": small}).status_code == 201
    held, current = load_thresholds.held(region.service, digest), load_thresholds.current(region.service)
    assert held is not None and held.version == "1"
    assert current is not None and current.version == "2"
    assert load_thresholds.held(region.service, "../x") is None
