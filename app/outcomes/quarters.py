"""Calendar quarters as numbers that can be counted with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

from app.outcomes.errors import OutcomesError

_TEXT = re.compile(r"(19|20|21)\d\dQ[1-4]", re.ASCII)
_AWARD = re.compile(r"((?:19|20|21)\d\d)-(0[1-9]|1[0-2])(?:-\d\d)?", re.ASCII)


@dataclass(frozen=True, order=True)
class Quarter:
    """One calendar quarter.

    Parameters
    ----------
    index : int
        Quarters since the first of year 0: ``4 * year + number - 1``.

    Examples
    --------
    >>> str(Quarter.of_award("2022-12-17") + 4)
    '2023Q4'
    """

    index: int

    @classmethod
    def of(cls, day: date) -> Quarter:
        """Quarter in which ``day`` lies."""
        return cls(4 * day.year + (day.month - 1) // 3)

    @classmethod
    def of_award(cls, award_date: str) -> Quarter:
        """Quarter of an award date ``YYYY-MM`` or ``YYYY-MM-DD`` (the exit quarter)."""
        match = _AWARD.fullmatch(award_date)
        if match is None:
            raise OutcomesError("BAD_DATE", "An award date is YYYY-MM or YYYY-MM-DD.")
        return cls(4 * int(match[1]) + (int(match[2]) - 1) // 3)

    @classmethod
    def parse(cls, text: str) -> Quarter:
        """Quarter from ``YYYYQn``."""
        if not _TEXT.fullmatch(text):
            raise OutcomesError("BAD_QUARTER", "A quarter is written YYYYQ1 to YYYYQ4.")
        return cls(4 * int(text[:4]) + int(text[5]) - 1)

    def __add__(self, quarters: int) -> Quarter:
        return Quarter(self.index + quarters)

    def __sub__(self, quarters: int) -> Quarter:
        return Quarter(self.index - quarters)

    def __str__(self) -> str:
        return f"{self.index // 4:04d}Q{self.index % 4 + 1}"

    @property
    def start(self) -> date:
        """First day."""
        return date(self.index // 4, self.index % 4 * 3 + 1, 1)

    @property
    def end(self) -> date:
        """Last day."""
        return (self + 1).start - timedelta(days=1)
