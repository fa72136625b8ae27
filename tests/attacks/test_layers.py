"""Several cubes over the same random persons: vintages and indicators, solved together."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.disclosure.policy import Policy
from tests.attacks.adversary import Layer, System, small
from tests.attacks.bounds import told_by
from tests.attacks.layers import CHANGES, fits, published_layers, random_layers

K = 10
SECRET = b"the attacker does not know this."


# Two indicators of which neither lies within the other differ both ways: subtracting them tells nothing.
@pytest.mark.parametrize("change", [each for each in CHANGES if each != "another indicator"])
def test_what_lies_between_two_cubes_is_read_where_each_is_protected_by_itself(change: str) -> None:
    for seed in range(6):
        people = random_layers(seed, 150, (2, 2), 0.5, 0.6, [change])
        bare = published_layers(people, 1, Policy(K, SECRET), beside=False)
        known = System(bare, fits(people)).between() if change == "late wages" else True
        if known and System(bare, fits(people)).at_most():
            return
    pytest.fail("no population gave anything away")


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32 - 1),
    persons=st.integers(30, 300),
    sizes=st.sampled_from([(2, 3), (3, 3), (5,)]),
    skew=st.sampled_from([0.0, 1.0, 2.0]),
    rate=st.sampled_from([0.3, 0.6, 0.9]),
    changes=st.lists(st.sampled_from(CHANGES), min_size=1, max_size=2),
    k=st.sampled_from([10, 15]),
)
def test_nothing_lies_open_between_cubes_that_were_made_beside_each_other(
    seed: int, persons: int, sizes: tuple[int, ...], skew: float, rate: float, changes: list[str], k: int
) -> None:
    people = random_layers(seed, persons, sizes, skew, rate, changes)
    layers = published_layers(people, 2, Policy(k, SECRET))
    assert not [hit for layer in layers for hit in small(layer.documents, k)]
    assert not System(layers, fits(people)).at_most(k)
    assert not System(layers, fits(people)).pinned(k)
    assert not System(layers, fits(people)).between(k)


def test_interval_tells_of_a_small_group_or_of_few_one_way_and_not_of_what_could_be_shown() -> None:
    assert told_by(3, 3, 15, K) and told_by(2, 4, 7, K) and told_by(0, 9, 30, K) and told_by(21, 30, 30, K)
    assert not told_by(37, 37, 56, K) and not told_by(3, 4, 15, K) and not told_by(1, 5, 7, K)


def told_by_subtraction(layers: Sequence[Layer]) -> list[str]:
    """Groups of whom somebody arrived between two cubes: how many, found and not, where these are few."""
    hits = []
    for before, after in zip(layers[0].documents, layers[1].documents, strict=True):
        rows = zip([*before["rows"], before["total"]], [*after["rows"], after["total"]], strict=True)
        for old, new in rows:
            shown = [name for name in ("n", "found") if None not in (old[name], new[name])]
            more = {name: new[name] - old[name] for name in shown}
            if "found" in more:
                more["not found"] = more["n"] - more["found"]
            hits += [f"{new['key']}: {by} {name}" for name, by in more.items() if 0 < by < K]
    return hits


def test_correction_of_a_large_one_way_agreement_tells_of_no_few_and_still_shows_its_total() -> None:
    people = random_layers(4, 900, (6, 5, 12, 8), 1.0, 0.6, ["a batch more"])
    bare = published_layers(people, 1, Policy(K, SECRET), beside=False)
    assert told_by_subtraction(bare)
    beside = published_layers(people, 1, Policy(K, SECRET))
    assert not told_by_subtraction(beside)
    # Forty more persons are a group that may be shown; hiding figures for goals that others' hiding had
    # opened already left nothing.
    assert beside[1].documents[0]["total"]["found"] is not None
