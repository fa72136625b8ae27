"""The adversary's campaign: its populations do not depend on who plays them."""

from __future__ import annotations

import time

from benchmarks.attack_campaign import merge, play_all
from benchmarks.attack_games import play


def test_population_is_the_same_in_whatever_process_it_is_played() -> None:
    numbers = range(2)
    alone = {number: play(3, number).counts for number in numbers}
    end = time.monotonic() + 300
    there = {each.number: each for each in play_all(len(numbers), 3, 2, end)}
    assert {number: each.counts for number, each in there.items()} == alone
    played, counts, recovered = merge(there.values(), len(numbers))
    assert played == len(numbers)
    assert counts["sectors bare"] == sum(each["sectors bare"] for each in alone.values()) > 0
    assert not recovered


def test_campaign_ends_when_its_time_is_over_with_what_was_played() -> None:
    assert list(play_all(1000, 3, 1, time.monotonic())) == []
