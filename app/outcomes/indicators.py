"""Every indicator, declared in one place: words, measure, dimensions, additivity, disclosure treatment.

A further indicator is one more declaration here and its golden case in the tests. What the declaration says
is what the API, the pages and the documents show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.outcomes.dimensions import DIMENSIONS


@dataclass(frozen=True)
class FoundInQuarter:
    """Measure: wages summed over employers and states are above zero in the ``offset``-th quarter after exit.

    Attributes
    ----------
    offset : int
        Quarters after the quarter of the award.
    """

    offset: int


@dataclass(frozen=True)
class Indicator:
    """One indicator.

    Attributes
    ----------
    id, title, definition, numerator, denominator : str
        ``definition`` stands beside every figure.
    measure : FoundInQuarter
        What is computed per award.
    dimensions : tuple of str
        Dimensions that make sense for it; an agreement permits some of these.
    additivity : str
        In which row sets a person may stand more than once.
    disclosure : {"proportion"}
        Which rules of the disclosure room apply: a numerator among a denominator.
    """

    id: str
    title: str
    definition: str
    numerator: str
    denominator: str
    measure: FoundInQuarter
    dimensions: tuple[str, ...]
    additivity: str
    disclosure: Literal["proportion"] = "proportion"


def _employed(offset: int, title: str, in_words: str, wioa: str = "") -> Indicator:
    return Indicator(
        id=f"employed_q{offset}",
        title=title,
        definition=(
            f"Per cent of graduates found with wages in the {in_words} calendar quarter after the quarter of "
            "their award. Wages are summed over employers and states and must be above zero. A person counts "
            "once in the region. A person who is not found in wage records is not counted as unemployed."
            + wioa
        ),
        numerator=f"persons with wages above zero in the {in_words} quarter after the award",
        denominator="persons with an award in the cohort, minus those excluded by the end of that quarter",
        measure=FoundInQuarter(offset),
        dimensions=tuple(DIMENSIONS),
        additivity=(
            "The total counts a person once, with the highest award (the earliest of equals). Rows by "
            "pathway, award level or cohort year count each row's own award, rows by state of work each "
            "state: a person may stand in several, and such rows do not add up to the total."
        ),
    )


INDICATORS: dict[str, Indicator] = {
    indicator.id: indicator
    for indicator in (
        _employed(4, "Employed one year after graduation", "fourth"),
        _employed(2, "Employed two quarters after graduation", "second", " (As in WIOA.)"),
    )
}
