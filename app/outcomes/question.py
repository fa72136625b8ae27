"""A question, checked against the declarations, and the words that stand beside its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from app.disclosure.table import Description, Rows
from app.outcomes.cohort import Cohort
from app.outcomes.coverage import CoverageTerms, coverage_note
from app.outcomes.dimensions import DIMENSIONS
from app.outcomes.errors import OutcomesError
from app.outcomes.facts import Frame
from app.outcomes.indicators import INDICATORS, Indicator, Treatment
from app.outcomes.measures import Measure, SelfSufficient
from app.outcomes.thresholds import Thresholds

#: Days after a quarter's end until which late wage reports are expected.
PRELIMINARY_DAYS = 180
#: Treatments whose figure is a share of persons, so that a table of counts says it.
RATES: frozenset[Treatment] = frozenset({"proportion", "bands", "beside"})
#: Rows by place are no parts of a cohort.
NOT_CROSSED = "State of work and sector are not crossed with other dimensions."


@dataclass(frozen=True)
class Question:
    """An indicator of a cohort, as of a day.

    Attributes
    ----------
    indicator : Indicator
    measure : Measure
        The indicator's, or its final form where the day allows it.
    cohort : Cohort
    as_of : date
    by_sector : bool
        Whether the industry of each wage report matters.
    by_employer : bool
        Whether its employer does: there are rows by place, of persons whom somebody paid.
    """

    indicator: Indicator
    measure: Measure
    cohort: Cohort
    as_of: date
    by_sector: bool = False
    by_employer: bool = False

    @classmethod
    def of(
        cls,
        indicator: str | Indicator,
        cohort: str | Cohort,
        plan: Sequence[tuple[str, ...]],
        as_of: date,
        treatments: frozenset[Treatment] = RATES,
    ) -> Question:
        """Check a question.

        Raises
        ------
        OutcomesError
            ``UNKNOWN_INDICATOR``, ``OTHER_TREATMENT`` (the indicator is no figure of this kind),
            ``UNKNOWN_DIMENSION``, ``DEPTH_NOT_SUPPORTED``, ``BAD_COHORT``, ``REFERENCE_QUARTER_OPEN``.
        """
        if isinstance(indicator, str):
            if indicator not in INDICATORS:
                raise OutcomesError("UNKNOWN_INDICATOR", "There is no such indicator.")
            indicator = INDICATORS[indicator]
        if indicator.measure is None or indicator.disclosure not in treatments:
            raise OutcomesError("OTHER_TREATMENT", "The indicator is not answered by a figure of this kind.")
        if isinstance(cohort, str):
            cohort = Cohort.parse(cohort)
        for by in plan:
            if len(set(by)) != len(by) or not set(by) <= set(indicator.dimensions):
                raise OutcomesError(
                    "UNKNOWN_DIMENSION", "The indicator has no such dimension, or it is named twice."
                )
            if len(by) > 1 and any(DIMENSIONS[name].rows is Rows.PLACES for name in by):
                raise OutcomesError("DEPTH_NOT_SUPPORTED", NOT_CROSSED)
        measure = indicator.measure
        if isinstance(measure, SelfSufficient) and _is_final(cohort, measure.final, as_of):
            measure = measure.final
        if cohort.references(measure)[1].end >= as_of:
            raise OutcomesError("REFERENCE_QUARTER_OPEN", "The cohort's last reference quarter is not over.")
        by_sector = measure.by_sector or any("naics_sector" in by for by in plan)
        by_employer = measure.by_wages and any(DIMENSIONS[name].place for by in plan for name in by)
        return cls(indicator, measure, cohort, as_of, by_sector, by_employer)

    def describe(
        self,
        frame: Frame,
        coverage: CoverageTerms | None,
        thresholds: Thresholds | None = None,
    ) -> Description:
        """Return what may be said of the answer whatever its figures are."""
        final = _is_final(self.cohort, self.measure, self.as_of)
        if isinstance(self.measure, SelfSufficient):
            final = self.measure.last > self.measure.first
        contributors = frame.contributors
        if coverage is not None and coverage.submitters is not None:
            contributors = {
                year: frozenset(
                    name for name in named if name.startswith("wages-") or name in coverage.submitters[year]
                )
                for year, named in contributors.items()
            }
        return Description(
            indicator=self.indicator.id,
            title=self.indicator.title,
            definition=self.indicator.definition,
            cohort=str(self.cohort),
            vintage="FINAL" if final else "PRELIMINARY",
            coverage=coverage_note(self.measure, frame.states, frame.covered, coverage),
            notes=tuple(self._notes(thresholds)),
            contributors=tuple(sorted(frozenset().union(*contributors.values()))),
            breaks=tuple(
                name
                for name, before, year in zip(
                    self.cohort.years[1:],
                    range(self.cohort.first, self.cohort.last),
                    range(self.cohort.first + 1, self.cohort.last + 1),
                    strict=True,
                )
                if contributors[before] != contributors[year]
            ),
        )

    def _notes(self, thresholds: Thresholds | None) -> Sequence[str]:
        if self.indicator.disclosure == "contribution":
            return ["Association, not effect: who takes part differs in more than what is standardised."]
        if not isinstance(self.measure, SelfSufficient) or thresholds is None:
            return []
        basis = "the sum of Q4 to Q7" if self.measure.last > self.measure.first else "four times Q4 wages"
        return [
            f"Thresholds: {thresholds.source}, version {thresholds.version}, SHA-256 {thresholds.digest}.",
            f"Licence of the thresholds: {thresholds.licence_note}",
            f"Yearly wages are {basis}; the family is one adult alone unless a program reported another.",
        ]


def _is_final(cohort: Cohort, measure: Measure, as_of: date) -> bool:
    return as_of >= cohort.references(measure)[1].end + timedelta(days=PRELIMINARY_DAYS)
