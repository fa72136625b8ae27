"""The adversary against all tables of a cube at once: two-way and three-way, overlapping dimensions too."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.attacks.cells import joint, published, random_cells, small, unprotected

FEW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("know_n", [False, True])
@pytest.mark.parametrize("small_hidden", [False, True])
def test_joint_attack_reads_small_groups_where_protection_is_off(know_n: bool, small_hidden: bool) -> None:
    cells = random_cells(3, 400, (3, 3, 4), 1.0, 0.7)
    assert joint(cells, unprotected(cells, 2, small_hidden=small_hidden), know_n=know_n)


def test_small_figures_are_read_where_protection_is_off() -> None:
    assert small(unprotected(random_cells(3, 400, (3, 3, 4), 1.0, 0.7), 2, small_hidden=False))


@FEW
@given(
    seed=st.integers(0, 2**32 - 1),
    persons=st.integers(0, 500),
    sizes=st.sampled_from([(2, 3, 4), (3, 3, 3), (5, 6), (2, 2, 2, 3)]),
    skew=st.sampled_from([0.0, 1.0, 2.0]),
    rate=st.sampled_from([0.05, 0.5, 0.75, 0.95]),
    depth=st.integers(1, 3),
    twice=st.sampled_from([0.0, 0.0, 0.02, 0.2]),
)
def test_no_attack_recovers_anything_from_the_cubes_of_random_populations(
    seed: int, persons: int, sizes: tuple[int, ...], skew: float, rate: float, depth: int, twice: float
) -> None:
    cells = random_cells(seed, persons, sizes, skew, rate, twice=twice)
    documents = published(cells, depth)
    assert not small(documents)
    for know_n in (False, True):
        assert not joint(cells, documents, know_n=know_n)


def test_enough_is_still_shown_for_the_attacks_to_have_something_to_work_on() -> None:
    documents = published(random_cells(5, 1000, (3, 3, 4), 0.5, 0.7), 2)
    statuses = [row["status"] for document in documents for row in document["rows"]]
    assert statuses.count("published") > 0.6 * len(statuses)
