"""Cohorts: the academic (July to June) or calendar years in which awards were earned."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.outcomes.errors import OutcomesError
from app.outcomes.measures import Measure
from app.outcomes.quarters import Quarter

_YEAR = re.compile(r"((?:19|20|21)\d\d)(?:-(\d\d))?", re.ASCII)


@dataclass(frozen=True)
class Cohort:
    """Consecutive years of one kind.

    Parameters
    ----------
    first, last : int
        Year in which the first and the last year begin.
    academic : bool
        July to June; otherwise January to December.
    """

    first: int
    last: int
    academic: bool

    @classmethod
    def parse(cls, text: str) -> Cohort:
        """Read ``2022-23`` (academic), ``2022`` (calendar) or a range such as ``2020-21..2023-24``.

        Raises
        ------
        OutcomesError
            ``BAD_COHORT``: not of this form, ``2022-24``, kinds mixed, or a range that runs backwards.
        """
        ends = [cls._year(part) for part in text.split("..")]
        if len(ends) > 2:
            raise OutcomesError("BAD_COHORT", "A cohort is one year or two joined by '..'.")
        (first, academic), (last, also_academic) = ends[0], ends[-1]
        if academic is not also_academic or last < first:
            raise OutcomesError("BAD_COHORT", "A range runs forward, between years of one kind.")
        return cls(first, last, academic)

    @staticmethod
    def _year(text: str) -> tuple[int, bool]:
        match = _YEAR.fullmatch(text)
        if match is None:
            raise OutcomesError("BAD_COHORT", "A cohort year is written 2022-23 or 2022.")
        year = int(match[1])
        if match[2] is not None and int(match[2]) != (year + 1) % 100:
            raise OutcomesError("BAD_COHORT", "An academic year ends in the year after it began.")
        return year, match[2] is not None

    def _name(self, year: int) -> str:
        return f"{year}-{(year + 1) % 100:02d}" if self.academic else str(year)

    def __str__(self) -> str:
        first, last = self._name(self.first), self._name(self.last)
        return first if self.first == self.last else f"{first}..{last}"

    @property
    def years(self) -> tuple[str, ...]:
        """Names of the single years, in order."""
        return tuple(self._name(year) for year in range(self.first, self.last + 1))

    @property
    def first_month(self) -> str:
        """First month ``YYYY-MM`` in which an award belongs to the cohort."""
        return f"{self.first}-{'07' if self.academic else '01'}"

    @property
    def last_month(self) -> str:
        """Last month ``YYYY-MM`` in which an award belongs to the cohort."""
        return f"{self.last + 1}-06" if self.academic else f"{self.last}-12"

    @property
    def first_exit(self) -> Quarter:
        """Exit quarter of the earliest awards."""
        return Quarter.of_award(self.first_month)

    @property
    def last_exit(self) -> Quarter:
        """Exit quarter of the latest awards."""
        return Quarter.of_award(self.last_month)

    def of_year(self, year: int) -> Cohort:
        """The one year that begins in ``year``."""
        return Cohort(year, year, self.academic)

    def references(self, measure: Measure) -> tuple[Quarter, Quarter]:
        """Reference quarters of the earliest and of the latest awards."""
        if measure.years is None:
            return self.first_exit + measure.last, self.last_exit + measure.last
        first, last = (4 * (end.index // 4 + measure.years) for end in (self.first_exit, self.last_exit))
        return Quarter(first) + measure.last, Quarter(last) + measure.last
