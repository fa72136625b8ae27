"""The adversary against two indicators of one cohort, one's found persons within the other's.

She reads both indicators' documents and subtracts, row by row and by linear programs over everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from app.disclosure.errors import DisclosureError
from app.disclosure.nested import Beside
from app.disclosure.policy import Policy
from app.disclosure.protect import protect
from app.disclosure.table import Cell, Table
from tests.attacks.populations import ABOUT, document, overlapping, partition

K = 10
POLICY = Policy(K, b"the attacker does not know this.")
Tables = tuple[Table, ...]
Document = dict[str, Any]
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def cohort(seed: int, size: int, skew: float, wide: float, narrow: float) -> tuple[Tables, Tables]:
    """Tables of an indicator, and of one whose found persons are a share ``narrow`` of the other's."""
    rng = np.random.default_rng(seed)
    outer = rng.random(size) < wide
    inner = outer & (rng.random(size) < narrow)

    def split(parts: int) -> np.ndarray:
        weights = np.arange(1, parts + 1) ** -skew
        return rng.choice(parts, size=size, p=weights / weights.sum())

    race, county, pathway = split(4), split(7), split(3)
    member = np.zeros((size, 3), dtype=bool)
    member[np.arange(size), pathway] = True
    twice = rng.random(size) < 0.05
    member[twice, (pathway[twice] + 1) % 3] = True

    def tables(found: np.ndarray) -> Tables:
        total = Table(ABOUT, (), keys=(), labels=(), cells=(), total=Cell(size, int(found.sum())))
        return (
            total,
            partition("race", race, found, 4),
            partition("county", county, found, 7),
            overlapping("pathway", member, found),
        )

    return tables(outer), tables(inner)


def answers(tables: Tables, beside: Sequence[Beside] = ()) -> list[Document]:
    withheld = {cell for other in beside for cell in other.counts if cell not in other.n_shown}
    cube = protect(tables, POLICY, beside, withheld)
    return [cube.table(table.by).to_document() for table in tables]


def rows(documents: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    named = {"total": documents[0]["total"]}
    for each in documents:
        named |= {f"{each['by']} {row['key']}": row for row in each["rows"]}
    return named


def subtraction(outer: Sequence[Mapping[str, Any]], inner: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows where found minus found is a group below the minimum."""
    wide, narrow = rows(outer), rows(inner)
    return [
        name
        for name, row in wide.items()
        if None not in (row["found"], narrow[name]["found"]) and row["found"] - narrow[name]["found"] < K
    ]


def joint(truth: Tables, outer: Sequence[Mapping[str, Any]], inner: Sequence[Mapping[str, Any]]) -> list[str]:
    """Groups of which she shows that fewer than k are found by the outer indicator alone, or by neither.

    Partitions alone, by whose rows she adds up; she knows which groups are empty. Parts of a group are
    found by both, by the outer alone, by neither.
    """
    wide, narrow = rows(outer), rows(inner)
    populated = {"total"} | {
        f"{[table.by[0]]} { {table.by[0]: key[0]} }"
        for table in truth
        for key, cell in zip(table.keys, table.cells, strict=True)
        if cell.n
    }
    names = [name for name in wide if name in populated and "pathway" not in name]
    at = {name: 3 * i for i, name in enumerate(names)}
    left, right = [], []

    def know(parts: Mapping[int, float], value: float) -> None:
        line = np.zeros(3 * len(names))
        for column, factor in parts.items():
            line[column] += factor
        left.append(line)
        right.append(value)

    for name in names:
        i = at[name]
        for figure, columns in (
            (narrow[name]["found"], [i]),
            (wide[name]["found"], [i, i + 1]),
            (wide[name]["n"], [i, i + 1, i + 2]),
            (narrow[name]["n"], [i, i + 1, i + 2]),
        ):
            if figure is not None:
                know(dict.fromkeys(columns, 1.0), figure)
    for dimension in ("race", "county"):
        for part in range(3):
            members = [at[name] + part for name in names if f"['{dimension}']" in name]
            know(dict.fromkeys(members, 1.0) | {at["total"] + part: -1.0}, 0)
    hits = []
    for name in names:
        for part in range(3):
            cost = np.zeros(3 * len(names))
            cost[at[name] + part] = -1.0
            solved = linprog(cost, A_eq=np.array(left), b_eq=right, bounds=(0, 1e5), method="highs")
            if solved.status == 0 and -solved.fun < K - 1e-4:
                hits.append(f"{name}: part {part}")
    return hits


def test_subtraction_reads_small_groups_where_each_indicator_is_protected_by_itself() -> None:
    outer, inner = cohort(1, 600, 1.0, 0.6, 0.75)
    published, further = answers(outer), answers(inner)
    assert subtraction(published, further)
    assert joint(outer, published, further)


@pytest.mark.parametrize("inside", [True, False])
@FEW
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 900),
    skew=st.sampled_from([0.0, 1.0, 2.0]),
    wide=st.sampled_from([0.3, 0.6, 0.9]),
    narrow=st.sampled_from([0.05, 0.5, 0.75, 0.95, 1.0]),
)
def test_no_subtraction_reads_anything_where_the_second_is_protected_beside_the_first(
    inside: bool, seed: int, size: int, skew: float, wide: float, narrow: float
) -> None:
    outer, inner = cohort(seed, size, skew, wide, narrow)
    first, second = (outer, inner) if inside else (inner, outer)
    published = answers(first)
    further = answers(second, [Beside(first, published, inside=inside)])
    pair = (published, further) if inside else (further, published)
    assert not subtraction(*pair)
    assert not joint(outer, *pair)


def test_second_indicator_beside_a_first_still_shows_most_of_a_large_cohort() -> None:
    outer, inner = cohort(3, 3000, 0.5, 0.7, 0.6)
    published = answers(outer)
    further = rows(answers(inner, [Beside(outer, published, inside=True)]))
    shown = sum(row["found"] is not None for row in further.values())
    assert shown > 0.8 * len(further)


def test_second_indicator_beside_the_same_first_gives_the_same_answer_twice() -> None:
    outer, inner = cohort(1, 600, 1.0, 0.6, 0.75)
    beside = [Beside(outer, answers(outer), inside=True)]
    assert answers(inner, beside) == answers(inner, beside)


def test_withheld_denominator_when_published_so_is_withheld_in_every_further_indicator() -> None:
    outer, _ = cohort(3, 3000, 0.5, 0.7, 0.6)
    hidden = (("race",), ("0",))
    tables = protect(outer, POLICY, withheld=[hidden]).table(("race",)).to_document()["rows"]
    assert isinstance(tables, list)
    assert tables[0]["n"] is None


def test_second_indicator_when_its_denominators_are_not_those_of_the_first_is_refused() -> None:
    outer, _ = cohort(1, 600, 1.0, 0.6, 0.75)
    _, inner = cohort(1, 500, 1.0, 0.6, 0.75)
    with pytest.raises(DisclosureError, match="NOT_IN_PLAN"):
        protect(inner, POLICY, [Beside(outer, answers(outer), inside=True)])


def test_second_indicator_when_the_data_no_longer_give_what_is_published_is_refused() -> None:
    outer, _ = cohort(1, 600, 1.0, 0.6, 0.75)
    later, _ = cohort(2, 600, 1.0, 0.6, 0.75)
    with pytest.raises(DisclosureError, match="NOT_IN_PLAN"):
        Beside(later, [document(table) for table in outer], inside=True)
