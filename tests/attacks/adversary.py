"""What an analyst does with answers: each attack returns what it recovered below the minimum, in words.

All of them read public documents alone. Those who know more than the public (every denominator, which groups
are empty) are given it as an argument. ``truth`` serves only to leave out claims that are not true.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import Any

import numpy as np
from scipy.optimize import Bounds as Between
from scipy.optimize import LinearConstraint, linprog, milp

from tests.attacks.bounds import Bounds, told_by

K = 10
Document = Mapping[str, Any]
Group = Mapping[str, str]
Codes = tuple[tuple[str, str], ...]
ABSENT, MISSED, FOUND = 0, 1, 2
_SLACK = 1e-4


@dataclass
class Layer:
    """One cube: all its answers, and in truth where each person is and whether she was found."""

    documents: list[Document]
    state: dict[str, int]
    codes: dict[str, dict[str, str]]


def figures(documents: Sequence[Document]) -> Iterator[tuple[dict[str, str], Document]]:
    """Each row of each answer with the group that it is about; totals are rows too."""
    for document in documents:
        where = {name: code for name, code in document.get("where", {}).items() if code is not None}
        if None in document.get("where", {}).values():
            continue
        for row in document["rows"]:
            yield where | row["key"], row
        yield where, document["total"]


def shown(documents: Sequence[Document]) -> dict[Codes, Document]:
    """What is known of each group: the most that any answer says."""
    known: dict[Codes, Document] = {}
    for group, row in figures(documents):
        name = tuple(sorted(group.items()))
        if name not in known or row["found"] is not None or known[name]["n"] is None:
            known[name] = row
    return known


def contradictions(documents: Sequence[Document]) -> list[str]:
    """Groups of which two answers tell different things: one may be subtracted from the other."""
    seen: dict[Codes, Document] = {}
    hits = []
    for group, row in figures(documents):
        before = seen.setdefault(tuple(sorted(group.items())), row)
        if any(before[name] != row[name] for name in ("n", "found", "rate")):
            hits.append(f"{group}: {before} and {row}")
    return hits


def small(documents: Sequence[Document], k: int = K) -> list[str]:
    """Figures below the minimum as they stand there: N, found, complements; 0 % and 100 %; bare rates."""
    hits = []
    for group, row in figures(documents):
        if row["n"] is not None and row["n"] < k:
            hits.append(f"{group}: {row['n']} persons")
        if row["found"] is not None and not k <= row["found"] <= row["n"] - k:
            hits.append(f"{group}: {row['found']} of {row['n']} found")
        if row["rate"] is not None and (row["n"] is None or float(row["rate"]) in (0.0, 100.0)):
            hits.append(f"{group}: {row['rate']} %")
    return hits


def solved_rates(documents: Sequence[Document], k: int = K) -> list[str]:
    """Rates, and whatever else stands in a row as a decimal, solved for the only counts that give them."""
    hits = []
    for group, row in figures(documents):
        for name, value in row.items():
            if row["n"] is None or row["found"] is not None or not isinstance(value, str):
                continue
            try:
                rate = float(value)
            except ValueError:
                continue
            fits = [m for m in range(row["n"] + 1) if abs(100 * m / row["n"] - rate) <= 0.05 + 1e-9]
            if name == "rate" and fits and not all(k <= m <= row["n"] - k for m in fits):
                hits.append(f"{group}: {name} {value} gives {fits}")
    return hits


def subtraction(documents: Sequence[Document], populated: Callable[[Group], bool], k: int = K) -> list[str]:
    """Margins: a group minus those of its parts that are shown."""
    known = shown(documents)
    names = sorted({name for group in known for name, _ in group})
    codes = {
        name: sorted({code for group in known for each, code in group if each == name}) for name in names
    }
    hits = []
    for group, row in known.items():
        for name in names:
            if name in dict(group):
                continue
            parts = [dict(group) | {name: code} for code in codes[name]]
            cells = [known.get(tuple(sorted(part.items()))) for part in parts]
            if any(cell is None for cell in cells):
                continue
            for figure in ("n", "found", "missed"):
                whole, values = _value(row, figure), [_value(cell, figure) for cell in cells if cell]
                hidden = [p for p, v in zip(parts, values, strict=True) if v is None and populated(p)]
                if whole is None or not hidden:
                    continue
                rest = whole - sum(value for value in values if value is not None)
                if 0 <= rest < k:
                    hits.append(f"{group}: {rest} {figure} in {hidden}")
    return hits


def _value(row: Document, figure: str) -> int | None:
    if figure == "missed":
        return None if row["found"] is None else row["n"] - row["found"]
    value: int | None = row[figure]
    return value


@dataclass
class System:
    """Everything published as equations over columns: a populated combination of codes in one pattern.

    Parameters
    ----------
    layers : sequence of Layer
    fits : callable
        Whether somebody may be in a pattern (state in each layer), as the definitions say.
    """

    layers: Sequence[Layer]
    fits: Callable[[tuple[int, ...]], bool]
    combos: list[dict[str, str]] = field(init=False)
    patterns: list[tuple[int, ...]] = field(init=False)
    truth: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        people = sorted({name for layer in self.layers for name in layer.codes})
        codes = {name: next(x.codes[name] for x in self.layers if name in x.codes) for name in people}
        keys = sorted({tuple(sorted(each.items())) for each in codes.values()})
        self.combos = [dict(key) for key in keys]
        states = range(3)
        self.patterns = [p for p in product(states, repeat=len(self.layers)) if any(p) and self.fits(p)]
        at = {(key, pattern): i for i, (key, pattern) in enumerate(product(keys, self.patterns))}
        self.truth = np.zeros(len(at))
        for name in people:
            pattern = tuple(layer.state.get(name, ABSENT) for layer in self.layers)
            if any(pattern):
                self.truth[at[tuple(sorted(codes[name].items())), pattern]] += 1
        self.member = np.repeat(np.arange(len(keys)), len(self.patterns))
        self.pattern = np.tile(np.array(self.patterns, int).reshape(-1, len(self.layers)), (len(keys), 1))
        self.rows: list[np.ndarray] = []
        self.values: list[float] = []
        for at_layer, layer in enumerate(self.layers):
            for group, row in figures(layer.documents):
                if row["n"] is not None:
                    self.know(self.sum(group, lambda p, a=at_layer: p[:, a] > ABSENT), row["n"])
                if row["found"] is not None:
                    self.know(self.sum(group, lambda p, a=at_layer: p[:, a] == FOUND), row["found"])

    def sum(self, group: Group, chosen: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Columns of a group in some patterns."""
        inside = np.array([all(c.get(n) == v for n, v in group.items()) for c in self.combos], bool)
        return (inside[self.member] & chosen(self.pattern)).astype(float)

    def know(self, row: np.ndarray, value: float) -> None:
        """Add an equation."""
        if not row.any():
            assert not value, "something is published of nobody"
            return
        self.rows.append(row)
        self.values.append(value)
        assert abs(row @ self.truth - value) < _SLACK, "what is published is not the truth"

    def know_denominators(self) -> None:
        """Who is in every combination is public: only who was found is not."""
        for at_layer in range(len(self.layers)):
            for combo in self.combos:
                row = self.sum(combo, lambda p, a=at_layer: p[:, a] > ABSENT)
                self.know(row, float(row @ self.truth))

    def bound(self, cost: np.ndarray, sign: int, *, whole: bool = False) -> float:
        """The least (sign -1) or most (1) that a sum may be."""
        if not self.rows:
            return 0.0 if sign < 0 else math.inf
        matrix, right = np.array(self.rows), np.array(self.values)
        if whole:
            most = np.full(len(cost), 1e5)
            solved = milp(
                -sign * cost,
                constraints=LinearConstraint(matrix, right, right),
                bounds=Between(0, most),
                integrality=np.ones(len(cost)),
                options={"time_limit": 5},
            )
        else:
            solved = linprog(-sign * cost, A_eq=matrix, b_eq=right, bounds=(0, 1e5), method="highs")
        if solved.status != 0 or solved.fun is None:
            return sign * math.inf
        return float(sign * -solved.fun)

    def bounds(self) -> Bounds:
        """The same, to be asked many things."""
        return Bounds(self.rows, self.values, len(self.truth))

    def groups(self) -> list[dict[str, str]]:
        """Every group that somebody asked about, and every combination."""
        named = {tuple(sorted(g.items())) for layer in self.layers for g, _ in figures(layer.documents)}
        named |= {tuple(sorted(combo.items())) for combo in self.combos}
        return [dict(each) for each in sorted(named)]

    def targets(self) -> Iterator[tuple[str, np.ndarray]]:
        """What she wants to know: persons, found and missed of each layer, and who moved between two."""
        size = len(self.layers)
        for group in self.groups():
            for a in range(size):
                yield f"{group} persons in {a}", self.sum(group, lambda p, a=a: p[:, a] > ABSENT)
                yield f"{group} found in {a}", self.sum(group, lambda p, a=a: p[:, a] == FOUND)
                yield f"{group} missed in {a}", self.sum(group, lambda p, a=a: p[:, a] == MISSED)
            for a, b in ((a, b) for a in range(size) for b in range(size) if a != b):
                yield (
                    f"{group} found in {b} and not in {a}",
                    self.sum(group, lambda p, a=a, b=b: (p[:, b] == FOUND) & (p[:, a] != FOUND)),
                )
                yield (
                    f"{group} counted in {b} and not in {a}",
                    self.sum(group, lambda p, a=a, b=b: (p[:, b] > ABSENT) & (p[:, a] == ABSENT)),
                )

    def at_most(self, k: int = K, *, whole: bool = False) -> list[str]:
        """Groups that she shows to hold somebody, but fewer than k: nothing known but what is published."""
        hits, done, bounds = [], set(), self.bounds()
        for name, cost in self.targets():
            if cost.tobytes() in done or not cost @ self.truth:
                continue
            done.add(cost.tobytes())
            if not whole and bounds.reaches(cost, k):
                continue
            most = self.bound(cost, 1, whole=whole)
            if most < k - _SLACK:
                hits.append(f"{name}: at most {most:.0f}")
        return hits

    def pinned(self, k: int = K) -> list[str]:
        """With every denominator known: numerators that are not shown and that she learns all the same."""
        self.know_denominators()
        told = [
            {tuple(sorted(g.items())) for g, row in figures(layer.documents) if row["found"] is not None}
            for layer in self.layers
        ]
        hits, others, bounds = [], range(len(self.layers)), self.bounds()
        for at, group in product(others, self.groups()):
            cost = self.sum(group, lambda p, a=at: p[:, a] == FOUND)
            n = int(self.sum(group, lambda p, a=at: p[:, a] > ABSENT) @ self.truth)
            if tuple(sorted(group.items())) in told[at] or not n:
                continue
            if any(np.array_equal(cost, row) for row in self.rows):
                continue  # The same persons as a group that is shown.
            if any(tuple(sorted(group.items())) in told[b] and not self._moved(group, at, b) for b in others):
                continue  # Another cube tells it, and nobody has changed since: that is no secret.
            words = told_by(*bounds.range_seen(cost), n, k) and told_by(*bounds.whole(cost), n, k)
            hits += [f"{group} in {at}: {words}"] if words else []
        return hits

    def _moved(self, group: Group, a: int, b: int) -> bool:
        return bool(self.sum(group, lambda p: p[:, a] != p[:, b]) @ self.truth)

    def between(self, k: int = K) -> list[str]:
        """With every denominator known: how many were found in one cube and not in another, if so few."""
        self.know_denominators()
        hits, bounds = [], self.bounds()
        for name, cost in self.targets():
            truth = float(cost @ self.truth)
            if "found in" not in name or " and not in " not in name or not 0 < truth < k:
                continue
            low, high = bounds.range_seen(cost)
            if high - low < 1 and bounds.bound(cost, 1) - bounds.bound(cost, -1) < 1 - _SLACK:
                hits.append(f"{name}: {truth:.0f}")
        return hits


def one_layer(pattern: tuple[int, ...]) -> bool:
    """One cube: everybody is in it."""
    return pattern[0] != ABSENT


def later(pattern: tuple[int, ...]) -> bool:
    """Vintages: whoever was found stays found, whoever was there stays."""
    return all(a <= b for a, b in pairwise(pattern))


def anything(pattern: tuple[int, ...]) -> bool:
    """No definition binds one layer to another."""
    return True


def same_persons(pattern: tuple[int, ...]) -> bool:
    """Indicators of one cohort: the same denominators."""
    return ABSENT not in pattern
