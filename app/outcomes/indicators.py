"""Every indicator, declared in one place: words, measure, dimensions, additivity, disclosure treatment.

A further indicator is one more declaration here and its golden case in the tests. What the declaration says
is what the API, the pages and ``docs/indicators.md`` show.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from app.disclosure.table import Rows
from app.outcomes.dimensions import DIMENSIONS
from app.outcomes.measures import (
    Attached,
    ContinuedEducation,
    Earnings,
    FoundInQuarter,
    Matched,
    Measure,
    Preset,
    Retained,
    SelfSufficient,
)

Treatment = Literal["proportion", "bands", "quantiles", "flows", "contribution", "derived", "beside"]

#: Whoever is in some band of self-sufficiency: no indicator that is asked for, but known from the bands.
IN_BANDS = "in_bands"
#: Who has wages in the year that flows look at, by the year after the award; that of the first one holds the
#: fourth quarter after every award.
IN_FLOWS = "in_flows"
IN_YEAR = f"{IN_FLOWS}_y1"

#: How each kind of figure is made safe; shown in the documents.
TREATMENTS: dict[Treatment, str] = {
    "proportion": (
        "Persons, found and not found of a group are each at least the minimum cell, or withheld together "
        "with as many others as it takes that nothing can be subtracted. Where being found rests on wages, "
        "groups that name a place (a state, a county) need 3 employers of those found, none of whom pays "
        "above 80 per cent of their wages in the quarters that are looked at."
    ),
    "bands": (
        "The share of the first band is treated as a proportion. The other bands are shown for the total "
        "alone, only where every band reaches the minimum cell, and once: a correction does not repeat them."
    ),
    "quantiles": (
        "Shown only where at least the minimum cell of persons earn less and as many earn more, at least 3 "
        "employers paid them and none above 80 per cent; rounded to 100 dollars; no sums and no extremes. Of "
        "two groups that differ by fewer persons than the minimum cell, with wages or without, one is "
        "withheld."
    ),
    "flows": (
        "A flow is shown where its persons reach the minimum cell, at least 3 employers paid them and none "
        "paid above 80 per cent; other persons with wages are counted as other flows, of which the same "
        "holds. Where shares, and those not in the data, would tell how many graduates there are, and that "
        "could be subtracted from the rate of employment or another rate of the cohort, numbers alone are "
        "given; all flows are withheld where these could be subtracted too."
    ),
    "contribution": (
        "Shown only where participants and comparison group, each with and without the outcome, and whoever "
        "has no counterpart, reach the minimum cell, and where no stratum of a few persons and no other "
        "small group follows beside what is out. Strata are never shown. Points are left out where they "
        "would tell how many graduates there are, and that could be subtracted from another figure."
    ),
    "beside": (
        "Not asked for by itself: shown in the rows of a table of shares, protected together with it, and "
        "left out where it cannot be."
    ),
    "derived": "A function of published figures alone; withheld where one of these is.",
}


@dataclass(frozen=True)
class Indicator:
    """One indicator.

    Attributes
    ----------
    id, title, definition, numerator, denominator : str
        ``definition`` stands beside every figure.
    measure : Measure or None
        What is computed per award; None: a function of other indicators' published figures.
    dimensions : tuple of str
        Dimensions that make sense for it; an agreement permits some of these.
    additivity : str
        In which row sets a person may stand more than once.
    disclosure : Treatment
        Which rules of the disclosure room apply.
    horizon : str
        What must be over before the figure can be made.
    within : tuple of str
        Indicators among whose found persons this one's are. The one that is published second is protected
        beside the first (``app.disclosure.beside``).
    among : tuple of tuple of str
        Sets of indicators, among whose found persons taken together this one's are.
    of : str or None
        The indicator whose found persons are the denominator. Of the two only one is published for a cohort.
    """

    id: str
    title: str
    definition: str
    numerator: str
    denominator: str
    measure: Measure | None
    dimensions: tuple[str, ...]
    additivity: str
    disclosure: Treatment = "proportion"
    horizon: str = "the fourth quarter after the last award of the cohort"
    within: tuple[str, ...] = ()
    among: tuple[tuple[str, ...], ...] = ()
    of: str | None = None

    def to_document(self) -> dict[str, object]:
        """Return what ``GET /v1/indicators`` and the documents show."""
        return {
            "id": self.id,
            "title": self.title,
            "definition": self.definition,
            "numerator": self.numerator,
            "denominator": self.denominator,
            "dimensions": [{"id": name, "label": DIMENSIONS[name].label} for name in self.dimensions],
            "additivity": self.additivity,
            "horizon": self.horizon,
            "disclosure": {"treatment": self.disclosure, "rule": TREATMENTS[self.disclosure]},
        }


#: Dimensions of an award or a person; those of wages (where somebody works) leave the cohort whole.
_OF_AWARDS = tuple(name for name, dimension in DIMENSIONS.items() if dimension.rows is not Rows.PLACES)
_ADDITIVITY = (
    "The total counts a person once, with the highest award (the earliest of equals). Rows by "
    "pathway, award level, cohort year, program or provider count each row's own: a person may stand in "
    "several, and such rows do not add up to the total."
)
_COHORT = "persons with an award in the cohort, minus those excluded by the end of "
_NEVER = " A person who is not found in wage records is not counted as unemployed."


def _employed(offset: int, title: str, in_words: str, wioa: str = "") -> Indicator:
    return Indicator(
        id=f"employed_q{offset}",
        title=title,
        definition=(
            f"Per cent of graduates found with wages in the {in_words} calendar quarter after the quarter of "
            "their award. Wages are summed over employers and states and must be above zero. A person counts "
            "once in the region." + _NEVER + wioa
        ),
        numerator=f"persons with wages above zero in the {in_words} quarter after the award",
        denominator=_COHORT + "that quarter",
        measure=FoundInQuarter.after(offset),
        dimensions=tuple(DIMENSIONS),
        additivity=_ADDITIVITY
        + " Rows by state of work and by sector have the whole cohort as denominator; a person may be found "
        "in several states, and is found in one sector.",
        horizon=f"the {in_words} quarter after the last award of the cohort",
        within=("matched", IN_BANDS, IN_YEAR) if offset == 4 else ("matched",),
    )


_PRESETS: dict[Preset, str] = {
    "pseo": (
        "wages in at least three quarters, and over the year more than 35 hours in 50 weeks would pay at the "
        "federal minimum wage (rule of the Census Bureau's PSEO)"
    ),
    "kystats": "wages in at least two quarters, and at least 3,000 dollars over the four (rule of KYSTATS)",
    "erdc": (
        "wages in all four quarters, and at least 75 per cent of what a full-time year of 2,080 hours would "
        "pay at the minimum wage of the state with most of the person's wages (rule of ERDC)"
    ),
}


#: Three quarters of four may leave out the second or fourth; four do not. Both sums exceed 3,000 dollars.
# As somebody may take them to be: by ERDC's rule a year's wages are above PSEO's floor wherever the state's
# minimum wage is above 8.14 dollars, and three of four quarters reach into the year after a spring's award.
_ATTACHED_WITHIN: dict[Preset, tuple[str, ...]] = {
    "pseo": ("attached_kystats", "matched", IN_YEAR),
    "kystats": ("matched",),
    "erdc": ("attached_pseo", "attached_kystats", "employed_q2", "employed_q4", "matched", IN_YEAR),
}

# Three of four quarters are not to be had without the second or the fourth.
_ATTACHED_AMONG: dict[Preset, tuple[tuple[str, ...], ...]] = {
    "pseo": (("employed_q2", "employed_q4"),),
    "kystats": (("employed_q2", IN_YEAR),),
    "erdc": (),
}


def _attached(preset: Preset) -> Indicator:
    return Indicator(
        id=f"attached_{preset}",
        title=f"Attached to the labour market ({preset.upper()})",
        definition=(
            "Per cent of graduates attached to the labour market in the four quarters after the quarter of "
            f"their award: {_PRESETS[preset]}." + _NEVER
        ),
        numerator=f"persons with {_PRESETS[preset]}",
        denominator=_COHORT + "the fourth quarter",
        measure=Attached(1, 4, preset=preset),
        dimensions=_OF_AWARDS,
        additivity=_ADDITIVITY,
        within=_ATTACHED_WITHIN[preset],
        among=_ATTACHED_AMONG[preset],
    )


def _percentiles(year: int) -> Indicator:
    ordinal = {1: "first", 5: "fifth", 10: "tenth"}[year]
    return Indicator(
        id=f"earnings_percentiles_y{year}",
        title=f"Earnings in the {ordinal} full year, and where they are earned",
        definition=(
            "25th, 50th and 75th percentile of the yearly wages of attached graduates in the "
            f"{ordinal} full calendar year after the year of their award. Attached: {_PRESETS['pseo']}. "
            "Flows: graduates by industry and state of the employer that paid them most in that year, with "
            "the residual 'not in the data'."
        ),
        numerator="yearly wages, summed over employers and states",
        denominator="attached persons of the cohort, minus those excluded by the end of that year",
        measure=Earnings(0, 3, year, attached="pseo"),
        dimensions=_OF_AWARDS,
        additivity="Percentiles do not add up. Flows partition the cohort.",
        disclosure="quantiles",
        horizon=f"the {ordinal} calendar year after the year of the cohort's last award",
    )


_DECLARED: tuple[Indicator, ...] = (
    _employed(4, "Employed one year after graduation", "fourth"),
    _employed(2, "Employed two quarters after graduation", "second", " (As in WIOA.)"),
    _attached("pseo"),
    _attached("kystats"),
    _attached("erdc"),
    Indicator(
        id="median_earnings_q2",
        title="Median earnings two quarters after graduation",
        definition=(
            "Median of the wages, summed over employers and states, of graduates with wages above zero in "
            "the second calendar quarter after the quarter of their award; of an even number the mean of "
            "the middle two. (As in WIOA.)"
        ),
        numerator="wages in the second quarter after the award, in dollars",
        denominator="persons of the cohort with wages above zero in that quarter, minus those excluded",
        measure=Earnings(2, 2),
        dimensions=_OF_AWARDS,
        additivity="Medians do not add up.",
        disclosure="quantiles",
        horizon="the second quarter after the last award of the cohort",
    ),
    Indicator(
        id="retained",
        title="Kept by the same employer",
        definition=(
            "Of graduates with wages in the second quarter after the quarter of their award, per cent with "
            "wages from one and the same employer in the fourth. An employer is the same across accounts "
            "and states."
        ),
        numerator="persons with wages from one same employer in the second and the fourth quarter",
        denominator="persons of the cohort employed in the second quarter, minus those excluded by the end "
        "of the fourth",
        measure=Retained(2, 4),
        dimensions=_OF_AWARDS,
        additivity=_ADDITIVITY,
        within=("employed_q4", "matched", IN_YEAR),
        of="employed_q2",
    ),
    _percentiles(1),
    _percentiles(5),
    _percentiles(10),
    Indicator(
        id="self_sufficient",
        title="Earning a self-sufficient wage",
        definition=(
            "Per cent of graduates whose yearly wages reach the self-sufficiency threshold of their county "
            "and family type: four times the wages of the fourth quarter after the quarter of "
            "their award (provisional), or the sum of the fourth to the seventh where these are final. From "
            "50 to below 100 per cent of the threshold counts as on the path. Wage records hold one "
            "person's earnings: the family is one adult alone unless a program reported another type."
            + _NEVER
        ),
        numerator="persons with yearly wages at or above the threshold",
        denominator=_COHORT + "the fourth quarter, in counties that the threshold table covers",
        measure=SelfSufficient(4, 4),
        dimensions=_OF_AWARDS,
        additivity=_ADDITIVITY,
        disclosure="bands",
        within=("employed_q4", "matched", IN_BANDS, IN_YEAR),
    ),
    Indicator(
        id="continued_education",
        title="Went on to a higher award",
        definition=(
            "Per cent of graduates with a later award of a higher level within four quarters after the "
            "quarter of their award. Only awards that the agreement's education agencies report are seen."
        ),
        numerator="persons with a later award of a higher level within four quarters",
        denominator=_COHORT + "the fourth quarter",
        measure=ContinuedEducation(0, 4),
        dimensions=_OF_AWARDS,
        additivity=_ADDITIVITY,
    ),
    Indicator(
        id="matched",
        title="Match rate",
        definition=(
            "Per cent of graduates whose records were linked with a record of some wage file of the "
            "agreement, whatever wages it holds and for whichever quarter. Whoever is not linked cannot be "
            "found: groups with different match rates differ in linkage or in work in these states."
        ),
        numerator="persons linked with a record of a wage file",
        denominator="that of the figure beside which it stands",
        measure=Matched(4, 4),
        dimensions=_OF_AWARDS,
        additivity=_ADDITIVITY,
        disclosure="beside",
        horizon="that of the figure beside which it stands",
    ),
    Indicator(
        id="gap",
        title="Gap between groups",
        definition=(
            "A group's rate minus the reference group's, in percentage points, and the ratio of the two. "
            "Withheld if either rate is. A gap may come from unequal linkage as well as from unequal "
            "outcomes: read it beside the adjusted rates."
        ),
        numerator="the group's published rate",
        denominator="the reference group's published rate",
        measure=None,
        dimensions=_OF_AWARDS,
        additivity="Gaps do not add up.",
        disclosure="derived",
        horizon="that of the indicator compared",
    ),
    Indicator(
        id="contribution",
        title="Contribution of a program",
        definition=(
            "Rate of employment in the fourth quarter of graduates who entered a program by the quarter of "
            "their award, against the other graduates' rate directly standardised to the participants' "
            "pathway, CIP family, county, age and sex, over common support only. The difference times the "
            "participants' share of the cohort is the points contributed. Association, not effect."
        ),
        numerator="participants' rate minus the standardised rate of the comparison group",
        denominator="participants who have a counterpart in the comparison group",
        measure=FoundInQuarter.after(4),
        dimensions=(),
        additivity="Contributions of several programs do not add up: participants overlap.",
        disclosure="contribution",
    ),
    Indicator(
        id="trend",
        title="Trend across cohorts",
        definition=(
            "One definition across cohorts. Where the contributors or the definition are not the same as in "
            "the cohort before, the point carries a break-in-series flag."
        ),
        numerator="the published figures of the indicator, one per cohort",
        denominator="that of the indicator followed",
        measure=None,
        dimensions=("cohort_year",),
        additivity="Cohorts overlap where a person has awards in several.",
        disclosure="derived",
        horizon="that of the indicator followed",
    ),
)

INDICATORS: dict[str, Indicator] = {indicator.id: indicator for indicator in _DECLARED}


def all_within(names: Iterable[str]) -> tuple[str, ...]:
    """Indicators, and those among whose found persons theirs are, and so on."""
    found = dict.fromkeys(names)
    for name in found.copy():
        found |= dict.fromkeys(all_within(INDICATORS[name].within) if name in INDICATORS else ())
    return tuple(found)
