"""Random cohorts of which few employers pay some counties: their numbers, by sets of places and programs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from app.disclosure.policy import Policy
from benchmarks.figure_attacks import by_sector
from tests.attacks.cells import K, published
from tests.attacks.payers import Paying, few, random_paying, recovered

SECRET = b"the attacker does not know this."


def drawn(number: int) -> tuple[Paying, int]:
    rng = np.random.default_rng([7, number])
    return random_paying(rng), int(rng.integers(1, 4))


def test_employers_numbers_are_read_where_persons_alone_are_protected_and_not_where_employers_are() -> None:
    read = 0
    for number in range(12):
        paying, depth = drawn(number)
        bare = published(paying.cells, depth, Policy(K, SECRET, employers_of_places=False))
        told = published(paying.cells, depth, Policy(K, SECRET))
        for know_n in (False, True):
            assert not recovered(paying, told, know_n=know_n)
            read += bool(recovered(paying, bare, know_n=know_n))
    assert read > 12


def test_sum_of_two_counties_of_one_employer_follows_where_each_of_them_alone_is_kept_open() -> None:
    rng = np.random.default_rng([1, 51])
    paying, depth = random_paying(rng), int(rng.integers(1, 4))
    policy = Policy(K, b"secret of the campaign 51")
    assert not recovered(paying, published(paying.cells, depth, policy), know_n=False)
    before = replace(policy, sums_of_places=False)
    assert recovered(paying, published(paying.cells, depth, before), know_n=False)


def test_industries_of_few_employers_are_read_where_persons_alone_are_protected_and_not_otherwise() -> None:
    policy, read = Policy(K, SECRET), 0
    for number in range(20):
        bare, hits = by_sector(np.random.default_rng([7, number]), policy)
        assert not hits
        read += bool(bare)
    assert read > 10


@pytest.mark.parametrize(
    ("paid", "told"),
    [({"a": 1, "b": 1}, True), ({"a": 8, "b": 1, "c": 1}, False), ({"a": 9, "b": 1, "c": 1}, True)],
)
def test_few_employers_are_fewer_than_three_or_one_above_80_per_cent(
    paid: dict[str, int], told: bool
) -> None:
    assert few(Counter(paid)) is told
