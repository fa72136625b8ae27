"""What only the demo can measure, because it invented the people: true rates, and the truth behind links."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

from app.demo import plan
from app.demo.selfcheck import read_text

_RANK = {pathway.code: rank for rank, pathway in enumerate(plan.PATHWAYS)}


@dataclass(frozen=True)
class TrueRate:
    """Persons of a group who remain in the denominator, and how many of them truly had wages in Q4."""

    persons: int
    employed: int

    @property
    def percent(self) -> str:
        """To one decimal, half up; a dash where nobody is."""
        if not self.persons:
            return "–"
        share = Decimal(100 * self.employed) / Decimal(self.persons)
        return str(share.quantize(Decimal("0.1"), ROUND_HALF_UP))


def true_rates(outcomes: Path, by: str) -> dict[str, TrueRate]:
    """True `employed_q4` of the four academic years by ``pathway`` or ``cohort_year``, and of all as
    ``total``.

    A person counts once in a group, with the highest award that she earned there (the earliest of equals).

    Parameters
    ----------
    outcomes
        ``outcomes.csv`` of the scenario.
    by
        A column of it.
    """
    table = read_text(outcomes)
    rows = zip(*(table[name].to_pylist() for name in _COLUMNS), strict=True)
    # Latest award first, so that of equal ranks the earliest is the last to be written.
    latest_first = sorted(rows, key=lambda row: (_RANK[row[2]], _reversed(row[3])))
    counted: dict[str, dict[str, tuple[bool, bool]]] = defaultdict(dict)
    for person, year, pathway, _, excluded, employed in latest_first:
        for group in (pathway if by == "pathway" else year, "total"):
            counted[group][person] = (excluded == "true", employed == "true")
    return {group: _count(persons) for group, persons in counted.items()}


_COLUMNS = ("person", "cohort_year", "pathway", "award_date", "excluded_q4", "employed_q4")


def _reversed(day: str) -> int:
    """Sorts ISO dates from the latest to the earliest."""
    return -int(day.replace("-", ""))


def _count(persons: Mapping[str, tuple[bool, bool]]) -> TrueRate:
    kept = [employed for excluded, employed in persons.values() if not excluded]
    return TrueRate(len(kept), sum(kept))


def truth_by_batch(truth: Path, batches: Mapping[str, str], out: Path) -> None:
    """Rewrite ``person, source, id`` as ``person, batch, id``, the form that `cohortlink evaluate` reads.

    Parameters
    ----------
    truth
        ``truth.csv`` of the scenario.
    batches
        Source to name of its batch.
    out
        File to write.
    """
    table = read_text(truth)
    rows = zip(*(table[name].to_pylist() for name in ("person", "source", "id")), strict=True)
    lines = [f"{person},{batches[source]},{own}" for person, source, own in rows if source in batches]
    out.write_text("person,batch,id\n" + "\n".join(lines) + "\n", encoding="utf-8")
