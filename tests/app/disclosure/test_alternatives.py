"""Cubes by other methods: what each promises of its figures, in the same documents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.disclosure.alternatives import protect_otherwise
from app.disclosure.cell_key import DEVIATION, MOST, perturbation_table, record_keys
from app.disclosure.controlled_rounding import rounded
from app.disclosure.groups import Line
from app.disclosure.joint import Entries
from app.disclosure.noise import noisy
from app.disclosure.policy import Policy
from app.disclosure.treatment import Treatment
from tests.attacks.cells import axis
from tests.attacks.populations import ABOUT

K = 10
POLICY = Policy(K, b"the attacker does not know this.")
AXES = (axis("d0", 4, overlapping=True), axis("d1", 3))
METHODS = (
    Treatment("cell_key"),
    Treatment("controlled_rounding", rounding_base=10),
    Treatment("differential_privacy", epsilon="1"),
)


def people(seed: int = 1, size: int = 3000) -> Entries:
    """A cohort of which some stand in two codes of the first axis."""
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.choice(4, size, p=[0.6, 0.3, 0.09, 0.01]), rng.integers(0, 3, size)], axis=1)
    again = rng.random(size) < 0.05
    more = codes[again].copy()
    more[:, 0] = (more[:, 0] + 1) % 4
    names = [f"p{i}" for i in range(size)]
    names += [name for name, twice in zip(names, again, strict=True) if twice]
    found = rng.random(size) < 0.7
    count = len(names)
    first = np.arange(count) < size
    return Entries(
        "employed_q4",
        AXES,
        keys=[f"{name} {i}" for i, name in enumerate(names)],
        codes=np.concatenate([codes, more]),
        masks={frozenset(): first, frozenset({"d0"}): np.ones(count, bool)},
        found=np.concatenate([found, found[again]]),
        counted=np.ones(count, bool),
        persons=names,
        about=ABOUT,
    )


def cube(treatment: Treatment, entries: Entries) -> dict[tuple[str, ...], dict[str, Any]]:
    made = protect_otherwise(entries, POLICY, treatment, 2)
    return {by: made.table(by).to_document() for by in made.plan}


def rows(documents: dict[tuple[str, ...], dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for table in documents.values() for row in [*table["rows"], table["total"]]]


@pytest.mark.parametrize("treatment", METHODS, ids=lambda each: each.method)
def test_every_method_gives_the_same_documents_near_the_truth_and_nothing_small(treatment: Treatment) -> None:
    entries = people()
    documents = cube(treatment, entries)
    assert list(documents) == [(), ("d0",), ("d1",), ("d0", "d1")]
    assert documents[()]["policy"]["method"] == treatment.method
    for row in rows(documents):
        assert row["n"] is None or row["n"] >= K
        assert row["found"] is None or K <= row["found"] <= row["n"] - K
        assert (row["status"] == "published") is (row["rate"] is not None)
    assert abs(documents[()]["total"]["n"] - 3000) < 60
    assert sum(row["status"] == "published" for row in rows(documents)) > 10


@pytest.mark.parametrize("treatment", METHODS[:2], ids=lambda each: each.method)
def test_method_with_a_secret_when_repeated_gives_the_same_figures(treatment: Treatment) -> None:
    assert cube(treatment, people()) == cube(treatment, people())


def test_cell_key_changes_the_same_persons_alike_in_every_table() -> None:
    entries = people()
    documents = cube(METHODS[0], entries)
    # All of the last code of d1 alone, and the same persons in a cohort that holds nobody else.
    alone = np.flatnonzero(entries.codes[:, 1] == 2)
    part = Entries(
        "employed_q4",
        AXES,
        keys=[entries.keys[i] for i in alone],
        codes=entries.codes[alone],
        masks={names: mask[alone] for names, mask in entries.masks.items()},
        found=entries.found[alone],
        counted=entries.counted[alone],
        persons=[entries.persons[i] for i in alone],
        about=ABOUT,
    )
    figures = ("n", "found", "rate")
    row, total = documents[("d1",)]["rows"][2], cube(METHODS[0], part)[()]["total"]
    assert [row[name] for name in figures] == [total[name] for name in figures]


def test_perturbation_table_is_symmetric_bounded_and_as_wide_as_it_says() -> None:
    table = perturbation_table()
    changes = table[table["pcv"] == 500]["pvalue"].to_numpy()
    assert (changes.min() >= -MOST, changes.max() <= MOST) == (True, True)
    assert abs(changes.mean()) < 0.1
    assert abs(changes.std() - DEVIATION) < 0.3
    assert len(set(record_keys(b"a" * 32, [f"p{i}" for i in range(5000)]))) == 256


def test_controlled_rounding_keeps_every_sum_of_what_is_a_partition() -> None:
    documents = cube(METHODS[1], people(3))
    figures = [row["n"] for row in rows(documents) if row["n"] is not None]
    assert {figure % 10 for figure in figures} == {0}
    table = documents[("d1",)]
    assert table["additive"]
    assert sum(row["n"] for row in table["rows"]) == table["total"]["n"]
    assert sum(row["found"] for row in table["rows"]) == table["total"]["found"]
    assert not documents[("d0",)]["additive"]


def test_controlled_rounding_when_two_ways_add_up_keeps_both_and_moves_no_count_by_a_base() -> None:
    counts = np.array([60, 29, 31, 27, 33, 14, 15, 13, 18])
    lines = [Line(0, np.array([1, 2])), Line(0, np.array([3, 4])), Line(1, np.array([5, 6]))]
    lines += [Line(2, np.array([7, 8])), Line(3, np.array([5, 7])), Line(4, np.array([6, 8]))]
    coin = np.linspace(0.05, 0.95, len(counts))
    found = rounded(counts, lines, 5, coin)
    assert all(found[line.parent] == found[line.children].sum() for line in lines)
    assert np.abs(found - counts).max() < 5
    assert not np.any(found % 5)


def test_noise_is_as_wide_as_all_tables_of_a_question_need_together() -> None:
    counts = np.full(4000, 1000)
    drawn = noisy([counts, counts, counts], 1.5)
    spread = np.concatenate(drawn) - 1000
    # Laplace of scale 3 / 1.5: its mean distance is its scale.
    assert 1.8 < np.abs(spread).mean() < 2.2
    assert min(part.min() for part in noisy([np.zeros(100, np.int64)], 0.1)) >= 0


@pytest.mark.parametrize(("epsilon", "tables"), [("1", 1), ("1", 4), ("0.25", 3)])
def test_interval_of_noise_holds_nineteen_counts_in_twenty_and_a_narrower_one_does_not(
    epsilon: str, tables: int
) -> None:
    told = Treatment("differential_privacy", epsilon=epsilon).interval(tables)
    rng, stay = np.random.default_rng(5), 1 - np.exp(-float(epsilon) / tables)
    noise = np.abs(rng.geometric(stay, 200_000) - rng.geometric(stay, 200_000))
    assert np.mean(noise <= told["persons"]) >= 0.948
    assert np.mean(noise < told["persons"]) < 0.95
    assert not told["certain"]


def test_interval_of_cell_keys_holds_every_count_and_is_said_in_words() -> None:
    treatment = Treatment("cell_key")
    told = treatment.to_document(3)
    table = perturbation_table()
    assert table["pvalue"].abs().max() == told["interval"]["persons"]
    assert told["interval"]["certain"]
    assert f"within {told['interval']['persons']} persons" in told["meaning"]
    assert "interval" not in Treatment().to_document()
