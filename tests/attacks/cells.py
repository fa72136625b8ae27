"""Random cohorts as finest cells, and the adversary against the documents of a whole cube."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from app.disclosure.cube import protect_cube
from app.disclosure.finest import Axis, FinestCells
from app.disclosure.groups import Groups, plan_margins
from app.disclosure.policy import Policy
from app.disclosure.rounding import per_cent
from tests.attacks.bounds import Bounds, told_by
from tests.attacks.populations import ABOUT

K = 10
POLICY = Policy(K, b"the attacker does not know this.")
Document = dict[str, Any]
#: Sums of columns, and what each comes to.
Told = tuple[list[np.ndarray], list[float]]


def axis(name: str, size: int, **more: Any) -> Axis:
    codes = tuple(f"{name}{i}" for i in range(size))
    return Axis(name, codes, codes, **more)


def random_cells(
    seed: int, persons: int, sizes: Sequence[int], skew: float, rate: float, *, twice: float = 0.0
) -> FinestCells:
    """A cohort; the first axis overlaps for a share ``twice`` of persons, who stand in two of its codes."""
    rng = np.random.default_rng(seed)

    def split(size: int) -> np.ndarray:
        weights = np.arange(1, size + 1) ** -skew
        return rng.choice(size, persons, p=rng.permutation(weights) / weights.sum())

    columns = np.stack([split(size) for size in sizes], axis=1)
    found = rng.random(persons) < rate
    first = np.ones(persons, bool)
    if twice:
        again = rng.random(persons) < twice
        more = columns[again].copy()
        more[:, 0] = (more[:, 0] + 1) % sizes[0]
        columns = np.concatenate([columns, more])
        found = np.concatenate([found, found[again]])
        first = np.concatenate([first, np.zeros(again.sum(), bool)])
    keys, inverse = np.unique(np.column_stack([columns, first]), axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    axes = tuple(axis(f"d{i}", size, overlapping=bool(twice) and i == 0) for i, size in enumerate(sizes))
    return FinestCells(
        ABOUT,
        axes,
        keys[:, :-1],
        np.bincount(inverse, minlength=len(keys)),
        np.bincount(inverse, weights=found, minlength=len(keys)).astype(np.int64),
        {frozenset(): keys[:, -1].astype(bool)} if twice else None,
    )


def published(cells: FinestCells, depth: int, policy: Policy = POLICY) -> list[Document]:
    cube = protect_cube(cells, policy, depth)
    return [json.loads(json.dumps(cube.table(by).to_document())) for by in cube.plan]


def unprotected(cells: FinestCells, depth: int, *, small_hidden: bool) -> list[Document]:
    """Every table as it is (test only), or with the small-cell rule alone."""
    groups = Groups(cells, plan_margins(cells.axes, depth))
    codes = {each.name: each.codes for each in cells.axes}
    documents = []
    for at, margin in enumerate(groups.margins):
        rows = []
        for i, key in enumerate(groups.keys[at]):
            n, m = (int(part[groups.starts[at] + i]) for part in (groups.n, groups.found))
            shown = not small_hidden or min(n, m, n - m) >= K
            rows.append(
                {
                    "key": {name: codes[name][c] for name, c in zip(margin, key, strict=True)},
                    "n": n if shown or n >= K else None,
                    "found": m if shown else None,
                    "rate": per_cent(m, n) if shown else None,
                }
            )
        documents.append({"by": list(margin), "rows": rows if margin else [], "total": rows[0]})
    total = documents[0]["total"]
    return [document | {"total": total} for document in documents]


def figures(cells: FinestCells, documents: Sequence[Document]) -> tuple[np.ndarray, list[Document]]:
    """Incidence of finest cells in every row that somebody populates, and the rows."""
    position = {each.name: i for i, each in enumerate(cells.axes)}
    matrix, rows = [], []
    for document in documents:
        inside = cells.in_table(frozenset(document["by"]))
        for row in document["rows"] if document["by"] else [document["total"]]:
            member = inside.copy()
            for name, code in row["key"].items():
                place = position[name]
                member &= cells.codes[:, place] == cells.axes[place].codes.index(code)
            if member.any():
                matrix.append(member.astype(float))
                rows.append(row)
    return np.array(matrix), rows


def told(
    cells: FinestCells, members: Sequence[np.ndarray], rows: Sequence[Document], *, know_n: bool
) -> Told:
    """What rows of tables tell: sums over those found, then not found, of every finest cell; and values.

    Parameters
    ----------
    members, rows
        As of :func:`figures`.
    know_n : bool
        Whether she knows how many stand in every finest cell.
    """
    left: list[np.ndarray] = []
    right: list[float] = []
    for member, row in zip(members, rows, strict=True):
        if row["found"] is not None:
            left.append(np.concatenate([member, 0 * member]))
            right.append(row["found"])
        if row["n"] is not None:
            left.append(np.concatenate([member, member]))
            right.append(row["n"])
    if know_n:
        left += list(np.hstack([np.eye(len(cells.n)), np.eye(len(cells.n))]))
        right += [float(n) for n in cells.n]
    return left, right


def joint(cells: FinestCells, documents: Sequence[Document], *, know_n: bool) -> list[str]:
    """Linear programs over everything published: what she learns of each group, knowing which are empty.

    Without ``know_n``: groups whose N, m or u she bounds below k. With it, of groups that are not shown:
    those whose m she pins, or narrows to less than half of a small N.
    """
    matrix, rows = figures(cells, documents)
    size = len(cells.n)
    left, right = told(cells, matrix, rows, know_n=know_n)
    if not left:
        return []

    bounds = Bounds(left, right, 2 * size)
    hits = []
    candidates = [*matrix, *np.eye(size)]
    shown = [row["found"] is not None for row in rows]
    alone = {
        int(member.argmax())
        for member, known in zip(matrix, shown, strict=True)
        if known and member.sum() == 1
    }
    shown += [cell in alone for cell in range(size)]
    for i, (member, is_shown) in enumerate(zip(candidates, shown, strict=True)):
        if is_shown:
            continue
        nothing = 0 * member
        if not know_n:
            for what, cost in (("found", (member, nothing)), ("not found", (nothing, member))):
                if not bounds.reaches(np.concatenate(cost), K):
                    hits.append(f"group {i}: at most {bounds.bound(np.concatenate(cost), 1):.1f} {what}")
            continue
        cost = np.concatenate([member, nothing])
        n = int(member @ cells.n)
        if not told_by(*bounds.range_seen(cost), n, K):
            continue
        words = told_by(*bounds.whole(cost), n, K)
        hits += [f"group {i}: {words}"] if words else []
    return hits


def small(documents: Sequence[Document]) -> list[str]:
    """Figures below k, complements, all or none, rates without counts."""
    hits = []
    for document in documents:
        for row in [*document["rows"], document["total"]]:
            if row["n"] is not None and row["n"] < K:
                hits.append("n")
            if row["found"] is not None and not K <= row["found"] <= row["n"] - K:
                hits.append("found")
            if row["rate"] is not None and (row["found"] is None or row["rate"] in {"0.0", "100.0"}):
                hits.append("rate")
    return hits
