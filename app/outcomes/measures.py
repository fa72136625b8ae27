"""What is computed for one award: which quarters are looked at, who counts, and who has the outcome.

Each measure is data; :mod:`app.outcomes.outcome_sql` says the same in SQL. The small functions here are the
plain definitions for one person, and a property test holds the SQL to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal

Preset = Literal["pseo", "kystats", "erdc"]
Band = Literal["SELF_SUFFICIENT", "ON_PATH", "BELOW", "NOT_FOUND"]

#: 35 hours in 50 weeks (PSEO: earnings above the equivalent at the federal minimum wage).
PSEO_HOURS = 35 * 50
#: Dollars in four quarters.
KYSTATS_FLOOR = Decimal(3000)
#: 75 % of a full-time year of 2,080 hours.
ERDC_HOURS = 2080 * 3 // 4


@dataclass(frozen=True)
class Measure:
    """Quarters that a measure looks at, relative to an origin.

    Attributes
    ----------
    first, last : int
        Quarters after the origin; the last one is the *reference quarter* and must be over.
    years : int or None
        None: the origin is the quarter of the award. A number n: the first quarter of the nth full calendar
        year after the award.
    """

    #: Whether the employer, and whether the industry of each report matters.
    by_employer: ClassVar[bool] = False
    by_sector: ClassVar[bool] = False
    #: Whether wages matter at all; and whether the denominator is of those whom somebody pays.
    by_wages: ClassVar[bool] = True
    counts_paid: ClassVar[bool] = False

    first: int
    last: int
    years: int | None = None

    @property
    def excluded_by(self) -> int:
        """Quarter after the origin by whose end exclusions leave the denominator."""
        return self.last


@dataclass(frozen=True)
class FoundInQuarter(Measure):
    """Wages summed over employers and states are above zero in the one quarter of the window."""

    @classmethod
    def after(cls, offset: int) -> FoundInQuarter:
        """In the ``offset``-th quarter after the award's."""
        return cls(offset, offset)

    @property
    def offset(self) -> int:
        """Quarters after the quarter of the award."""
        return self.last


@dataclass(frozen=True)
class Attached(Measure):
    """Attached to the labour market in the four quarters of the window, by a preset's rule."""

    preset: Preset = "pseo"


@dataclass(frozen=True)
class Retained(Measure):
    """Counted: employed in the first quarter. Outcome: wages from one same employer in the last as well."""

    by_employer = True
    counts_paid = True


@dataclass(frozen=True)
class Matched(Measure):
    """Linked with a record of some wage file, whatever wages it holds."""

    by_wages = False

    @classmethod
    def beside(cls, measure: Measure) -> Matched:
        """Over the denominator of another measure."""
        return cls(measure.excluded_by, measure.excluded_by, measure.years)


@dataclass(frozen=True)
class ContinuedEducation(Measure):
    """A later award of a higher rank within the window."""

    by_wages = False


@dataclass(frozen=True)
class SelfSufficient(Measure):
    """Yearly earnings reach the threshold: four times Q4's, or the sum of Q4 to Q7 where these are final."""

    @property
    def excluded_by(self) -> int:
        """The first quarter: then the denominator is the same in the provisional and in the final form."""
        return self.first

    @property
    def final(self) -> SelfSufficient:
        """The same over four quarters."""
        return SelfSufficient(self.first, self.first + 3)


@dataclass(frozen=True)
class Earnings(Measure):
    """Counted: wages above zero in the window. The value is their sum."""

    by_sector = True

    attached: Preset | None = None


def attached(preset: Preset, quarters: Sequence[Decimal], hourly: Decimal = Decimal("7.25")) -> bool:
    """Whether four quarters of wages make somebody attached.

    Parameters
    ----------
    preset : {"pseo", "kystats", "erdc"}
    quarters : sequence of Decimal
        Dollars, four of them.
    hourly : Decimal
        Minimum wage in dollars an hour: the federal one for ``pseo``, the state's for ``erdc``.
    """
    total, worked = sum(quarters, Decimal(0)), sum(amount > 0 for amount in quarters)
    if preset == "pseo":
        return worked >= 3 and total > PSEO_HOURS * hourly
    if preset == "kystats":
        return worked >= 2 and total >= KYSTATS_FLOOR
    return worked == 4 and total >= ERDC_HOURS * hourly


def retained(before: Mapping[str, Decimal], after: Mapping[str, Decimal]) -> bool:
    """Whether some employer token has wages above zero in both quarters (dollars by token)."""
    return any(amount > 0 and after.get(token, Decimal(0)) > 0 for token, amount in before.items())


def band(quarters: Sequence[Decimal], threshold: Decimal) -> Band:
    """Self-sufficiency by Q4 wages alone (provisional) or Q4 to Q7 (final), in dollars."""
    found = quarters[0] if len(quarters) == 1 else sum(quarters, Decimal(0))
    if found <= 0:
        return "NOT_FOUND"
    yearly = 4 * found if len(quarters) == 1 else found
    if yearly >= threshold:
        return "SELF_SUFFICIENT"
    return "ON_PATH" if 2 * yearly >= threshold else "BELOW"


def percentile(ordered: Sequence[Decimal], quarter: int) -> Decimal:
    """P25, P50 or P75 (``quarter`` 1, 2, 3) of ordered values: the mean of both at a break (type 2)."""
    whole, rest = divmod(len(ordered) * quarter, 4)
    if rest:
        return ordered[whole]
    return (ordered[whole - 1] + ordered[whole]) / 2
