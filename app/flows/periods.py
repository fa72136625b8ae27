"""Periods of facts, as agreements write them: quarters, academic or calendar years, ranges of either, or `*`.

Months are counted from the first of year 0, so a period is a pair of numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.outcomes.cohort import Cohort
from app.outcomes.errors import OutcomesError
from app.outcomes.quarters import Quarter


@dataclass(frozen=True, order=True)
class Period:
    """Consecutive months, both ends included (months since the first of year 0)."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> Period | None:
        """Read `2023Q1`, `2021Q1..2023Q4`, `2022-23`, `2022` or a range of years; None for `*`.

        Raises
        ------
        OutcomesError
            If it is none of these, or a range that runs backwards.
        """
        if text == "*":
            return None
        if "Q" in text:
            first, dots, last = text.partition("..")
            begin, end = Quarter.parse(first), Quarter.parse(last if dots else first)
            if end < begin:
                raise OutcomesError("BAD_QUARTER", "A range runs forward.")
            return cls(begin.index * 3, end.index * 3 + 2)
        return cls.of_cohort(Cohort.parse(text))

    @classmethod
    def of_cohort(cls, cohort: Cohort) -> Period:
        """The months in which an award belongs to a cohort."""
        return cls(month_number(cohort.first_month), month_number(cohort.last_month))


def month_number(text: str) -> int:
    """Months since the first of year 0, of `YYYY-MM` or anything that begins so."""
    return 12 * int(text[:4]) + int(text[5:7]) - 1


def read_periods(texts: Sequence[str]) -> tuple[Period, ...] | None:
    """The periods, joined where they touch, in order; None where everything is permitted."""
    found = [Period.parse(text) for text in texts]
    if None in found:
        return None
    joined: list[Period] = []
    for period in sorted(each for each in found if each is not None):
        if joined and period.first <= joined[-1].last + 1:
            joined[-1] = Period(joined[-1].first, max(joined[-1].last, period.last))
        else:
            joined.append(period)
    return tuple(joined)


def meets(periods: tuple[Period, ...] | None, wanted: Period) -> bool:
    """Whether some month that is wanted is permitted."""
    return periods is None or any(each.first <= wanted.last and wanted.first <= each.last for each in periods)


def covers(periods: tuple[Period, ...] | None, wanted: Period) -> bool:
    """Whether every month that is wanted is permitted."""
    return periods is None or any(each.first <= wanted.first and wanted.last <= each.last for each in periods)
