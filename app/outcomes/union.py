"""What is out about the persons of a new cube, as layers of one system (`app.disclosure.beside`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from app.disclosure.along import hide_along
from app.disclosure.alternatives import finest
from app.disclosure.beside import Beside
from app.disclosure.cube import protect_cube
from app.disclosure.errors import DisclosureError
from app.disclosure.goals import Work
from app.disclosure.groups import Groups
from app.disclosure.joint import Entries
from app.disclosure.policy import Policy
from app.disclosure.protect import COUNT_ONLY, WITHHELD
from app.disclosure.suppression import Suppression
from app.disclosure.table import Rows
from app.outcomes.contributed import contributed, persons_of, told_by_contribution
from app.outcomes.dimensions import DIMENSIONS
from app.outcomes.employed import as_numerators, counted_as_found, employed_first
from app.outcomes.entries import entries
from app.outcomes.figures import Source
from app.outcomes.indicators import IN_BANDS, IN_FLOWS, IN_YEAR, INDICATORS, Indicator
from app.outcomes.known_again import KnownAgain
from app.outcomes.match_rates import INDICATOR as MATCHED
from app.outcomes.match_rates import matched_beside, published_matches
from app.outcomes.medians import RATE_OF, counts_those_of, told_by_medians
from app.outcomes.question import RATES

if TYPE_CHECKING:
    from app.disclosure.suppression import Progress
    from app.outcomes.plan import Out, Plan

Document = dict[str, Any]
Layer = tuple[Entries, Sequence[Mapping[str, Any]]]

#: Whoever is in no band has no wages in the quarters that the bands look at.
_NOT_FOUND = "NOT_FOUND"
#: Whoever is in no flow has no wages in the year that the flows look at.
_NOT_IN_DATA = "NOT_IN_DATA"
#: Who has a main job in the window of an outcome, as flows count it.
_HAS_JOB = "award_no in (select award_no from earned group by award_no, employer_token having sum(wages) > 0)"
_EMPTY: Document = {"status": WITHHELD, "n": None, "share": None}
#: Whose denominator goes before that of flows.
_CORE = "employed_q4"
#: Said where flows have no shares.
FLOWS_IN_PART = (
    "Flows are given as numbers, without shares and without those not in the data: these would tell how many "
    "graduates there are in all, which could be subtracted from the persons of a rate of this cohort."
)


def published_layers(
    source: Source, published: Sequence[Out], policy: Policy, *, by_place: str = "", beside: str = ""
) -> list[Layer]:
    """Each table of shares that is out, and what else is told: match rates, who is in a band, in a flow.

    Match rates are counted with the figure beside which they were made, the oldest. Later figures repeat
    them, and may have another denominator, over which they could not be counted again. Of the indicator
    ``by_place``, where those found work is noted wherever rows by place are out. Of medians it is told
    in which groups they are out where the indicator that is made (``beside``) counts the same persons.
    """
    layers: list[Layer] = []
    known_again = KnownAgain(source)
    for out in published:
        medians = policy.figures_by_persons and counts_those_of(beside, out.indicator)
        if not medians and not _tells_of_persons(out):
            continue
        data = source if out.source is None else out.source()
        matched = any(layer.indicator == MATCHED for layer, _ in layers)
        made = list(_layers_of(out, data, policy, by_place, matched=matched))
        if out.source is not None and policy.awards_known_again:
            known_again.rename([layer for layer, _ in made], out.cohort, data)
        layers += made
    return layers


def _tells_of_persons(out: Out) -> bool:
    first = out.documents[0]
    of_shares = INDICATORS[out.indicator].disclosure in RATES
    return of_shares or bool(told_by_flows(first) or _told_by_contribution(out))


def _layers_of(out: Out, data: Source, policy: Policy, by_place: str, *, matched: bool) -> Iterator[Layer]:
    """What one cube tells; match rates only where no layer tells them yet (``matched``)."""
    indicator, first = INDICATORS[out.indicator], out.documents[0]
    names = [name for document in out.documents for name in document["by"]]
    flows, takes_part = told_by_flows(first), _told_by_contribution(out)
    if out.indicator in RATE_OF:
        counted = entries(INDICATORS[RATE_OF[out.indicator]], out.cohort, names, data)
        yield counted, told_by_medians(counted, out.documents)
        return
    if takes_part:
        counted = contributed(out.cohort, data)
        if policy.figures_by_persons:
            takes_part = told_by_contribution(first, persons_of(counted))
        yield counted, takes_part
        return
    if flows:
        counted = _in_flows(indicator, out.cohort, names, data)
        counted.found_alone = "n" not in flows
        yield counted, _total_of(counted, flows)
        return
    told = rows_by_place(out.documents) if out.indicator == by_place else []
    yield entries(indicator, out.cohort, names, data, by_place=told), out.documents
    if indicator.of:
        yield counted_as_found(indicator, out.cohort, names, data), as_numerators(out.documents)
    matches = [] if matched else published_matches([out.documents])
    if matches:
        yield entries(matched_beside(indicator), out.cohort, names, data), matches
    bands = _told_by_bands(first)
    if bands:
        yield _in_bands(indicator, out.cohort, names, data), bands


def _told_by_contribution(out: Out) -> list[Document]:
    return told_by_contribution(out.documents[0]) if out.indicator == "contribution" else []


def _in_bands(indicator: Indicator, cohort: str, names: Sequence[str], source: Source) -> Entries:
    """Who of an indicator's denominator is in any of its bands but the last."""
    found = entries(indicator, cohort, names, source, found=f"band <> '{_NOT_FOUND}'")
    found.indicator, found.within = IN_BANDS, ("matched",)
    if found.about is not None and found.about.vintage != "FINAL":
        # Provisional bands look at the fourth quarter alone, as the rate of employment does.
        found.within = ("matched", "employed_q4", IN_YEAR)
    return found


