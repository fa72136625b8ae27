"""Where somebody was found: states with wages above zero in the reference quarter, industry of the main job.

Rows by state of work and by sector are protected together, so persons are counted by the exact set of all
their places at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from app.disclosure.table import Employers, Place
from app.disclosure.worked import Worked
from app.outcomes.facts import Frame
from app.outcomes.outcome_sql import FIRST_AWARD
from crypto.facts import code_list

#: The industry of wages whose report names none, as of those that name 999999.
UNCLASSIFIED = "99"

_CHOSEN = f"""
chosen as (
    select * from (select * from outcome qualify row_number() over (partition by person {FIRST_AWARD}) = 1)
    where not excluded
)
"""  # noqa: S608 (constants)

# The main job is with the employer that paid most in the window, in the industry and state where it paid
# most. Of equals the larger such part decides, then the codes; the token only where no row changes by it.
MAIN_JOBS = f"""
{_CHOSEN}, job as (
    select award_no, employer_token, state_fips, coalesce(substr(naics, 1, 2), '{UNCLASSIFIED}') as prefix,
           sum(wages) as wages
    from earned group by all
), employer as (
    select *, sum(wages) over (partition by award_no, employer_token) as paid from job
), main as (
    select award_no, employer_token, state_fips, prefix, paid from employer where paid > 0
    qualify row_number() over (
        partition by award_no order by paid desc, wages desc, prefix, state_fips, employer_token) = 1
)
"""  # noqa: S608 (constants)

# Whoever was found has wages above zero in some state: nobody is lost by the join.
_STATES = f"""
with {_CHOSEN}, paid as (
    select award_no, state_fips from earned group by all having sum(wages) > 0
)
select c.award_no, list_sort(list(distinct
       case when list_contains($codes, p.state_fips) then p.state_fips else $rest end)) as states
from chosen c join paid p using (award_no) where c.found group by c.award_no
"""  # noqa: S608 (constants)

_SECTORS = f"""
with {MAIN_JOBS}
select award_no, prefix, employer_token, paid from chosen join main using (award_no) where found
"""  # noqa: S608 (constants)


@dataclass(frozen=True)
class Workplaces:
    """Persons of a cohort by where they were found.

    Attributes
    ----------
    places : mapping of frozenset of Place to int
        Persons found, by the exact set of dimensions and codes.
    employers : mapping of str to Employers
        By sector; empty where sectors are not asked for.
    """

    places: Mapping[frozenset[Place], int]
    employers: Mapping[str, Employers]

    def count(self, dimension: str, code: str) -> int:
        """Persons found in one place."""
        return sum(count for where, count in self.places.items() if (dimension, code) in where)


def workplaces(frame: Frame, grids: Mapping[str, Sequence[str]]) -> Workplaces:
    """Count persons found by their places.

    Parameters
    ----------
    frame : Frame
        Of one reference quarter; made ``by_sector`` if sectors are asked for.
    grids : mapping of str to sequence of str
        Codes of ``state_of_work``, of ``naics_sector``, of both or of neither; the residual last.
    """
    if not grids:
        return Workplaces({}, {})
    sector_of = _open(frame, grids)
    places: dict[frozenset[Place], int] = defaultdict(int)
    for where in _found_in(frame, sector_of).values():
        places[where] += 1
    return Workplaces(dict(places), _employers(frame, sector_of) if "naics_sector" in grids else {})


def worked(frame: Frame, grids: Mapping[str, Sequence[str]], awards: Sequence[int]) -> Worked:
    """Where persons were found, award by award.

    Parameters
    ----------
    frame, grids
        As of :func:`workplaces`.
    awards : sequence of int
        The award of each entry; a negative number for whoever stands in no row by place.
    """
    sector_of = _open(frame, grids)
    found = _found_in(frame, sector_of)
    sets = sorted(set(found.values()), key=sorted)
    number = {where: at for at, where in enumerate(sets, 1)}
    telling = {
        ("naics_sector", code)
        for code, employers in (_employers(frame, sector_of) if "naics_sector" in grids else {}).items()
        if not employers.protected
    }
    of_award = {award: number[where] for award, where in found.items()}
    return Worked(
        tuple(sets), np.array([of_award.get(int(award), 0) for award in awards], np.int64), frozenset(telling)
    )


def _open(frame: Frame, grids: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Tables of the states and of the main job of each award that counts; the sector of each prefix."""
    connection = frame.connection
    none = "select award_no, cast([] as varchar[]) as states from outcome"
    states, sectors = grids.get("state_of_work"), grids.get("naics_sector")
    by_state = {"codes": list(states), "rest": states[-1]} if states else {}
    connection.execute(f"create or replace temp table in_states as {_STATES if states else none}", by_state)
    none = "select award_no, cast(null as varchar) as prefix from outcome"
    connection.execute(f"create or replace temp table main_job as {_SECTORS if sectors else none}")
    return _codes_of(sectors or ())


def _found_in(frame: Frame, sector_of: Mapping[str, str]) -> dict[int, frozenset[Place]]:
    """The exact set of places of each award that counts and was found."""
    answer = frame.connection.execute(
        "select award_no, states, prefix from in_states join main_job using (award_no)"
    ).fetchall()
    places = {}
    for award, found_in, prefix in answer:
        where = {("state_of_work", code) for code in found_in}
        where |= {("naics_sector", sector_of[prefix])} if prefix else set()
        places[int(award)] = frozenset(where)
    return places


def _employers(frame: Frame, sector_of: Mapping[str, str]) -> dict[str, Employers]:
    """Who paid the persons of each sector in their main jobs."""
    paid: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for prefix, token, wages in frame.connection.execute(
        "select prefix, employer_token, sum(paid) from main_job group by all"
    ).fetchall():
        paid[sector_of[prefix]][token] += wages
    return {sector: Employers.of(by_token) for sector, by_token in paid.items()}


def sectors_by_prefix() -> dict[str, str]:
    """Sector of each two-digit prefix of NAICS codes."""
    return {row["prefix"]: row["sector"] for row in code_list("naics_sectors").rows}


def _codes_of(grid: Sequence[str]) -> dict[str, str]:
    """Code in the grid of each prefix; its last for sectors that it does not name."""
    return {
        prefix: code if code in grid else grid[-1] for prefix, code in sectors_by_prefix().items() if grid
    }
