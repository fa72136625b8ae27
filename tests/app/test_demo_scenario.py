"""The generated region: the same for everybody, as noisy as planned, and sendable."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from app.demo import plan
from app.demo.measure import true_rates
from app.demo.noise import typo, wrong_number
from app.demo.scenario import Scenario, generate
from crypto.facts import validate_facts
from crypto.tabular import read_table

TODAY = date(2026, 11, 22)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    return generate(tmp_path_factory.mktemp("scenario"), scale=0.1, seed=7)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*.csv")):
        total.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return total.hexdigest()


def test_generate_one_seed_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    generate(tmp_path / "a", scale=0.02, seed=5)
    generate(tmp_path / "b", scale=0.02, seed=5)
    generate(tmp_path / "c", scale=0.02, seed=6)
    assert _digest(tmp_path / "a") == _digest(tmp_path / "b")
    assert _digest(tmp_path / "a") != _digest(tmp_path / "c")


def test_generate_known_seed_gives_the_pinned_people(tmp_path: Path) -> None:
    """Another digest means that a figure quoted anywhere for this seed is of other people."""
    scenario = generate(tmp_path, scale=0.02, seed=5)
    total = hashlib.sha256(scenario.truth_file.read_bytes())
    for feed in scenario.feeds:
        total.update(feed.people_file.read_bytes())
    assert total.hexdigest() == "588c07baaabcdc5ee5ddf0b867bbea685a0a9ac2b2dce867c63099ffef59d10b"


def test_generate_scale_out_of_range_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="scale"):
        generate(tmp_path, scale=0)


@pytest.mark.parametrize("agency", [agency.slug for agency in plan.AGENCIES])
def test_facts_of_every_agency_obey_the_closed_schema(small: Scenario, agency: str) -> None:
    feed = next(feed for feed in small.feeds if feed.agency.slug == agency)
    table = read_table(feed.facts_file)
    checked = validate_facts(
        feed.agency.facts_kind, table, submitted_on=TODAY, reference=feed.agency.id_column
    )
    assert checked.num_rows == feed.facts > 0
    known = {row[feed.agency.id_column] for row in _rows(feed.people_file)}
    assert set(checked[feed.agency.id_column].to_pylist()) <= known


def test_sizes_follow_the_scale(small: Scenario) -> None:
    persons = {feed.agency.slug: feed.persons for feed in small.feeds}
    assert persons["ohio-workforce"] == 6000
    assert persons["kentucky-workforce"] == 2500
    assert persons["riverside-bridges"] == 90
    live = Counter((row["state"], row["cohort_year"]) for row in _rows(small.outcomes_file))
    assert set(live.values()) == {600, 240}
    assert len(live) == 8


def test_persons_in_both_states_education_are_one_and_a_half_per_cent(small: Scenario) -> None:
    sources: dict[str, set[str]] = {}
    for row in _rows(small.truth_file):
        sources.setdefault(row["person"], set()).add(row["source"])
    education = [held for held in sources.values() if held & {"ohio-education", "kentucky-education"}]
    both = sum({"ohio-education", "kentucky-education"} <= held for held in education)
    assert both / len(education) == pytest.approx(0.015, abs=0.001)
    nonprofit = [held for held in sources.values() if "riverside-bridges" in held]
    assert sum(len(held & {"ohio-education", "kentucky-education"}) > 0 for held in nonprofit) == 54


def test_chance_found_in_q4_is_as_planned_by_pathway(small: Scenario) -> None:
    rates = true_rates(small.outcomes_file, "pathway")
    for pathway in plan.PATHWAYS:
        if pathway.share > 0.05:
            found = rates[pathway.code]
            assert found.employed / found.persons == pytest.approx(pathway.found_q4, abs=0.07)


def test_noise_strikes_as_often_as_planned(small: Scenario) -> None:
    noise = {feed.agency.slug: (feed.persons, feed.noise) for feed in small.feeds}
    n, struck = noise["ohio-workforce"]
    assert struck["typo"] / n == pytest.approx(0.015, rel=0.3)
    assert struck["nickname"] / n == pytest.approx(0.05, rel=0.2)
    assert struck["swapped"] / n == pytest.approx(0.004, rel=0.6)
    assert struck["suffix_in_surname"] / n == pytest.approx(0.006, rel=0.5)
    assert struck["ssn_wrong"] / n == pytest.approx(0.005, rel=0.6)
    n, struck = noise["ohio-education"]
    assert struck["ssn_missing"] / n == pytest.approx(0.063, rel=0.25)
    n, struck = noise["riverside-bridges"]
    assert struck["ssn_missing"] / n == pytest.approx(0.35, abs=0.15)


def test_wage_records_hold_a_number_and_a_cut_name_and_no_birth_date(small: Scenario) -> None:
    feed = next(feed for feed in small.feeds if feed.agency.slug == "ohio-workforce")
    rows = _rows(feed.people_file)
    assert set(rows[0]) == {"worker_id", "ssn", "last_name", "first_name", "middle_name"}
    assert all(len(row["ssn"]) == 9 for row in rows)
    assert max(len(row["first_name"]) for row in rows) <= 12
    assert max(len(row["last_name"]) for row in rows) <= 20
    assert max(len(row["middle_name"]) for row in rows) <= 1


def test_identity_numbers_were_never_issued_to_anybody(small: Scenario) -> None:
    numbers = [row["ssn"] for feed in small.feeds for row in _rows(feed.people_file) if row["ssn"]]
    assert all(number[0] == "9" and "01" <= number[3:5] <= "49" for number in numbers)


def test_summary_tells_what_was_written_and_names_nobody(small: Scenario) -> None:
    summary = json.loads((small.out / "scenario.json").read_text())
    assert [feed["agency"] for feed in summary["feeds"]] == [agency.slug for agency in plan.AGENCIES]
    assert summary["feeds"][2]["facts"] == small.feeds[2].facts


def test_typo_changes_a_name_by_one_slip() -> None:
    for kind in (0.0, 0.3, 0.6, 0.9):
        slipped = typo("Margaret", np.array([kind, 0.4, 0.5]))
        assert slipped != "Margaret"
        assert abs(len(slipped) - 8) <= 1
    assert typo("X", np.array([0.0, 0.0, 0.0])) == "X"


def test_wrong_number_differs_and_stays_a_number() -> None:
    for kind in (0.1, 0.7, 0.95):
        other = wrong_number("945409112", np.array([kind, 0.5, 0.25]))
        assert other != "945409112"
        assert len(other) == 9
        assert other.isdigit()
