"""Two services with the same public tables and other withheld groups: nothing else may differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.disclosure import cube
from app.disclosure.protect import ProtectedRow
from app.flows.service import Service
from tests.attacks.region import Analyst, Region, Someone, region_of
from tests.attacks.sweep import observed, things_of

DIMENSIONS = ("sex", "race_ethnicity")
TERMS: dict[str, Any] = {"dimensions": list(DIMENSIONS), "indicators": ["employed_q4", "gap", "trend"]}
LARGE = {"White": (60, 36), "Black": (60, 40)}
#: Persons and found of small groups; in the second service one of them is of nobody.
SMALL: tuple[Mapping[str, tuple[int, int]], ...] = (
    {"Asian": (8, 4), "AmericanIndian": (8, 4), "": (8, 4), "Hawaiian": (3, 2)},
    {"Asian": (9, 5), "AmericanIndian": (9, 5), "": (9, 4)},
)


def people(small: Mapping[str, tuple[int, int]]) -> list[Someone]:
    """As many women and men, found and not, in both services."""
    made: list[Someone] = []
    turn = {True: 0, False: 0}
    for race, (n, found) in {**LARGE, **small}.items():
        for at in range(n):
            turn[at < found] += 1
            codes = {"race_ethnicity": race, "sex": "Female" if turn[at < found] % 2 else "Male"}
            someone = Someone(f"p{len(made)}", codes)
            made.append(someone.working(employer=f"e{len(made) % 9}") if at < found else someone)
    return made


def asked(region: Region) -> dict[str, Any]:
    """Every question asked, then every route read: by the partnership, by nobody."""
    analyst = Analyst(region.partnership)
    for by in (("race_ethnicity",), DIMENSIONS):
        analyst.ask(by)
        region.clock.advance(seconds=1)
    for code in ("NativeHawaiianOrOtherPacificIslander", "Klingon"):
        analyst.ask(("sex",), {"race_ethnicity": code})
        region.clock.advance(seconds=1)
    analyst.ask(("county",), {"race_ethnicity": "Asian"})
    things = things_of(region)
    tables = [region.partnership.get(f"/releases/{each}").json()["table"] for each in things["release"]]
    return {
        "tables": [None if table is None else table | {"where": None} for table in tables],
        "partnership": observed(region, region.partnership, things),
        "nobody": observed(region, None, things | {"release": things["release"][:1]}),
    }


def different(folder: Path, migrated: Path) -> list[str]:
    """Places at which the two services are told apart."""
    seen = []
    for number, small in enumerate(SMALL):
        with region_of(folder / str(number), migrated, people(small), **TERMS) as region:
            seen.append(asked(region))
    one, other = seen
    assert one["partnership"].keys() == other["partnership"].keys()
    assert sum(told[0] == 200 for told in one["partnership"].values()) > 30
    places = [
        f"table {at}" for at, (a, b) in enumerate(zip(one["tables"], other["tables"], strict=True)) if a != b
    ]
    for reader in ("partnership", "nobody"):
        places += [name for name, told in one[reader].items() if told != other[reader][name]]
    return places


def name_why(patch: pytest.MonkeyPatch) -> None:
    """A row of somebody is told from a row of nobody by its status."""
    real = cube.protected_row

    def told(*arguments: Any, **more: Any) -> ProtectedRow:
        row = real(*arguments, **more)
        return replace(row, status="suppressed") if row.status == "withheld" else row

    patch.setattr(cube, "protected_row", told)


@pytest.fixture(autouse=True)
def one_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Companions are chosen by a secret, which differs from service to service."""
    monkeypatch.setattr(Service, "release_secret", lambda _: b"the secret of both services....!")


def test_nothing_that_can_be_read_tells_a_withheld_count_or_a_withheld_group_from_an_empty_one(
    tmp_path: Path, migrated_sqlite: Path
) -> None:
    assert different(tmp_path, migrated_sqlite) == []


def test_the_two_services_are_told_apart_where_a_status_tells_why(
    tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_why(monkeypatch)
    places: Sequence[str] = different(tmp_path, migrated_sqlite)
    assert any(place.startswith("text/csv /v1/releases/") for place in places)