def _told_by_bands(document: Mapping[str, Any]) -> list[Document]:
    """How many are in a band, as the total of a table."""
    rows = {row["key"]["band"]: row["n"] for row in document.get("bands", ())}
    missed, n = rows.get(_NOT_FOUND), document["total"]["n"]
    if missed is None or n is None:
        return []
    return [{"by": [], "rows": [], "total": {"key": {}, "n": n, "found": n - missed}}]


def _in_flows(indicator: Indicator, cohort: str, names: Sequence[str], source: Source) -> Entries:
    """Who of the cohort has wages in the year of an indicator's flows."""
    as_share = replace(indicator, disclosure="proportion")
    found = entries(as_share, cohort, names, source, found=_HAS_JOB, counted="true")
    found.indicator, found.within = f"{IN_FLOWS}_{indicator.id.rpartition('_')[2]}", ("matched",)
    return found


def told_by_flows(document: Mapping[str, Any]) -> frozenset[str]:
    """What the flows of a document tell of the whole cohort: how many it has, how many have wages.

    Each share tells the whole; of numbers alone the sum is told, for somebody who knows the rest. With the
    row of those not in the data they tell both.
    """
    told = [row for row in document.get("flows", ()) if row["n"] is not None]
    if any(row["key"]["naics_sector"] == _NOT_IN_DATA for row in told):
        return frozenset({"n", "found"})
    if any(row["share"] is not None for row in told):
        return frozenset({"n"})
    return frozenset({"found"} if told else ())


def _total_of(counted: Entries, told: frozenset[str]) -> list[Document]:
    """As a table of the total alone, with those figures that are told."""
    first = counted.masks[frozenset()] & counted.counted
    figures = {"n": int(first.sum()), "found": int((first & counted.found).sum())}
    kept = {name: value if name in told else None for name, value in figures.items()}
    return [{"by": [], "rows": [], "total": {"key": {}, **kept}}]


