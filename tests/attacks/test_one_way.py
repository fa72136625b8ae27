"""Agreements on one-way tables alone: what follows from several of them together.

Nothing crosses two dimensions, but she knows which combinations nobody has: most graduates of a school live
in one county.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.outcomes import plan
from tests.attacks import adversary
from tests.attacks.adversary import FOUND, MISSED, Layer, System, one_layer
from tests.attacks.region import (
    CODES,
    Analyst,
    Region,
    Someone,
    published_codes,
    random_people,
    region_of,
)

DIMENSIONS = ("institution", "county", "age_band")
TERMS: dict[str, Any] = {"dimensions": list(DIMENSIONS), "max_dimensions": 1}


def at_home(seed: int, count: int) -> list[Someone]:
    """Graduates of whom nearly all live where their school is."""
    rng = np.random.default_rng(seed)
    home = {school: str(rng.choice(CODES["county"])) for school in CODES["institution"]}
    return [
        Someone(
            each.name,
            {**each.codes, "county": home[each.codes["institution"]]} if rng.random() < 0.95 else each.codes,
            each.wages,
        )
        for each in random_people(seed, count, rate=0.7, skew=1.0, dimensions=DIMENSIONS)
    ]


def recovered(region: Region, people: list[Someone]) -> list[str]:
    answers = Analyst(region.partnership).everything(DIMENSIONS, 1)
    codes = {each.name: published_codes(each, DIMENSIONS) for each in people}
    state = {each.name: FOUND if each.works() else MISSED for each in people}
    system = System([Layer(answers, state, codes)], one_layer)
    assert sum(row["status"] == "published" for answer in answers for row in answer["rows"]) > 1
    return adversary.small(answers) + system.at_most() + system.pinned()


@pytest.mark.parametrize(("seed", "count"), [(1, 150), (4, 110)])
def test_one_way_tables_together_tell_of_no_small_group_and_would_each_table_by_itself(
    tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch, seed: int, count: int
) -> None:
    people = at_home(seed, count)
    with region_of(tmp_path / "on", migrated_sqlite, people, **TERMS) as region:
        assert not recovered(region, people)
    # The way of many finest cells: rows of each table, and no more.
    monkeypatch.setattr(plan, "FEW_CELLS", -1)
    with region_of(tmp_path / "off", migrated_sqlite, people, **TERMS) as region:
        assert recovered(region, people)
