"""Quarters and cohorts."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.outcomes.cohort import Cohort
from app.outcomes.errors import OutcomesError
from app.outcomes.quarters import Quarter

DAYS = st.dates(date(1950, 1, 1), date(2150, 12, 31))


@given(DAYS, st.integers(-40, 40))
def test_quarter_holds_its_day_and_arithmetic_goes_back_and_forth(day: date, steps: int) -> None:
    quarter = Quarter.of(day)
    assert quarter.start <= day <= quarter.end
    assert (quarter + steps) - steps == quarter
    assert Quarter.parse(str(quarter)) == quarter == Quarter.of_award(day.isoformat())
    assert (quarter + 1).start.toordinal() == quarter.end.toordinal() + 1


@pytest.mark.parametrize("text", ["2023Q5", "2023Q0", "2023q1", "23Q1", "2023-Q1", "2023Q1 ", "٢٠٢٣Q1"])
def test_impossible_quarter_is_refused(text: str) -> None:
    with pytest.raises(OutcomesError) as caught:
        Quarter.parse(text)
    assert caught.value.code == "BAD_QUARTER"


@pytest.mark.parametrize(
    ("text", "years", "first", "last"),
    [
        ("2022-23", ("2022-23",), "2022-07", "2023-06"),
        ("2022", ("2022",), "2022-01", "2022-12"),
        ("1999-00", ("1999-00",), "1999-07", "2000-06"),
        ("2020-21..2022-23", ("2020-21", "2021-22", "2022-23"), "2020-07", "2023-06"),
        ("2021..2022", ("2021", "2022"), "2021-01", "2022-12"),
    ],
)
def test_cohort_is_read_and_written_back(text: str, years: tuple[str, ...], first: str, last: str) -> None:
    cohort = Cohort.parse(text)
    assert (cohort.years, cohort.first_month, cohort.last_month) == (years, first, last)
    assert str(cohort) == text
    assert Cohort.parse(str(cohort)) == cohort


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2022-24",
        "2022-23..2020-21",
        "2022..2023-24",
        "2020..2021..2022",
        "22-23",
        "2022-2023",
        "2022-23 ",
        "..",
    ],
)
def test_cohort_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(OutcomesError) as caught:
        Cohort.parse(text)
    assert caught.value.code == "BAD_COHORT"
