"""Awards that an agency has numbered anew: the same award under another number in other data.

An award is known again by who reported it and by its number there. An agency that numbers its awards anew
in each batch, or for each agreement, makes strangers of the same persons: what two publications count apart
would seem to be a matter of other people. So awards that the one data alone have and awards that the other
alone have, and that are alike in all that is known of them, are taken to be the same. Where they are not,
more is hidden than need be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from app.disclosure.joint import Entries
from app.outcomes.figures import Source
from app.outcomes.question import Question

#: What is known of an award besides its number and who reported it.
_ALIKE = "award_date, pathway, award_level, institution, cip_family, county, sex, age_band, race_ethnicity"
#: Of several that are alike those are taken for one whose outcomes did not change, above all the first.
_BY = ("employed_q4", "employed_q2")

#: Who reported an award, and its number there, as in the keys of `Entries`.
Award = str
Likeness = tuple[Any, ...]


class KnownAgain:
    """Which awards of published data have other numbers in those of a new cube.

    Parameters
    ----------
    new : Source
    """

    def __init__(self, new: Source) -> None:
        self._new = new
        # An award that was found under its new number once is known by it in all that is published.
        self._names: dict[Award, Award] = {}

    def rename(self, layers: Sequence[Entries], cohort: str, old: Source) -> None:
        """Give the entries of some layers the numbers that their awards have in the new data.

        Parameters
        ----------
        layers : sequence of Entries
        cohort : str
        old : Source
            What they were counted from.
        """
        names = self._numbered_anew(cohort, old)
        if not names:
            return
        for layer in layers:
            layer.keys = [_renamed(key, names) for key in layer.keys]

    def _numbered_anew(self, cohort: str, old: Source) -> dict[Award, Award]:
        as_of = max(old.as_of, self._new.as_of)
        sources = (old, self._new)
        then, now = (_awards(_BY[0], cohort, source, as_of) for source in sources)
        names = {
            award: name
            for award, name in self._names.items()
            if award in then.keys() - now.keys() and name in now.keys() - then.keys()
        }
        gone = {award: told for award, told in then.items() if award not in now and award not in names}
        taken = set(names.values())
        come = {award: told for award, told in now.items() if award not in then and award not in taken}
        if {alike for alike, _ in gone.values()} & {alike for alike, _ in come.values()}:
            further = [_awards(_BY[1], cohort, source, as_of) for source in sources]
            names |= _paired(*(_by_likeness(*both) for both in zip((gone, come), further, strict=True)))
        self._names |= names
        return names


def _renamed(key: str, names: Mapping[Award, Award]) -> str:
    award, _, spell = key.rpartition("\n")
    return f"{names.get(award, award)}\n{spell}"


def _paired(
    gone: Mapping[Likeness, dict[Award, tuple[bool, bool]]],
    come: Mapping[Likeness, dict[Award, tuple[bool, bool]]],
) -> dict[Award, Award]:
    """Awards that are alike, two by two, so that as few outcomes as possible have changed."""
    names: dict[Award, Award] = {}
    for alike in sorted(gone.keys() & come.keys(), key=repr):
        left, right = dict(gone[alike]), dict(come[alike])
        for size in (2, 1, 0):
            waiting: dict[tuple[bool, ...], list[Award]] = defaultdict(list)
            for award in sorted(right, reverse=True):
                waiting[right[award][:size]].append(award)
            for award in sorted(left):
                if waiting[left[award][:size]]:
                    names[award] = waiting[left[award][:size]].pop()
                    del left[award], right[names[award]]
    return names


def _by_likeness(
    awards: Mapping[Award, tuple[Likeness, bool]], further: Mapping[Award, tuple[Likeness, bool]]
) -> dict[Likeness, dict[Award, tuple[bool, bool]]]:
    """Awards by what is known of them, with both outcomes."""
    found: dict[Likeness, dict[Award, tuple[bool, bool]]] = defaultdict(dict)
    for award, (alike, outcome) in awards.items():
        found[alike][award] = (outcome, further[award][1])
    return found


def _awards(indicator: str, cohort: str, source: Source, as_of: date) -> dict[Award, tuple[Likeness, bool]]:
    """What is known of each award of a cohort, and whether its person was found."""
    with source.frame(Question.of(indicator, cohort, [()], as_of)) as frame:
        rows = frame.connection.execute(
            f"select owner, completion_id, found, {_ALIKE} from outcome"  # noqa: S608 (a constant)
        ).fetchall()
    return {f"{owner}\n{number}": ((owner, *alike), found) for owner, number, found, *alike in rows}
