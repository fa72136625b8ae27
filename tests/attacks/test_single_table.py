"""The adversary against the tables of one cohort. She reads documents; the truth is used only to judge her.

Each attack returns what it recovered below the minimum. Each is shown to succeed where protection is off
(everything shown, or the small-cell rule alone), and to recover nothing where it is on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from app.disclosure.policy import Policy
from app.disclosure.protect import protect
from app.disclosure.table import Cell, Table
from tests.attacks.populations import (
    ABOUT,
    LEVELS,
    POPULATIONS,
    Population,
    document,
    partition,
    primary_only,
    refined,
)

K = 10
POLICY = Policy(K, b"the attacker does not know this.")
Document = dict[str, Any]
SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def answers(tables: Sequence[Table]) -> list[Document]:
    cube = protect(tables, POLICY)
    return [cube.table(table.by).to_document() for table in tables]


# --- attacks ---------------------------------------------------------------------------------------------


def complement(documents: Sequence[Document]) -> list[str]:
    """Counts below k among the figures shown, their complements, and 0 % or 100 %."""
    hits = []
    for answer in documents:
        for row in (*answer["rows"], answer["total"]):
            if row["n"] is not None and row["n"] < K:
                hits.append(f"{answer['by']}: n")
            if row["found"] is not None and not K <= row["found"] <= row["n"] - K:
                hits.append(f"{answer['by']}: found or not found")
            if row["rate"] in {"0.0", "100.0"}:
                hits.append(f"{answer['by']}: all or none")
    return hits


def rates_without_counts(documents: Sequence[Document]) -> list[str]:
    """Counts solved back from a rate at the shown precision where the count itself is not shown."""
    hits = []
    for answer in documents:
        for row in (*answer["rows"], answer["total"]):
            if row["rate"] is not None and (row["found"] is None or row["n"] is None):
                hits.append(f"{answer['by']}: rate")
            if row["rate"] is not None and row["n"]:
                low = math.ceil((float(row["rate"]) - 0.05) * row["n"] / 100 - 1e-9)
                high = math.floor((float(row["rate"]) + 0.05) * row["n"] / 100 + 1e-9)
                if low == high and not K <= low <= row["n"] - K:
                    hits.append(f"{answer['by']}: rate solved to a count")
    return hits


def margin(documents: Sequence[Document]) -> list[str]:
    """Sums of hidden rows of an additive table: total minus what is shown."""
    hits = []
    for answer in documents:
        if not answer["additive"] or not answer["rows"]:
            continue
        for figure in ("n", "found"):
            shown = [row for row in answer["rows"] if row[figure] is not None]
            if answer["total"][figure] is None or len(shown) == len(answer["rows"]):
                continue
            rest = answer["total"][figure] - sum(row[figure] for row in shown)
            if 0 < rest < K:
                hits.append(f"{answer['by']}: {figure} of the rest is {rest}")
        hidden = [row for row in answer["rows"] if row["found"] is None]
        if hidden and None not in (answer["total"]["n"], answer["total"]["found"]):
            open_rows = [row for row in answer["rows"] if row["found"] is not None]
            rest_n = answer["total"]["n"] - sum(row["n"] for row in open_rows)
            rest_found = answer["total"]["found"] - sum(row["found"] for row in open_rows)
            if rest_n and min(rest_found, rest_n - rest_found) < K:
                hits.append(f"{answer['by']}: the rest is all or nearly all one way")
    return hits


def intervals(
    documents: Sequence[Document], truth: Sequence[Table], *, know_n: bool = False, know_empty: bool = False
) -> list[str]:
    """Joint linear programs over all answers: bounds of N, m and u of every hidden populated row.

    ``know_n``: she knows every denominator (degrees are public). ``know_empty``: she knows empty groups.
    """
    rows = [
        (d, i) for d, answer in enumerate(documents) if answer["additive"] for i in range(len(answer["rows"]))
    ]
    at = {row: 2 * j for j, row in enumerate(rows)}
    total = 2 * len(rows)  # m and u of the total; the other variables are m and u of each row
    size = total + 2
    matrix, right = [], []

    def equal(columns: dict[int, float], value: float) -> None:
        line = np.zeros(size)
        for column, coefficient in columns.items():
            line[column] += coefficient
        matrix.append(line)
        right.append(value)

    def publish(m: int, figures: Document, cell: Cell) -> None:
        if figures["found"] is not None:
            equal({m: 1}, figures["found"])
        if figures["n"] is not None or know_n or (know_empty and not cell.n):
            equal({m: 1, m + 1: 1}, cell.n if figures["n"] is None else figures["n"])

    for d, answer in enumerate(documents):
        publish(total, answer["total"], truth[d].total)
        if answer["additive"] and answer["rows"]:
            for i, row in enumerate(answer["rows"]):
                publish(at[d, i], row, truth[d].cells[i])
            for part in (0, 1):
                equal({at[d, i] + part: 1 for i in range(len(answer["rows"]))} | {total + part: -1}, 0)

    def bound(columns: Sequence[int], sign: int) -> float:
        cost = np.zeros(size)
        cost[list(columns)] = -sign
        solved = linprog(cost, A_eq=np.array(matrix), b_eq=np.array(right), bounds=(0, 1e5), method="highs")
        return sign * -solved.fun if solved.status == 0 else sign * math.inf

    hits = []
    for d, i in rows:
        cell, row, m = truth[d].cells[i], documents[d]["rows"][i], at[d, i]
        if not cell.n:
            continue
        name = f"{documents[d]['by']}[{i}]"
        for figure, columns in (("n", (m, m + 1)), ("found", (m,)), ("not found", (m + 1,))):
            hidden = row["n" if figure == "n" else "found"] is None
            if hidden and not know_n and bound(columns, 1) < K - 1e-6:
                hits.append(f"{name}: {figure} is below {K}")
        if know_n and row["found"] is None:
            low, high = math.ceil(bound((m,), -1) - 1e-6), math.floor(bound((m,), 1) + 1e-6)
            if high == low or (cell.n < K and 2 * (high - low) < cell.n):
                hits.append(f"{name}: found is known to be {low} to {high} of {cell.n}")
    return hits


def refinement(documents: Sequence[Document], truth: Sequence[Table]) -> list[str]:
    """Linear programs over pathways and their award levels, by one who knows that nobody has two awards."""
    pathway, level = documents
    names = [(0, row["key"]["pathway"]) for row in pathway["rows"]]
    names += [(1, row["key"]["award_level"]) for row in level["rows"]]
    at = {name: 2 * i for i, name in enumerate(names)}
    size = 2 * len(names)
    cells = {name: truth[name[0]].cell(name[1]) for name in names}
    matrix, right = [], []

    def equal(columns: dict[int, int], value: int) -> None:
        line = np.zeros(size)
        for column, coefficient in columns.items():
            line[column] = coefficient
        matrix.append(line)
        right.append(value)

    for (d, code), row in zip(names, [*pathway["rows"], *level["rows"]], strict=True):
        m = at[d, code]
        if row["found"] is not None:
            equal({m: 1}, row["found"])
        if row["n"] is not None or not cells[d, code].n:
            equal({m: 1, m + 1: 1}, row["n"] or 0)
    for part in (0, 1):
        for parent in set(LEVELS.values()):
            children = {at[1, code] + part: 1 for code, above in LEVELS.items() if above == parent}
            equal(children | {at[0, parent] + part: -1}, 0)
        equal({at[1, "NONE"] + part: 1, at[0, "HSE"] + part: -1, at[0, "INDUSTRY"] + part: -1}, 0)
        figure = pathway["total"]["found"]
        if figure is not None:
            total = figure if part == 0 else pathway["total"]["n"] - figure
            equal({at[name] + part: 1 for name in names if name[0] == 0}, total)
    if pathway["total"]["n"] is not None:
        equal(
            {at[name] + part: 1 for name in names if name[0] == 0 for part in (0, 1)}, pathway["total"]["n"]
        )

    hits = []
    for name in names:
        if not cells[name].n:
            continue
        for columns in ((0, 1), (0,), (1,)):
            cost = np.zeros(size)
            cost[[at[name] + column for column in columns]] = -1
            solved = linprog(
                cost, A_eq=np.array(matrix), b_eq=np.array(right), bounds=(0, 1e5), method="highs"
            )
            if solved.status == 0 and -solved.fun < K - 1e-6:
                hits.append(f"{name}: {columns} at most {-solved.fun:.0f}")
    return hits


def twice_counted(documents: Sequence[Document]) -> list[str]:
    """Persons who stand in more than one row of an overlapping table shown whole: rows minus total."""
    hits = []
    for answer in documents:
        if answer["additive"] or answer["by"] == ["place"] or not answer["rows"]:
            continue
        populated = [row for row in answer["rows"] if row["n"] is not None]
        if len(populated) == len(answer["rows"]) and answer["total"]["n"] is not None:
            twice = sum(row["n"] for row in populated) - answer["total"]["n"]
            if 0 < twice < K:
                hits.append(f"{answer['by']}: {twice} persons stand in two rows")
    return hits


def elsewhere(documents: Sequence[Document]) -> list[str]:
    """Persons found, but not in a given place: found in all minus found there."""
    hits = []
    for answer in documents:
        if answer["by"] != ["place"] or answer["total"]["found"] is None:
            continue
        for row in answer["rows"]:
            if row["found"] is not None and 0 < answer["total"]["found"] - row["found"] < K:
                hits.append(f"place {row['key']}: so few work elsewhere only")
    return hits


# --- each attack works where protection is off -----------------------------------------------------------


def four_races() -> tuple[Table, ...]:
    counts = [(120, 90), (60, 42), (24, 18), (30, 19)]
    codes = np.concatenate([np.full(n, i) for i, (n, _) in enumerate(counts)])
    found = np.concatenate([np.arange(n) < m for n, m in counts])
    total = Table(ABOUT, (), keys=(), labels=(), cells=(), total=Cell(len(codes), int(found.sum())))
    return total, partition("race", codes, found, 4)


def test_complement_attack_reads_six_not_found_where_everything_is_shown() -> None:
    assert complement([document(table) for table in four_races()])


def test_rate_attack_solves_a_small_count_where_everything_is_shown() -> None:
    assert rates_without_counts([document(table) for table in four_races()])


def test_margin_attack_subtracts_the_one_hidden_row_where_only_small_cells_are_hidden() -> None:
    assert margin([primary_only(table, K) for table in four_races()])


@pytest.mark.parametrize("know_n", [False, True])
def test_interval_attack_pins_the_hidden_row_where_only_small_cells_are_hidden(know_n: bool) -> None:
    tables = four_races()
    assert intervals([primary_only(table, K) for table in tables], tables, know_n=know_n)


def test_interval_attack_with_known_empty_groups_finds_the_one_populated_group_behind_them() -> None:
    codes = np.repeat([0, 1], [100, 5])
    tables = (partition("race", codes, np.arange(105) % 2 == 0, 6),)
    assert intervals([primary_only(table, K) for table in tables], tables, know_empty=True)


def test_overlap_attack_counts_few_persons_in_two_rows_where_everything_is_shown() -> None:
    tables = Population(seed=7, size=600, skew=0.0, chance=0.5).tables()
    seeds = [Population(seed, 600, 0.0, 0.5).tables() for seed in range(20)]
    assert any(twice_counted([document(table) for table in some]) for some in [tables, *seeds])


def test_elsewhere_attack_counts_few_persons_where_everything_is_shown() -> None:
    seeds = [Population(seed, 60, 0.0, 0.5).tables() for seed in range(20)]
    assert any(elsewhere([document(table) for table in some]) for some in seeds)


def test_refinement_attack_reads_a_pathway_from_its_levels_where_only_small_cells_are_hidden() -> None:
    seeds = [refined(seed, 400, 2.0, 0.7) for seed in range(20)]
    assert any(refinement([primary_only(table, K) for table in some], some) for some in seeds)


# --- and recovers nothing where it is on -----------------------------------------------------------------


def test_no_attack_recovers_anything_of_the_four_races() -> None:
    tables = four_races()
    documents = answers(tables)
    assert not complement(documents) + rates_without_counts(documents) + margin(documents)
    for know_n in (False, True):
        assert not intervals(documents, tables, know_n=know_n, know_empty=True)


@settings(max_examples=150, deadline=None)
@given(POPULATIONS)
def test_subtraction_complements_rates_and_overlaps_recover_nothing_from_random_populations(
    population: Population,
) -> None:
    documents = answers(population.tables())
    for attack in (complement, rates_without_counts, margin, twice_counted, elsewhere):
        assert not attack(documents)


@pytest.mark.parametrize(("know_n", "know_empty"), [(False, False), (False, True), (True, True)])
@SLOW
@given(population=POPULATIONS)
def test_joint_interval_attack_recovers_nothing_from_random_populations(
    know_n: bool, know_empty: bool, population: Population
) -> None:
    tables = population.tables()
    assert not intervals(answers(tables), tables, know_n=know_n, know_empty=know_empty)


@SLOW
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 900),
    st.sampled_from([0.0, 1.0, 2.0]),
    st.sampled_from([0.3, 0.7, 0.95]),
)
def test_refinement_attack_recovers_nothing_from_random_populations(
    seed: int, size: int, skew: float, chance: float
) -> None:
    tables = refined(seed, size, skew, chance)
    assert not refinement(answers(tables), tables)


def test_enough_is_still_shown_for_the_attacks_to_have_something_to_work_on() -> None:
    documents = answers(Population(seed=3, size=900, skew=1.0, chance=0.7).tables())
    statuses = [row["status"] for answer in documents for row in answer["rows"]]
    assert statuses.count("published") > len(statuses) / 3
    assert statuses.count("published") < len(statuses)
