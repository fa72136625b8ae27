"""Rows by place and tables by group together, for somebody who knows where nobody of a group works.

Her columns are finest cells by place, as persons really have them: where groups and places go nearly one to
one, both kinds of rows are one table. Whichever of the two is out first, the other gives way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from app.disclosure.along import shown_of
from app.disclosure.alternatives import finest
from app.disclosure.beside import Beside
from app.disclosure.beside_groups import BesideGroups, budget
from app.disclosure.cube import protect_cube
from app.disclosure.goals import Work
from app.disclosure.joint import Entries
from app.disclosure.policy import Policy
from app.disclosure.protect import protect
from app.disclosure.suppression import Suppression
from app.disclosure.table import Cell, Place, Rows, Table
from app.disclosure.worked import Worked
from tests.attacks.bounds import Bounds, told_by
from tests.attacks.cells import Document, K, axis, figures
from tests.attacks.populations import ABOUT

SEEDS = range(8)


@dataclass(frozen=True, eq=False)
class Cohort:
    """Persons by county and sex, and the sector where those found work."""

    seed: int
    county: np.ndarray
    sex: np.ndarray
    sector: np.ndarray
    found: np.ndarray
    all_groups: bool = True

    @classmethod
    def drawn(cls, seed: int, tied: float, *, all_groups: bool = True) -> Cohort:
        """Of whom a share ``tied`` work in the sector of their county."""
        rng = np.random.default_rng(seed)
        persons, size = int(rng.integers(60, 900)), int(rng.integers(3, 7))
        county = rng.choice(size, persons, p=rng.dirichlet(np.ones(size)))
        sex = rng.integers(2, size=persons)
        other = rng.choice(size, persons, p=rng.dirichlet(np.ones(size)))
        sector = np.where(rng.random(persons) < tied, county, other)
        return cls(seed, county, sex, sector, rng.random(persons) < 0.6, all_groups)

    @property
    def policy(self) -> Policy:
        secret = f"secret of the places {self.seed}".encode()
        return Policy(K, secret, places_beside_all_groups=self.all_groups)

    def entries(self, *, groups: bool, places: bool) -> Entries:
        size = len(self.found)
        names = sorted(set(self.sector[self.found].tolist()))
        number = np.where(self.found, [names.index(s) + 1 if s in names else 0 for s in self.sector], 0)
        sets = tuple(frozenset({("sector", str(name))}) for name in names)
        codes = np.column_stack([self.county, self.sex]) if groups else np.zeros((size, 0))
        return Entries(
            "employed_q4",
            (axis("county", 6), axis("sex", 2)) if groups else (),
            keys=[f"p{at:04}" for at in range(size)],
            codes=codes.astype(np.int64),
            masks={frozenset(): np.ones(size, np.bool_)},
            found=self.found,
            counted=np.ones(size, np.bool_),
            about=ABOUT,
            worked=Worked(sets, number, frozenset()) if places else None,
        )

    def rows(self) -> Document:
        """Rows by sector as they are shown beside the total."""
        at = {s: int((self.found & (self.sector == s)).sum()) for s in sorted(set(self.sector[self.found]))}
        total = Cell(len(self.found), int(self.found.sum()))
        table = Table(
            ABOUT,
            ("sector",),
            keys=tuple((str(s),) for s in at),
            labels=tuple(map(str, at)),
            cells=tuple(Cell(total.n, m) for m in at.values()),
            total=total,
            rows=Rows.PLACES,
            places={frozenset({("sector", str(s))}): m for s, m in at.items()},
        )
        alone = Table(ABOUT, (), keys=(), labels=(), cells=(), total=total)
        return written(protect([alone, table], self.policy).table(("sector",)))


def written(table: Any) -> Document:
    document: Document = json.loads(json.dumps(table.to_document()))
    return document


def groups_of(cohort: Cohort, beside: Any = None) -> tuple[list[Document], list[Suppression]]:
    """Tables by county and sex, alone or beside rows by sector that are out."""
    decided: list[Suppression] = []

    def hide(state: Suppression) -> None:
        if beside is not None:
            beside.hide(state)
        decided.append(state)

    cells = finest(cohort.entries(groups=True, places=False), ABOUT)
    cube = protect_cube(cells, cohort.policy, 2, beside=hide)
    return [written(cube.table(by)) for by in cube.plan], decided


def places_last(cohort: Cohort, *, mended: bool) -> tuple[list[Document], Document]:
    tables, decided = groups_of(cohort)
    document = cohort.rows()
    shown = [("sector", row["key"]["sector"]) for row in document["rows"] if row["found"] is not None]
    if tables[0]["total"]["found"] is None:
        shown = []
    elif mended:
        new = cohort.entries(groups=True, places=True)
        union = BesideGroups([], new, tables, cohort.policy, lambda *_: None)
        shown = list(union.shown(shown, decided[0], budget(decided[0])))
    return tables, only(document, shown)


def only(document: Document, shown: Sequence[Place]) -> Document:
    rows = [row for row in document["rows"] if ("sector", row["key"]["sector"]) in shown]
    return {**document, "rows": rows}


def places_first(cohort: Cohort, *, mended: bool) -> tuple[list[Document], Document]:
    """Rows by place are out, of an agreement that permits groups and shows none; then it shows some."""
    groups = [cohort.entries(groups=True, places=True)] if mended else []
    return groups_after(cohort, places_alone(cohort, groups), mended=mended)


def places_unaware(cohort: Cohort, *, mended: bool) -> tuple[list[Document], Document]:
    """Rows by place are out, of an agreement that permits no groups; then another does."""
    every = cohort.entries(groups=True, places=True)
    groups = [every.along("county"), every.along("sex")] if mended else []
    return groups_after(cohort, places_alone(cohort, groups), mended=mended)


def places_alone(cohort: Cohort, groups: Sequence[Entries]) -> Document:
    """Rows by sector beside a total and no table by group, proven beside some groups."""
    document = cohort.rows()
    shown = [("sector", row["key"]["sector"]) for row in document["rows"] if row["found"] is not None]
    total = {"by": [], "rows": [], "total": document["total"]}
    for each in groups:
        told = shown_of(each, [total], 2, Work(10**7))
        union = BesideGroups([], each, [total], cohort.policy, lambda *_: None)
        kept = union.shown(shown, told, budget(told))
        shown = [place for place in shown if place in kept]
    return only(document, shown)


def groups_after(cohort: Cohort, document: Document, *, mended: bool) -> tuple[list[Document], Document]:
    out = cohort.entries(groups=False, places=mended)
    total = {"by": [], "rows": [], "total": document["total"]}
    new = cohort.entries(groups=True, places=False)
    union = Beside([(out, [total, document])], new, cohort.policy, lambda *_: None)
    return groups_of(cohort, union)[0], document


def recovered(cohort: Cohort, tables: list[Document], document: Document, *, know_n: bool) -> set[int]:
    """Groups, places, and those of a group at a place, that she bounds below the minimum or pins."""
    cells = finest(cohort.entries(groups=True, places=False), ABOUT)
    at = {tuple(code): i for i, code in enumerate(cells.codes.tolist())}
    own = np.array([at[code] for code in zip(cohort.county.tolist(), cohort.sex.tolist(), strict=True)])
    pairs = sorted(set(zip(own[cohort.found].tolist(), cohort.sector[cohort.found].tolist(), strict=True)))
    size, width = len(cells.n), len(pairs) + len(cells.n)
    of_cell = np.zeros((size, width))
    of_cell[[cell for cell, _ in pairs], np.arange(len(pairs))] = 1
    missed = np.hstack([np.zeros((size, len(pairs))), np.eye(size)])
    members, rows = figures(cells, tables)
    left, right = [], []
    for member, row in zip(members, rows, strict=True):
        for column, value in ((member @ of_cell, row["found"]), (member @ (of_cell + missed), row["n"])):
            left += [column] if value is not None else []
            right += [value] if value is not None else []
    sectors = {}
    for row in document["rows"]:
        code = int(row["key"]["sector"])
        sectors[code] = np.array([float(sector == code) for _, sector in pairs] + [0.0] * size)
        left += [sectors[code]] if row["found"] is not None else []
        right += [row["found"]] if row["found"] is not None else []
    if know_n:
        left, right = [*left, *(of_cell + missed)], [*right, *cells.n]
    bounds = Bounds(left, right, width)
    if not know_n:
        asked = [*np.eye(width), *(member @ of_cell for member in members), *sectors.values()]
        return {at for at, each in enumerate(asked) if each.any() and not bounds.reaches(each, K)}
    told = [member for member, row in zip(members, rows, strict=True) if row["found"] is not None]
    hits = set()
    for number, member in enumerate([*members, *np.eye(size)]):
        # Whether somebody was found in a cell she knows from where its persons work.
        if not (member @ of_cell).any() or any(np.array_equal(member, other) for other in told):
            continue
        if told_by(*bounds.whole(member @ of_cell), int(member @ cells.n), K):
            hits.add(number)
    return hits


def withheld_but_total(tables: list[Document]) -> list[Document]:
    """The same tables with nothing in their rows."""
    nothing = {"n": None, "found": None, "rate": None}
    return [{**each, "rows": [{**row, **nothing} for row in each["rows"]]} for each in tables]


def attacked(
    publish: Any, *, tied: float, mended: bool, know_n: bool, all_groups: bool = True
) -> tuple[int, int, int]:
    """Cohorts in which she learns of few; rows by place, and figures by group, that are shown."""
    hits = places = groups = 0
    for seed in SEEDS:
        cohort = Cohort.drawn(seed, tied, all_groups=all_groups)
        tables, document = publish(cohort, mended=mended)
        hits += bool(recovered(cohort, tables, document, know_n=know_n))
        places += sum(row["found"] is not None for row in document["rows"])
        groups += sum(row["found"] is not None for table in tables for row in table["rows"])
    return hits, places, groups


@pytest.mark.parametrize("publish", [places_last, places_first, places_unaware])
@pytest.mark.parametrize("tied", [0.95, 1.0])
def test_rows_by_place_and_groups_tell_of_few_by_themselves_and_not_beside_each_other(
    publish: Any, tied: float
) -> None:
    assert attacked(publish, tied=tied, mended=False, know_n=False)[0] > 0
    for know_n in (False, True):
        hits, places, groups = attacked(publish, tied=tied, mended=True, know_n=know_n)
        assert (hits, min(places, groups) > 0) == (0, True)


def crossed(every: Entries) -> list[Entries]:
    return [every]


def apart(every: Entries) -> list[Entries]:
    return [every.along("county"), every.along("sex")]


@pytest.mark.parametrize("asked", [crossed, apart])
def test_rows_by_place_that_are_the_number_of_a_group_tell_of_few_and_are_withheld(
    asked: Callable[[Entries], list[Entries]],
) -> None:
    def alone(cohort: Cohort, *, mended: bool) -> tuple[list[Document], Document]:
        document = places_alone(cohort, asked(cohort.entries(groups=True, places=True)) if mended else [])
        tables = [{**table, "total": document["total"]} for table in groups_of(cohort)[0]]
        return withheld_but_total(tables), document

    for mended, all_groups in ((False, True), (True, False)):
        assert attacked(alone, tied=1.0, mended=mended, know_n=True, all_groups=all_groups)[0] > 0
    hits, places, groups = attacked(alone, tied=1.0, mended=True, know_n=True)
    assert (hits, places > 0, groups) == (0, True, 0)


@pytest.mark.parametrize("publish", [places_last, places_first, places_unaware])
def test_places_that_have_nothing_to_do_with_groups_lose_nothing(publish: Any) -> None:
    plain = attacked(publish, tied=0.0, mended=False, know_n=False)
    assert attacked(publish, tied=0.0, mended=True, know_n=False) == plain
    assert plain[0] == 0
