"""Agreements on one-way tables alone: what follows from several of them together.

Nothing crosses two dimensions, but she knows which combinations nobody has: most graduates of a school live
in one county.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.disclosure.cube import protect_cube
from app.disclosure.finest import Axis, FinestCells
from app.disclosure.policy import Policy
from app.disclosure.protect import protect
from app.disclosure.table import Cell, Table
from app.flows.service import Service
from app.outcomes import plan
from app.outcomes.figures import Source
from app.outcomes.publishable import one_way
from tests.attacks import adversary
from tests.attacks.adversary import FOUND, MISSED, Layer, System, one_layer
from tests.attacks.populations import ABOUT, partition
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
    # It draws which rows are withheld for others: by few draws hardly any is left to be attacked.
    monkeypatch.setattr(Service, "release_secret", lambda _: b"one of the secrets of a service.")
    with region_of(tmp_path / "on", migrated_sqlite, people, **TERMS) as region:
        assert not recovered(region, people)

    def rows_alone(asked: plan.Plan, source: Source, policy: Policy, *_: object) -> list[dict[str, Any]]:
        """Rows of each table and what adds up in them, and no more."""
        return one_way(asked.indicator, asked.cohort, asked.dimensions, source, policy)

    monkeypatch.setattr(plan, "_shares", rows_alone)
    with region_of(tmp_path / "off", migrated_sqlite, people, **TERMS) as region:
        assert recovered(region, people)


def test_row_within_another_but_for_few_is_not_told_among_ten_thousand_finest_cells() -> None:
    """A county and its school, whose graduates but four are all there are of that county."""
    rng, persons, sizes = np.random.default_rng(8), 14_000, (8, 8, 7, 6, 5, 4, 4)
    codes = np.column_stack([rng.integers(size, size=persons) for size in sizes])
    codes[:, 1] = np.where(codes[:, 1] == 7, 6, codes[:, 1])
    codes[codes[:, 0] == 7, 1] = 7
    codes[np.flatnonzero(codes[:, 0] == 2)[:4], 1] = 7
    found, policy = rng.random(persons) < 0.7, Policy(10, b"the attacker does not know this.")
    keys, at, n = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    hits = np.bincount(at.reshape(-1), weights=found).astype(np.int64)
    assert len(n) > 10_000
    names = [f"d{i}" for i in range(len(sizes))]
    axes = tuple(
        Axis(name, tuple(map(str, range(size))), tuple(map(str, range(size))))
        for name, size in zip(names, sizes, strict=True)
    )
    cube = protect_cube(FinestCells(ABOUT, axes, keys, n, hits), policy, 1)
    whole = Table(ABOUT, (), keys=(), labels=(), cells=(), total=Cell(persons, int(found.sum())))
    tables = [partition(name, codes[:, i], found, sizes[i]) for i, name in enumerate(names)]
    alone = protect([whole, *tables], policy)

    def few(made: Any) -> list[int]:
        """She knows that everybody of the school lives in the county: the rest of it is a difference."""
        school, county = (made.table((name,)).to_document()["rows"][7] for name in ("d0", "d1"))
        told = [(school[x], county[x]) for x in ("n", "found") if None not in (school[x], county[x])]
        return [county - school for school, county in told if 0 < county - school < 10]

    assert few(alone)
    assert not few(cube)
    shown = [row["status"] for name in names for row in cube.table((name,)).to_document()["rows"]]
    assert shown.count("published") >= sum(sizes) - 4
