"""A question, checked against the declarations, and the words that stand beside its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from app.disclosure.rounding import per_cent
from app.disclosure.table import Coverage, Description, Rows
from app.outcomes.cohort import Cohort
from app.outcomes.dimensions import DIMENSIONS
from app.outcomes.errors import OutcomesError
from app.outcomes.facts import Frame
from app.outcomes.indicators import INDICATORS, Indicator, Treatment
from app.outcomes.measures import ContinuedEducation, Measure, SelfSufficient
from app.outcomes.thresholds import Thresholds
from crypto.facts import code_list

#: Days after a quarter's end until which late wage reports are expected.
PRELIMINARY_DAYS = 180
#: Below this many submitted persons a share of them is not told.
_SHARES_FROM = 100
#: Persons by which the shares of coverage are told, so that 99.9 % of a thousand does not speak of one.
_STEP = 25
#: Treatments whose figure is a share of persons, so that a table of counts says it.
RATES: frozenset[Treatment] = frozenset({"proportion", "bands", "beside"})
#: Rows by place are no parts of a cohort.
NOT_CROSSED = "State of work and sector are not crossed with other dimensions."


@dataclass(frozen=True)
class CoverageCounts:
    """How many persons a batch holds, could be encoded, and had a strong identifier (from its manifest)."""

    persons: int
    encodable: int
    strong_identifier: int


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
    """

    indicator: Indicator
    measure: Measure
    cohort: Cohort
    as_of: date
    by_sector: bool = False

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
        return cls(indicator, measure, cohort, as_of, by_sector)

    def describe(
        self,
        frame: Frame,
        coverage: Mapping[str, CoverageCounts] | None,
        thresholds: Thresholds | None = None,
    ) -> Description:
        """Return what may be said of the answer whatever its figures are."""
        final = _is_final(self.cohort, self.measure, self.as_of)
        if isinstance(self.measure, SelfSufficient):
            final = self.measure.last > self.measure.first
        return Description(
            indicator=self.indicator.id,
            title=self.indicator.title,
            definition=self.indicator.definition,
            cohort=str(self.cohort),
            vintage="FINAL" if final else "PRELIMINARY",
            coverage=_coverage(self.measure, frame, coverage or {}),
            notes=tuple(self._notes(thresholds)),
            contributors=tuple(sorted(frozenset().union(*frame.contributors.values()))),
            breaks=tuple(
                name
                for name, before, year in zip(
                    self.cohort.years[1:],
                    range(self.cohort.first, self.cohort.last),
                    range(self.cohort.first + 1, self.cohort.last + 1),
                    strict=True,
                )
                if frame.contributors[before] != frame.contributors[year]
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


def _coverage(measure: Measure, frame: Frame, coverage: Mapping[str, CoverageCounts]) -> Coverage:
    if isinstance(measure, ContinuedEducation):
        text = (
            "Awards reported by the education agencies of the agreement. Not covered: awards of institutions "
            "that do not report to them, and studies without an award yet."
        )
    else:
        names = [code_list("states").labels[code] for code in frame.states]
        held = f"Wage records of {' and '.join(names)}." if names else "No state's wage records."
        text = (
            f"{held} Not covered: self-employment, federal and military work, work that is not reported to "
            "unemployment insurance, and other states. A person not found is not counted as unemployed."
        )
    counts = [coverage[batch] for batch in sorted(frame.batches & coverage.keys())]
    persons = sum(each.persons for each in counts)
    if persons < _SHARES_FROM:
        return Coverage(text)
    # Of whole batches as their manifests declare them: within one, nobody here knows who had which.
    encodable = per_cent(_in_steps(sum(each.encodable for each in counts), persons), persons)
    strong = per_cent(_in_steps(sum(each.strong_identifier for each in counts), persons), persons)
    text += (
        f" Of the persons submitted with this cohort's awards {encodable} % could be encoded, {strong} % "
        "with a strong identifier."
    )
    return Coverage(text, encodable, strong)


def _in_steps(part: int, whole: int) -> int:
    """A part whose rest, or which itself, is told in whole steps: never of one person, nor of a few."""
    rest = whole - part
    return whole - rest // _STEP * _STEP if rest <= part else part // _STEP * _STEP