def rows_by_place(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """Dimensions of which rows by place are shown."""
    return [
        name
        for document in documents
        for name in document["by"]
        if DIMENSIONS[name].rows is Rows.PLACES and any(row["found"] is not None for row in document["rows"])
    ]


def layers_with_places(
    source: Source, published: Sequence[Out], policy: Policy, *, but: str = ""
) -> list[Layer]:
    """What is out and has rows by place, where those found work noted; of all indicators ``but`` one."""
    return [
        published_layers(source, [out], policy, by_place=out.indicator)[0]
        for out in published
        if policy.places_beside_all_groups and out.indicator != but and rows_by_place(out.documents)
    ]


def union(
    plan: Plan, source: Source, policy: Policy, published: Sequence[Out], progress: Progress
) -> Union | None:
    """The new cube together with every table of shares that is out; None where there is none.

    A denominator that is an outcome is decided first, as one.

    Raises
    ------
    DisclosureError
        As `Beside`.
    """
    by_place = plan.indicator if policy.places_beside_groups else ""
    layers = published_layers(source, published, policy, by_place=by_place, beside=plan.indicator)
    indicator = INDICATORS[plan.indicator]
    first: Callable[[Suppression], None] | None = None
    if indicator.of:
        counted = counted_as_found(indicator, plan.cohort, plan.dimensions, source)
        places = {name for name in plan.dimensions if DIMENSIONS[name].rows is Rows.PLACES}
        named = [table for table in plan.named if not set(table) & places]
        told, first = employed_first(counted, policy, plan.depth, named, layers, progress)
        layers.append((counted, told))
    if not layers:
        return None
    new = entries(indicator, plan.cohort, plan.dimensions, source)
    steps = [
        partial(hide_along, new=new, out=out, policy=policy, progress=progress)
        for out in layers_with_places(source, published, policy, but=plan.indicator)
    ]
    try:
        return Union(Beside(layers, new, policy, progress), first, steps)
    except DisclosureError:
        if first is None or len(layers) > 1:
            raise
        # Nothing else is out, and both are proven by themselves.
        return Union(None, first)


@dataclass(frozen=True)
class Union:
    """What hides figures of a new cube for the sake of all that is out."""

    beside: Beside | None
    first: Callable[[Suppression], None] | None
    along: Sequence[Callable[[Suppression], None]] = ()

    @property
    def statistics(self) -> dict[str, Any]:
        """Of the proof."""
        return {} if self.beside is None else self.beside.statistics

    def hide(self, state: Suppression) -> None:
        """Hide figures of the new cube until the union is proven, or nothing of it is left."""
        if self.first is not None:
            self.first(state)
        for hide in self.along:
            hide(state)
        if self.beside is not None:
            self.beside.hide(state)


def hide_bands(
    documents: Sequence[Document],
    plan: Plan,
    source: Source,
    policy: Policy,
    published: Sequence[Out],
    progress: Progress,
) -> None:
    """Withhold the bands of a total where how many are in one gives something away beside all tables.

    And where bands of these persons are out: whoever has changed from one to another is in no table, and
    nothing proves two versions of them beside each other.
    """
    first = documents[0]
    if not _told_by_bands(first):
        return
    if _bands_are_out(published):
        first["bands"] = [{**row, **_EMPTY} for row in first["bands"]]
        return
    indicator = INDICATORS[plan.indicator]
    names = list(dict.fromkeys(plan.dimensions))
    counted = _in_bands(indicator, plan.cohort, names, source)
    counted_as = entries(indicator, plan.cohort, names, source)
    layers = [*published_layers(source, published, policy), (counted_as, documents)]
    if "found" not in _stands_beside(counted, layers, policy, progress):
        first["bands"] = [{**row, **_EMPTY} for row in first["bands"]]


def _bands_are_out(published: Sequence[Out]) -> bool:
    return any(_told_by_bands(out.documents[0]) for out in published)


def hide_flows(
    documents: Sequence[Document],
    plan: Plan,
    source: Source,
    policy: Policy,
    published: Sequence[Out],
    progress: Progress,
) -> None:
    """Withhold the flows, or what tells of their denominator, where it gives something away beside the rest.

    That goes as well where the core indicator's could not be told beside it: whichever of the two is asked
    for first, the numbers of the one and the rate of the other are shown. And where some more than a few are
    between the two, by chance: that there are no shares is not to tell of a few.
    """
    first = documents[0]
    told = told_by_flows(first)
    if not told:
        return
    layers = published_layers(source, published, policy)
    names = list(dict.fromkeys(plan.dimensions))
    counted = _in_flows(INDICATORS[plan.indicator], plan.cohort, names, source)
    whole = told <= _stands_beside(counted, layers, policy, progress) if layers else True
    if policy.flows_in_part and "found" in told:
        between, k = _between(counted, plan, source), policy.min_cell
        if whole and between >= k * (1 + 2 * policy.chance("flows", plan.indicator, plan.cohort)):
            return
        if _found_stands_beside(counted, layers, policy, progress):
            first["flows"] = [_as_number(row) for row in first["flows"]]
            first["notes"] = [*first["notes"], FLOWS_IN_PART]
            return
        core_is_out = any((out.indicator, out.cohort) == (_CORE, plan.cohort) for out in published)
        whole &= core_is_out or between >= k
    if not whole:
        first["flows"] = [{**row, **_EMPTY} for row in first["flows"]]


def _as_number(row: Document) -> Document:
    """A flow without what tells how many there are in all."""
    if row["n"] is None or row["key"]["naics_sector"] == _NOT_IN_DATA:
        return {**row, **_EMPTY}
    return {**row, "status": COUNT_ONLY, "share": None}


def _between(counted: Entries, plan: Plan, source: Source) -> float:
    """How many, at least, are counted by one of flows and core indicator alone; infinite where nobody is."""
    core = entries(INDICATORS[_CORE], plan.cohort, (), source)
    ours, theirs = (
        {each.keys[at] for at in np.flatnonzero(each.masks[frozenset()] & each.counted)}
        for each in (counted, core)
    )
    return min((len(apart) for apart in (ours - theirs, theirs - ours) if apart), default=np.inf)


def _found_stands_beside(
    counted: Entries, layers: Sequence[Layer], policy: Policy, progress: Progress
) -> bool:
    """Whether how many are found of a total may be told beside all layers, and not of how many."""
    assert counted.about is not None
    groups = Groups(finest(counted, counted.about), [()])
    found, missed = groups.found[0], groups.n[0] - groups.found[0]
    if min(found, missed) < policy.found_from:
        return False
    if not layers:
        return True
    counted.found_alone = True
    state = Suppression(groups, np.zeros(1, np.bool_), np.ones(1, np.bool_), Work(policy.work))
    try:
        Beside(layers, counted, policy, progress).hide(state, whole=True)
    except DisclosureError:
        return False
    return bool(state.found_shown[0])


def _stands_beside(
    counted: Entries, layers: Sequence[Layer], policy: Policy, progress: Progress
) -> frozenset[str]:
    """Which figures of a total may be told beside all layers."""
    assert counted.about is not None
    try:
        beside = Beside(layers, counted, policy, progress)
        cells = finest(counted, counted.about)
        shown = protect_cube(cells, policy, 0, progress=progress, beside=beside.hide).table(()).total
    except DisclosureError:
        return frozenset()
    return frozenset(name for name in ("n", "found") if getattr(shown, name) is not None)
