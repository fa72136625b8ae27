"""Two services, in one of which a county's one employer has more graduates: nothing that is read differs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.disclosure.paid import Paid
from app.flows.service import Service
from tests.attacks.region import Analyst, Region, Someone, region_of
from tests.attacks.sweep import observed, things_of

TERMS: dict[str, Any] = {"dimensions": ["county"], "max_dimensions": 1}
#: One employer pays all of the first county.
COUNTIES = ("39017", "39061", "39165", "39025")
MANY, FOUND = 60, 36


def people(found: Mapping[str, int]) -> list[Someone]:
    """As many persons in each county; found ones of the first at the mill."""
    made = []
    for county in COUNTIES:
        for at in range(MANY):
            someone = Someone(f"{county}.{at}", {"county": county})
            employer = "mill" if county == COUNTIES[0] else f"shop{at % 9}"
            made.append(
                someone.working(employer=employer) if at < found[county] else someone.working("2019Q1")
            )
    return made


def asked(region: Region, *, whole: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The answer by county, and all that the partnership reads."""
    table = Analyst(region.partnership).ask(("county",))
    if not whole:
        return table, {"table": table}
    region.clock.advance(seconds=1)
    Analyst(region.partnership).ask((), {"county": COUNTIES[0]})
    return table, observed(region, region.partnership, things_of(region))


def different(folder: Path, migrated: Path, *, whole: bool = True) -> list[str]:
    """Places at which the two services are told apart; not ``whole``: whether the answer alone does."""
    found = dict.fromkeys(COUNTIES, FOUND)
    with region_of(folder / "one", migrated, people(found), **TERMS) as region:
        table, one = asked(region, whole=whole)
    hidden = {row["key"]["county"] for row in table["rows"] if row["found"] is None} & {*COUNTIES[1:]}
    # Three more in the county of the mill; as many fewer in the one that is withheld for its sake.
    companion = min(hidden, default=COUNTIES[1])
    with region_of(
        folder / "other", migrated, people(found | {COUNTIES[0]: FOUND + 3, companion: FOUND - 3}), **TERMS
    ) as region:
        _, other = asked(region, whole=whole)
    assert one.keys() == other.keys()
    assert not whole or sum(told[0] == 200 for told in one.values()) > 15
    return [name for name, told in one.items() if told != other[name]]


def test_nothing_that_can_be_read_tells_how_many_graduates_a_countys_one_employer_has(
    tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Service, "release_secret", lambda _: b"the secret of both services....!")
    assert different(tmp_path / "on", migrated_sqlite) == []
    monkeypatch.setattr(Paid, "telling", lambda self, members: np.zeros(members.shape[0], np.bool_))
    assert different(tmp_path / "off", migrated_sqlite, whole=False)
