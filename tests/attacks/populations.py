"""Random cohorts and their planned tables, made from single persons so that all tables agree."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from app.disclosure.table import Cell, Coverage, Description, Place, Rows, Table

ABOUT = Description(
    "employed_q4", "Employed", "Found with wages.", "2021-22", "FINAL", Coverage("Wage records.")
)


def partition(name: str, codes: np.ndarray, found: np.ndarray, size: int) -> Table:
    """Table of one dimension whose codes are 0 to size - 1."""
    cells = tuple(Cell(int(np.sum(codes == code)), int(np.sum(found[codes == code]))) for code in range(size))
    keys = tuple((str(code),) for code in range(size))
    total = Cell(len(found), int(found.sum()))
    return Table(ABOUT, (name,), keys=keys, labels=tuple(key[0] for key in keys), cells=cells, total=total)


def overlapping(name: str, member: np.ndarray, found: np.ndarray) -> Table:
    """Table whose rows are the columns of ``member`` (persons x rows, bool); persons may be in several."""
    cells = tuple(Cell(int(column.sum()), int(found[column].sum())) for column in member.T)
    keys = tuple((str(code),) for code in range(member.shape[1]))
    total = Cell(len(found), int(found.sum()))
    labels = tuple(key[0] for key in keys)
    return Table(ABOUT, (name,), keys=keys, labels=labels, cells=cells, total=total, rows=Rows.OVERLAPPING)


def places(where: np.ndarray, found: np.ndarray) -> Table:
    """Table by place; ``where`` is persons x places, bool, and each found person is somewhere."""
    atoms: dict[frozenset[Place], int] = {}
    for row in where[found]:
        key = frozenset(("place", str(place)) for place in np.flatnonzero(row))
        atoms[key] = atoms.get(key, 0) + 1
    total = Cell(len(found), int(found.sum()))
    keys = tuple((str(place),) for place in range(where.shape[1]))
    cells = tuple(Cell(total.n, int(where[found][:, place].sum())) for place in range(where.shape[1]))
    labels = tuple(key[0] for key in keys)
    return Table(
        ABOUT, ("place",), keys=keys, labels=labels, cells=cells, total=total, rows=Rows.PLACES, places=atoms
    )


@dataclass(frozen=True)
class Population:
    """A cohort: what Hypothesis shows of it is its seed, never its figures."""

    seed: int
    size: int
    skew: float
    chance: float

    def tables(self) -> tuple[Table, ...]:
        """Total, three partitions of different fineness, one overlapping table, one by place."""
        rng = np.random.default_rng(self.seed)
        n = self.size
        found = rng.random(n) < self.chance

        def split(parts: int) -> np.ndarray:
            weights = np.arange(1, parts + 1) ** -self.skew
            return rng.choice(parts, size=n, p=weights / weights.sum())

        pathway = split(5)
        member = np.zeros((n, 5), dtype=bool)
        member[np.arange(n), pathway] = True
        second = rng.random(n) < rng.choice([0.0, 0.01, 0.1])
        member[second, (pathway[second] + 1) % 5] = True
        where = rng.random((n, 3)) < np.array([0.6, 0.3, 0.03])
        where[:, 0] |= ~where.any(axis=1)
        total = Table(ABOUT, (), keys=(), labels=(), cells=(), total=Cell(n, int(found.sum())))
        return (
            total,
            partition("race", split(6), found, 6),
            partition("age", split(3), found, 3),
            partition("county", split(12), found, 12),
            overlapping("pathway", member, found),
            places(where, found),
        )


POPULATIONS = st.builds(
    Population,
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(0, 900),
    skew=st.sampled_from([0.0, 1.0, 2.0, 3.0]),
    chance=st.sampled_from([0.02, 0.3, 0.7, 0.9, 0.99]),
)


LEVELS = {"01": "CERT", "02": "CERT", "03": "ASSOC", "05": "BACH", "07": "GRAD", "17": "GRAD"}


def refined(seed: int, size: int, skew: float, chance: float) -> tuple[Table, Table]:
    """Pathways and the award levels that refine them; everybody has one award, and the attacker knows it."""
    rng = np.random.default_rng(seed)
    levels = [*LEVELS, "NONE"]
    weights = np.arange(1, len(levels) + 1) ** -skew
    drawn = rng.choice(rng.permutation(len(levels)), size=size, p=weights / weights.sum())
    found = rng.random(size) < chance
    pathways = ["CERT", "ASSOC", "BACH", "GRAD", "HSE", "INDUSTRY"]
    other = rng.choice([4, 5], size=size)
    path = np.array(
        [pathways.index(LEVELS[levels[i]]) if levels[i] in LEVELS else -1 for i in drawn], dtype=int
    )
    path = np.where(path < 0, other, path)

    def rows(name: str, names: list[str], codes: np.ndarray, **more: object) -> Table:
        cells = tuple(Cell(int((codes == i).sum()), int(found[codes == i].sum())) for i in range(len(names)))
        total = Cell(size, int(found.sum()))
        return Table(
            ABOUT,
            (name,),
            keys=tuple((text,) for text in names),
            labels=tuple(names),
            cells=cells,
            total=total,
            rows=Rows.OVERLAPPING,
            **more,  # type: ignore[arg-type]
        )

    return (
        rows("pathway", pathways, path),
        rows("award_level", levels, drawn, parents=LEVELS, parent_dimension="pathway"),
    )


def document(table: Table, shown: dict[tuple[str, ...], str] | None = None) -> dict[str, object]:
    """An answer *without* protection (test only): everything, or what ``shown`` gives as status per row."""

    def figures(cell: Cell, status: str) -> dict[str, object]:
        rate = f"{100 * cell.found / cell.n:.1f}" if cell.n else None
        return {
            "status": status,
            "n": cell.n if status != "withheld" else None,
            "found": cell.found if status == "published" else None,
            "rate": rate if status == "published" else None,
        }

    rows = [
        {"key": dict(zip(table.by, key, strict=True)), **figures(cell, (shown or {}).get(key, "published"))}
        for key, cell in zip(table.keys, table.cells, strict=True)
    ]
    answer = {
        "by": list(table.by),
        "rows": rows,
        "total": figures(table.total, "published"),
        "additive": table.additive,
    }
    return json.loads(json.dumps(answer))  # type: ignore[no-any-return]


def primary_only(table: Table, k: int) -> dict[str, object]:
    """An answer protected by the small-cell rule alone, as a spreadsheet would be."""
    status = {}
    for key, cell in zip(table.keys, table.cells, strict=True):
        small = min(cell.n, cell.found, cell.not_found) < k
        status[key] = "published" if not small else "count_only" if cell.n >= k else "withheld"
    return document(table, status)
