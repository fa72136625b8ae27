"""Match rates by group, for auditors: those that answers out of a run made public, and no others.

Who of a group was linked at all is a figure about persons. It is protected beside the shares in whose rows it
stands (`app.outcomes.match_rates`), and read here from what recipients were answered: nothing is counted, and
nothing of an answer that is in review, or that an owner objected to, is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.auth import Caller, Role
from app.errors import NotFoundError
from app.flows.audit_views import note_reading
from app.flows.service import Service
from app.flows.show_release import GRANTED, document
from app.flows.sign_agreement import standing
from app.outcomes.dimensions import DIMENSIONS
from app.outcomes.match_rates import INDICATOR
from app.store import agreements, holds, releases, runs

_FIGURES: Final = ("label", "status", "n", "found", "rate")
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class GroupRates:
    """Match rates of one cohort, whole or by one dimension.

    Attributes
    ----------
    cohort : str
    label : str
        Of the dimension; empty for the cohort as a whole.
    release : str
        The answer in which they stand.
    rows : sequence of mapping
        ``label``, ``status``, ``n``, ``found``, ``rate``; the last is the total.
    """

    cohort: str
    label: str
    release: str
    rows: Rows


def group_rates(service: Service, caller: Caller, run_id: str) -> list[GroupRates]:
    """Return match rates in answers out of a run, each cohort and dimension once, the first that was given.

    Raises
    ------
    NotFoundError
        ``RUN_UNKNOWN``.
    """
    caller.require(Role.AUDITOR)
    note_reading(service, caller, 0)
    now = service.now()
    found: dict[tuple[str, tuple[str, ...]], GroupRates] = {}
    with service.store.reading("match rates by group") as tx:
        run = runs.find(tx, run_id)
        agreement = agreements.find(tx, run.agreement_id) if run is not None else None
        if agreement is None:
            raise NotFoundError("RUN_UNKNOWN", "There is no such run.")
        objected = holds.objected_questions(tx, agreement.id)
        state = standing(tx, agreement, now).state
        for row in releases.of_agreement(tx, agreement.id):
            told = document(tx, row, state, now, objected=row.query_sha256 in objected)
            table = told["table"]
            if row.run_id == run_id and told["status"] == GRANTED:
                for by, rows in _tables(table):
                    found.setdefault(
                        (table["cohort"], by),
                        GroupRates(table["cohort"], DIMENSIONS[by[0]].label if by else "", row.id, rows),
                    )
    split = {cohort for cohort, by in found if by}
    # Every table has the total; where there is one, a cohort as a whole says nothing more.
    kept = [each for (cohort, by), each in found.items() if by or cohort not in split]
    return sorted(kept, key=lambda each: (each.cohort, each.label))


def _tables(table: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Rows]]:
    """Match rates in a whole answer, by one dimension at most: in its rows, or beside a crossed table."""
    if table.get("where"):
        return
    if len(table["by"]) <= 1 and INDICATOR in table["total"]:
        rows = [{**row[INDICATOR], "label": row["label"]} for row in (*table["rows"], table["total"])]
        yield tuple(table["by"]), rows
    for each in table.get("match_rates", ()):
        yield (
            tuple(each["by"]),
            [{name: row[name] for name in _FIGURES} for row in (*each["rows"], each["total"])],
        )
