"""Periods as agreements write them."""

from __future__ import annotations

import pytest

from app.flows.periods import Period, covers, read_periods
from app.outcomes.errors import OutcomesError


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2023Q1", (2023, 1), (2023, 3)),
        ("2021Q4..2023Q1", (2021, 10), (2023, 3)),
        ("2022", (2022, 1), (2022, 12)),
        ("2022-23", (2022, 7), (2023, 6)),
        ("2020-21..2023-24", (2020, 7), (2024, 6)),
    ],
)
def test_a_period_is_its_first_and_last_month(
    text: str, first: tuple[int, int], last: tuple[int, int]
) -> None:
    months = [12 * year + month - 1 for year, month in (first, last)]
    assert Period.parse(text) == Period(*months)


@pytest.mark.parametrize(
    "text", ["2023Q5", "2023Q2..2023Q1", "2023Q1..", "..", "", "2022-24", "last year", "*Q"]
)
def test_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(OutcomesError):
        Period.parse(text)


def test_periods_that_touch_are_one_and_a_gap_is_a_gap() -> None:
    assert read_periods(["2022", "*"]) is None
    joined = read_periods(["2023Q1", "2022"])
    wanted = Period.parse("2022Q4..2023Q1")
    assert wanted is not None
    assert joined is not None
    assert len(joined) == 1
    assert covers(joined, wanted)
    assert not covers(read_periods(["2022Q4", "2023Q2"]), wanted)
    assert not covers(read_periods([]), wanted)
