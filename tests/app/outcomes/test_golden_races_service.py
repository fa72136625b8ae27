"""Golden cases 3 and 7 over HTTP: a small group and one more without their figure, and a gap."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.flows import link_inputs, run_linkage
from app.settings import Settings
from tests.app.outcomes.test_golden_service import only
from tests.world import Clock, World, completion_table, encodings_bytes, make_package, make_refs, wage_table

ID = "cincinnati-nky"
#: Persons and found.
RACES = {
    "White": (120, 90),
    "BlackOrAfricanAmerican": (60, 42),
    "HispanicOrLatino": (24, 18),
    "Asian": (30, 19),
}


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[World]:
    settings = Settings.for_data(tmp_path_factory.mktemp("races") / "data", part_size=65_536)
    settings.data.mkdir()
    (settings.data / "cohortlink.db").write_bytes(migrated_sqlite.read_bytes())
    with World(settings, Clock()) as world:
        world.agree(dimensions=["race_ethnicity"], indicators=["employed_q4", "gap"], min_cell=10)
        races = [race for race, (n, _) in RACES.items() for _ in range(n)]
        found = [at < m for n, m in RACES.values() for at in range(n)]
        refs = make_refs(len(races))
        # Hispanic of any race stands in one row: the race that is given beside it does not matter.
        marks = {
            "race": ["White" if race == "HispanicOrLatino" else race for race in races],
            "hispanic": ["Yes" if race == "HispanicOrLatino" else "No" for race in races],
        }
        working = [ref for ref, was in zip(refs, found, strict=True) if was]
        education = make_package(count=len(refs), facts=completion_table(refs, **marks))
        workforce = make_package(
            kind="wage",
            count=len(working),
            facts=wage_table(working),
            encodings=only(encodings_bytes(refs), working),
        )
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


def ask(world: World) -> Any:
    body = {"indicator": "employed_q4", "cohort": "2021-22", "by": ["race_ethnicity"], "where": {}}
    answer = world.partnership.post(f"/agreements/{ID}/releases", body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_races_of_which_one_is_small_over_http_hide_that_one_and_one_more(linked: World) -> None:
    table = ask(linked)["table"]
    rows = {row["key"]["race_ethnicity"]: row for row in table["rows"]}
    total = table["total"]
    assert (total["n"], total["found"], total["rate"]) == (234, 169, "72.2")
    assert (rows["White"]["n"], rows["White"]["found"], rows["White"]["rate"]) == (120, 90, "75.0")
    black = rows["BlackOrAfricanAmerican"]
    assert (black["n"], black["found"], black["rate"]) == (60, 42, "70.0")
    # Six of 24 were not found: the figure is withheld, and one more to protect it. How many persons there
    # are is no figure below the minimum cell and stands (R1).
    withheld = {code: row for code, row in rows.items() if row["n"] and row["rate"] is None}
    assert {(code, row["n"], row["found"]) for code, row in withheld.items()} == {
        ("HispanicOrLatino", 24, None),
        ("Asian", 30, None),
    }


def test_gap_of_two_races_over_http_is_five_points_and_withheld_where_a_rate_is(linked: World) -> None:
    release = ask(linked)["id"]
    gaps = linked.partnership.get(f"/releases/{release}/gap", params={"reference": "White"}).json()
    rows = {row["key"]["race_ethnicity"]: row for row in gaps["rows"]}
    black = rows["BlackOrAfricanAmerican"]
    assert (black["points"], black["ratio"]) == ("-5.0", "0.933")
    assert (rows["White"]["points"], rows["White"]["ratio"]) == ("0.0", "1.000")
    for code in ("HispanicOrLatino", "Asian"):
        assert (rows[code]["status"], rows[code]["points"], rows[code]["ratio"]) == ("withheld", None, None)
