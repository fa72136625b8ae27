"""Rows by place beside tables by group of what those found lie within: match rates, and the like.

Where groups and places go nearly one to one, rows by place are numerators of groups. Whoever subtracts them
from those that are linked in each group reads off of how few of these nothing was found.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from app.disclosure.along import along, hide_along, shown_of
from app.disclosure.alternatives import finest
from app.disclosure.beside import Beside
from app.disclosure.beside_groups import BesideGroups, budget
from app.disclosure.cube import protect_cube
from app.disclosure.joint import Entries
from app.disclosure.policy import Policy
from app.disclosure.suppression import Suppression
from app.disclosure.table import Place
from app.disclosure.worked import Worked
from tests.attacks.bounds import Bounds
from tests.attacks.cells import Document, K, axis
from tests.attacks.populations import ABOUT

SEEDS = range(8)
Figures = tuple[list[Document], list[Document], dict[str, int]]


@dataclass(frozen=True, eq=False)
class Cohort:
    """Persons by county, who of them is linked, who found, and in which sector these work."""

    seed: int
    county: np.ndarray
    sector: np.ndarray
    found: np.ndarray
    linked: np.ndarray

    @classmethod
    def drawn(cls, seed: int, tied: float) -> Cohort:
        """Of whom a share ``tied`` work in the sector of their county."""
        rng = np.random.default_rng(seed)
        persons, size = int(rng.integers(60, 900)), int(rng.integers(3, 7))
        county, other = (rng.choice(size, persons, p=rng.dirichlet(np.ones(size))) for _ in range(2))
        sector = np.where(rng.random(persons) < tied, county, other)
        found = rng.random(persons) < 0.6
        return cls(seed, county, sector, found, found | (rng.random(persons) < 0.08))

    @property
    def policy(self) -> Policy:
        return Policy(K, f"secret of places and links {self.seed}".encode())

    def entries(self, *, linked: bool = False, groups: bool = True, places: bool = False) -> Entries:
        size = len(self.found)
        names = sorted(set(self.sector[self.found].tolist()))
        number = np.where(self.found, [names.index(s) + 1 if s in names else 0 for s in self.sector], 0)
        sets = tuple(frozenset({("sector", str(name))}) for name in names)
        return Entries(
            "matched" if linked else "employed_q4",
            (axis("county", 6),) if groups else (),
            keys=[f"p{at:04}" for at in range(size)],
            codes=self.county[:, None].astype(np.int64) if groups else np.zeros((size, 0), np.int64),
            masks={frozenset(): np.ones(size, np.bool_)},
            found=self.linked if linked else self.found,
            counted=np.ones(size, np.bool_),
            within=() if linked else ("matched",),
            about=ABOUT,
            worked=Worked(sets, number, frozenset()) if places else None,
        )

    def rows(self) -> dict[str, int]:
        """Those found by sector, where it is not for few."""
        found = {str(s): int((self.found & (self.sector == s)).sum()) for s in range(6)}
        few = len(self.found) - int(self.found.sum()) < K
        return {} if few else {code: m for code, m in found.items() if m >= K}


def cube_of(entries: Entries, policy: Policy, *steps: Any) -> tuple[list[Document], Suppression]:
    decided: list[Suppression] = []

    def hide(state: Suppression) -> None:
        for step in steps:
            step(state)
        decided.append(state)

    cube = protect_cube(finest(entries, ABOUT), policy, 1, beside=hide)
    return [json.loads(json.dumps(cube.table(by).to_document())) for by in cube.plan], decided[0]


def as_table(total: Document, rows: dict[str, int]) -> Document:
    told = [{"key": {"sector": code}, "n": None, "found": m} for code, m in rows.items()]
    return {"by": ["sector"], "rows": told, "total": total["total"]}


def proven(
    cohort: Cohort, tables: list[Document], decided: Suppression, out: Sequence[Any]
) -> dict[str, int]:
    """Rows by sector that are shown beside tables by county, and beside what is ``out``."""
    rows, new, work = cohort.rows(), cohort.entries(places=True), budget(decided)
    if tables[0]["total"]["found"] is None:
        return {}
    unions = [(BesideGroups([], new, tables, cohort.policy, lambda *_: None), decided)]
    for layer in out:
        union = BesideGroups([along(layer, "county")], new, tables, cohort.policy, lambda *_: None)
        unions.append((union, shown_of(new, tables, 1, work)))
    for union, told in unions * 2:
        places: list[Place] = [("sector", code) for code in rows]
        rows = {code: rows[code] for _, code in union.shown(places, told, work)}
    return rows


def linked_first(cohort: Cohort, *, mended: bool) -> Figures:
    """Match rates are out; then a rate by county, and its rows by sector."""
    links = cohort.entries(linked=True)
    out, _ = cube_of(links, cohort.policy)
    beside = Beside([(links, out)], cohort.entries(), cohort.policy, lambda *_: None)
    tables, decided = cube_of(cohort.entries(), cohort.policy, beside.hide)
    return tables, out, proven(cohort, tables, decided, [(links, out)] if mended else [])


def linked_last(cohort: Cohort, *, mended: bool) -> Figures:
    """Rows by sector are out, with a total alone; then come match rates by county."""
    plain, at_places = (cohort.entries(groups=False, places=places) for places in (False, True))
    tables, _ = cube_of(plain, cohort.policy)
    rows = {} if tables[0]["total"]["found"] is None else cohort.rows()
    links, told = cohort.entries(linked=True), [*tables, as_table(tables[0], rows)]

    def first(state: Suppression) -> None:
        hide_along(state, links, (at_places, told), cohort.policy, lambda *_: None)

    beside = Beside([(plain, tables)], links, cohort.policy, lambda *_: None)
    out, _ = cube_of(links, cohort.policy, *([first] if mended else []), beside.hide)
    return tables, out, rows


def recovered(cohort: Cohort, figures: Figures) -> set[int]:
    """Counties of whom fewer than the minimum can be linked and not found, though somebody is."""
    tables, out, rows = figures
    kinds = zip(
        cohort.county.tolist(),
        cohort.linked.tolist(),
        np.where(cohort.found, cohort.sector, -1).tolist(),
        strict=True,
    )
    held = set(kinds)
    # What anybody of a county may be who knows in which sectors nobody of it works.
    columns = sorted(held | {(county, links, -1) for county, _, _ in held for links in (False, True)})
    county, links, sector = (np.array(each) for each in zip(*columns, strict=True))
    left, right = [], []
    for documents, inside in ((tables, sector >= 0), (out, links)):
        for row, at in [
            (
                row,
                county == int(row["key"]["county"].removeprefix("county")) if document["by"] else county >= 0,
            )
            for document in documents
            for row in (document["rows"] if document["by"] else [document["total"]])
        ]:
            for told, member in ((row["n"], at), (row["found"], at & inside)):
                left += [member.astype(float)] if told is not None else []
                right += [told] if told is not None else []
    for code, m in rows.items():
        left.append((sector == int(code)).astype(float))
        right.append(m)
    bounds = Bounds(left, right, len(columns))
    few = {each: (county == each) & links & (sector < 0) for each in set(county.tolist())}
    there = set(cohort.county[cohort.linked & ~cohort.found].tolist())
    return {each for each in there if not bounds.reaches(few[each].astype(float), K)}


def attacked(publish: Any, *, tied: float, mended: bool) -> tuple[int, int, int]:
    """Cohorts in which she learns of few; rows by sector, and match rates by county, that are shown."""
    hits = places = groups = 0
    for seed in SEEDS:
        cohort = Cohort.drawn(seed, tied)
        figures = publish(cohort, mended=mended)
        hits += bool(recovered(cohort, figures))
        places += len(figures[2])
        groups += sum(row["found"] is not None for table in figures[1] for row in table["rows"])
    return hits, places, groups


@pytest.mark.parametrize("publish", [linked_first, linked_last])
def test_rows_by_place_and_what_is_linked_by_group_tell_of_few_by_themselves_and_not_beside_each_other(
    publish: Any,
) -> None:
    for tied in (0.95, 1.0):
        assert attacked(publish, tied=tied, mended=False)[0] > 0
        hits, places, groups = attacked(publish, tied=tied, mended=True)
        assert (hits, min(places, groups) > 0) == (0, True)


@pytest.mark.parametrize("publish", [linked_first, linked_last])
def test_places_that_have_nothing_to_do_with_groups_lose_nothing_beside_what_is_linked(publish: Any) -> None:
    plain = attacked(publish, tied=0.0, mended=False)
    assert attacked(publish, tied=0.0, mended=True) == plain
    assert plain[0] == 0
