"""Random rows by place and by sector, percentiles and flows, and what the adversary reads of them.

Each game returns what she recovered from the twin without the rules that look beyond a single row, and from
what is published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import combinations
from typing import Any

import numpy as np
from scipy.optimize import linprog

from app.disclosure.figures import FlowCell, Flows, QuantileCell, Quantiles
from app.disclosure.policy import Policy
from app.disclosure.protect import protect
from app.disclosure.protect_figures import protect_flows, protect_quantiles
from app.disclosure.table import Cell, Employers, Place, Rows, Table
from tests.attacks.bounds import Bounds
from tests.attacks.cells import K
from tests.attacks.payers import MAX_PLACES, few, payers
from tests.attacks.populations import ABOUT, places, primary_only
from tests.attacks.test_single_table import elsewhere

Random = np.random.Generator
Recovered = tuple[list[str], list[str]]
#: Persons found by the exact set of their places, and what each employer pays them.
Atoms = Mapping[frozenset[Place], tuple[int, Counter[str]]]


def by_place(rng: Random, policy: Policy) -> Recovered:
    """Whoever was found in some places and not in others, by subtraction and by joint programs."""
    persons, rows = int(rng.integers(20, 600)), int(rng.integers(2, 6))
    found = rng.random(persons) < rng.choice([0.3, 0.7, 0.95])
    where = rng.random((persons, rows)) < rng.choice([0.02, 0.1, 0.5], rows)
    where[:, 0] |= ~where.any(axis=1)
    table = places(where, found)
    whole = Table(ABOUT, (), keys=(), labels=(), cells=(), total=table.total)
    document = protect([whole, table], policy).table(("place",)).to_document()
    atoms = np.unique(where[found], axis=0)
    bare = primary_only(table, K)
    return tuple(elsewhere([one]) + _atoms(one, atoms) for one in (bare, document))  # type: ignore[return-value]


def _atoms(document: Mapping[str, Any], atoms: np.ndarray) -> list[str]:
    """Sets of places, known to be somebody's, that she shows to be fewer persons' than k."""
    left, right = [], []
    if document["total"]["found"] is not None:
        left.append(np.ones(len(atoms)))
        right.append(document["total"]["found"])
    for at, row in enumerate(document["rows"]):
        if row["found"] is not None and atoms[:, at].any():
            left.append(atoms[:, at].astype(float))
            right.append(row["found"])
    hits = []
    for at in range(len(atoms)) if left else ():
        solved = linprog(-np.eye(len(atoms))[at], A_eq=np.array(left), b_eq=right, bounds=(0, 1e5))
        if solved.status == 0 and -solved.fun < K - 1e-6:
            hits.append(f"places {np.flatnonzero(atoms[at])}: at most {-solved.fun:.0f}")
    return hits


def by_sector(rng: Random, policy: Policy) -> Recovered:
    """Whoever works for one employer, in an industry or in two: his number, by sets of rows and programs."""
    persons, sectors = int(rng.integers(60, 600)), int(rng.integers(2, 7))
    sector = rng.choice(sectors, persons, p=rng.dirichlet(np.ones(sectors)))
    # Rows by state overlap; who has which sets of both is known.
    states = rng.random((persons, 2)) < rng.choice([0.1, 0.9], 2)
    states[:, 0] |= ~states.any(axis=1)
    payer, cents = payers(rng, sector, sectors), np.exp(rng.normal(0.0, 0.7, persons)) * 1e5
    atoms: dict[frozenset[Place], tuple[int, Counter[str]]] = {}
    for person in range(persons):
        where = [("state_of_work", f"{at}") for at in np.flatnonzero(states[person])]
        name = frozenset([*where, ("naics_sector", f"{sector[person]}")])
        count, paid = atoms.get(name, (0, Counter[str]()))
        atoms[name] = count + 1, paid + Counter({f"e{payer[person]}": int(cents[person])})
    total = Cell(persons + int(rng.integers(K, 300)), persons)
    bare = _rows_by_place(atoms, total, replace(policy, employers_of_places=False), employers=False)
    return _sectors(bare, atoms), _sectors(_rows_by_place(atoms, total, policy, employers=True), atoms)


def _rows_by_place(atoms: Atoms, total: Cell, policy: Policy, *, employers: bool) -> list[Any]:
    """Rows by state of work and by sector, as they are published."""
    tables = [Table(ABOUT, (), keys=(), labels=(), cells=(), total=total)]
    for name in ("state_of_work", "naics_sector"):
        codes = sorted({code for where in atoms for dimension, code in where if dimension == name})
        inside = {code: [each for where, each in atoms.items() if (name, code) in where] for code in codes}
        paid = {
            code: Employers.of(*({e: Decimal(sum_) for e, sum_ in each.items()} for _, each in some))
            for code, some in inside.items()
        }
        tables.append(
            Table(
                ABOUT,
                (name,),
                keys=tuple((code,) for code in codes),
                labels=tuple(codes),
                cells=tuple(Cell(total.n, sum(count for count, _ in inside[code])) for code in codes),
                total=total,
                rows=Rows.PLACES,
                places={where: count for where, (count, _) in atoms.items()},
                employers=paid if employers and name == "naics_sector" else None,
            )
        )
    cube = protect(tables, policy)
    return [cube.table(table.by).to_document() for table in tables[1:]]


def _sectors(documents: Sequence[Mapping[str, Any]], atoms: Atoms) -> list[str]:
    """Sets of up to three industries that are few employers', and how many work there to within k."""
    names = list(atoms)
    truth = np.array([atoms[name][0] for name in names])
    left, right = [np.ones(len(names))], [float(truth.sum())]
    for document in documents:
        if document["total"]["found"] is None:
            return []
        (by,) = document["by"]
        for row in document["rows"]:
            if row["found"] is not None:
                left.append(np.array([float((by, row["key"][by]) in name) for name in names]))
                right.append(row["found"])
    codes = sorted({code for name in names for by, code in name if by == "naics_sector"})
    bounds, hits = Bounds(left, right, len(names)), []
    for size in range(1, min(MAX_PLACES, len(codes) - 1) + 1):
        for some in combinations(codes, size):
            inside = np.array([any(("naics_sector", code) in name for code in some) for name in names])
            paid = sum((atoms[name][1] for name, of in zip(names, inside, strict=True) if of), Counter[str]())
            found = int(truth[inside].sum())
            if not few(paid) or found < K:
                continue
            low, high = bounds.whole(inside.astype(float))
            if high - low < min(K, int(truth.sum()) - found // 2):
                hits.append(f"industries {', '.join(some)}: {low} to {high}")
    return hits


def percentiles(rng: Random, policy: Policy) -> Recovered:
    """Groups with medians that differ by few persons, with wages or without, or by one employer's."""
    persons = int(rng.integers(40, 300))
    wages, works = rng.integers(1000, 9000, persons), rng.random(persons) < 0.7
    payer = rng.choice(8, persons, p=rng.dirichlet(np.full(8, 0.4)))
    split = [rng.choice(size, persons, p=rng.dirichlet(np.ones(size))) for size in (2, 4)]
    # The second table is nearly the first, further divided.
    tied = rng.random(persons) < rng.choice([0.5, 0.95, 1.0])
    split[1] = np.where(tied, split[0], split[1])

    def cell(group: np.ndarray) -> QuantileCell:
        members, others = np.flatnonzero(group & works), np.flatnonzero(group & ~works)
        if not len(members):
            return QuantileCell(0, others, {}, members, {})
        middle = Decimal(int(np.sort(wages[members])[len(members) // 2]))
        below, above = int((wages[members] < middle).sum()), int((wages[members] > middle).sum())
        paid = {f"e{e}": Decimal(int(wages[members][payer[members] == e].sum())) for e in payer[members]}
        return QuantileCell(len(members), others, {"p50": (middle, below, above)}, members, paid)

    total = cell(np.ones(persons, np.bool_))
    tables = [
        [cell(np.ones(persons, np.bool_) & (codes == code)) for code in range(codes.max() + 1)]
        for codes in split
    ]
    groups = [total, *(each for cells in tables for each in cells)]
    figures = [_quantiles(total, cells, f"d{at}") for at, cells in enumerate(tables)]
    made = [figure.to_document() for figure in protect_quantiles(figures, policy)]
    together = [made[0]["total"], *(row for document in made for row in document["rows"])]
    alone = [
        protect_quantiles([_quantiles(each, [], "")], policy)[0].to_document()["total"] for each in groups
    ]
    return tuple(  # type: ignore[return-value]
        _stepped([each for each, row in zip(groups, rows, strict=True) if row["p50"] is not None])
        for rows in (alone, together)
    )


def _quantiles(total: QuantileCell, cells: Sequence[QuantileCell], name: str) -> Quantiles:
    keys = tuple((str(at),) for at in range(len(cells)))
    labels = tuple(code for (code,) in keys)
    by = (name,) if cells else ()
    return Quantiles(ABOUT, by, names=("p50",), keys=keys, labels=labels, cells=tuple(cells), total=total)


def _stepped(shown: Sequence[QuantileCell]) -> list[str]:
    hits = []
    for one, other in combinations(shown, 2):
        mine, yours = set(one.members.tolist()), set(other.members.tolist())
        if 0 < len(mine ^ yours) < K:
            hits.append(f"medians of groups that differ by {len(mine ^ yours)}")
        # Who knows the groups knows how many are in one alone: that both are shown must not say that none of
        # them work, or that all do.
        others = set(one.without.tolist()), set(other.without.tolist())
        apart = len(mine ^ yours), len(others[0] ^ others[1])
        nested = (mine <= yours and others[0] <= others[1]) or (mine >= yours and others[0] >= others[1])
        if any(apart) and (min(apart) < K if nested else sum(apart) < 2 * K):
            hits.append(f"medians of groups that differ by {apart[0]} with wages and {apart[1]} without")
        for large, small, inner, outer in ((mine, yours, other, one), (yours, mine, one, other)):
            if small < large:
                rest = {name: paid - inner.paid.get(name, Decimal(0)) for name, paid in outer.paid.items()}
                if not Employers.of({name: paid for name, paid in rest.items() if paid}).protected:
                    hits.append("medians of groups that differ by one employer's persons")
    return hits


def flows(rng: Random, policy: Policy) -> Recovered:
    """Small flows, those of one employer, and what the shown ones leave of the total."""
    cells = []
    for at in range(int(rng.integers(2, 8))):
        persons, employers = int(rng.integers(1, 60)), int(rng.integers(1, 7))
        paid = (rng.dirichlet(np.full(employers, 0.5)) * 1e6).astype(int) + 1
        cells.append(FlowCell(persons, {f"e{at}.{e}": Decimal(int(paid[e])) for e in range(employers)}))
    keys, none = tuple((f"s{at}", "39") for at in range(len(cells))), int(rng.integers(0, 60))
    figure = Flows(ABOUT, keys, tuple(sector for sector, _ in keys), tuple(cells), none)
    document = protect_flows(figure, policy).to_document()
    counts = [*(cell.n for cell in cells), 0, none]
    bare = {"rows": [{"n": n if n >= K else None} for n in counts], "total": {"n": sum(counts)}}
    return _left(bare, cells), _left(document, cells)


def _left(document: Mapping[str, Any], cells: Sequence[FlowCell]) -> list[str]:
    rows = [row["n"] for row in document["rows"]]
    hits = [f"a flow of {n}" for n in rows if n is not None and n < K]
    if document["total"]["n"] is not None and 0 < document["total"]["n"] - sum(n or 0 for n in rows) < K:
        hits.append("what the shown flows leave of the total")
    hits += [
        "a flow of one employer"
        for n, cell in zip(rows, cells, strict=False)
        if n is not None and not cell.employers.protected
    ]
    return hits


GAMES: Mapping[str, Callable[[Random, Policy], Recovered]] = {
    "places": by_place,
    "sectors": by_sector,
    "percentiles": percentiles,
    "flows": flows,
}
