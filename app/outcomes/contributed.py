"""A contribution beside what is out about its cohort: participants, counterparts and strata as one layer.

Participants are a group of the cohort like any other: those of a county but for three of them tell of these
three. And a standardised rate is a weighted sum of those found in each stratum, which may be a few persons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from app.disclosure.alternatives import finest
from app.disclosure.beside import Beside
from app.disclosure.errors import DisclosureError
from app.disclosure.finest import Axis
from app.disclosure.goals import Work
from app.disclosure.groups import Groups
from app.disclosure.joint import Entries
from app.disclosure.policy import Policy
from app.disclosure.protect import WITHHELD
from app.disclosure.standardised import COMPARED, OTHER, ROLE, ROLES, STRATUM, TAKES_PART
from app.disclosure.suppression import Suppression
from app.outcomes.entries import entries
from app.outcomes.figures import Source, strata_of
from app.outcomes.indicators import INDICATORS
from app.outcomes.match_rates import closed_matches
from app.outcomes.question import Question

if TYPE_CHECKING:
    from app.disclosure.suppression import Progress

Document = dict[str, Any]
Layer = tuple[Entries, Sequence[Mapping[str, Any]]]

#: Units of work at most, whatever the policy's budget: a contribution is one row, and who asked for it waits.
#: A fifth of it proved a union of 48,000 columns; what needs more is withheld, as what is not proven.
MOST_WORK = 6_000_000
#: What it was before (`Policy.figures_by_persons`): what was withheld for it then is when it is made again.
_MOST_BEFORE = 4_000_000
#: What its total tells.
_TOLD = ("n", "found", "rate", "standardised_rate", "difference_points", "contributed_points")
#: Said where it stands without the points.
NO_POINTS = (
    "The points contributed are not given: beside the difference they would tell how many graduates there "
    "are in all, which could be subtracted from the persons of another figure of this cohort."
)
#: By how much a figure of one decimal is off, at most.
_OFF = Fraction(1, 20)


def contributed(cohort: str, source: Source) -> Entries:
    """Everybody of a cohort by part and stratum, and who is employed.

    She is counted as in the rate of employment of the cohort, and is known to be the same.
    """
    counted = entries(INDICATORS["employed_q4"], cohort, (), source)
    question = Question.of("contribution", cohort, [], source.as_of, frozenset({"contribution"}))
    with source.frame(question) as frame:
        listed = strata_of(frame, "owner, completion_id")
    parts = {f"{owner}\n{number}": (tuple(key), takes_part) for *key, takes_part, owner, number in listed}
    sides = ({key for key, takes in parts.values() if takes is side} for side in (True, False))
    both = set.intersection(*sides)
    numbers = {key: at for at, key in enumerate(sorted({key for key, _ in parts.values()}))}
    codes = np.zeros((len(counted.keys), 2), np.int64)
    for at, key in enumerate(counted.keys):
        # Whatever is no first award stands in no figure here.
        stratum, takes_part = parts.get(key.rpartition("\n")[0], (None, False))
        role = OTHER if stratum not in both else TAKES_PART if takes_part else COMPARED
        codes[at] = ROLES.index(role), numbers.get(stratum or (), 0)
    names = tuple(" / ".join(key) for key in sorted(numbers)) or ("",)
    axes = (Axis(ROLE, ROLES, ROLES), Axis(STRATUM, names, names))
    return Entries(
        counted.indicator,
        axes,
        keys=counted.keys,
        codes=codes,
        masks=counted.masks,
        found=counted.found,
        counted=counted.counted,
        within=counted.within,
        persons=counted.persons,
        about=counted.about,
    )


def told_by_contribution(document: Mapping[str, Any], persons: int | None = None) -> list[Document]:
    """How many take part and were found, as a table by part; nothing where it is withheld.

    Parameters
    ----------
    document : mapping
    persons : int, optional
        Of the whole cohort: told where the points tell it.
    """
    total = document["total"]
    if total["found"] is None:
        return []
    row = {"key": {ROLE: TAKES_PART}, "n": total["n"], "found": total["found"]}
    told = [{"by": [ROLE], "rows": [row], "total": {"key": {}, "n": None, "found": None}}]
    if persons is None or not points_tell(total, persons, document["policy"]["min_cell"]):
        return told
    return [*told, {"by": [], "rows": [], "total": {"key": {}, "n": persons, "found": None}}]


def persons_of(counted: Entries) -> int:
    """How many persons a cohort has."""
    return int((counted.masks[frozenset()] & counted.counted).sum())


def points_tell(total: Mapping[str, Any], persons: int, k: int) -> bool:
    """Whether a contribution tells how many persons a cohort has, to within fewer than ``k`` on a side.

    The points are the difference times the participants' share. Both are told to one decimal, the difference
    also by the participants' rate, which is known exactly, and the standardised one.
    """
    if total["contributed_points"] is None:
        return False
    rate = Fraction(100 * total["found"], total["n"]) - Fraction(total["standardised_rate"])
    ends = [Fraction(total["difference_points"]), rate]
    low, high = max(ends) - _OFF, min(ends) + _OFF
    least, most = (low, high) if low > 0 else (-high, -low) if high < 0 else (Fraction(0), max(-low, high))
    points = abs(Fraction(total["contributed_points"]))
    # From so many persons on; up to so many, or to any number.
    fewest = total["n"] * least / (points + _OFF)
    largest = total["n"] * most / (points - _OFF) if points > _OFF else None
    return bool(fewest > persons - k or (largest is not None and largest < persons + k))


def hide_contribution(
    documents: Sequence[Document],
    cohort: str,
    source: Source,
    policy: Policy,
    layers: Sequence[Layer],
    progress: Progress,
) -> None:
    """Withhold a contribution that tells of few beside what is out, or is not proven within the budget."""
    total = documents[0]["total"]
    if total["found"] is None:
        return
    counted, told = contributed(cohort, source), False
    if policy.figures_by_persons:
        told = points_tell(total, persons_of(counted), policy.min_cell)
    try:
        beside = Beside([*layers] or [(counted, [])], counted, policy, progress)
    except DisclosureError:
        stands = False
    else:
        stands = _stands(counted, beside, policy, persons=told)
        if told and not stands and _stands(counted, beside, policy, persons=False):
            total["contributed_points"] = None
            documents[0]["notes"] = [*documents[0]["notes"], NO_POINTS]
            return
    if not stands:
        total |= dict.fromkeys(_TOLD) | {"status": WITHHELD}
        if policy.figures_by_persons:
            total |= closed_matches(total)


def _stands(counted: Entries, beside: Beside, policy: Policy, *, persons: bool) -> bool:
    """Whether nothing of it has to be hidden; with ``persons``, how many the cohort has is told as well."""
    assert counted.about is not None
    groups = Groups(finest(counted, counted.about), [(), (ROLE,)])
    takes_part = [ROLES.index(TAKES_PART) == int(key[0]) for key in groups.keys[1]]
    found = np.array([False, *takes_part], np.bool_)
    shown = np.array([persons, *takes_part], np.bool_)
    most = MOST_WORK if policy.figures_by_persons else _MOST_BEFORE
    state = Suppression(groups, shown.copy(), found.copy(), Work(min(policy.work, most)))
    beside.hide(state, whole=True)
    return bool(np.array_equal(state.found_shown, found) and np.array_equal(state.n_shown, shown))
