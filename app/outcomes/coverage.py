"""The note beside every figure: what is not covered, and how much of the cohort could be linked at all.

Shares are of the cohort's own persons: everybody with an award in it, whatever the indicator, by the records
of these awards. They are told as "at least", from counts in whole steps of the minimum cell or 25 persons,
the larger: whoever could not be encoded is then one of at least so many who may be none, and nobody learns
of one person from a share near 100 per cent. They are told once for a cohort: a later figure, correction or
agreement repeats them, so that no two can be subtracted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.disclosure.table import Coverage
from app.outcomes.measures import ContinuedEducation, Measure
from crypto.facts import code_list

#: Persons by which shares are told, at least.
STEP = 25
#: Cohorts of fewer steps are told no shares.
_LEAST_STEPS = 4


@dataclass(frozen=True)
class Covered:
    """Persons with an award in a cohort.

    Attributes
    ----------
    persons : int
    encoded, strong : int or None
        Those of whom an education agency could encode anything, and those with a strong identifier in it;
        None where encodings do not tell.
    """

    persons: int
    encoded: int | None
    strong: int | None


@dataclass(frozen=True)
class CoverageTerms:
    """How shares are told.

    Attributes
    ----------
    step : int
        Persons; the minimum cell, if that is larger.
    told : Coverage or None
        What is out about the cohort already, to be repeated.
    of_before : bool
        Whether that was told of another run or under another agreement.
    submitters : mapping of int to frozenset of str, optional
        By the year in which a cohort year begins: who submits its awards by the agreement. Of those whose
        batches are there only these are named as contributors.
    """

    step: int = STEP
    told: Coverage | None = None
    of_before: bool = False
    submitters: Mapping[int, frozenset[str]] | None = None


def coverage_note(
    measure: Measure, states: Sequence[str], covered: Covered, terms: CoverageTerms | None
) -> Coverage:
    """The note of a cohort's figures.

    Parameters
    ----------
    measure : Measure
    states : sequence of str
        Whose wage records were submitted.
    covered : Covered
    terms : CoverageTerms, optional
    """
    terms = terms or CoverageTerms()
    if terms.told is not None:
        encoded, strong = terms.told.encodable, terms.told.strong_identifier
    else:
        step = max(terms.step, STEP)
        encoded = _at_least(covered.encoded, covered.persons, step)
        strong = _at_least(covered.strong, covered.persons, step)
    text = f"{_not_covered(measure, states)} {_shares(encoded, strong)}"
    if terms.told is not None and terms.of_before:
        text += " These shares are repeated as they were first published of this cohort."
    return Coverage(text, encoded, strong)


def _not_covered(measure: Measure, states: Sequence[str]) -> str:
    if isinstance(measure, ContinuedEducation):
        return (
            "Awards reported by the education agencies of the agreement. Not covered: awards of institutions "
            "that do not report to them, and studies without an award yet."
        )
    names = [code_list("states").labels[code] for code in states]
    held = f"Wage records of {' and '.join(names)}." if names else "No state's wage records."
    return (
        f"{held} Not covered: self-employment, federal and military work, work that is not reported to "
        "unemployment insurance, and other states. A person not found is not counted as unemployed."
    )


def _shares(encoded: str | None, strong: str | None) -> str:
    if encoded is None:
        return (
            "Shares of the cohort that could be encoded are not told: it is too small, or they are not known."
        )
    told = f"Of the cohort's persons at least {encoded} % could be encoded"
    if strong is None:
        return f"{told}; the encodings do not tell who had a strong identifier."
    return f"{told}, and at least {strong} % had a strong identifier."


def _at_least(part: int | None, whole: int, step: int) -> str | None:
    """A lower bound of a share in whole per cent: one for ``step`` values of the part and of the whole."""
    if part is None or whole < _LEAST_STEPS * step:
        return None
    steps = min(part // step, (whole - step) // step)
    return str(100 * steps // (whole // step + 1))
