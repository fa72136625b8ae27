"""Awards of the four academic years, and who earns them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.demo import plan
from app.demo.population import Ints, pick

_CODES = tuple(pathway.code for pathway in plan.PATHWAYS)
_SPRING = np.array([pathway.yearly_rhythm == "spring" for pathway in plan.PATHWAYS])
CIP_CODES = {
    "HSE": ("53.0202",),
    "CERTIFICATE": ("51.3902", "48.0508", "47.0604", "52.0302", "12.0401"),
    "INDUSTRY": ("51.3902", "11.1006", "49.0205", "15.0613"),
    "APPRENTICESHIP": ("46.0302", "46.0503", "47.0201", "48.0501"),
    "ASSOCIATE": ("24.0101", "51.3801", "52.0201", "43.0107", "11.0101"),
    "BACHELOR": ("52.0201", "51.3801", "13.1202", "14.1901", "42.0101", "11.0701", "09.0101"),
    "GRADUATE": ("11.0701",),
}
EXCLUSIONS = (
    ("DECEASED", 0.001),
    ("INSTITUTIONALIZED", 0.0007),
    ("MEDICAL", 0.0008),
    ("ACTIVE_DUTY", 0.0025),
)


@dataclass(frozen=True)
class Awards:
    """Awards, one element each; persons are numbered from 0 without gaps.

    Attributes
    ----------
    person, state, pathway : int64
        Who, where (`plan.OHIO` or `plan.KENTUCKY`), index into `plan.PATHWAYS`.
    day : int64
        Date of the award, days since 1970-01-01.
    born : int64, shape (n_persons,)
        Birth date, days since 1970-01-01, at an age that fits the first award.
    """

    person: Ints
    state: Ints
    pathway: Ints
    day: Ints
    born: Ints

    @property
    def n_persons(self) -> int:
        """Number of persons."""
        return len(self.born)

    def academic_year(self) -> Ints:
        """Calendar year in which the award's academic year (July to June) begins."""
        months = self.day.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
        years: Ints = 1970 + (months - 6) // 12
        return years

    def last_of_person(self) -> Ints:
        """Position of the most recent award of each person, shape (n_persons,)."""
        order = np.lexsort((self.pathway, self.day))
        last = np.zeros(self.n_persons, dtype=np.int64)
        last[self.person[order]] = order
        return last


def make_awards(scale: float, rng: np.random.Generator) -> Awards:
    """Draw awards: so many a year and state, some persons with two, some persons in both states."""
    per_year = [max(20, round(n * scale)) for n in plan.COMPLETIONS_A_YEAR]
    state = np.repeat(np.array([plan.OHIO, plan.KENTUCKY]), [n * plan.N_YEARS for n in per_year])
    year = np.concatenate([np.repeat(plan.FIRST_YEAR + np.arange(plan.N_YEARS), n) for n in per_year])
    n = len(state)
    pathway = pick(rng.random(n), tuple(p.share for p in plan.PATHWAYS))
    day = _award_days(year, pathway, rng)
    person = np.arange(n)
    first, second = _who_earns_two(state, rng)
    person[second] = person[first]
    _stack(first, second, pathway, day, rng)
    person = np.unique(person, return_inverse=True)[1].astype(np.int64)
    return Awards(person, state, pathway, day, _birth_days(person, pathway, day, rng))


def _who_earns_two(state: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Disjoint pairs of awards that belong to one person; the last of them across the state line."""
    shuffled = [np.flatnonzero(state == s)[np.argsort(rng.random(int((state == s).sum())))] for s in (0, 1)]
    within = [round(plan.SHARE_SECOND_AWARD * len(mine)) for mine in shuffled]
    n_persons = sum(len(mine) - k for mine, k in zip(shuffled, within, strict=True))
    # One award fewer for each pair across: solve k = share × (n − k).
    across = round(plan.SHARE_IN_BOTH_STATES * n_persons / (1 + plan.SHARE_IN_BOTH_STATES))
    first = [mine[:k] for mine, k in zip(shuffled, within, strict=True)]
    second = [mine[k : 2 * k] for mine, k in zip(shuffled, within, strict=True)]
    ends = [mine[2 * k : 2 * k + across] for mine, k in zip(shuffled, within, strict=True)]
    return np.concatenate([*first, ends[0]]), np.concatenate([*second, ends[1]])


def _stack(first: Ints, second: Ints, pathway: Ints, day: Ints, rng: np.random.Generator) -> None:
    """Give each pair of awards a plausible order, lower before higher (in place).

    Dates keep their places, so that each state and year keeps its number of awards.
    """
    pairs = np.array([[_CODES.index(code) for code in pair] for pair in plan.STACKED_AWARDS])
    chosen = pairs[pick(rng.random(len(first)), (0.5, 0.35, 0.15))]
    earlier = np.where(day[first] <= day[second], first, second)
    later = np.where(day[first] <= day[second], second, first)
    pathway[earlier] = chosen[:, 0]
    pathway[later] = chosen[:, 1]


def _award_days(year: Ints, pathway: Ints, rng: np.random.Generator) -> Ints:
    """Date within the academic year: May and June for most college awards, any day for the rest."""
    starts = np.array(
        [
            np.datetime64(f"{y}-07-01").astype(np.int64)
            for y in range(plan.FIRST_YEAR, plan.FIRST_YEAR + plan.N_YEARS + 1)
        ]
    )
    start, end = starts[year - plan.FIRST_YEAR], starts[year - plan.FIRST_YEAR + 1]
    n = len(year)
    season = pick(rng.random(n), (0.62, 0.20, 0.08, 0.10))
    spread = rng.random(n)
    any_day = start + np.floor(spread * (end - start)).astype(np.int64)
    college = np.select(
        [season == 0, season == 1, season == 2],
        [
            end - 55 + np.floor(spread * 30).astype(np.int64),
            start + 160 + np.floor(spread * 10).astype(np.int64),
            start + 35 + np.floor(spread * 12).astype(np.int64),
        ],
        any_day,
    )
    days: Ints = np.where(_SPRING[pathway], college, any_day)
    return days


def _birth_days(person: Ints, pathway: Ints, day: Ints, rng: np.random.Generator) -> Ints:
    """Birth dates such that the first award falls into its pathway's range of ages."""
    order = np.lexsort((-day, person))  # the earliest award of a person comes last and wins
    n_persons = int(person.max()) + 1
    earliest = np.zeros(n_persons, dtype=np.int64)
    earliest[person[order]] = order
    ages = np.array([p.ages for p in plan.PATHWAYS], dtype=np.float64)[pathway[earliest]]
    youth = rng.random(n_persons) ** 1.8
    born: Ints = day[earliest] - np.floor(365.25 * (ages[:, 0] + youth * (ages[:, 1] - ages[:, 0]))).astype(
        np.int64
    )
    return born


def age_bands(
    years: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.object_]]:
    """Age band of each age in years."""
    labels = np.array(["<20", "20-24", "25-34", "35-44", "45+"], dtype=object)
    banded: np.ndarray[tuple[int, ...], np.dtype[np.object_]] = labels[
        np.searchsorted([20, 25, 35, 45], years, side="right")
    ]
    return banded
